"""What a record says about where its run took place: machine, versions, commit, memory."""

import os
import platform
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scipy
import torch

import bet
from bet.paths import project_root
from bet.study.record import Host, Versions


def commit() -> str | None:
    """Commit of the checkout this runs in, with "+" when tracked files differ from it; None outside
    of one.
    """
    command = ["git", "describe", "--always", "--abbrev=12", "--exclude=*", "--dirty=+"]
    try:
        done = subprocess.run(
            command, cwd=project_root(), capture_output=True, text=True, check=False
        )
    except OSError:  # no git
        return None
    return done.stdout.strip() or None


def versions() -> Versions:
    """Of Python, this package and those that decide the numbers."""
    packages = {package.__name__: str(package.__version__) for package in (torch, np, scipy, pd)}
    return Versions(bet=bet.__version__, python=platform.python_version(), **packages)


def host(device: str) -> Host:
    """The machine, and ``device`` (of torch) by its name."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else device
    return Host(
        processor=_processor(), cpus=os.cpu_count(), device=name, threads=torch.get_num_threads()
    )


def peak_memory_bytes() -> int:
    """The most memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024  # macOS counts bytes, Linux kibibytes
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return " ".join([platform.machine(), *names[:1]])
