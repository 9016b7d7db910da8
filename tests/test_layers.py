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
    {
        "adam",
        "arrays",
        "compiled",
        "errors",
        "files",
        "lazy_loops",
        "paths",
        "process",
        "progress",
        "seeds",
        "text",
    },
    {"data"},
    {"actions"},
    {"predictor"},
    {"packed"},
    {"recommend"},
    {"tables"},
    {"backbones"},
    {"serving"},
    {"training"},
    {"pack"},
    {"export"},
    {"search"},
    {"methods"},
    {"stream"},
    {"study"},
    {"analysis"},
    {"report"},
    {"release"},
    {"walkthrough"},
    {"cli"},
]
RANK: dict[str, int] = {}
for rank, names in enumerate(LAYERS):
    RANK |= dict.fromkeys(names, rank)
MODULES = sorted((ROOT / "bet").rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MOST_POSITIONAL = 5
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
NOT_IN_THE_CORE = {
    "IPython",
    "faiss",
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
    part = path.relative_to(ROOT / "bet").parts[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return  # these two gather the others
    assert part in RANK, f"{path}: give the new part {part!r} a place in LAYERS"
    for name in imported(path):
        if name.startswith("bet."):
            assert RANK[layer(name)] <= RANK[part], f"{path} imports {name}, which comes after it"


def test_light_core_imports_nothing_else():
    code = "import sys, bet, bet.__main__, bet.cli.study, bet.cli.run\n"
    code += "print(*{name.split('.')[0] for name in sys.modules})"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert not set(run.stdout.split()) & NOT_IN_THE_CORE


def test_data_actions_and_files_need_no_torch():
    """Nor scipy.stats, slow to load; one process for all of them."""
    modules = ("bet.data", "bet.actions", "bet.recommend", "bet.seeds", "bet.pack", "bet.export")
    code = "import sys\n"
    for name in modules:
        code += f"import {name}\n"
        code += f"assert not {{'torch', 'scipy.stats'}} & set(sys.modules), {name!r}\n"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr


def nodes_of(path, types):
    """(line, node) of every node of these types in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, types):
            yield f"{path.relative_to(ROOT)}:{node.lineno}", node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_call_has_more_than_five_positional_arguments(path):
    for line, call in nodes_of(path, ast.Call):
        assert len(call.args) <= MOST_POSITIONAL, f"{line}: give the last ones by name"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_comprehension_is_nested_or_has_two_fors(path):
    for line, node in nodes_of(path, COMPREHENSIONS):
        assert len(node.generators) == 1, f"{line}: two `for`; write a loop or a helper"
        inside = [part for part in ast.walk(node) if isinstance(part, COMPREHENSIONS)]
        assert inside == [node], f"{line}: a comprehension in another; write a loop or a helper"


def test_long_calls_and_nested_comprehensions_are_noticed(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text("f(1, 2, 3, 4, 5, last=6)\n[x for x in range(3)]\n")
    test_no_call_has_more_than_five_positional_arguments(path)
    test_no_comprehension_is_nested_or_has_two_fors(path)
    for source in ("[x for y in z for x in y]", "{x: [y for y in x] for x in z}"):
        path.write_text(source)
        with pytest.raises(AssertionError, match="module.py:1"):
            test_no_comprehension_is_nested_or_has_two_fors(path)
    path.write_text("f(1, 2, 3, 4, 5, 6)")
    with pytest.raises(AssertionError, match="module.py:1"):
        test_no_call_has_more_than_five_positional_arguments(path)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(path):
    return [cell for cell in read(path).cells if cell.cell_type == "code"]


def test_there_are_notebooks():
    assert len(NOTEBOOKS) == 13 and {"cell.ipynb", "report.ipynb"} <= {
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
