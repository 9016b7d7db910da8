"""The pages of a release: each fills the blocks of ``base.html``, which has what they share."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader

TEMPLATES = Environment(autoescape=True, loader=FileSystemLoader(Path(__file__).parent))
