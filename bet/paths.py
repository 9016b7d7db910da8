"""The only module that knows directories; each one can be moved by an environment variable."""

import os
from pathlib import Path


def project_root() -> Path:
    """The checkout that holds the current directory (nearest parent with ``workflow/Snakefile``),
    else the current directory.
    """
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "workflow" / "Snakefile").is_file():
            return folder
    return here


def cache_dir() -> Path:
    """Downloaded data, pre-trained backbones and unfinished work: ``$BET_CACHE``, else ``<project
    root>/.cache/bet``.
    """
    return Path(os.environ.get("BET_CACHE") or project_root() / ".cache" / "bet").expanduser()


def data_dir() -> Path | None:
    """Folder of datasets already on this machine, ``$BET_DATA/<name>/``; None when the variable is
    unset.
    """
    folder = os.environ.get("BET_DATA")
    return Path(folder).expanduser() if folder else None


def results_dir() -> Path:
    """One folder per profile with the records of its finished cells: ``$BET_RESULTS``, else
    ``<project root>/results``.
    """
    return Path(os.environ.get("BET_RESULTS") or project_root() / "results").expanduser()


def reports_dir() -> Path:
    """Rendered reports: ``$BET_REPORTS``, else ``<project root>/reports``."""
    return Path(os.environ.get("BET_REPORTS") or project_root() / "reports").expanduser()


def report_dir(profile: str) -> Path:
    """``reports/`` for the default profile, ``reports/<profile>/`` for the others."""
    return reports_dir() if profile == "default" else reports_dir() / profile


def notebooks_dir() -> Path:
    """The study's notebooks; they belong to a checkout and are not installed with the package."""
    return project_root() / "notebooks"
