"""The result tables for a reader with a token limit: rows sampled by rules, no model.

After the table provider of TAP4LLM (Sui et al., EMNLP Findings 2024): rows are sampled by
relevance, augmented by a line of statistics per table, and packed below a cap. Entries are copied
as the report prints them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bet.analysis.results import METRIC, REFERENCE, Group, Results
from bet.errors import BetError
from bet.report import byte_tables, tables
from bet.report.finding import place
from bet.report.table import SHORT, Table

STUDIED = {"bet": 3.0, "powerlaw": 2.0, "bet-plus": 1.0}  # first, after the rows that stay
ALWAYS = ("su", "full")  # stay in every table, as its best row does
NUMBER = SHORT[METRIC]
LEGEND = (
    f"{NUMBER}: NDCG@20 on test, mean over seeds. Bytes to serve, per user or item. su: equal "
    "sizes. full: no budget.\n"
)
_TOKEN = re.compile(rb"[a-zA-Z]{1,2}|[^a-zA-Z ]")


@dataclass(frozen=True)
class Block:
    """A table by its ``title``, ``columns`` and ``rows`` of entries, of which those numbered
    ``kept`` always stay; ``order`` numbers all rows, the most relevant first.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kept: frozenset[int]
    order: tuple[int, ...]

    def text(self, shown: frozenset[int]) -> str:
        """The rows ``shown`` in the table's order below a title and the number of those left out,
        in lines that end.
        """
        left = len(self.rows) - len(shown)
        title = f"# {self.title}" + f" ({left} of {len(self.rows)} rows left out)" * (left > 0)
        lines = [title, "|".join(self.columns)]
        lines += ["|".join(row) for i, row in enumerate(self.rows) if i in shown]
        return "".join(line + "\n" for line in lines)


def tokens(text: str) -> int:
    """More tokens than ``text`` has for a language model: every two letters, or one at a word's
    end, count as one; every digit, mark and end of line counts, other characters by their bytes.

    >>> tokens("bet-int4 .4131")  # be, t, -, in, t, 4, ., 4, 1, 3, 1
    11
    """
    return len(_TOKEN.findall(text.encode()))


def pack(blocks: Sequence[Block], cap: int) -> str:
    """All blocks within ``cap`` ``tokens``: the rows that always stay, then, as far as they fit,
    the next most relevant of every block in turn.

    Raises BetError where the rows that always stay do not fit, with the smallest cap that they do.
    """
    shown = [block.kept for block in blocks]
    if (least := tokens(_text(blocks, shown))) > cap:
        raise BetError(
            f"{cap} tokens are too few for the best row, su and full of every table: give at least "
            f"{least}"
        )
    further: list[tuple[int, int, int]] = []  # place in its block, block, row
    for number, block in enumerate(blocks):
        rest = [row for row in block.order if row not in block.kept]
        further += [(at, number, row) for at, row in enumerate(rest)]
    for _, number, row in sorted(further):
        more = shown.copy()
        more[number] = shown[number] | {row}
        if tokens(_text(blocks, more)) <= cap:
            shown = more
    return _text(blocks, shown)


def blocks_of(results: Results) -> list[Block]:
    """What serves best, then quality by sparsity and by bytes, a block per group and backbone."""
    blocks: list[Block] = []
    for group in results.groups:
        blocks += _best_at(results, group)
    for make, packed in ((tables.comparison, _comparison), (byte_tables.quality_by_bytes, _bytes)):
        for group in results.groups:
            table = make(results, group)
            for heading, part in table.parts().items() if table else ():
                if heading != REFERENCE or packed is _bytes:  # they have no sparsity
                    blocks.append(packed(part, f"{place(group)}, {heading}"))
    return blocks


def _best_at(results: Results, group: Group) -> list[Block]:
    """All rows stay: each is the best of its size."""
    if (table := byte_tables.best_at(results, group)) is None:
        return []
    columns = ["best", "bytes to serve", NUMBER, "of full LightGCN"]
    rows = _rows(table.text[columns].reset_index())
    every = range(len(rows))
    title = f"{place(group)}: the best within so many bytes to serve"
    return [Block(title, ("at most", *columns), rows, frozenset(every), tuple(every))]


def _comparison(table: Table, title: str) -> Block:
    """Methods by sparsity: the best at each stays; then those studied, then by mean."""
    text = table.text.xs(NUMBER, axis=1, level=1)
    entries = text.map(lambda entry: entry.split(" ± ")[0].rstrip("*"))  # of the mean alone
    numbers = entries.apply(pd.to_numeric, errors="coerce")
    assert table.bold is not None
    best = table.bold.xs(NUMBER, axis=1, level=1).any(axis=1)
    if not best.any():  # one method alone, or references
        best = numbers.eq(numbers.max()).any(axis=1)
    names = entries.index.to_series()
    score = names.map(STUDIED).fillna(numbers.mean(axis=1))
    score -= names.str.contains("(own", regex=False)  # sizes of its own: comparable with nothing
    kept = best | names.isin(ALWAYS)
    columns = (f"method, {NUMBER} at", *text.columns)
    rows = entries.reset_index()
    return _block(f"{title}, by sparsity", columns, rows, kept.to_numpy(), score.to_numpy())


def _bytes(table: Table, title: str) -> Block:
    """Methods by bytes to serve: the best one stays, and the best ``su``; then those that none in
    fewer bytes equals, then by quality.
    """
    columns = ["method", "bytes to serve", NUMBER, "of full"]
    text = table.text.reset_index()[columns]
    numbers = text[["bytes to serve", NUMBER]].apply(pd.to_numeric, errors="coerce")
    quality = numbers[NUMBER]
    best = {quality.idxmax(), *quality.groupby(text["method"]).idxmax().reindex(ALWAYS).dropna()}
    in_order = numbers.sort_values(["bytes to serve", NUMBER], ascending=[True, False])[NUMBER]
    leads = (in_order > in_order.cummax().shift(fill_value=-1.0)).reindex(quality.index)
    kept = text.index.isin(best)
    return _block(f"{title}, by bytes", tuple(columns), text, kept, (quality + leads).to_numpy())


def _block(
    title: str, columns: tuple[str, ...], text: pd.DataFrame, kept: np.ndarray, score: np.ndarray
) -> Block:
    """With rows by descending ``score``; NaN last."""
    order = np.argsort(-np.nan_to_num(score, nan=-1.0), kind="stable")
    return Block(title, columns, _rows(text), frozenset(np.flatnonzero(kept)), tuple(order))


def _rows(text: pd.DataFrame) -> tuple[tuple[str, ...], ...]:
    return tuple(text.astype(str).itertuples(index=False, name=None))


def _text(blocks: Sequence[Block], shown: Sequence[frozenset[int]]) -> str:
    pairs = zip(blocks, shown, strict=True)
    return LEGEND + "".join(block.text(rows) for block, rows in pairs)
