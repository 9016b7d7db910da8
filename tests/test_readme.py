"""README.md says what the committed reports say, and stays short."""

import re

from committed import (
    BUDGETS,
    OPPONENTS,
    README,
    counts,
    printed,
    published,
    read,
    section,
    served,
    together,
)

from bet.analysis.results import TO_SERVE
from bet.backbones import BACKBONES
from bet.methods import METHODS


def test_readme_is_short():
    assert len(README.split()) <= 900


def test_readme_names_every_method_and_backbone():
    for name in [*METHODS, *BACKBONES]:
        assert f"`{name}`" in README, name


def three(data, column):
    """A column at the three budgets."""
    first, second, third = (printed(data.loc[budget, column]) for budget in BUDGETS)
    return f"{first}, {second} and {third}"


def converged(method, backbone="lightgcn", dataset="gowalla"):
    """Recall@20 under ``merged``, to convergence, by budget."""
    data = read(dataset, f"comparison_{dataset}_merged")
    data = data[data["finished"] & (data["seed"] == 0) & (data["backbone"] == backbone)]
    return data[data["method"] == method].set_index("budget")


def at_sparsities():
    """The lines of README's table, after what its text makes of them."""
    bet, rules, equal, plus = (
        converged(method).loc[[*BUDGETS]] for method in ("bet", "powerlaw", "su", "bet-plus")
    )
    paper = published("merged", "lightgcn").loc["bet"].loc[[*BUDGETS], "published"]
    recalls = [data["recall@20"] for data in (equal, rules, bet, plus)]
    assert list(recalls[2] > recalls[1]) == [True, False, False]
    assert (recalls[2] > recalls[0]).all()
    assert list(plus["ndcg@20"] < rules["ndcg@20"]) == [False, True, False]
    assert recalls[3]["95%"] > recalls[2]["90%"] and recalls[2]["80%"] > recalls[3]["80%"]
    lines = []
    for at in BUDGETS:
        numbers = " | ".join(printed(column[at]) for column in [*recalls, paper])
        lines.append(f"| {at} | {numbers} |")
    return lines


def answer():
    """The sentences of README's answer, from the tables of the reports."""
    rule, bytes_of_full = served("graph-filter"), served("full", "lightgcn")[1]
    full = printed(converged("full").loc["none", "recall@20"])
    fitting = read("full", "best_to_serve").set_index("at most").loc[25.6]
    assert (fitting["method"], fitting["backbone"]) == ("bet-plus-bytes", "ials")
    uncut = read("full", "bytes").set_index(["method", "backbone"]).loc["full"]
    ials, lightgcn = (
        (printed(uncut.loc[name, "ndcg@20"]), f"{uncut.loc[name, TO_SERVE]:.1f}")
        for name in ("ials", "lightgcn")
    )
    best = read("paper", "best_to_serve_gowalla_merged").set_index("at most").loc[25.6]
    assert (best["method"], best["backbone"]) == ("blend", "ials")
    by_method = read("paper", "bytes_gowalla_merged").set_index(["backbone", "method", "budget"])
    chosen = by_method["validation"]["ials", "blend", best["budget"]]
    assert chosen > by_method["validation"]["references", "graph-filter", "none"]
    blend = printed(best["recall@20"])
    pairs = counts("tuned rule")[0]
    rule_mean, random_mean = (
        " ".join(together(OPPONENTS[kind][1])) for kind in ("tuned rule", "random selection")
    )
    assert all(mean.count("-") == 3 for mean in (rule_mean, random_mean))  # below, significantly
    equal_mean = " ".join(together("equal sizes for everybody"))
    assert equal_mean.count("-") == 2 and equal_mean.count("+") == 1
    plus_mean, best_mean = (
        " ".join(together(OPPONENTS[kind][1], "bet-plus"))
        for kind in ("tuned rule", "best on validation")
    )
    assert plus_mean.count("+") == 3 and best_mean.count("-") == 1
    yelp = published("merged", "lightgcn", "yelp2018").loc["bet"]
    gowalla = published("merged", "lightgcn").loc["bet"]
    bet = converged("bet")
    shares = [bet.loc[at, "recall@20"] / gowalla.loc[at, "published"] for at in BUDGETS]
    shares += list(yelp.loc[[*BUDGETS], "ours"] / yelp.loc[[*BUDGETS], "published"])
    equal = converged("su", dataset="yelp2018").loc[[*BUDGETS]]
    assert (equal["recall@20"] > yelp.loc[[*BUDGETS], "published"]).all()
    assert max(shares) > 1
    return [
        *at_sparsities(),
        "90 % sparsity keeps a tenth of the numbers",
        "brackets are 95 % intervals",
        f"a Recall@20 of {blend}; the filter alone, behind on validation, has {rule[0]} in "
        f"{rule[1]} bytes; the full LightGCN has {full} in {bytes_of_full}.",
        f"What to use at {fitting[TO_SERVE]:.1f} bytes per entity",
        f"an NDCG@20 of {printed(fitting['ndcg@20'])}; the full iALS has {ials[0]} in {ials[1]} "
        f"bytes, the full LightGCN {lightgcn[0]} in {lightgcn[1]}.",
        f"below the power law's ({pairs} pairs of backbone and budget: {rule_mean})",
        f"level with equal sizes ({equal_mean}), and below the same search's with random picks "
        f"({random_mean})",
        f"above the power law's ({plus_mean}), not surely above the best competitor's "
        f"({best_mean}).",
        "On Gowalla at 90 %, the power law leads by NDCG@20.",
        f"within {100 * (1 - min(shares)):.0f} % or above.",
        f"On Yelp2018, BET's published Recall@20 is {three(yelp, 'published')}; ours, trained "
        f"briefly, {three(yelp, 'ours')}.",
        f"our equal sizes have {three(equal, 'recall@20')}**.",
        "a user's first 20 recommendations",
    ]


def test_readme_answer_is_the_reports():
    text = " ".join(section(README, "The answer").replace(" %", "%").split())
    for sentence in answer():
        sentence = sentence.replace(" %", "%")
        assert sentence in text, sentence
        text = text.replace(sentence, "")
    # Names and links may hold digits; no other number goes unchecked.
    names = r"\]\([^)]*\)|(NDCG|Recall)@20|MovieLens-100K|Yelp2018|[1234]\. \*\*"
    rest = re.sub(names, "", text)
    assert not re.findall(r"\d\S*", rest)
