"""Execute notebooks: a thin, strict wrapper around Papermill."""

import ast
import json
import logging
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bet.errors import BetError
from bet.files import atomic_path, private_folder
from bet.paths import notebooks_dir, results_dir

if TYPE_CHECKING:  # who only reads a notebook waits for no torch
    from bet.study.cell import Cell

WEEK = 7 * 24 * 3600  # seconds; papermill gives up after one minute, which a busy machine may need
_INSTALL = "running notebooks needs the study packages: pip install 'bet[study]'"


def parameters_of(notebook: Path) -> dict[str, Any]:
    """Names and default values that ``notebook`` declares in its one cell tagged ``parameters``.

    The cell may hold ``name = literal`` (or ``name: type = literal``) lines and comments
    only: nothing else could be replaced by value. Raises BetError when the file is not a notebook,
    or has not exactly one such cell.
    """
    try:
        import nbformat
    except ImportError as error:
        raise BetError(_INSTALL) from error
    notebook = Path(notebook)
    if not notebook.is_file():
        raise BetError(f"no notebook at {notebook}")
    try:
        cells = nbformat.read(notebook, as_version=4).cells
    except (nbformat.reader.NotJSONError, nbformat.ValidationError) as error:
        raise BetError(f"{notebook} is not a notebook: {error}") from error
    tagged = [cell for cell in cells if "parameters" in cell.metadata.get("tags", [])]
    if len(tagged) != 1:
        raise BetError(
            f"{notebook} has {len(tagged)} cells tagged 'parameters'; it needs exactly one"
        )
    try:
        statements = ast.parse(tagged[0].source).body
    except SyntaxError as error:
        raise BetError(f"{notebook}: the parameters cell is not Python: {error}") from error
    declared = {}
    for statement in statements:
        try:
            if isinstance(statement, ast.Assign):
                (target,) = statement.targets
            elif isinstance(statement, ast.AnnAssign):
                target = statement.target
            else:
                raise ValueError
            if not isinstance(target, ast.Name) or statement.value is None:
                raise ValueError
            declared[target.id] = ast.literal_eval(statement.value)
        except ValueError:
            raise BetError(
                f"{notebook}: the parameters cell may hold 'name = literal' lines only, not "
                f"{ast.unparse(statement)!r}"
            ) from None
    return declared


def execute(
    notebook: Path, output: Path, parameters: Mapping[str, Any], *, cwd: Path | None = None
) -> None:
    """Run ``notebook`` with ``parameters`` and leave the executed copy at ``output``.

    parameters: replace defaults of the notebook's ``parameters`` cell; a name it does not declare
    is an error. cwd: working directory of the kernel, the notebook's own folder when None (as in
    Jupyter). ``output`` appears whole when the run is over. When a cell fails it is written all the
    same, with the traceback, and a BetError names it and the last frame.
    """
    logging.getLogger("papermill").setLevel(logging.WARNING)
    declared = parameters_of(notebook)
    unknown = sorted(set(parameters) - set(declared))
    if unknown:
        names = ", ".join(map(repr, unknown))
        raise BetError(f"{notebook} has no parameter {names}; it declares {', '.join(declared)}")
    try:
        import papermill
        from nbclient.exceptions import DeadKernelError
        from papermill.exceptions import PapermillExecutionError
        from traitlets.config import Config
    except ImportError as error:
        raise BetError(_INSTALL) from error

    folder = Path(cwd) if cwd is not None else Path(notebook).resolve().parent
    failure: Exception | None = None
    # The address of a socket has at most about 100 characters, hence not below a long TMPDIR.
    short = tempfile.gettempdir() if len(tempfile.gettempdir()) < 60 else "/tmp"
    with (
        private_folder(Path(short)) as sockets,
        atomic_path(Path(output)) as temporary,
    ):
        try:
            papermill.execute_notebook(
                str(Path(notebook).resolve()),
                str(temporary.resolve()),
                dict(parameters),
                kernel_name="python3",
                language="python",
                cwd=str(folder),
                progress_bar=False,
                start_timeout=WEEK,
                config=Config(_kernel_settings(str(sockets / "k"))),
            )
        except (PapermillExecutionError, DeadKernelError) as error:
            failure = error
        if temporary.is_file():
            _forget_folders(temporary)
    if failure is not None:
        raise BetError(
            f"{notebook} failed. {_reason(failure)}\n  what it did until then: {output}"
        ) from failure


def _kernel_settings(address: str) -> dict[str, dict[str, str]]:
    return {
        # Sockets in a fresh folder, so that several kernels may start at once: a free TCP port can
        # be taken twice.
        "KernelManager": {"transport": "ipc", "ip": address},
        # The graceful way interrupts the kernel first, which may then print that as an error.
        "NotebookClient": {"shutdown_kernel": "immediate"},
    }


def _forget_folders(notebook: Path) -> None:
    """Papermill notes where the files were on this machine; an executed notebook is for others to
    read.
    """
    content = json.loads(notebook.read_text(encoding="utf-8"))
    for name in ("input_path", "output_path"):
        content["metadata"].get("papermill", {}).pop(name, None)
    notebook.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def run_cell_notebook(cell: "Cell", device: str = "auto") -> Path:
    """Run ``notebooks/cell.ipynb``, or ``stream_cell.ipynb``, for ``cell``; the executed copy, also
    of a failed run, is a log beside the results.
    """
    output = results_dir() / cell.profile / "logs" / f"{cell.id}.ipynb"
    notebook = notebooks_dir() / ("stream_cell.ipynb" if cell.is_stream else "cell.ipynb")
    parameters = asdict(cell) | {"device": device}
    if cell.is_stream:  # which has neither protocols nor single searches
        declared = parameters_of(notebook)
        parameters = {name: parameters[name] for name in declared}
    # The kernel starts where we are, so that relative folders mean the same to it.
    execute(notebook, output, parameters, cwd=Path.cwd())
    return output


def _reason(failure: Any) -> str:
    """`NameError: ... (code cell 3, at file.py:12)`, from the error of Papermill or of the kernel
    client.
    """
    if not hasattr(failure, "ename"):
        return f"Its kernel died: {failure} (killed for memory?)"
    text = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(failure.traceback))
    frames = re.findall(
        r"^File (\S+?:\d+)|^(?:Cell In\[.*?\]|Input .*?), (line \d+)", text, flags=re.MULTILINE
    )
    place = f", at {frames[-1][0] or frames[-1][1]}" if frames else ""
    return f"{failure.ename}: {failure.evalue} (code cell {failure.exec_count}{place})"
