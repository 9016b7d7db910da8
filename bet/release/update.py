"""An earlier file and more interactions: the same model, refitted to both."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bet.backbones import RankingRule
from bet.data import FrequencyOrder, Interactions, from_pairs
from bet.errors import BetError
from bet.methods._shared.tuning import tune
from bet.methods.graph_filter import GraphFilter
from bet.methods.item_knn import ItemKnn
from bet.packed import PackedFile, RecommenderFile, load
from bet.release.candidates import Candidate, candidate
from bet.release.choice import Choice, popularity_candidate
from bet.release.families import (
    ALS_FACTS,
    BLEND,
    BPR_FACTS,
    FAMILIES,
    FILTER,
    GRAPH_BLEND,
    KNN,
    POPULARITY,
    ROWS,
    VECTORS,
    Family,
)
from bet.release.stage import Stage
from bet.release.task import Task
from bet.search import MethodResult, SearchContext
from bet.serving import coded_in_order
from bet.training import FitSettings, TrainSettings


@dataclass(frozen=True)
class Earlier:
    """What a file says about the model that it holds: ``family`` by name, numbers that stand in it,
    bits and columns of its rows, the most frequent ones', and its bytes beside interactions.
    """

    family: str
    facts: Mapping[str, float]
    bits: int | None
    columns: int
    entities: int
    other_bytes: int


def continue_file(path: Path, more: Interactions) -> tuple[Earlier, Interactions]:
    """The model in ``path``, and its interactions and ``more`` together; ids are compared as text.

    Raises BetError for a file of another kind, and for one without histories, ids or the numbers of
    its training, from which nothing can be refitted.
    """
    file = _opened(path)
    if file.seen is None:
        raise BetError(
            f"{path} holds no histories, so nothing can be added to them; give all interactions "
            "with --data, without --continue"
        )
    ids = file.ids
    users, items = list(ids.user_rows), list(ids.item_rows)
    indptr, columns = file.seen.all()
    rows = np.repeat(np.arange(len(users)), np.diff(indptr))
    names = np.array(users, dtype=object)[rows], np.array(items, dtype=object)[columns]
    earlier = pd.DataFrame(dict(zip(("user", "item"), names, strict=True)))
    both = pd.concat([earlier, _pairs(more)], ignore_index=True).drop_duplicates()
    together = from_pairs(more.name, both["user"], both["item"], where=f"{path} and {more.name}")
    return _earlier(file), together


def _opened(path: Path) -> RecommenderFile:
    opened = load(path)
    if not isinstance(opened, RecommenderFile):
        raise BetError(
            f"{path}: a file of kind {opened.kind!r} without what its training had; --continue "
            "takes a file that bet table wrote with histories"
        )
    return opened


def _pairs(data: Interactions) -> pd.DataFrame:
    users, items = data.matrix.nonzero()
    columns = {}
    for side, numbers, ids in (("user", users, data.user_ids), ("item", items, data.item_ids)):
        names = numbers if ids is None else ids[numbers]
        columns[side] = [str(name) for name in names]
    return pd.DataFrame(columns, dtype=object)


def _earlier(file: RecommenderFile) -> Earlier:
    bits, columns = None, 1
    if isinstance(file.table, PackedFile):
        layout = file.table.layout
        # Of rows that differ in precision, the most usual one.
        bits, columns = int(layout.kinds[layout.counts.sum(0).argmax(), 1]), layout.width
    report, family = file.byte_report(), _family_of(file)
    facts = {name: value for name, value in file.facts.items() if isinstance(value, int | float)}
    missing = [name for name in family.facts if name not in facts]
    if missing or (family.has_table and bits is None):
        what = " and ".join(missing) or "how its rows are rounded"
        raise BetError(
            f"{file.path} does not say {what}, as files of bet table do; give all interactions "
            "with --data, without --continue"
        )
    return Earlier(
        family=family.name,
        facts=facts,
        bits=bits,
        columns=columns,
        entities=file.n_users + file.n_items,
        other_bytes=report.total - report.interactions - report.seen,
    )


def _family_of(file: RecommenderFile) -> Family:
    if file.backbone == "lightgcn":
        return ROWS if file.interactions else VECTORS
    if file.backbone == "blend":
        final = file.table is not None and file.table.container.kind == "vectors"
        return GRAPH_BLEND if final else BLEND
    for family in FAMILIES:
        if family.stored_as == file.backbone:
            return family
    raise BetError(
        f"{file.path}: bet table does not make a file of {file.backbone!r}; give all interactions "
        "with --data, without --continue"
    )


def same_bytes(earlier: Earlier, together: Interactions) -> int:
    """Bytes for the same columns for as many users and items as there are now, and what their
    interactions take.
    """
    order = FrequencyOrder.of(together.matrix).entities
    coded = coded_in_order(together.matrix, order).layout.n_bytes
    entities = together.n_users + together.n_items
    # What is added changes the order, and with it the lists: two bytes per entity to spare.
    return -(-earlier.other_bytes * entities // earlier.entities) + coded + 2 * entities + 64


def choose_again(task: Task, earlier: Earlier) -> Choice:
    """The model of ``earlier``, and popularity to compare it with; raises BetError where it does
    not fit.
    """
    stage = Stage(inf, [], [])
    popular = stage.best_of([popularity_candidate(task)])
    assert popular is not None, "it fits, or the limit was refused"
    best = {"popularity": popular}
    if earlier.family != POPULARITY.name:
        made = _candidate(task, earlier)
        if made is None and not task.has_non_items:
            raise BetError(
                f"the {earlier.family} of the earlier file cannot be fitted where everybody has "
                f"all {task.interactions.n_items:,} items; give all interactions with --data, "
                "without --continue"
            )
        if made is None:
            raise BetError(
                f"the {earlier.family} of the earlier file and all interactions do not fit into "
                f"{task.limit:,} bytes; raise the budget"
            )
        tried = stage.best_of([made])
        assert tried is not None, "without a deadline it is trained"
        best[earlier.family] = tried
    return Choice(best[earlier.family], best, None, stage.measured, stage.left_out)


def _candidate(task: Task, earlier: Earlier) -> Candidate | None:
    facts = earlier.facts
    if earlier.family == FILTER.name:
        return candidate(task, replace(FILTER, method=partial(_fitted, GraphFilter, facts)))
    if earlier.family == KNN[0].name:
        k = int(facts["neighbors"])
        family = replace(KNN[0], method=partial(_fitted, ItemKnn, facts), neighbors=k)
        return candidate(task, family)
    family = next(family for family in FAMILIES if family.name == earlier.family)
    return candidate(
        task,
        family,
        None if family is BLEND else earlier.bits,
        settings=_settings(task.first_settings(family.backbone), facts),
        columns=earlier.columns,
    )


def _fitted(
    rule: type[RankingRule], facts: Mapping[str, float], context: SearchContext
) -> MethodResult:
    return tune(context, rule, [dict(facts)])


def _settings(first: FitSettings, facts: Mapping[str, float]) -> FitSettings:
    """``first`` with the numbers of the earlier training; how long, validation says again."""
    known: dict[str, Any] = {
        name: facts[name] for name in (*ALS_FACTS, *BPR_FACTS) if name in facts and name != "layers"
    }
    if isinstance(first, TrainSettings):
        known["floor"] = min(1e-3, known["learning_rate"])
    return replace(first, **known)
