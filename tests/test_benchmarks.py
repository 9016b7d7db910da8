"""The benchmarks measure the right thing; how fast it is, is not tested."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.stats import spearmanr

from benchmarks.speed import (
    comparisons,
    factors,
    lookup,
    packing,
    scaling,
    serving_memory,
    serving_speed,
    serving_worker,
    stream_cost,
    table_scale,
    work,
)
from benchmarks.speed.measuring import alternating, dataset, prepare, run_watched
from benchmarks.speed.table import ROWS, main, measure, table
from benchmarks.sweeps import (
    convergence,
    distillation,
    interactions,
    new_items,
    new_users,
    settings,
    surrogates,
)
from benchmarks.sweeps import rank_correlation as nested
from bet.data import evaluable_split, planted, read_interactions
from bet.errors import BetError
from bet.packed import load
from bet.recommend import open_model
from bet.stream import load_events
from bet.study.cell import Cell
from bet.study.profiles import PROFILES


@pytest.mark.parametrize("name", ROWS)
def test_every_row_runs_and_checks_its_result(name, monkeypatch):
    monkeypatch.setattr(work, "ITERATIONS", 3)
    measured = ROWS[name].work(prepare("power-law", 0.005), 1)
    assert math.isfinite(measured.seconds) and measured.seconds > 0
    assert measured.reference is None or measured.reference > 0
    if name == "sampling":
        assert measured.note.startswith("0 of 100 over budget, all use it exactly: True")


def test_power_law_data_has_the_announced_size():
    data = dataset("power-law", 0.1)
    assert (data.n_users, data.n_items) == (2986, 4098)
    assert len(data) == pytest.approx(102_737, rel=0.25)  # smaller data repeats pairs more often


def test_command_prints_one_row_in_json_and_the_table(capsys):
    main(["--json", "--only", "adjacency", "--size", "0.005", "--repeat", "1"])
    result = json.loads(capsys.readouterr().out)
    assert result["peak_mb"] >= result["extra_mb"] >= 0
    text = table({"adjacency": result, "evaluation": result | {"reference": result["seconds"]}})
    assert "45 s, +4.9 GB" in text and "1.000x" in text and text.count("\n") == 3


def test_settings_sweep_finds_the_best_mean_and_resumes(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    base = dataclasses.replace(PROFILES["smoke"].training["ncf"], max_epochs=1)
    grid = settings.candidates("scratch", "ncf", base)[:2]
    first = settings.sweep("scratch", "tiny", "ncf", grid)
    assert len(first.splitlines()) == 4
    means = [float(line.split("|")[-2]) for line in first.splitlines()[2:]]
    assert means == sorted(means, reverse=True)
    monkeypatch.setattr(settings, "train_from_scratch", None)  # nothing is trained again
    assert settings.sweep("scratch", "tiny", "ncf", grid) == first


def test_convergence_appends_trials_shows_their_curves_and_resumes(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    out, image = tmp_path / "trials.jsonl", tmp_path / "curves.png"
    common = ["--dataset", "tiny", "--profile", "smoke", "--out", str(out)]
    for start in ("normal", "ials"):
        settings = [f"start={start}", "schedule=plateau", "max_epochs=3", "negatives=2"]
        convergence.main([*common, "--columns", "8", "2", "--set", *settings])
    shown = capsys.readouterr().out.splitlines()
    trials = [json.loads(line) for line in out.read_text().splitlines()]
    assert [trial["columns"] for trial in trials] == [8, 2, 8, 2] and len(shown) == 4 + 6
    for trial in trials:
        best = max(quality for _, _, quality in trial["curve"])
        assert trial["quality"] == best and f"{best:.4f}" in "".join(shown)
    monkeypatch.setattr(convergence, "train_from_scratch", None)  # nothing is trained again
    arguments = ["--columns", "2", "--figure", str(image)]
    convergence.main([*common, *arguments, "--set", *settings])
    assert out.read_text().count("\n") == 4 and image.read_bytes().startswith(b"\x89PNG")
    for wrong, message in (("epochs=3", "no setting 'epochs=3'"), ("l2=much", "l2=much: ")):
        with pytest.raises(BetError, match=message):
            convergence.main([*common, "--set", wrong])


def test_chosen_settings_are_in_the_grid():
    for name, swept in settings.SWEEPS.items():
        for backbone in swept.grid:
            chosen = PROFILES[swept.profile].training[backbone]
            assert chosen in settings.candidates(name, backbone, chosen)


@pytest.mark.parametrize("name", factors.FACTORS)
def test_every_factor_compares_equal_results(name):
    row = factors.FACTORS[name](prepare("power-law", 0.01), 1)
    assert row.before > 0 and row.after > 0
    assert name in factors.table({name: row})


def test_factor_refuses_unequal_results(monkeypatch):
    monkeypatch.setattr(comparisons, "take_rows", lambda x, rows: 2 * x[rows])
    with pytest.raises(AssertionError, match="not close"):
        comparisons.gathered_rows(prepare("power-law", 0.01), 1)


def test_scaling_prints_and_draws(tmp_path, capsys, monkeypatch):
    alone = scaling.in_own_process

    def measured(name, *details):  # one row in a process of its own, the others in this one
        return (alone if name == "sampling" else measure)(name, *details)

    monkeypatch.setattr(scaling, "in_own_process", measured)
    figure = tmp_path / "scaling.png"
    sizes = ["--sizes", "0.005", "--entities", "1000", "1000000000"]
    scaling.main([*sizes, "--repeat", "1", "--figure", str(figure)])
    lines = capsys.readouterr().out.strip().splitlines()
    assert len(lines) == 2 + 2 + len(scaling.ROWS) + 2 and "1,000,000,000" in lines[-1]
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_look_up_opens_every_table_and_reads_what_was_written(tmp_path, capsys):
    measured = lookup.measure(300, 1, tmp_path)
    assert len(measured) == 3 + len(lookup.PACKED) and all(row.microseconds > 0 for row in measured)
    length = {row.table: row.file for row in measured}
    assert (
        length["packed, 48 columns, int4"]
        < length["packed, 128 columns, int8"]
        < length["nn.Embedding, 128 columns, float16"]
    )
    for name, (sizes_of, bits, _) in lookup.PACKED.items():
        layout = load(lookup.write_table(name, 300, tmp_path)).layout
        assert layout.kinds[:, 1].tolist() == [bits] * len(layout.kinds)
        columns = int(layout.counts.sum(0) @ layout.kinds[:, 0])
        assert columns == sizes_of(np.arange(300) / 300).sum()
    lookup.main(["--rows", "100", "--repeat", "1"])
    assert capsys.readouterr().out.count("\n") == 4 + len(measured)


def test_serving_answers_every_road_alike_and_counts_every_process(tmp_path, capsys, monkeypatch):
    vectors = serving_speed.make_vectors(30, 50, 8, 4, tmp_path / "vectors")
    given = []
    for name in ("top_items", "top_products"):
        kept = getattr(serving_speed, name)
        monkeypatch.setattr(
            serving_speed, name, lambda *parts, kept=kept: given.append(kept(*parts)) or given[-1]
        )
    timed = serving_speed.measure(vectors, 30, 1)
    assert all(row.seconds > 0 and row.factor > 0 for row in timed)
    assert [row.factor for row in timed if row.road.endswith("float32")] == [1.0] * 3
    assert [row.road for row in timed][-3:] == [
        "import numpy",
        "packed, a user",
        "packed, 30 users",
    ]
    # Nearly the same items from four bits as from float32.
    same_loop, packed = given[0].items, given[1].items
    shared = [len(np.intersect1d(*lists)) for lists in zip(same_loop, packed, strict=True)]
    assert serving_speed.K * 0.8 < np.mean(shared) <= serving_speed.K
    monkeypatch.setattr(serving_speed, "WORKERS", 2)
    serving_speed.main(["--users", "30", "--items", "50", "--columns", "8", "--repeat", "1"])
    text = capsys.readouterr().out
    for row in timed:
        assert f"| {row.work} | {row.road} |" in text
    alone, two = (line.split("|")[1:] for line in text.strip().splitlines()[-2:])
    assert [alone[0].strip(), two[0].strip()] == ["1", "2"] and alone[1] == two[1] == " 30 "
    megabytes = [float(part.removesuffix(" MB ")) for part in alone[2:6]]
    peak, resident, private, together = megabytes
    assert peak >= resident >= together >= private > 1


def test_serving_many_once_says_what_all_would_take(capsys, monkeypatch):
    monkeypatch.setattr(serving_speed, "WORKERS", 2)
    shape = ["--users", "30", "--items", "50", "--columns", "8"]
    asked = ["--asked", "10", "--once", "20", "--repeat", "1"]
    serving_speed.main([*shape, *asked])
    lines = capsys.readouterr().out.strip().splitlines()
    works = [line.split("|")[1].strip() for line in lines if line.startswith("| top")]
    assert works[:6] == ["top 20 of 10 users"] * 3 + ["top 20 of 20 users"] * 3
    assert [line.split("|")[2].strip() for line in lines[-3:]] == ["10", "10", "20"]
    timed = [
        serving_speed.Timed("few", "packed", 0.2, 1.0, users=10),
        serving_speed.Timed("many", "packed", 6.0, 1.0, users=20),
        serving_speed.Timed("look up", "packed", 9.0, 1.0),
    ]
    said = serving_speed.all_at_that_cost(timed, 1000)
    assert said == "- packed: a user takes 20.00 ms of 10, 300.00 ms of 20; all 1,000: 300 s"
    large = serving_memory.Workers(10, [{"peak": 80.0}, {"peak": 401.0}])
    with pytest.raises(AssertionError, match="took 401 MB, the file has 100.0 MB"):
        serving_memory.check_memory(100.0, [large])
    serving_memory.check_memory(102.0, [large])


def test_works_take_turns_after_a_warm_up():
    called = []
    works = {name: partial(called.append, name) for name in "ab"}
    taken = alternating(works, 2, {"c": partial(called.append, "c")})
    assert called == ["c", "a", "b", "a", "b"] and [len(taken[name]) for name in "ab"] == [2, 2]
    alternating(works, 1)
    assert called[5:] == ["a", "b", "a", "b"]


def test_a_watched_command_is_measured_alone():
    command = [sys.executable, "-c", "import time; x = b'1' * {}; time.sleep(0.3); print('done')"]
    peaks = []
    for n_bytes in (1, 100_000_000):
        printed, peak = run_watched([*command[:2], command[2].format(n_bytes)], os.environ)
        assert printed == "done\n"
        peaks.append(peak)
    assert peaks[1] - peaks[0] == pytest.approx(100, rel=0.05)
    with pytest.raises(subprocess.CalledProcessError):
        run_watched([sys.executable, "-c", "raise SystemExit(3)"], os.environ)


def test_a_table_of_many_interactions_is_built_and_recommends(tmp_path, capsys):
    written = table_scale.write_interactions(tmp_path / "data.csv", 3000)
    read = read_interactions(tmp_path / "data.csv")
    counts = written.interactions, written.users, written.items
    assert counts == (len(read), read.n_users, read.n_items)
    assert 1000 < written.interactions < 3000 and written.users <= 75 and written.items <= 30
    table_scale.main(["--interactions", "3000", "--minutes", "0.05", "--budget", "60 B/entity"])
    *printed, row = capsys.readouterr().out.splitlines()
    assert [cell.strip() for cell in row.split("|")[1:4]] == [f"{count:,}" for count in counts]
    assert any(row.split("|")[8].strip() in line for line in printed)


def test_a_worker_answers_all_users(tmp_path, monkeypatch):
    monkeypatch.setattr(serving_worker, "BATCH", 7)
    table = serving_speed.make_vectors(30, 50, 8, 4, tmp_path / "vectors").table
    scores = table.rows(range(30))[:, 0] @ table.rows(range(30, 80))[:, 0].T
    answers = serving_worker.answer(table, 30, 3)
    assert answers.shape == (30, 3) and answers[:, 0].tolist() == scores.argmax(1).tolist()


def test_nested_scores_are_compared_with_fine_tuning(tmp_path):
    rows = nested.measure(Cell("tiny", "lightgcn", "80%", "bet", profile="smoke"), 6, tmp_path)
    assert [row.score for row in rows] == ["fine-tuned", "nested", "pre-trained"]
    tuned = rows[0]
    assert tuned.correlation == pytest.approx(1) and tuned.chosen == tuned.best
    for row in rows[1:]:
        assert -1 <= row.correlation <= 1 and row.chosen <= row.best and row.seconds > 0
    assert nested.table(rows).count("\n") == 4


def test_scores_are_compared_with_training(tmp_path):
    cell = Cell("tiny", "lightgcn", "80%", "bet", profile="smoke")
    rows = nested.measure(cell, 4, tmp_path, nested.TRAINED)
    assert [row.score for row in rows] == list(nested.TRAINED)
    assert rows[0].correlation == pytest.approx(1) and rows[0].chosen == rows[0].best
    assert all(row.chosen <= rows[0].best for row in rows)


def test_surrogates_rank_what_they_did_not_see(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    monkeypatch.setattr(surrogates, "SEEN", (4, 8))
    monkeypatch.setattr(surrogates, "ORDERS", 2)
    monkeypatch.setattr(surrogates, "STEPS", 20)
    cell = Cell("tiny", "lightgcn", "80%", "bet", profile="smoke")
    context, actions, fitness = surrogates.measured(cell, 12)
    assert len(actions) == len(fitness) == 12 and (fitness > 0).all()
    rows = surrogates.correlations(cell, 12)
    assert len(rows) == 2 * len(surrogates.PREDICTORS)
    assert all(-1 <= row.correlation <= 1 for row in rows)
    assert surrogates.table(rows).count("\n") == 1 + len(surrogates.PREDICTORS)
    # A fitness that follows the sizes is learned; measured fitness is read back, not measured anew.
    monkeypatch.setattr(surrogates, "usual_score", lambda context: None)
    assert (surrogates.measured(cell, 12)[2] == fitness).all()
    smooth = np.array([float(action.user_sizes.mean()) for action in actions])
    predicted = surrogates.gaussian_process(context, actions, smooth[:8], 0)
    assert spearmanr(predicted[8:], smooth[8:]).statistic > 0.7


def test_sizes_of_interactions_stand_beside_the_entropy(capsys):
    # Two users with both items, one with the first: frequencies 3 and 2 of 5 interactions.
    matrix = interactions.by_frequency(csr_array(np.array([[1, 1], [0, 1], [1, 1]])))
    assert matrix.toarray().tolist() == [[1, 1], [1, 1], [1, 0]]
    drawn = 3 * math.log2(5 / 3) + 2 * math.log2(5 / 2)
    assert interactions.entropy(matrix) == pytest.approx((drawn - 2 * math.log2(2)) / 5)
    # Every gap is 0, a single one; no low bits: a one for each item, a zero for the second one.
    assert interactions.one_width(matrix) == 1
    assert interactions.elias_fano(matrix) == (3 + 3 + 2) / 5
    interactions.main(["--datasets", "tiny"])
    clean, merged = (line.split("|") for line in capsys.readouterr().out.splitlines()[-2:])
    assert [clean[2].strip(), merged[2].strip()] == ["clean", "merged"]
    assert float(clean[5]) > float(merged[5]) > float(merged[4]) > 4


def test_a_failing_row_ends_with_its_error(monkeypatch):
    def fails(split, repeat):
        raise RuntimeError("as planned")

    monkeypatch.setitem(ROWS, "sampling", dataclasses.replace(ROWS["sampling"], work=fails))
    with pytest.raises(RuntimeError, match="as planned"):
        measure("sampling", "power-law", 0.005, 1)


def test_new_users_are_compared_with_the_same_users_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    cases = [("none", "graph-filter", None), ("ials", "uniform-int4", "12.8 B/entity")]
    text = new_users.compare("tiny", cases, "validation", profile="smoke", seed=0)
    rows = [line.split(" | ") for line in text.splitlines()[4:]]
    assert text.startswith("tiny, 12 of 120 users left out") and len(rows) == 2
    assert all(0 < float(value) <= 1 for row in rows for value in row[2:6])
    users = new_users.left_out(evaluable_split(planted(), 0), new_users.SHARE)
    for name, emptied in (("all", False), ("rest", True)):
        for path in tmp_path.glob(f"new-users/*/{name}.safetensors"):
            file = load(path)
            of_users = file.seen.degrees[file.user_rows(users)]
            assert (of_users == 0).all() if emptied else (of_users > 0).all()
    monkeypatch.setattr(new_users, "write", None)  # nothing is trained again
    assert new_users.compare("tiny", cases, "validation", profile="smoke", seed=0) == text


def test_new_items_are_compared_with_the_same_items_trained(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    cases = [("none", "graph-filter", None), ("ials", "uniform-int4", "12.8 B/entity")]
    text = new_items.compare("tiny", cases, "validation", profile="smoke", seed=0)
    rows = [line.split(" | ") for line in text.splitlines()[4:]]
    assert text.startswith("tiny, 9 of 90 items left out, hits on validation") and len(rows) == 2
    assert all(0 < float(value) <= 1 for row in rows for value in row[2:6] + row[7:9])
    split = evaluable_split(planted(), 0)
    new = new_items.left_out(split, new_items.SHARE)
    for path in tmp_path.glob("new-items/*/rest.safetensors"):
        model = open_model(path)
        assert not set(model.file.ids.item_rows) & {str(item) for item in new}
        # Known items stand where the file has them, new ones by their scores, train items nowhere.
        users, train = np.arange(5), split.train.toarray()
        best = new_items.best_items(model, users, split.train, new)
        for user, items in zip(users.tolist(), best, strict=True):
            scores = np.zeros(90)
            for item in range(90):
                if item in new:
                    had_by = np.flatnonzero(train[:, item])
                    (scores[item],) = model.score_new_item(had_by, [user])
                else:
                    (scores[item],) = model.score(user, [item])
            scores[train[user] > 0] = -np.inf
            np.testing.assert_allclose(scores[items], -np.sort(-scores)[: len(items)], rtol=1e-4)
    monkeypatch.setattr(new_users, "write", None)  # nothing is trained again
    assert new_items.compare("tiny", cases, "validation", profile="smoke", seed=0) == text


def test_quality_of_ranked_items_by_hand():
    positives = csr_array(np.array([[1, 0, 1, 0, 1], [0, 1, 0, 0, 0]]))
    ranked = np.array([[0, 1, 2, *[-1] * 17], [1, 0, 2, *[-1] * 17]])
    quality = new_users.measure(ranked, positives)
    ideal = 1 + 1 / math.log2(3) + 1 / 2
    assert quality.recall == pytest.approx((2 / 3 + 1) / 2)
    assert quality.ndcg == pytest.approx(((1 + 1 / 2) / ideal + 1) / 2)


def test_packing_is_measured_for_every_budget(capsys):
    packing.main(["--rows", "2000", "--budgets", "40 B/entity", "600 B/entity"])
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[4:]]
    assert [row[0] for row in rows] == ["| 2,000"] * 2
    assert [row[2] for row in rows] == ["40 B/entity", "600 B/entity"]
    assert all(float(row[4]) > 0 for row in rows) and rows[1][6] == "100.0%"


def test_distillation_copies_the_full_table(tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    monkeypatch.setattr(distillation, "WEIGHTS", (0.0, 1e3))
    measured = []
    for name in ("lightgcn", "ncf"):
        cell = Cell("tiny", name, "80%", "su", profile="smoke")
        row = distillation.measure(cell, [0, 1], tmp_path)
        measured.append(row)
        assert all(len(each) == 2 for each in row.qualities.values())
        # So heavy a term leaves nothing of the loss, and no term is the plain training.
        assert row.qualities[0.0] != row.qualities[1e3]
    assert distillation.table(measured).count("\n") == 3


def test_a_segment_is_compared_with_its_training():
    row = stream_cost.measure(load_events("tiny-drift"), "ials", "stream-bet-plus", segments=3)
    assert row.cost > 1 and row.first > 1 and row.training > 0
    line = f"| tiny-drift | ials | stream-bet-plus | {row.training:.2f} s |"
    assert line in stream_cost.table([row])
