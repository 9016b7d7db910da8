"""What notebook 04 shows: the fitness predictor by hand, and how well predictions rank."""

from collections.abc import Mapping

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from bet.actions import Action
from bet.data import FrequencyOrder
from bet.predictor import DeepSets


def sets_table(action: Action, order: FrequencyOrder) -> pd.DataFrame:
    """The sets S_d of an action: how many users and items have size d, and how frequent they are on
    average.
    """
    is_user = np.arange(order.n) < order.n_users
    frame = pd.DataFrame({"d": action.sizes, "frequency": order.frequency, "user": is_user})
    by_size = frame.groupby("d")
    users = by_size["user"].sum()
    mean_frequency = by_size["frequency"].mean().round(1)
    return pd.DataFrame(
        {"users": users, "items": by_size.size() - users, "mean frequency": mean_frequency}
    )


@torch.no_grad()
def predict_by_hand(
    predictor: DeepSets, frequency: np.ndarray, sizes: np.ndarray, n_users: int, d_max: int
) -> dict[str, Tensor]:
    """Eq. 7 to 10 for entities of ``frequency`` (n,) and ``sizes`` (n,), users first, as they are
    written in the paper: the encodings q, the sets' s, the action's h and the prediction r.
    """
    f = torch.from_numpy(frequency).float()[:, None]  # (n, 1)
    users, items = f[:n_users] / f[:n_users].max(), f[n_users:] / f[n_users:].max()
    q = torch.cat([predictor.encode_user(users), predictor.encode_item(items)])  # Eq. 7: (n, 16)
    sets = []
    for d in range(1, d_max + 1):
        members = q[torch.from_numpy(sizes == d)]  # of S_d: (|S_d|, 16)
        mean = members.mean(0) if len(members) else torch.zeros(16)
        sets.append(predictor.encode_set(torch.cat([mean, torch.tensor([d / d_max])])))  # Eq. 8
    s = torch.stack(sets)  # (d_max, 64)
    h = s.mean(0)  # Eq. 9: (64,)
    return {"q": q, "s": s, "h": h, "r": predictor.decode(h)}  # Eq. 10: (1,)


def plot_predictions(
    predicted: Mapping[str, np.ndarray], measured: np.ndarray, seen: int
) -> Figure:
    """A panel for each of ``predicted`` (m,) beside ``measured`` (m,): the first ``seen`` actions
    were learned from.
    """
    figure, axes = plt.subplots(1, len(predicted), figsize=(3.0 * len(predicted), 3.0), sharey=True)
    ends = [measured.min(), measured.max()]
    for axis, (name, values) in zip(axes, predicted.items(), strict=True):
        axis.plot(ends, ends, ":", color="0.5", label="predicted = measured")
        axis.plot(values[:seen], measured[:seen], "o", color="0.7", label="learned from")
        axis.plot(values[seen:], measured[seen:], "o", color="C0", label="not seen")
        axis.set(title=name, xlabel="predicted fitness")
    axes[0].set_ylabel("measured fitness (share of full)")
    labels = axes[0].get_legend_handles_labels()
    figure.legend(*labels, loc="outside lower center", ncols=3, fontsize=8)
    return figure
