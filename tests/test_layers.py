"""The shape of the code: who may import whom, what the light core needs, what notebooks hold."""

import ast
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).resolve().parent.parent
# A module imports only from its own layer and from those before it.
LAYERS = [
    {"errors", "files", "paths", "process", "progress", "seeds"},
    {"data"},
    {"actions"},
    {"predictor"},
    {"packed"},
    {"tables"},
    {"backbones"},
    {"training"},
    {"search"},
    {"methods"},
    {"study"},
    {"analysis"},
    {"report"},
    {"release"},
    {"walkthrough"},
    {"cli"},
]
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
MODULES = sorted((ROOT / "bet").rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
NOT_IN_THE_CORE = {
    "IPython",
    "hypothesis",
    "ipykernel",
    "jupyter_client",
    "llvmlite",
    "matplotlib",
    "nbclient",
    "nbconvert",
    "nbformat",
    "numba",
    "papermill",
    "pooch",
    "pytest",
    "seaborn",
    "snakemake",
}


def imported(path):
    """Modules of bet that the file imports, anywhere in it, as dotted names."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import; write it in full"
            names = [alias.name for alias in node.names]
            yield from [f"bet.{name}" for name in names] if node.module == "bet" else [node.module]


def layer(dotted):
    return dotted.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    own = path.relative_to(ROOT / "bet").parts[0].removesuffix(".py")
    if own in ("__init__", "__main__"):
        return  # these two gather the others
    assert own in RANK, f"{path}: give the new part {own!r} a place in LAYERS"
    for name in imported(path):
        if name.startswith("bet."):
            assert RANK[layer(name)] <= RANK[own], f"{path} imports {name}, which comes after it"


@pytest.mark.parametrize("modules", ["bet", "bet.__main__", "bet.cli.study, bet.cli.run"])
def test_light_core_imports_nothing_else(modules):
    code = f"import sys, {modules}; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert not set(run.stdout.split()) & NOT_IN_THE_CORE


@pytest.mark.parametrize("modules", ["bet.data", "bet.actions", "bet.seeds"])
def test_data_and_actions_need_no_torch(modules):
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert len(NOTEBOOKS) == 7 and {"cell.ipynb", "report.ipynb"} <= {
        path.name for path in NOTEBOOKS
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_holds_prose_and_calls_only(path):
    for cell in code_cells(path):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                raise AssertionError(
                    f"{path.name} defines something; move it into bet:\n{cell.source}"
                )


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_notebook_is_committed_clean(path):
    notebook = read(path)
    assert notebook.metadata.kernelspec.name == "python3"
    assert sum("parameters" in cell.metadata.get("tags", []) for cell in notebook.cells) <= 1
    for cell in code_cells(path):
        if "keep_output" not in cell.metadata.get("tags", []):
            assert not cell.outputs, (
                f"{path.name}: strip it with `python -m nbstripout --keep-count {path}`"
            )
