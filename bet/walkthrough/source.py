"""Code of the package, shown in a notebook."""

import inspect
from collections.abc import Callable
from textwrap import dedent

from IPython.display import Markdown


def show_source(function: Callable) -> Markdown:
    """The source of a function, method or class as highlighted code, below its dotted name."""
    name = f"{function.__module__}.{function.__qualname__}"
    return Markdown(f"`{name}`\n\n```python\n{dedent(inspect.getsource(function))}```")
