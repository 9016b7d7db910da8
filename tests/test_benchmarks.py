"""The benchmarks measure the right thing; how fast it is, is not tested."""

import dataclasses
import json
import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array
from scipy.stats import spearmanr

from benchmarks.speed import (
    comparisons,
    factors,
    lookup,
    packing,
    scaling,
    serving_speed,
    serving_worker,
    work,
)
from benchmarks.speed.measuring import dataset, prepare
from benchmarks.speed.table import ROWS, main, measure, table
from benchmarks.sweeps import interactions, learned_steps, new_users, settings, surrogates
from benchmarks.sweeps import rank_correlation as nested
from bet.data import evaluable_split, planted
from bet.packed import load
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
    grid = settings.candidates("default", "ncf", base)[:2]
    first = settings.sweep("default", "tiny", "ncf", grid)
    assert len(first.splitlines()) == 4
    means = [float(line.split("|")[-2]) for line in first.splitlines()[2:]]
    assert means == sorted(means, reverse=True)
    monkeypatch.setattr(settings, "train_from_scratch", None)  # nothing is trained again
    assert settings.sweep("default", "tiny", "ncf", grid) == first


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


def test_scaling_prints_and_draws(tmp_path, capsys):
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
    # Nearly the same items from four bits as from float32.
    same_loop, packed = given[0][0], given[1][0]
    shared = [len(np.intersect1d(*lists)) for lists in zip(same_loop, packed, strict=True)]
    assert serving_speed.K * 0.8 < np.mean(shared) <= serving_speed.K
    monkeypatch.setattr(serving_speed, "WORKERS", 2)
    serving_speed.main(["--users", "30", "--items", "50", "--columns", "8", "--repeat", "1"])
    text = capsys.readouterr().out
    for row in timed:
        assert f"| {row.work} | {row.road} |" in text
    alone, two = (line.split("|")[1:] for line in text.strip().splitlines()[-2:])
    assert [alone[0].strip(), two[0].strip()] == ["1", "2"]
    megabytes = [float(part.removesuffix(" MB ")) for part in alone[1:5]]
    peak, resident, private, together = megabytes
    assert peak >= resident >= together >= private > 1


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


def test_learned_steps_have_the_gradients_of_lsq(capsys):
    values = torch.tensor([[-0.9, 0.2, 0.7, 9.0]], requires_grad=True)
    step = torch.tensor([[1.0]], requires_grad=True)
    rounded = learned_steps._LearnedRounding.apply(values, step, 2)
    assert rounded.tolist() == [[-0.5, 0.5, 0.5, 1.5]]
    rounded.sum().backward()
    assert values.grad.tolist() == [[1, 1, 1, 0]]  # none beyond the last level
    # Level minus number inside, the level outside: 0.4 + 0.3 - 0.2 + 1.5
    assert step.grad.item() == pytest.approx(2.0)
    arguments = ["--dataset", "tiny", "--profile", "smoke", "--epochs", "1", "--width", "8"]
    learned_steps.main([*arguments, "--bits", "2", "--rates", "0.1", "--seeds", "0"])
    lines = capsys.readouterr().out.splitlines()[2:]
    assert [line.split(" | ")[2] for line in lines] == [*learned_steps.STEPS, *learned_steps.STEPS]
    assert all(float(line.split("|")[-2]) > 0 for line in lines)


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
