"""What notebooks 05 to 08 show holds."""

import math
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch

from bet.actions import sample_actions
from bet.data import FrequencyOrder
from bet.methods.amtl import FrequencyGroups, at_least, project, twin_recommender
from bet.packed import PackedBytes
from bet.predictor import DeepSets, stack_histograms
from bet.search import PredictorSelector, search
from bet.training import RankingMetrics
from bet.walkthrough import amtl as show_amtl
from bet.walkthrough import records, serving
from bet.walkthrough import search as show_search
from bet.walkthrough.diagram import ARROWS, BOXES, plot_search_loop
from bet.walkthrough.release import plot_parts, show_page


@pytest.fixture
def context(split, tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    return show_search.study_context(split, "tiny", 0, "90%", 6, tmp_path / "search")


@pytest.fixture(scope="module")
def study():
    return records.committed_results("default")


def labeled(figure):
    figure.canvas.draw()
    shown = [axis for axis in figure.axes if axis.axison]
    assert all(axis.get_xlabel() for axis in shown if axis.get_label() != "<colorbar>")
    assert figure.axes[0].get_ylabel()
    plt.close(figure)
    return True


def test_the_loop_has_every_line_of_the_algorithm_once_and_no_label_touches():
    figure = plot_search_loop()
    figure.canvas.draw()
    (axis,) = figure.axes
    extents = [text.get_window_extent() for text in axis.texts if text.get_text()]
    assert not any(a.overlaps(b) for i, a in enumerate(extents) for b in extents[:i])
    frames = [patch.get_window_extent() for patch in axis.patches]
    for text in axis.texts[: len(BOXES)]:
        words = text.get_window_extent()
        assert any(frame.x0 < words.x0 and words.x1 < frame.x1 for frame in frames)
    assert {end for arrow in ARROWS for end in arrow[:2]} == set(BOXES)
    plt.close(figure)


def test_search_tables_and_pictures(context):
    selector = PredictorSelector(context, DeepSets)
    population = search(context, selector)
    table = show_search.population_table(population)
    assert list(table.index) == [1, 2, 3, 4, 5, 6]
    assert [name.split()[0] for name in table["strategy"]] == ["I", "I", "II", "III", "I", "I"]
    assert records.compare_with_record(population, "tiny", "90%", 0).startswith("The study has no")
    actions = sample_actions(context.data.order, context.budget, 8, np.random.default_rng(0))
    with torch.no_grad():
        predictor = selector.trainer.predictor
        h = predictor.embed(stack_histograms(actions, context.budget.d_max))
        r_hat = predictor.decode(h[:-1])[:, 0]
    fitness = [member.fitness for member in population]
    for figure in (
        show_search.plot_population(population),
        show_search.plot_candidates(h, r_hat, {"I": 0, "II": 1, "III": 2}),
        show_search.plot_retrained(fitness, fitness, (0.5, 0.2)),
        show_search.plot_sizes({"first": population[0].action.sizes}, context.data.order),
    ):
        assert labeled(figure)


def test_differences_over_users_by_hand():
    hits = np.zeros((4, 20), dtype=bool)
    better = hits.copy()
    better[:2, 0] = True  # two of four users find their only item at once
    ours, theirs = (
        RankingMetrics(np.arange(4), np.ones(4, dtype=int), found) for found in (better, hits)
    )
    table = show_search.difference_table("A", {"A": ours, "B": theirs}, "recall@20")
    assert table.loc["A minus B", ["difference", "users"]].tolist() == [0.5, 4]
    # 3.182 (Student, 3 degrees of freedom) times sqrt(1/3 / 4)
    assert table.loc["A minus B", "to"] - 0.5 == pytest.approx(3.182 * math.sqrt(1 / 12), abs=1e-3)


def test_a_search_is_compared_with_its_record():
    record = records.committed_results("scratch").record("movielens-100k_lightgcn_90_bet_s0")
    same = [SimpleNamespace(fitness=row.fitness) for row in record.search.iterations[:4]]
    sentence = records.compare_with_record(same, "movielens-100k", "90%", 0)
    assert sentence == "The fitness values of 4 actions equal those of profile `scratch`."
    same[2].fitness += 0.25
    sentence = records.compare_with_record(same, "movielens-100k", "90%", 0)
    assert "differ by at most 0.250" in sentence


def test_skill_and_finalists_by_hand():
    rows = [("a", "bet", p, f) for p, f in ((0.1, 1.0), (0.2, 0.9), (0.3, 0.8), (0.4, 0.7))]
    rows += [("b", "bet", p, f) for p, f in ((0.1, 0.1), (0.2, 0.2), (0.3, 0.3), (0.4, 0.4))]
    said = pd.DataFrame(rows, columns=["search", "method", "predicted", "fitness"])
    skill = records.skill_table(said)
    # Correlations -1 and 1, of which nothing can be said; errors 0.9, 0.7, 0.5, 0.3 and none.
    assert skill.loc["bet"].tolist() == [2, 8, 0.0, -1.0, 1.0, 0.3]
    assert labeled(records.plot_predictions(said))

    def searched(method, *pairs):
        retrained = [SimpleNamespace(fitness=f, quality=q) for f, q in pairs]
        return SimpleNamespace(
            cell=SimpleNamespace(method=method, backbone="ncf"),
            search=SimpleNamespace(retrained=retrained),
            settings=SimpleNamespace(search={"top": 3}),
        )

    made_up = SimpleNamespace(
        records=(
            searched("bet", (0.9, 0.3), (0.8, 0.2), (0.7, 0.1), (0.1, 0.9)),  # the last is beyond 3
            searched("bet", (0.7, 0.3), (0.8, 0.2), (0.9, 0.1)),
            searched("powerlaw", (0.9, 0.3), (0.8, 0.2), (0.7, 0.1)),
        )
    )
    assert records.finalists_table(made_up, "bet").loc["ncf"].tolist() == [2, 1, 0.0]


def test_committed_predictions_are_those_after_the_first_iterations(study):
    said = records.predictions(study, "lightgcn", ("bet",))
    record = study.record("movielens-100k_lightgcn_90_bet_s0")
    own = said[said["search"] == f"default {record.cell_id}"]
    late = record.search.iterations[records.UNTRAINED :]
    assert own["predicted"].tolist() == [row.predicted for row in late]


def test_committed_differences_are_those_of_the_records(study):
    against = records.method_differences(study, "lightgcn", "90%", "bet", ("su", "powerlaw"))
    ids = [f"movielens-100k_lightgcn_90_{name}_s0" for name in ("bet", "su")]
    bet, su = (study.record(cell_id).metrics.test.ndcg_at_20 for cell_id in ids)
    assert against.loc["su", "difference"] == pytest.approx(bet - su, abs=1e-4)
    assert (against["from"] < against["difference"]).all()
    assert records.method_differences(study, "lightgcn", "42%", "bet", ("su",)).empty
    claims = records.check_claims(study, {"beats equal rows": "su"})
    assert claims.loc["beats equal rows", "settings"] == 5


def test_equal_rows_keep_their_bytes_and_are_trained_once(split, tmp_path, monkeypatch):
    monkeypatch.setenv("BET_CACHE", str(tmp_path))
    cell = {"dataset": "tiny", "backbone": "ials", "seed": 0, "size": 12.8}
    n, rows = sum(split.train.shape), []
    for bits in (32, 4):
        trained = serving.train_equal_rows(split, tmp_path, bits=bits, **cell).trained
        again = serving.train_equal_rows(split, tmp_path, bits=bits, **cell).trained
        assert torch.equal(trained.model.table(), again.model.table())
        rows.append(("ials", bits, trained.model.table.n_bytes() / n, 0.9, 12.8))
        numbers = trained.model.table.n_parameters()
        assert numbers * 4 <= 12.8 * n if bits == 32 else rows[-1][2] <= 12.8
    shares = pd.DataFrame(rows, columns=["backbone", "bits", "bytes", "share", "budget"])
    assert labeled(serving.plot_quality_against_bytes(shares))


def test_what_is_served_within_the_bytes(study):
    served = serving.to_serve(study, "25.6 B/entity to serve")
    full = served[served.index == "full"]
    assert sorted(full["backbone"]) == ["ials", "lightgcn"]
    rules = served["backbone"] == "references"
    assert set(served.index[rules]) == {"popularity", "graph-filter", "item-knn", "ease"}
    others = served[~rules & (served.index != "full")]
    assert (others[serving.TO_SERVE] <= 25.6).all() and len(others) == 10
    assert labeled(serving.plot_bytes(served))


def test_the_headline_compares_the_best_at_every_size(study):
    headline = serving.headline_table(study, "lightgcn")
    assert headline["bytes per entity"].round(1).tolist() == [25.6, 12.8]
    assert (headline["from"] < headline[f"difference in {serving.NDCG}"]).all()


def test_pictures_of_rounding():
    figure = serving.plot_levels([2, 1])
    for axis, count in zip(figure.axes, (4, 2), strict=True):
        assert len(np.unique(np.round(axis.lines[1].get_ydata(), 4))) == count
    assert labeled(figure)
    assert labeled(serving.plot_columns_or_bits({64: 1.0, 3.2: 0.8}, {32: 1.0, 2: 0.9}, 64))


def test_a_competitor_meets_the_budget(context):
    groups = FrequencyGroups(context.data.order)
    table = twin_recommender(context, groups, 0.1).table
    sizes = project(at_least(table.choice()).detach().numpy(), groups, context.budget.target)
    totals = show_amtl.totals_table(table, sizes, context.budget)["columns"]
    assert totals["projected"] == totals["budget"] == context.budget.target
    assert totals["hard choice"] == table.sizes.sum()
    assert labeled(show_amtl.plot_choice(table, groups, context.data.order))
    by_hand = FrequencyGroups(FrequencyOrder(np.array([9, 2]), np.array([5])))
    keep = np.array([[1.0, 0.9], [1.0, 0.2], [1.0, 0.7]])
    assert project(keep, by_hand, 5).tolist() == [2, 1, 2]


def test_a_page_is_a_frame_of_its_own(tmp_path):
    page = tmp_path / "page.html"
    page.write_text('<style>p { color: red }</style><p title="a">b</p>')
    shown = show_page(page)._repr_html_()
    assert "<style>" not in shown and "&lt;style&gt;" in shown and "<p" not in shown


def test_parts_that_are_empty_have_no_bar():
    figure = plot_parts(PackedBytes(header=100, kinds=4, steps=8, rows=64, ids=0))
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert labels == ["header", "kinds", "steps", "rows"]
    plt.close(figure)
