"""The lock, the conda environment, the package metadata and the Makefile name the same packages and
versions.
"""

import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PYTHON_311 = {"python_version": "3.11", "python_full_version": "3.11.9"}


def requirements(path):
    """Canonical name -> Requirement, of a requirements file; those for another Python than 3.11 are
    left out.
    """
    text = path.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = (re.sub(r"\s--hash=\S+|#.*", "", line).strip() for line in text.splitlines())
    listed = (Requirement(line) for line in lines if line)
    wanted = (item for item in listed if item.marker is None or item.marker.evaluate(PYTHON_311))
    return {canonicalize_name(item.name): item for item in wanted}


def pinned(requirement):
    (specifier,) = requirement.specifier
    assert specifier.operator == "==", f"{requirement} is not one version"
    return specifier.version


@pytest.fixture(scope="module")
def lock():
    return {
        name: pinned(item) for name, item in requirements(ROOT / "requirements/lock.txt").items()
    }


@pytest.fixture(scope="module")
def direct():
    return requirements(ROOT / "requirements/base.in")


@pytest.fixture(scope="module")
def torch_version():
    return re.search(
        r"^TORCH +:= torch==(\S+)$", (ROOT / "Makefile").read_text(), flags=re.MULTILINE
    )[1]


def conda():
    """Name -> version of environment.yml, conda's and pip's together; pytorch is called torch, as
    everywhere else.
    """
    versions = {}
    for item in yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]:
        for line in item["pip"] if isinstance(item, dict) else [item]:
            if line == "-e .":
                continue
            name, number = re.fullmatch(r"([\w.-]+?)==?([\w.]+)(?:=\*?\w+\*?)?", line).groups()
            versions[
                {"pytorch": "torch", "matplotlib-base": "matplotlib"}.get(
                    name, canonicalize_name(name)
                )
            ] = number
    return versions


def test_every_direct_dependency_is_locked_in_range(lock, direct):
    for name, item in direct.items():
        assert item.specifier.contains(lock[name]), name


@pytest.mark.parametrize("name", ["lock", "spark", "torch", "audit"])
def test_lock_has_hashes_and_no_address(name):
    text = (ROOT / f"requirements/{name}.txt").read_text()
    blocks = re.split(r"\n(?=\S)", text)
    assert all("--hash=sha256:" in block for block in blocks if not block.startswith("#"))
    assert "://" not in text and "-index" not in text and "find-links" not in text


def test_spark_is_locked_in_range_with_the_numpy_of_the_lock(lock):
    spark = requirements(ROOT / "requirements/spark.txt")
    assert pinned(spark["numpy"]) == lock["numpy"]
    for name, item in requirements(ROOT / "requirements/spark.in").items():
        assert item.specifier.contains(pinned(spark[name])), name


def test_conda_environment_equals_the_lock(lock, direct, torch_version):
    environment = conda()
    assert environment.pop("python") == "3.11"
    assert environment.pop("pip")
    assert environment == {name: lock[name] for name in direct} | {"torch": torch_version}


def test_package_metadata_names_the_direct_dependencies(direct, lock, torch_version):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    further = dict(project["optional-dependencies"])
    assert further.pop("latest-small")  # for one data set, which neither tests nor reports read
    lists = [project["dependencies"], *further.values()]
    declared = {
        canonicalize_name(item.name): item
        for item in (Requirement(line) for lines in lists for line in lines)
    }
    for name, item in declared.items():
        assert item.specifier.contains(torch_version if name == "torch" else lock[name]), name
    of_torch = {"filelock", "fsspec", "networkx", "setuptools", "sympy", "typing-extensions"}
    assert set(declared) - {"torch"} == set(direct) - of_torch


def test_light_core_is_light():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {Requirement(line).name for line in project["dependencies"]}
    light = {"msgspec", "numpy", "pandas", "pyarrow", "safetensors", "scikit-learn", "scipy"}
    light |= {"torch", "tqdm"}
    assert names == light


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="the lock has other versions for other Pythons"
)
def test_running_environment_has_the_locked_versions(lock, direct):
    assert {name: version(name) for name in direct} == {name: lock[name] for name in direct}


def test_torch_is_locked_with_the_versions_of_the_lock(lock, torch_version):
    torch = requirements(ROOT / "requirements/torch.txt")
    assert pinned(torch["torch"]) == torch_version
    assert pinned(requirements(ROOT / "requirements/torch.in")["torch"]) == torch_version
    cpu = requirements(ROOT / "requirements/torch_cpu.txt")
    assert {name: pinned(item) for name, item in cpu.items()} == {"torch": f"{torch_version}+cpu"}
    shared = set(torch) & set(lock)
    assert {name: pinned(torch[name]) for name in shared} == {name: lock[name] for name in shared}


# A new environment's interpreter, on $PLATFORM, whose pip finds $FOUND; it notes what it is told.
STAND_IN = """\
#!/usr/bin/env bash
case "$*" in
-c*) echo "$PLATFORM" ;;
-*install*torch_cpu* | -*install*+cpu)
    echo "$*" >> "$LOG"
    if [ "$FOUND" = other ]; then echo "THESE PACKAGES DO NOT MATCH THE HASHES"; exit 1; fi
    if [ "$FOUND" = none ]; then echo "ERROR: No matching distribution"; exit 1; fi ;;
"- "*) echo "$2" ;;
*) echo "$*" >> "$LOG" ;;
esac
"""


@pytest.mark.parametrize(
    ("platform", "found", "status", "torch_from", "said"),
    [
        ("cp311-linux-x86_64", "cpu", 0, ["-r requirements/torch_cpu.txt"], "checked by its hash"),
        ("cp312-linux-x86_64", "cpu", 0, ["torch==2+cpu"], "has none for cp312-linux-x86_64"),
        (
            "cp311-linux-x86_64",
            "other",
            1,
            ["-r requirements/torch_cpu.txt"],
            "is not the CPU build",
        ),
        (
            "cp311-linux-x86_64",
            "none",
            0,
            ["-r requirements/torch_cpu.txt", "-r requirements/torch.txt"],
            "since there is no CPU build: ERROR: No matching distribution",
        ),
    ],
)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has two builds of torch")
def test_torch_is_checked_by_its_hash_or_it_is_said_why_not(
    tmp_path, platform, found, status, torch_from, said
):
    (python := tmp_path / "python").write_text(STAND_IN)
    python.chmod(0o755)
    environment = {"PLATFORM": platform, "FOUND": found, "LOG": str(tmp_path / "log")}
    run = subprocess.run(
        [ROOT / "requirements" / "install.sh", python, "torch==2"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == status, run.stderr
    assert said in run.stdout + run.stderr
    lines = (tmp_path / "log").read_text().splitlines()
    of_torch = [line for line in lines if "torch" in line]
    assert all(line.endswith(end) for line, end in zip(of_torch, torch_from, strict=True))
    for line in of_torch:
        assert ("--require-hashes" in line) == ("-r " in line)
    assert status or lines[-2:] == [
        "-m pip install -qq --no-deps --no-build-isolation -e .",
        "-m pip check",
    ]


def test_no_file_names_a_registry():
    forbidden = ["py" + "pi.org", "python" + "hosted.org", "download.py" + "torch.org"]
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = ROOT / name
        if path.is_file() and path.stat().st_size < 5_000_000:
            text = path.read_bytes().decode("utf-8", errors="ignore")
            assert not [word for word in forbidden if word in text], name
