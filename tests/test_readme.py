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


def converged(method, backbone="lightgcn"):
    """Recall@20 on Gowalla under ``merged``, to convergence, by budget."""
    data = read("gowalla", "comparison_gowalla_merged")
    data = data[data["finished"] & (data["seed"] == 0) & (data["backbone"] == backbone)]
    return data[data["method"] == method].set_index("budget")


def answer():
    """The sentences of README's answer, from the tables of the reports."""
    rule, bytes_of_full = served("graph-filter"), served("full", "lightgcn")[1]
    full = printed(converged("full").loc["none", "recall@20"])
    fitting = read("full", "best_to_serve").set_index("at most").loc[25.6]
    assert (fitting["method"], fitting["backbone"]) == ("bet-plus-bytes", "ials")
    blend = read("paper", "best_to_serve_gowalla_merged").set_index("at most").loc[25.6]
    assert (blend["method"], blend["backbone"]) == ("blend", "ials")
    bet, rules, equal, plus = (
        converged(method) for method in ("bet", "powerlaw", "su", "bet-plus")
    )
    recalls = [data.loc[[*BUDGETS], "recall@20"] for data in (bet, rules, equal)]
    assert list(recalls[0] > recalls[1]) == [True, False, False]
    assert (recalls[0] > recalls[2]).all()
    behind = [plus.loc[at, "ndcg@20"] < rules.loc[at, "ndcg@20"] for at in BUDGETS[:2]]
    assert behind == [False, True] and "95%" not in plus.index
    pairs = counts("tuned rule")[0]
    rule_mean, random_mean = (
        " ".join(together(OPPONENTS[kind][1])) for kind in ("tuned rule", "random selection")
    )
    assert all(mean.count("-") == 3 for mean in (rule_mean, random_mean))  # below, significantly
    plus_mean, best_mean = (
        " ".join(together(OPPONENTS[kind][1], "bet-plus"))
        for kind in ("tuned rule", "best on validation")
    )
    assert plus_mean.count("+") == 3 and best_mean.count("-") == 1
    gowalla, yelp = (
        published("merged", "lightgcn", name).loc["bet"] for name in ("gowalla", "yelp2018")
    )
    shares = [bet.loc[at, "recall@20"] / gowalla.loc[at, "published"] for at in BUDGETS]
    shares += list(yelp.loc[[*BUDGETS], "ours"] / yelp.loc[[*BUDGETS], "published"])
    assert max(shares) > 1
    return [
        f"a Recall@20 of {printed(blend['recall@20'])}; the filter alone has {rule[0]} in "
        f"{rule[1]} bytes to serve; the full LightGCN, trained to convergence, {full} in "
        f"{bytes_of_full}.",
        f"What to use at {fitting['bytes to serve per entity']:.1f} bytes per entity",
        f"{fitting['of full']:.0%} of the full LightGCN's NDCG@20 after ten epochs.",
        f"BET has a Recall@20 of {three(bet, 'recall@20')} at 80, 90 and 95 % sparsity, a "
        f"power law of frequency {three(rules, 'recall@20')}, equal sizes "
        f"{three(equal, 'recall@20')}.",
        f"below the power law's (mean of {pairs} pairs of backbone and budget: {rule_mean})",
        f"below that of the same search with random picks ({random_mean})",
        f"above the power law's ({plus_mean}), not surely above the best competitor's "
        f"({best_mean}).",
        f"it has {printed(plus.loc['80%', 'recall@20'])} and "
        f"{printed(plus.loc['90%', 'recall@20'])} at 80 and 90 %, the latter behind the",
        f"within {100 * (1 - min(shares)):.0f} % or above.",
        f"On Gowalla the paper reports {three(gowalla, 'published')} for BET.",
        f"On Yelp2018 it reports {three(yelp, 'published')}; our BET, trained more briefly, "
        f"has {three(yelp, 'ours')}.",
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
