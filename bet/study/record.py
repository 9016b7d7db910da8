"""The record of a finished run: the one place where a field is added.

All of a record but its part ``run`` comes out the same wherever the same settings meet the same
processor and versions. ``run`` is what was measured: git and ``bet verify`` do not compare it.
"""

from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
import pandas as pd
from msgspec import Meta

from bet.errors import BetError
from bet.files import write_whole
from bet.paths import results_dir
from bet.serving import Form
from bet.study.cell import Cell
from bet.study.part import RUN_AGAIN, Part, decode, encode
from bet.study.per_user import rows_digest, write_rows

# Version of the record format. Increase it when old records can no longer be read.
FORM: Final = 3

Count = Annotated[int, Meta(ge=0)]
Positive = Annotated[int, Meta(ge=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Seconds = Annotated[float, Meta(ge=0)]
Digest = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]


class CellNames(Part, frozen=True, omit_defaults=True):
    """What was run. None: without a budget; the profile's own number of iterations, actions; the
    seed of the split.
    """

    dataset: str
    backbone: str
    budget: str | None
    method: str
    seed: int
    protocol: Literal["clean", "merged"]
    profile: str
    iterations: Positive | None
    actions: Positive | None
    init_seed: Count | None = None
    search_seed: Count | None = None


class Settings(Part, frozen=True, omit_defaults=True):
    """Every number that the run was made with. ``als``: of the factors that tables start from."""

    training: dict[str, Any]
    search: dict[str, Any]
    d_max: Positive
    als: dict[str, Any] | None = None


class DataCounts(Part, frozen=True):
    """The interactions, and how many went into each part of the split."""

    name: str
    hash: Digest
    users: Count
    items: Count
    train: Count
    validation: Count
    test: Count


class Size(Part, frozen=True):
    """What the table may take and takes."""

    limit: Count | None  # parameters, all tables of a backbone; None without such a budget
    parameters: Count
    bytes: Count
    full_parameters: Count
    tables: Positive
    backbone_parameters: Count
    limit_bytes: Positive | None = None  # of a packed file
    bits: Positive | None = None  # per number of a packed file; None where rows differ
    width: Count | None = None  # columns of the ego matrix, per copy; older records lack it


class Serving(Part, frozen=True):
    """The file from which a fresh process answers with the top k of any user.

    ``form``: what it holds. Items that a user knows already, and ids, count as well if it is to
    hold them.
    """

    form: Form
    bytes: Positive
    interactions: Count  # bytes of them, of ``bytes``; 0 without
    weights: Count  # bytes of the backbone's own weights, of ``bytes``
    seen_bytes: Count  # in addition, with the items that users know; 0 with ``interactions``
    id_bytes: Count  # in addition, with the ids


class Effort(Part, frozen=True):
    """Models that were trained or tried."""

    finetunings: Count
    trainings: Count
    evaluations: Count = 0
    short_trainings: Count = 0  # for a part of the epochs


class Metrics(Part, frozen=True, rename=lambda name: name.replace("_at_", "@")):
    """Means over users (Eq. 13); ``quality`` is the mean of the others."""

    recall_at_5: Share
    ndcg_at_5: Share
    recall_at_10: Share
    ndcg_at_10: Share
    recall_at_20: Share
    ndcg_at_20: Share
    quality: Share


class Scores(Part, frozen=True):
    """Of the selected model on validation, of the reported one on test."""

    validation: Metrics
    test: Metrics


class Epoch(Part, frozen=True):
    """An evaluation during training."""

    epoch: Positive
    loss: float
    quality: Share


class Iteration(Part, frozen=True):
    """An action that a search measured; ``action``: what it was drawn from."""

    t: Positive
    strategy: str
    predicted: float | None
    fitness: float
    quality: Share
    predictor_loss: float | None
    action: dict[str, float | str]


class Retrained(Part, frozen=True):
    """The action of iteration ``t``, trained to the end."""

    t: Positive
    fitness: float
    quality: Share
    epochs: Count


class Winner(Part, frozen=True):
    """The best retrained action of the first ``t`` iterations; scored on test for Figure 5 only."""

    t: Positive
    retrained_t: Positive
    quality: Share
    test: Metrics


class Search(Part, frozen=True):
    """What a search tried."""

    iterations: Annotated[tuple[Iteration, ...], Meta(min_length=1)]
    retrained: Annotated[tuple[Retrained, ...], Meta(min_length=1)]
    winners: Annotated[tuple[Winner, ...], Meta(min_length=1)]


class Bins(Part, frozen=True):
    """Means over bins of frequency rank."""

    rank: tuple[float, ...]
    frequency: tuple[float, ...]
    size: tuple[float, ...]


class Sizes(Part, frozen=True):
    """How many columns entities keep."""

    users: Bins
    items: Bins


class Versions(Part, frozen=True):
    """Of what decides the numbers."""

    bet: str
    python: str
    torch: str
    numpy: str
    scipy: str
    pandas: str


class Host(Part, frozen=True):
    """The machine."""

    processor: str
    cpus: int | None
    device: str
    threads: Positive


class StageSeconds(Part, frozen=True):
    """By the clock; all but ``total`` include interrupted runs. None (once 0.0): no such stage."""

    evaluate: Seconds
    total: Seconds
    pretrain: Seconds | None = None
    search: Seconds | None = None
    retrain: Seconds | None = None


class Run(Part, frozen=True):
    """What was measured, and where."""

    commit: str | None  # + when tracked files differed from it
    versions: Versions
    host: Host
    seconds: StageSeconds
    peak_memory_bytes: Positive
    epoch_seconds: tuple[float, ...]  # one for each row of the learning curve
    iteration_seconds: tuple[float, ...]  # one for each iteration of the search


class FinishedRun(Part, frozen=True):
    """What every record begins with."""

    form: Literal[3]
    cell_id: Annotated[str, Meta(min_length=1)]
    key: Annotated[str, Meta(pattern="^[0-9a-f]{16}$")]
    cell: CellNames

    @property
    def per_user(self) -> str:
        """Name of the file with every user's hits, beside the record's."""
        return f"{self.cell_id}.parquet"


class Record(FinishedRun, frozen=True):
    """One finished run."""

    settings: Settings
    data: DataCounts
    size: Size
    effort: Effort
    metrics: Scores
    learning_curve: tuple[Epoch, ...]  # empty where nothing is trained
    search: Search | None
    sizes: Sizes
    run: Run
    trials: tuple[dict[str, int | float], ...]  # a competitor's settings and their results
    numbers: dict[str, int | float]  # of the reported model, where a rule has some
    serving: Serving
    per_user_digest: Digest | None = None  # None: its rows are not written yet


AnyRun = TypeVar("AnyRun", bound=FinishedRun)


def record_path(cell: Cell) -> Path:
    """Where the record of ``cell`` is or will be: ``results/<profile>/<id>.json``."""
    return results_dir() / cell.profile / f"{cell.id}.json"


def read_record(cell: Cell) -> Record:
    """The finished cell's record; raises BetError when there is none or it is damaged."""
    return read_record_file(record_path(cell), Record)


def read_record_file(path: Path, part: type[AnyRun]) -> AnyRun:
    """The record in ``path``, a ``part``; raises BetError when there is none, or it is damaged or
    another cell's.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise BetError(f"{path}: no readable record ({error}); run the cell") from error
    record = decode(text, part, str(path))
    if record.cell_id != path.stem:
        raise BetError(f"{path}: the record of another cell, {record.cell_id}; {RUN_AGAIN}")
    return record


def write_record(path: Path, record: AnyRun, rows: pd.DataFrame) -> AnyRun:
    """Write the per-user ``rows`` beside ``path``, then the record with their digest, which is
    returned; both whole or not at all.
    """
    write_rows(rows, path.with_name(record.per_user))
    record = msgspec.structs.replace(record, per_user_digest=rows_digest(rows))
    write_whole(path, (encode(record, indent=1) + "\n").encode())
    return record
