"""``python -m benchmarks.sweeps.convergence --out trials.jsonl --set start=ials schedule=plateau``:
validation quality by epochs and seconds, for full and narrow uniform tables, seed 0.

Settings are the profile's with what ``--set`` changes; test data is never looked at. Finished
trials are lines of the file and not run again, an interrupted one is continued. The table and
``--figure`` are of all trials of the file that are on this data set and backbone.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import msgspec
from matplotlib.figure import Figure

from bet.actions import Allocation, Budget
from bet.backbones import BACKBONES
from bet.data import load_dataset, split_interactions
from bet.errors import BetError
from bet.files import atomic_path
from bet.paths import cache_dir
from bet.process import fixed_threads, resolve_device
from bet.report.style import use_style
from bet.search import (
    RunSettings,
    SearchContext,
    SearchSettings,
    TrainingData,
    Workspace,
    train_from_scratch,
)
from bet.study.profiles import PROFILES
from bet.training import AlsSettings, TrainSettings, numbers_of

COLUMNS = (128, 26, 13)
MOST_LINES = 7  # of the figure: the first trial's settings and the best others
Trial = dict[str, Any]
"""A line of the file: what was trained and every look at validation."""


def changed(settings: TrainSettings, changes: Sequence[str]) -> TrainSettings:
    """``settings`` with what words like "l2=1e-5" say; raises BetError for others.

    >>> changed(TrainSettings(), ["start=ials", "l2=1e-5"]).l2
    1e-05
    """
    known = [part.name for part in fields(TrainSettings)]
    values = {}
    for change in changes:
        name, given, value = change.partition("=")
        if not given or name not in known:
            raise BetError(f"no setting {change!r}; give NAME=VALUE, of {', '.join(known)}")
        values[name] = value
    try:
        return msgspec.convert(asdict(settings) | values, TrainSettings, strict=False)
    except msgspec.ValidationError as error:
        raise BetError(f"{' '.join(changes)}: {error}") from error


def identity(dataset: str, backbone: str, columns: int, settings: TrainSettings) -> Trial:
    """What a trial is of."""
    return {
        "dataset": dataset,
        "backbone": backbone,
        "columns": columns,
        "settings": numbers_of(settings),
    }


def finished(out: Path) -> list[Trial]:
    """The trials of the file; none where it does not exist."""
    if not out.is_file():
        return []
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def run_trial(
    what: Trial, d_max: int, als: AlsSettings, settings: TrainSettings, device: str = "cpu"
) -> Trial:
    """Train a uniform table; ``what`` with its curve. ``als``: of the factors it starts from."""
    split = split_interactions(load_dataset(what["dataset"]), seed=0)
    n, columns = sum(split.train.shape), what["columns"]
    context = SearchContext(
        data=TrainingData(split.train, split.validation),
        settings=RunSettings(what["backbone"], settings, SearchSettings(), als=als),
        workspace=Workspace(cache_dir(), cache_dir() / "convergence", device, progress=True),
        budget=Budget(n * columns, n, d_max, copies=BACKBONES[what["backbone"]].copies),
    )
    name = f"{what['dataset']}-{what['backbone']}-{columns}-{context.key}"
    result = train_from_scratch(context, Allocation.uniform(n, columns), name).result
    curve = [[point.epoch, round(point.seconds, 1), point.quality] for point in result.curve]
    outcome = {"epoch": result.epoch, "quality": result.quality, "seconds": result.seconds}
    return {**what, **outcome, "falls": result.falls, "curve": curve}


def label(trial: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """What of a trial's settings is not as in ``base``, in words like "start=ials"."""
    defaults = asdict(TrainSettings())  # which a line leaves out where they were added later
    known, usual = defaults | trial["settings"], defaults | dict(base)
    words = [f"{name}={value}" for name, value in known.items() if usual[name] != value]
    return " ".join(words) or "as the profile"


def table(trials: Sequence[Trial], base: Mapping[str, Any]) -> str:
    """A Markdown table of trials: how good they were when, and where they ended."""
    head = ["columns", "settings", "looks (epoch: quality)", "best epoch", "quality", "seconds"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for trial in trials:
        looks = trial["curve"]
        shown = looks[:: max(1, len(looks) // 5)]
        row = [
            str(trial["columns"]),
            label(trial, base),
            ", ".join(f"{epoch}: {quality:.4f}" for epoch, _, quality in shown),
            f"{trial['epoch']} of {looks[-1][0]}",
            f"{trial['quality']:.4f}",
            f"{trial['seconds']:.0f}",
        ]
        lines.append("| " + " | ".join(row) + " |")
    return "\n".join(lines)


def figure(trials: Sequence[Trial], base: Mapping[str, Any]) -> Figure:
    """Quality against epochs: a panel for each number of columns, a line for each of the best
    settings and the first; what all settings have in common is the title.
    """
    use_style()
    columns = sorted({trial["columns"] for trial in trials}, reverse=True)
    words = [label(trial, base).split() for trial in trials]
    shared = [word for word in words[0] if all(word in others for others in words)]
    names = [" ".join(word for word in each if word not in shared) or "-" for each in words]
    qualities: dict[str, list[float]] = {}
    for trial, name in zip(trials, names, strict=True):
        qualities.setdefault(name, []).append(trial["quality"])
    first, *others = qualities
    others.sort(key=lambda name: -sum(qualities[name]) / len(qualities[name]))
    labels = [first, *others[: MOST_LINES - 1]]
    size = max(7.0, 3.0 * len(columns)), 3.2 + 0.16 * len(labels)
    drawn, panels = plt.subplots(1, len(columns), figsize=size, squeeze=False)
    lines: dict[str, Any] = {}
    for width, panel in zip(columns, panels[0], strict=True):
        for trial, name in zip(trials, names, strict=True):
            if trial["columns"] == width and name in labels:
                epochs, _, looks = zip(*trial["curve"], strict=True)
                (lines[name],) = panel.plot(epochs, looks, color=f"C{labels.index(name)}")
        panel.set(title=f"{width} columns", xlabel="epochs", ylabel="validation quality")
    drawn.suptitle(" ".join(shared), fontsize=8)
    drawn.legend(lines.values(), lines.keys(), loc="outside lower left", fontsize=6)
    return drawn


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sweeps.convergence", description=__doc__
    )
    parser.add_argument("--dataset", default="gowalla")
    parser.add_argument("--profile", choices=list(PROFILES), default="paper", help="whose settings")
    trained = [name for name in BACKBONES if not BACKBONES[name].least_squares]
    parser.add_argument("--backbone", choices=trained, default="lightgcn")
    parser.add_argument("--columns", type=int, nargs="*", default=list(COLUMNS))
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="other settings")
    parser.add_argument("--device", default="cpu", help="of torch, or auto")
    parser.add_argument("--out", type=Path, required=True, help="a file of JSON lines")
    parser.add_argument("--figure", type=Path, help="of them, as a PNG")
    options = parser.parse_args(arguments)
    profile = PROFILES[options.profile]
    base, als = profile.training[options.backbone], profile.training["ials"]
    assert isinstance(base, TrainSettings) and isinstance(als, AlsSettings)
    settings = changed(base, options.set)
    known = finished(options.out)
    for columns in options.columns:
        what = identity(options.dataset, options.backbone, columns, settings)
        what = json.loads(json.dumps(what))  # as a line of the file gives it back
        if what in [{name: trial[name] for name in what} for trial in known]:
            continue
        with fixed_threads():
            trial = run_trial(
                what,
                profile.columns(options.backbone),
                als,
                settings,
                resolve_device(options.device),
            )
        with options.out.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(trial) + "\n")
        known.append(trial)
    these = options.dataset, options.backbone
    shown = [trial for trial in known if (trial["dataset"], trial["backbone"]) == these]
    if not shown:
        raise BetError(f"{options.out} has no trial of {' and '.join(these)}; give --columns")
    print(table(shown, numbers_of(base)))
    if options.figure:
        with atomic_path(options.figure) as temporary:
            figure(shown, numbers_of(base)).savefig(temporary, format="png")
        plt.close("all")


if __name__ == "__main__":
    main()
