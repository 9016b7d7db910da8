"""From interactions and a number of bytes to the best table file that fits: train uniform tables,
search, let the gate decide, score, refit on everything, write.
"""

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from bet.actions import Budget
from bet.backbones import BACKBONES, Recommender
from bet.data import Interactions, Split, evaluable_split, keep_rows
from bet.errors import BetError
from bet.files import locked
from bet.methods.quantized import bet_packed, smallest_file, uniform_packed
from bet.packed import id_layout, load
from bet.paths import cache_dir
from bet.progress import announce
from bet.release.gate import GateDecision, safe_select
from bet.release.result import BudgetAlternative, Candidate, TableRelease, bits_in_words
from bet.search import (
    MethodResult,
    RunSettings,
    SearchContext,
    TrainingData,
    Workspace,
    check_table,
    load_or_pretrain,
    refit,
)
from bet.serving import served_file
from bet.study.output import check_writable, ids_of, save_table
from bet.study.profiles import PROFILES
from bet.study.summary import serving_part
from bet.training import evaluate

BITS = (16, 8, 4, 2, 1)  # per number, of the uniform tables
GATE_METRIC = "ndcg@20"


def build_table(
    interactions: Interactions,
    limit: int,
    file: Path,
    *,
    backbone: str = "lightgcn",
    profile: str = "default",
    seed: int = 0,
    device: str = "cpu",
    progress: bool = False,
    source: Path | str | None = None,
    with_ids: bool = False,
) -> TableRelease:
    """Write the best of the tables described here, of at most ``limit`` bytes, to ``file``.

    Uniform tables at every number of bits are trained on half of the data; the best of them on
    validation is the simple table. Sizes are searched at its bits. Half of the validation users
    select; on the others the gate decides whether the searched table is used. The chosen table is
    scored once on test, then refitted on all interactions. Interrupted, the same call continues.

    ``source``: the file that the interactions came from, which is not overwritten. ``with_ids``:
    the file holds your ids, which count. Raises BetError on a backbone, profile or file that is not
    there, and with the smallest possible file when ``limit`` is too small.
    """
    if backbone not in BACKBONES:
        raise BetError(f"unknown backbone {backbone!r}; known are {', '.join(BACKBONES)}")
    if profile not in PROFILES:
        raise BetError(f"unknown profile {profile!r}; known are {', '.join(PROFILES)}")
    split, numbers = evaluable_split(interactions, seed), PROFILES[profile]
    n, copies = interactions.n_users + interactions.n_items, BACKBONES[backbone].copies
    d_max = numbers.columns(backbone)
    context = SearchContext(
        data=TrainingData(split.train, split.validation),
        settings=RunSettings(
            backbone=backbone,
            # Half of the validation users select, the others are the gate's.
            training=replace(numbers.training[backbone], validation_share=0.5),
            search=numbers.search[backbone],
            seed=seed,
        ),
        workspace=Workspace(cache_dir(), cache_dir() / "work", device, progress),
        budget=Budget(n * d_max, n, d_max, copies=copies),
        byte_limit=limit,
        id_layout=id_layout(ids_of(interactions)) if with_ids else (),
    )
    context = context.in_folder(context.workspace.folder / f"table-{_key(context)}")
    smallest = _smallest_files(context)
    if min(smallest.values()) > limit:
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest possible file, "
            f"{min(smallest.values()):,} bytes; raise it"
        )
    check_writable(file, source)
    folder = context.workspace.folder
    with locked(folder):
        release = _build(context, split, interactions, file, smallest)
        shutil.rmtree(folder, ignore_errors=True)
    return release


def _build(
    context: SearchContext,
    split: Split,
    interactions: Interactions,
    file: Path,
    smallest: dict[int, int],
) -> TableRelease:
    """The steps; ``smallest``: bytes of the smallest uniform file, by bits."""
    limit = context.byte_limit
    assert limit is not None
    full = load_or_pretrain(context)
    if not full.result.quality > 0:
        raise BetError(
            "the full table's quality on validation is 0, so no table can be compared with it; "
            "give more interactions"
        )
    fitting = [bits for bits, size in smallest.items() if size <= limit]
    uniform = [_train_uniform(context, bits, limit) for bits in fitting]
    simple = max(uniform, key=lambda table: table.candidate.quality)
    complete = {table.candidate.bits for table in uniform if _is_complete(table, context)}
    half = _half_the_bytes(context, limit // 2, simple.candidate, smallest)
    double = _double_the_bytes(context, 2 * limit, simple.candidate, smallest, complete)
    searched, decision, unsearched = _search(context, simple, complete)
    chosen = searched if searched and decision and decision.accepted else simple
    test = _score_on_test(chosen, split)
    model = _refit_on_everything(chosen, interactions)
    save_table(file, model, interactions)
    trained = [*uniform, searched] if searched else uniform
    return TableRelease(
        file=file,
        limit=limit,
        n_users=interactions.n_users,
        n_items=interactions.n_items,
        backbone=context.settings.backbone,
        backbone_parameters=model.backbone.n_parameters(),
        full_bytes=4 * context.budget.parameters,
        full_quality=full.result.quality,
        candidates=tuple(table.candidate for table in trained),
        half=half,
        double=double,
        chosen=chosen.candidate,
        decision=decision,
        unsearched=unsearched,
        test=test,
        report=load(file).byte_report(),
        serving=serving_part(served_file(model, interactions.matrix), ids_of(interactions)),
        example_user=ids_of(interactions)[0][0],
    )


def _key(context: SearchContext) -> str:
    """Names the folder of unfinished work: a call with the same key continues it."""
    settings = context.settings
    what = (context.key, asdict(context.budget), asdict(settings.search), context.byte_limit)
    return hashlib.sha256(repr((*what, context.id_layout)).encode()).hexdigest()[:16]


def _smallest_files(context: SearchContext) -> dict[int, int]:
    """Bytes of the smallest uniform file, by bits at which a row can fill whole bytes."""
    copies, d_max = context.budget.copies, context.budget.d_max
    possible = [bits for bits in BITS if 8 // (bits * copies) <= d_max]
    return {bits: smallest_file(context, bits, uniform=True) for bits in possible}


@dataclass(frozen=True)
class _Trained:
    candidate: Candidate
    outcome: MethodResult

    @property
    def context(self) -> SearchContext:
        return self.outcome.context

    @property
    def model(self) -> Recommender:
        return self.outcome.trained.model


def _train(
    context: SearchContext, name: str, method: Callable[..., MethodResult], bits: int, limit: int
) -> _Trained:
    """The table of ``method`` at ``bits`` per number within ``limit`` bytes, trained on train."""
    if context.workspace.progress:
        announce(name)
    folder = context.workspace.folder / name
    outcome = method(replace(context, byte_limit=limit).in_folder(folder), bits=bits)
    table, budget = outcome.trained.model.table, context.budget
    candidate = Candidate(
        name,
        bits,
        columns=table.n_parameters() / (budget.n * budget.copies),
        file_bytes=table.n_bytes(),
        quality=outcome.trained.result.quality,
    )
    trained = _Trained(candidate, outcome)
    check_table(trained.context, table)
    return trained


def _train_uniform(context: SearchContext, bits: int, limit: int, note: str = "") -> _Trained:
    """``note``: what is special about the limit."""
    return _train(context, f"uniform at {bits_in_words(bits)}{note}", uniform_packed, bits, limit)


def _is_complete(table: _Trained, context: SearchContext) -> bool:
    """Whether everybody has all columns: more bytes would not help at these bits."""
    return table.candidate.columns == context.budget.d_max


def _half_the_bytes(
    context: SearchContext, limit: int, simple: Candidate, smallest: dict[int, int]
) -> BudgetAlternative:
    """``build_table`` itself would try every number of bits; the best one and the next stand for
    them.
    """
    if simple.file_bytes <= limit:
        return BudgetAlternative(limit, (), "the same table, whose file is no longer")
    fitting = [bits for bits, size in smallest.items() if size <= limit]
    tried = [bits for bits in fitting if bits in (simple.bits, simple.bits // 2)] or fitting[:1]
    none = f"no table: the smallest file has {min(smallest.values()):,} bytes"
    return _alternative(context, "half", limit, tried, none)


def _double_the_bytes(
    context: SearchContext,
    limit: int,
    simple: Candidate,
    smallest: dict[int, int],
    complete: set[int],
) -> BudgetAlternative:
    """As for half. ``complete``: bits at which everybody has all columns already."""
    worth_more = [bits for bits in smallest if bits not in complete]
    tried = [bits for bits in worth_more if bits in (simple.bits, 2 * simple.bits)]
    return _alternative(context, "double", limit, tried, "the same table, which has all columns")


def _alternative(
    context: SearchContext, word: str, limit: int, tried: list[int], instead: str
) -> BudgetAlternative:
    note = f", {word} the bytes"
    trained = [_train_uniform(context, bits, limit, note).candidate for bits in tried]
    return BudgetAlternative(limit, tuple(trained), None if trained else instead)


def _search(
    context: SearchContext, simple: _Trained, complete: set[int]
) -> tuple[_Trained | None, GateDecision | None, str | None]:
    """The searched table at the bits of the simple one, what the gate says about it, or why there
    is no table or no decision.
    """
    bits, limit = simple.candidate.bits, context.byte_limit
    assert limit is not None
    if bits in complete:
        return None, None, "everybody has all columns"
    # The smallest file of a searched table lists more sizes than a uniform one.
    if smallest_file(context, bits) > limit:
        return None, None, "the file of a table with different sizes does not fit"
    searched = _train(context, f"searched at {bits_in_words(bits)}", bet_packed, bits, limit)
    gains = _unseen_users(context, searched.model) - _unseen_users(context, simple.model)
    if not len(gains):
        return searched, None, "no validation user is left to judge it"
    return searched, safe_select(gains), None


def _unseen_users(context: SearchContext, model: Recommender) -> np.ndarray:
    """The gate's metric of every validation user that had no part in selection, (u,)."""
    seen = np.diff(context.selection.indptr) > 0
    others = keep_rows(context.data.validation, np.flatnonzero(~seen))
    device = context.workspace.device
    metrics = evaluate(model.ranker(), others, [context.data.train], device=device)
    return metrics.values[GATE_METRIC]


def _score_on_test(chosen: _Trained, split: Split) -> dict[str, float]:
    """Means over all test users, of the model fitted on train."""
    known, device = [split.train, split.validation], chosen.context.workspace.device
    return evaluate(chosen.model.ranker(), split.test, known, device=device).means()


def _refit_on_everything(chosen: _Trained, interactions: Interactions) -> Recommender:
    """The chosen sizes, trained again on all interactions for as many epochs."""
    trained, everything = chosen.outcome.trained, interactions.matrix
    model = refit(chosen.context, trained, everything, "all interactions")
    check_table(chosen.context, model.table)
    return model
