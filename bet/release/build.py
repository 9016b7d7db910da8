"""From your own interactions and a number of bytes to a table file: train, search, gate, refit on
everything, write.
"""

import hashlib
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from bet.actions import Budget
from bet.backbones import BACKBONES, Recommender
from bet.data import Interactions, Split, evaluable_split, keep_rows
from bet.errors import BetError
from bet.files import locked
from bet.methods.quantized import bet_packed, smallest_file, uniform_packed
from bet.packed import ByteReport, id_layout, load
from bet.paths import cache_dir
from bet.release.gate import GateDecision, safe_select
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
from bet.study.output import check_writable, ids_of, save_table
from bet.study.profiles import PROFILES
from bet.training import evaluate

BITS = (16, 8, 4, 2, 1)
GATE_METRIC = "ndcg@20"


@dataclass(frozen=True)
class Candidate:
    """A table that was trained: ``columns`` per entity and copy on average, ``file_bytes`` of its
    file, validation ``quality``.
    """

    name: str
    bits: int
    columns: float
    file_bytes: int
    quality: float


@dataclass(frozen=True)
class BudgetAlternative:
    """What a budget of ``limit`` bytes would give: the uniform tables ``tried`` at it or, where
    there are none, ``instead``.
    """

    limit: int
    tried: tuple[Candidate, ...]
    instead: str = ""


@dataclass(frozen=True)
class TableRelease:
    """What was written and why. ``half``, ``double``: what those bytes would give; ``unsearched``:
    why nothing was searched, if so; ``test``: of the shipped table, before it was refitted on
    everything."""

    file: Path
    limit: int
    n_users: int
    n_items: int
    backbone: str
    backbone_parameters: int
    full_bytes: int
    full_quality: float
    candidates: tuple[Candidate, ...]
    half: BudgetAlternative
    double: BudgetAlternative
    shipped: str
    decision: GateDecision
    unsearched: str
    test: dict[str, float]
    report: ByteReport
    some_user: str | None  # an id that the file knows; None: it holds no ids


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

    Uniform tables at every number of bits are trained on half of the data, the best on validation
    is the simple one; sizes are searched at its bits. Half of the validation users select, the
    others decide at the gate whether the searched table is shipped. The winner is scored once on
    test, then refitted on all interactions. Interrupted, the same call continues. ``source``: the file
    that the interactions came from, which is not overwritten. ``with_ids``: the file holds your
    ids, which count. Raises BetError on a backbone, profile or file that is not there, and with the
    smallest possible file when ``limit`` is too small.
    """
    for kind, name, known in (("backbone", backbone, BACKBONES), ("profile", profile, PROFILES)):
        if name not in known:
            raise BetError(f"unknown {kind} {name!r}; known are {', '.join(known)}")
    split, numbers = evaluable_split(interactions, seed), PROFILES[profile]
    n, copies = interactions.n_users + interactions.n_items, BACKBONES[backbone].copies
    whole = Budget(n * numbers.d_max, n, numbers.d_max, copies=copies)
    training = replace(numbers.training[backbone], validation_share=0.5)
    ids = id_layout(ids_of(interactions)) if with_ids else ()
    what = repr(
        (
            ids,
            split.data_hash,
            backbone,
            asdict(whole),
            asdict(training),
            asdict(numbers.search[backbone]),
            limit,
            seed,
            device,
        )
    )
    work = cache_dir() / "work" / f"table-{hashlib.sha256(what.encode()).hexdigest()[:16]}"
    context = SearchContext(
        data=TrainingData(split.train, split.validation),
        settings=RunSettings(backbone, training, numbers.search[backbone], seed),
        workspace=Workspace(cache_dir(), work, device, progress),
        budget=whole,
        byte_limit=limit,
        id_layout=ids,
    )
    smallest = {
        bits: smallest_file(context, bits, uniform=True)
        for bits in BITS
        if 8 // (bits * copies) <= numbers.d_max
    }
    if min(smallest.values()) > limit:
        raise BetError(
            f"a budget of {limit:,} bytes is below the smallest possible file, {min(smallest.values()):,} bytes; raise it"
        )
    check_writable(file, source)
    with locked(work):
        release = _ship(context, interactions, split, file, smallest)
        shutil.rmtree(work, ignore_errors=True)
    return release


def _ship(
    context: SearchContext,
    interactions: Interactions,
    split: Split,
    file: Path,
    smallest: dict[int, int],
) -> TableRelease:
    """``smallest``: the smallest uniform file at every number of bits."""
    limit, n, copies = context.byte_limit, context.budget.n, context.budget.copies
    assert limit is not None
    full = load_or_pretrain(context)
    if not full.result.quality > 0:
        raise BetError(
            "the full table's quality on validation is 0, so no table can be compared with it; give more interactions"
        )

    def run(
        name: str, method: Callable[..., MethodResult], bits: int, limit: int
    ) -> tuple[Candidate, MethodResult]:
        if context.workspace.progress:
            tqdm.write(name, file=sys.stderr)
        own = replace(context, byte_limit=limit).in_folder(context.workspace.folder / name)
        outcome = method(own, bits=bits)
        table = outcome.trained.model.table
        check_table(outcome.context, table)
        columns = table.n_parameters() / (n * copies)
        return Candidate(
            name, bits, columns, table.n_bytes(), outcome.trained.result.quality
        ), outcome

    trained = {}
    for bits in (bits for bits, size in smallest.items() if size <= limit):
        name = f"uniform at {bits_of(bits)}"
        trained[name] = run(name, uniform_packed, bits, limit)
    simple = max(
        (candidate for candidate, _ in trained.values()), key=lambda candidate: candidate.quality
    )
    complete = {
        candidate.bits
        for candidate, _ in trained.values()
        if candidate.columns == context.budget.d_max
    }
    half, double = _outlooks(
        lambda name, bits, limit: run(name, uniform_packed, bits, limit)[0],
        simple,
        complete,
        smallest,
        limit,
    )
    name, decision, unsearched = (
        f"searched at {bits_of(simple.bits)}",
        GateDecision(False, 0.0, 0.0, 0, 0.95, "t"),
        "",
    )
    # The smallest file of a searched table lists more sizes; where it does not fit there is nothing
    # to search.
    if simple.bits in complete:
        unsearched = "everybody has all columns"
    elif smallest_file(context, simple.bits) > limit:
        unsearched = "the file of a table with different sizes does not fit"
    else:
        trained[name] = run(name, bet_packed, simple.bits, limit)
        searched, uniform = (
            _unseen(context, trained[one][1].trained.model) for one in (name, simple.name)
        )
        if len(searched):
            decision = safe_select(searched - uniform)
        else:
            unsearched = "no validation user is left to judge it"
    shipped = name if decision.accepted else simple.name
    outcome = trained[shipped][1]
    tested = evaluate(
        outcome.trained.model.ranker(),
        split.test,
        [split.train, split.validation],
        device=context.workspace.device,
    ).means()
    model = refit(outcome.context, outcome.trained, interactions.matrix, "all interactions")
    check_table(outcome.context, model.table)
    save_table(file, model, interactions)
    return TableRelease(
        file,
        limit,
        interactions.n_users,
        interactions.n_items,
        context.settings.backbone,
        model.backbone.n_parameters(),
        4 * context.budget.parameters,
        full.result.quality,
        tuple(candidate for candidate, _ in trained.values()),
        half,
        double,
        shipped,
        decision,
        unsearched,
        tested,
        load(file).byte_report(),
        ids_of(interactions)[0][0] if context.id_layout else None,
    )


def _outlooks(
    run: Callable[[str, int, int], Candidate],
    simple: Candidate,
    complete: set[int],
    smallest: dict[int, int],
    limit: int,
) -> tuple[BudgetAlternative, BudgetAlternative]:
    """Half and double of ``limit``: the command would try every number of bits there; the best one
    and the next stand for them.

    ``run``: the uniform table of a name, bits and bytes; ``complete``: bits at which tables within
    ``limit`` have all columns.
    """

    def outlook(word: str, limit: int, tried: list[int], instead: str) -> BudgetAlternative:
        candidates = [
            run(f"uniform at {bits_of(bits)}, {word} the bytes", bits, limit) for bits in tried
        ]
        return BudgetAlternative(limit, tuple(candidates), instead)

    fit = [bits for bits, size in smallest.items() if size <= limit // 2]
    if simple.file_bytes <= limit // 2:
        half = BudgetAlternative(limit // 2, (), "the same table, whose file is no longer")
    else:
        tried = [bits for bits in fit if bits in (simple.bits, simple.bits // 2)] or fit[:1]
        half = outlook(
            "half",
            limit // 2,
            tried,
            f"no table: the smallest file has {min(smallest.values()):,} bytes",
        )
    tried = [
        bits for bits in smallest if bits in (simple.bits, 2 * simple.bits) and bits not in complete
    ]
    return half, outlook("double", 2 * limit, tried, "the same table, which has all columns")


def bits_of(bits: int) -> str:
    """In words."""
    return f"{bits} bit{'s' * (bits > 1)}"


def _unseen(context: SearchContext, model: Recommender) -> np.ndarray:
    """The gate's metric of every validation user that had no part in selection, (u,)."""
    seen = np.diff(context.selection.indptr) > 0
    others = keep_rows(context.data.validation, np.flatnonzero(~seen))
    return evaluate(
        model.ranker(), others, [context.data.train], device=context.workspace.device
    ).values[GATE_METRIC]
