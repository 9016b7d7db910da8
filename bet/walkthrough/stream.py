"""Tables and figures of notebook 09: segments, carried rows, sizes of three numbers, prices."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bet.actions import Action
from bet.data import FrequencyOrder
from bet.search import RunSettings, SearchContext, SearchSettings, Workspace
from bet.search.gate import FEWEST_USERS, GateDecision
from bet.stream import (
    STREAM_METHODS,
    Events,
    StreamSettings,
    StreamTask,
    recurring_users,
    segment_context,
    segment_data,
)
from bet.stream.segments import Segment
from bet.training import TrainSettings


def small_task(events: Events, cap: str, rule: StreamSettings, seed: int) -> StreamTask:
    """LightGCN of 16 columns with little training, so that a segment takes moments."""
    training = TrainSettings(
        batch_size=256, learning_rate=0.1, schedule="cosine", max_epochs=12, init_std=0.1
    )
    search = SearchSettings(iterations=4, actions=10, finetune_epochs=1)
    settings = RunSettings("lightgcn", training, search, seed)
    return StreamTask(events, STREAM_METHODS["stream-uniform"], settings, rule, cap, d_max=16)


def contexts_of(task: StreamTask, folder: Path) -> list[SearchContext]:
    """What methods see of every segment; unfinished work goes into ``folder``."""
    workspace = Workspace(folder, folder)
    parts = [
        segment_data(task.events, segment, task.rule, task.settings.seed)
        for segment in task.check()
    ]
    return [segment_context(task, workspace, part) for part in parts]


def segments_table(events: Events, segments: Sequence[Segment]) -> pd.DataFrame:
    """When a segment begins and ends, how many events its parts have, and who is there."""
    rows = []
    for segment in segments:
        users, items = events.known_after(segment.train_end)
        rows.append(
            {
                "from": events.times[segment.start],
                "to": events.times[segment.end - 1],
                "train": segment.train_end - segment.start,
                "validation": segment.validation_end - segment.train_end,
                "test": segment.end - segment.validation_end,
                "users": users,
                "items": items,
            }
        )
    table = pd.DataFrame(rows).rename_axis("segment")
    recurring = [None, *(f"{share:.0%}" for share in recurring_users(events, list(segments)))]
    return table.assign(recurring=recurring)


def plot_sizes(actions: Mapping[str, Action], order: FrequencyOrder) -> Figure:
    """Columns of users and of items by frequency rank, a line per action."""
    figure, axes = plt.subplots(1, 2, figsize=(7.2, 2.8), sharey=True)
    for label, action in actions.items():
        axes[0].plot(action.user_sizes[order.users], drawstyle="steps-mid", label=label)
        axes[1].plot(action.item_sizes[order.items], drawstyle="steps-mid", label=label)
    for axis, side in zip(axes, ("users", "items"), strict=True):
        axis.set(title=side, xlabel="frequency rank")
    axes[0].set_ylabel("columns")
    axes[1].legend(fontsize=8, loc="best")
    return figure


def price_table(values: pd.DataFrame, prices: Sequence[float], limit: int) -> pd.DataFrame:
    """What entities (rows of ``values``) choose of the sizes (its columns) at every price of a
    column, and whether that fits into ``limit`` columns.
    """
    arms = values.columns.to_numpy()
    rows = {}
    for price in prices:
        picked = (values.to_numpy() - price * arms).argmax(1)
        total = int(arms[picked].sum())
        chosen = dict(zip(values.index, arms[picked].tolist(), strict=True))
        rows[price] = {**chosen, "sum": total, "fits": total <= limit}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("price")


def gate_sentence(gains: np.ndarray, decision: GateDecision) -> str:
    """Who gains and who loses by the new sizes, (u,) each, and what the gate makes of it."""
    text = f"Of {len(gains)} users {(gains > 0).sum()} gain and {(gains < 0).sum()} lose, "
    text += f"{decision.difference:+.4f} on average; "
    if decision.bound is None:
        return f"{text}the gate needs {FEWEST_USERS} users: the sizes stay as they were."
    replaced = "the new sizes are used" if decision.accepted else "the sizes stay as they were"
    return f"{text}the lower bound is {decision.bound:+.4f}: {replaced}."
