"""What notebook 05 shows besides the functions of ``bet.release``."""

from pathlib import Path

from IPython.display import IFrame

from bet.text import for_html


def show_page(page: Path) -> IFrame:
    """An HTML page within the notebook, in a frame of its own: neither restyles the other."""
    content = for_html(page.read_text(encoding="utf-8"))
    return IFrame("about:blank", "100%", 700, extras=[f'srcdoc="{content}"'])
