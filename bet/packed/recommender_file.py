"""A file that answers by itself, read."""

from collections.abc import Mapping

import numpy as np

from bet.errors import BetError
from bet.packed.byte_report import RecommenderBytes
from bet.packed.ids import stated_id_layout
from bet.packed.interactions import PARTS, CodedInteractions, InteractionLayout
from bet.packed.item_lists import ItemLists
from bet.packed.open_file import OpenFile
from bet.packed.recommender import STATED, Fact, RecommenderLayout, fact_of
from bet.packed.safetensors_io import Container, refusing_malformed
from bet.packed.table_file import TableFile
from bet.packed.table_kinds import view_table


class RecommenderFile(OpenFile):
    """The parts of a recommender; nothing is copied out of the file before it is used.

    ``backbone`` and its numbers, ``facts``; the ``table``, ``interactions`` and ``seen`` items, or
    None; ``weights`` by name.
    """

    kind = "recommender"

    def __init__(self, container: Container, check: bool = True):
        """``check``: compare the checksum of the table inside, too."""
        self.container = container
        with refusing_malformed(self.path):
            try:
                self.layout = layout = _stated_layout(container)
            except BetError as error:  # names and values that no layout has
                raise ValueError(str(error)) from error
            container.check_layout(layout.tensors, layout.metadata)
        self.n_users = layout.n_users
        self.backbone, self.facts = layout.backbone, layout.facts
        self.table: TableFile | None = None
        if layout.table_bytes is not None:
            content = container.tensors["table"]
            sides = layout.n_users, layout.n_items
            self.table = view_table(self.path, content, *sides, outer=container, check=check)
        self.interactions = self._lists("interactions", layout.interactions)
        self._seen = self._lists("seen", layout.seen)

    @property
    def n_items(self) -> int:
        return self.layout.n_items

    @property
    def seen(self) -> ItemLists | None:
        """Items that users have seen: those listed for that, else the interactions; None without
        either.
        """
        return self._seen or self.interactions

    @property
    def weights(self) -> Mapping[str, np.ndarray]:
        """The backbone's weights, views into the file."""
        return {name: self.container.tensors[f"weights.{name}"] for name in self.layout.weights}

    def _lists(self, name: str, layout: InteractionLayout | None) -> ItemLists | None:
        if layout is None:
            return None
        stored = self.container.tensors
        with refusing_malformed(self.path):
            tensors = {part: stored[f"{name}.{part}"] for part in PARTS}
        return ItemLists(CodedInteractions(layout.n_users, layout.n_items, tensors), self.path)

    def _containers(self) -> list[Container]:
        return [self.container, *([self.table.container] if self.table else [])]

    @property
    def details(self) -> str:
        facts = ", ".join(f"{name} {fact}" for name, fact in self.facts.items())
        lines = [f"backbone {self.backbone}" + (f": {facts}" if facts else "")]
        if self.table:
            lines.append(f"table: {self.table.kind}, {self.table.details}")
        for name, lists, layout in (
            ("interactions", self.interactions, self.layout.interactions),
            ("seen items", self._seen, self.layout.seen),
        ):
            if lists and layout:
                bits = 8 * layout.n_bytes / max(1, lists.n_interactions)
                lines.append(f"{name}: {lists.n_interactions:,}, {bits:.2f} bits each")
        if self.seen is not None:
            lines.append("it holds people's histories: which items every user has seen")
        return "\n".join(lines)

    def byte_report(self) -> RecommenderBytes:
        return self.layout.byte_report()


def _stated_layout(container: Container) -> RecommenderLayout:
    """The layout that a file states; raises ValueError or BetError where it has none."""
    shapes = dict(container.shapes)
    backbone, n_users, n_items = (container.facts[name] for name in STATED)
    sides = int(n_users), int(n_items)
    facts: dict[str, Fact] = {
        name: fact_of(text)
        for name, text in container.facts.items()
        if name not in (*STATED, "version", "crc")
    }
    lists = {}
    for name in ("interactions", "seen"):
        parts = {part: shapes[f"{name}.{part}"] for part in PARTS if f"{name}.{part}" in shapes}
        lists[name] = InteractionLayout(*sides, parts) if parts else None
    return RecommenderLayout(
        backbone=backbone,
        facts=facts,
        n_users=sides[0],
        n_items=sides[1],
        table_bytes=shapes["table"][1][0] if "table" in shapes else None,
        weights={
            name.removeprefix("weights."): shape
            for name, shape in shapes.items()
            if name.startswith("weights.")
        },
        ids=stated_id_layout(container),
        **lists,
    )
