"""Text from outside where it is shown: in a terminal, HTML, Markdown, LaTeX, Python, a file's name.
It stays text: it moves no cursor, opens no tag, loads no picture and calls no macro.
"""

import re
from html import escape
from pathlib import Path

_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
}


def printable(text: object, most: int | None = None) -> str:
    r"""``text`` in a line: an escape for each character that moves a cursor, changes a color or
    turns the direction of writing; what is behind the first ``most`` characters, if any are
    given, is left out.

    >>> printable("a\x1b[31mb\nc")
    'a\\x1b[31mb\\nc'
    """
    text = str(text)
    shown = text
    if most is not None and len(text) > most:
        shown = f"{text[:most]}... ({len(text):,} characters)"
    if shown.isprintable():
        return shown
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)


def quoted(text: object, most: int = 60) -> str:
    r"""The first ``most`` characters of ``text`` in quotes, as ``printable``.

    >>> print(quoted("a\x1b'"), quoted("abcdef", 3))
    "a\x1b'" 'abc'... (6 characters)
    """
    text = str(text)
    return repr(text) if len(text) <= most else f"{text[:most]!r}... ({len(text):,} characters)"


def printable_lines(text: object) -> str:
    """``text`` of several lines, each as ``printable``."""
    return "\n".join(map(printable, str(text).split("\n")))


def show(*lines: object) -> None:
    """Print ``lines`` of ours that quote others, each as ``printable``."""
    print(*map(printable_lines, lines), sep="\n", flush=True)


def for_html(text: object) -> str:
    """``text`` in HTML, in an attribute, too.

    >>> for_html('<b> "')
    '&lt;b&gt; &quot;'
    """
    return escape(str(text), quote=True)


def for_latex(text: object) -> str:
    r"""``text`` in LaTeX.

    >>> for_latex("50% \\input{x}")
    '50\\% \\textbackslash{}input\\{x\\}'
    """
    return "".join(_LATEX.get(sign, sign) for sign in str(text))


def load_lines(file: Path, user: str, n_items: int, *, exclude_seen: bool) -> str:
    """Three lines of Python, to be pasted as they are, that recommend to ``user`` from ``file``, at
    most ten of its items.

    >>> print(load_lines(Path("table"), "ann", n_items=3, exclude_seen=True))
    import bet
    model = bet.load('table')
    print(model.recommend(['ann'], k=3).items)
    """
    seen = "" if exclude_seen else ", exclude_seen=False"
    answer = f"model.recommend([{user!r}], k={min(10, n_items)}{seen}).items"
    return f"import bet\nmodel = bet.load({str(file)!r})\nprint({answer})"


def for_file_name(text: str, most: int = 40) -> str:
    """``text`` as a part of a file's name: letters, digits, dots and dashes, at most ``most``.

    >>> for_file_name("../my data.csv")
    '.._my_data.csv'
    """
    return re.sub(r"[^\w.-]", "_", text)[:most]
