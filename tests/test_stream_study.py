"""Streams in the study and on the command line: records, the report's numbers, files."""

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from committed import RESULTS, read, section, table_rows

from bet.analysis.streams import METRIC, averages, compare, stream_results_of
from bet.analysis.verify import verify
from bet.errors import BetError
from bet.report.stream_findings import stream_findings
from bet.stream import StreamSettings, load_events
from bet.study import bundle
from bet.study.cell import Cell
from bet.study.per_user import rows_digest, write_rows
from bet.study.profiles import PROFILES, load_profile
from bet.study.stream import run_stream_cell

ROOT = Path(__file__).resolve().parent.parent
SMOKE = {cell.method: cell for cell in PROFILES["stream-smoke"].cells if cell.backbone != "ials"}
METHODS = ("stream-uniform", "stream-powerlaw", "stream-full")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    folder = tmp_path_factory.mktemp("streams")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("BET_RESULTS", "BET_REPORTS", "BET_CACHE"):
            patch.setenv(name, str(folder / name))
        yield folder


@pytest.fixture(scope="module")
def results(folders):
    for method in METHODS:
        run_stream_cell(SMOKE[method])
    return folders / "BET_RESULTS" / "stream-smoke"


def test_a_record_says_what_every_segment_took(results):
    record = run_stream_cell(SMOKE["stream-uniform"])  # read, not run again
    again = json.loads((results / f"{SMOKE['stream-uniform'].id}.json").read_text())
    assert again["key"] == record.key == PROFILES["stream-smoke"].key(SMOKE["stream-uniform"])
    events = load_events("tiny-drift")
    assert record.data.events == len(events) == record.data.events
    assert len(record.segments) == 3 == len(record.run.seconds.train)
    for part in record.segments:
        assert part.bytes <= part.limit_bytes == 4000
        assert 0 < part.wasted < 1 and part.test > 0
    tested = sum(part.test + part.unknown + part.validation for part in record.segments)
    assert tested <= 0.31 * len(events)
    assert all(len(item.size) == 3 for item in (*record.rising, *record.falling))
    growth = [item.frequency[2] - item.frequency[0] for item in record.rising]
    assert min(growth) > 0 > max(i.frequency[2] - i.frequency[0] for i in record.falling)


def test_user_numbers_average_to_the_mean_over_segments(results):
    streams = stream_results_of(bundle.read_results("stream-smoke", results))
    for record in streams.records:
        mean = np.mean([part.metrics.ndcg_at_20 for part in record.segments])
        assert streams.of_users(record.cell_id).mean() == pytest.approx(mean)
    table = averages(streams).set_index("method")
    assert table.loc["stream-full", "bytes"] > 4000 >= table.loc["stream-uniform", "bytes"]
    group = ("tiny-drift", "lightgcn")
    test = compare(streams, group, "stream-full", "stream-uniform")
    expected = table.loc["stream-full", "mean"] - table.loc["stream-uniform", "mean"]
    assert test.difference == pytest.approx(expected)
    assert compare(streams, group, "stream-full", "scall") is None


def test_findings_are_a_sentence_each_with_points_folded(results):
    streams = stream_results_of(bundle.read_results("stream-smoke", results))
    caps, users = stream_findings(streams)  # nothing that searches has run
    assert caps.answer.startswith("6 of 6 tables are within it; those without a cap end at ")
    assert caps.points[0].startswith("tiny-drift with LightGCN: `stream-full` grows from")
    assert users.answer.endswith("on tiny-drift.") and "<details>" in users.html()
    kept = dataclasses.replace(streams, records=())
    assert [each.question for each in stream_findings(kept)] == ["Is there an answer?"]


def test_committed_findings_count_what_their_points_say():
    read = bundle.reader(ROOT / "reports" / "stream")
    answers = stream_findings(stream_results_of(bundle.read_bundle("stream", read)))
    assert len(answers) == 5 and all(answer.answer.count(". ") == 0 for answer in answers)
    caps, _, actor, indicators, _ = answers
    total, kept = (caps.answer.replace(",", "").split()[i] for i in (2, 0))
    assert total == kept
    for answer, opponent in ((actor, "scall-bayes"), (indicators, "dess-like-frequency")):
        points = [point for point in answer.points if f"`{opponent}`, " in point]
        ahead = sum("is ahead of" in point for point in points)
        behind = sum("is behind" in point for point in points)
        assert f" in {ahead} of {len(points)} settings, behind in {behind}" in answer.answer


def test_records_are_bundled_verified_and_restored(results, folders):
    whole = bundle.read_results("stream-smoke", results)
    assert list(whole.per_user.columns) == ["cell_id", "segment", "user", "positives", "hits"]
    folder = folders / "BET_REPORTS" / "stream-smoke"
    bundle.write(whole, folder)
    assert verify("stream-smoke", results, folder).equal
    back = bundle.read_bundle("stream-smoke", bundle.reader(folder))
    assert back.records == whole.records
    assert back.per_user.astype(str).equals(whole.per_user.astype(str))
    assert bundle.restore("stream-smoke", folder, folders / "restored") == len(METHODS)
    again = bundle.read_results("stream-smoke", folders / "restored")
    assert again.records == whole.records
    name = f"{SMOKE['stream-full'].id}.json"
    changed = json.loads((folders / "restored" / name).read_text())
    changed["segments"][1]["bytes"] += 1
    del changed["digest"]  # as the record of an earlier version
    (folders / "restored" / name).write_text(json.dumps(changed))
    outcome = verify("stream-smoke", folders / "restored", folder)
    assert [(each.field, each.here - each.committed) for each in outcome.differences] == [
        ("segments.1.bytes", 1)
    ]


def test_rows_of_another_run_or_segment_are_refused(results, tmp_path):
    folder, cell_id = tmp_path / "results", SMOKE["stream-uniform"].id
    shutil.copytree(results, folder)
    record = run_stream_cell(SMOKE["stream-uniform"])
    path, rows = folder / f"{cell_id}.parquet", pd.read_parquet(results / f"{cell_id}.parquet")
    assert record.per_user_digest == rows_digest(rows)
    moved = rows.assign(segment=(rows["segment"] + 1) % 3)
    others = pd.read_parquet(results / f"{SMOKE['stream-full'].id}.parquet")
    for wrong in (others, moved, rows.drop(columns="segment"), rows.iloc[:-1], rows.iloc[:0]):
        write_rows(wrong, path)
        with pytest.raises(BetError, match=f"damaged, or not the per-user metrics of {cell_id}"):
            bundle.read_results("stream-smoke", folder)
    write_rows(rows, path)
    assert record in bundle.read_results("stream-smoke", folder).records
    shutil.copy(results / f"{SMOKE['stream-full'].id}.json", folder / f"{cell_id}.json")
    with pytest.raises(BetError, match="the record of another cell"):
        bundle.read_results("stream-smoke", folder)


def test_settings_of_streams_change_keys_and_unknown_ones_are_refused(tmp_path):
    text = (ROOT / "workflow" / "studies" / "stream-smoke.toml").read_text()
    file = tmp_path / "mine.toml"
    file.write_text(text.replace("count = 3", "count = 4\n[stream.drift]\ncount = 5"))
    profile = load_profile(file)
    cell = profile.cells[0]
    assert profile.stream_settings(cell) == StreamSettings(4)
    assert profile.stream["drift"] == StreamSettings(5)
    assert profile.key(cell) != PROFILES["stream-smoke"].key(SMOKE["stream-uniform"])
    file.write_text(text.replace("count = 3", "segments = 3"))
    with pytest.raises(BetError, match="stream: no setting .*'segments'"):
        load_profile(file)
    file.write_text(text.replace('"stream-full", "dess-like"', '"full"'))
    with pytest.raises(BetError, match="unknown dataset 'tiny-drift'"):
        load_profile(file)
    static = '\n[[grids]]\ndataset = "tiny"\nbackbones = ["lightgcn"]\nmethods = ["full"]\n'
    file.write_text(text + static)
    with pytest.raises(BetError, match="streaming methods and others cannot be in one study"):
        load_profile(file)


def test_a_cell_of_a_stream_needs_a_stream():
    with pytest.raises(BetError, match="unknown stream 'tiny'.*known are tiny-drift"):
        Cell("tiny", "lightgcn", "4 kB", "stream-uniform")
    with pytest.raises(BetError, match="stream-uniform takes a cap"):
        Cell("tiny-drift", "lightgcn", None, "stream-uniform")


def test_results_quote_the_committed_means():
    rows = table_rows(section(RESULTS, "A budget over time"))
    means = read("stream", "streams").set_index(["method", "dataset", "backbone"])["mean"]
    columns = list(dict.fromkeys((dataset, backbone) for _, dataset, backbone in means.index))
    quoted = {
        (method.split("`")[1], *column): entry
        for method, *entries in rows
        for column, entry in zip(columns, entries, strict=True)
        if entry
    }
    assert quoted == {key: f"{mean:.4f}".lstrip("0") for key, mean in means.items()}


def test_committed_tables_keep_their_cap():
    read = bundle.reader(ROOT / "reports" / "stream")
    streams = stream_results_of(bundle.read_bundle("stream", read))
    table = streams.segments.dropna(subset="limit_bytes")
    assert len(table) > 100 and (table["bytes"] <= table["limit_bytes"]).all()
    assert table[METRIC].between(0, 1).all()
