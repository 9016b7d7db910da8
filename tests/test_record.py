"""The form of a record: what is refused, and that a field is added in one place."""

import json

import msgspec
import numpy as np
import pytest
from made_up import cells_of

from bet.errors import BetError
from bet.study import columns
from bet.study.part import Part, decode, encode
from bet.study.record import Record


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("size", {}, "missing required field `limit` - at `$.size`"),
        ("key", 3, "Expected `str`, got `int` - at `$.key`"),
        ("metrics", {"test": {}, "validation": {}}, "field `recall@5` - at `$.metrics.test`"),
        ("extra", 1, "unknown field `extra`"),
        ("form", 2, "`$.form`"),
    ],
)
def test_a_record_of_another_form_is_refused(search_record, field, value, complaint):
    text = json.dumps(search_record | {field: value})
    with pytest.raises(BetError) as error:
        decode(text, Record, "results/a.json")
    message = str(error.value)
    assert message.startswith("results/a.json: ") and complaint in message
    assert message.endswith("delete it and run the cell again")


@pytest.mark.parametrize("text", [b"", b"[]", b"null", b"\xff", b'{"form": 3'])
def test_what_is_no_record_is_refused(text):
    with pytest.raises(BetError, match="run the cell again"):
        decode(text, Record, "a.json")


def test_numbers_of_numpy_are_written_and_nan_is_refused(search_record):
    record = msgspec.convert(search_record, Record)
    size = msgspec.structs.replace(record.size, bytes=np.int64(5))
    assert '"bytes":5' in encode(msgspec.structs.replace(record, size=size))
    test = msgspec.structs.replace(record.metrics.test, quality=float("nan"))
    metrics = msgspec.structs.replace(record.metrics, test=test)
    with pytest.raises(BetError, match="quality"):
        decode(encode(msgspec.structs.replace(record, metrics=metrics)), Record, "a.json")


def test_a_new_field_becomes_a_column_by_itself(monkeypatch):
    class More(Part, frozen=True):
        warmth: float

    assert dict(columns._scalar_fields(More, ("size",))) == {"warmth": ("size", "warmth")}
    names = columns.columns()
    assert {"bytes", "ndcg@20", "validation ndcg@20", "total_seconds", "peak_memory_bytes"} <= (
        set(names)
    )
    assert len(set(names.values())) == len(names), "no two fields share a column"
    assert not {"training", "learning_curve", "search", "trials"} & set(names)


def test_the_cells_frame_has_every_single_value(synthetic):
    cells = cells_of(seeds=(0,))
    results = synthetic(cells, left_out=[cells[0].id])
    frame, record = results.cells, results.records[0]
    row = frame.loc[record.cell_id]
    assert row["bytes"] == record.size.bytes and row["torch"] == record.run.versions.torch
    assert row["ndcg@20"] == record.metrics.test.ndcg_at_20
    assert row["validation"] == record.metrics.validation.quality
    assert not frame.loc[cells[0].id, "finished"] and np.isnan(frame.loc[cells[0].id, "bytes"])
    assert list(frame["budget"]) == [cell.budget or "none" for cell in cells]
    assert list(frame["method"]) == [cell.method for cell in cells]
    iterations = [None if np.isnan(count) else count for count in frame["iterations"]]
    assert iterations == [cell.iterations for cell in cells]
