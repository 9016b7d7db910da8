"""Copies of the notebooks on the tiny made-up data, for nbval: small_notebooks.py FOLDER.

nbval runs a notebook as it is, so the parameters are written into copies. A conftest.py beside
them lifts the five seconds that nbval gives to every output: a busy machine is slow, not wrong.
"""

import sys
from pathlib import Path

import nbformat
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

from bet.study.notebook import parameters_of

# Instead of the defaults, where there are such.
SMALL = {"dataset": "tiny", "profile": "smoke", "minutes": 0.3}
SMALL_ALREADY = ("stream_cell.ipynb",)  # its data set is a stream
CONFTEST = """\
def pytest_collection_modifyitems(items):
    for item in items:
        item.output_timeout = 1_000_000
"""


def main(folder: Path) -> None:
    """Write the copies and the conftest.py."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "conftest.py").write_text(CONFTEST)
    for path in sorted(Path("notebooks").glob("*.ipynb")):
        declared = parameters_of(path)
        instead = {} if path.name in SMALL_ALREADY else SMALL
        small = {name: value for name, value in instead.items() if name in declared}
        notebook = parameterize_notebook(load_notebook_node(str(path)), small)
        nbformat.write(notebook, folder / path.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
