"""Code of the package, shown in a notebook."""

import inspect
from collections.abc import Callable
from textwrap import dedent

from IPython.display import HTML
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer


def show_source(function: Callable) -> HTML:
    """The source of a function, method or class as highlighted code, below its dotted name.

    Colors are in the code itself: no style sheet, which would change the rest of the notebook.
    """
    name = f"# {function.__module__}.{function.__qualname__}\n"
    # On a background of its own: a dark notebook has another one.
    style = "background: #f8f8f8; color: black; padding: 0.4em; font: 0.9em monospace"
    formatter = HtmlFormatter(cssclass="", noclasses=True, prestyles=style)
    return HTML(highlight(name + dedent(inspect.getsource(function)), PythonLexer(), formatter))
