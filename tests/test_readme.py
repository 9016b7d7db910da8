"""README.md says what the committed reports say, and stays short."""

import re

from committed import (
    BUDGETS,
    OPPONENTS,
    README,
    counts,
    gowalla_bytes,
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
    filter_on_yelp = served("graph-filter", dataset="yelp2018")[0]
    full = printed(converged("full").loc["none", "recall@20"])
    fitting = read("full", "best_to_serve").set_index("at most").loc[25.6]
    assert (fitting["method"], fitting["backbone"]) == ("bet-plus-bytes", "ials")
    kept = gowalla_bytes().set_index(["budget", "method"])
    bits, floats = kept.loc[("25.6 B/entity", "uniform-int2")], kept.loc["95%"]
    best = floats["ndcg@20"].idxmax()
    bet, rules, plus = (converged(method) for method in ("bet", "powerlaw", "bet-plus"))
    ahead = bet.loc[[*BUDGETS], "recall@20"] > rules.loc[[*BUDGETS], "recall@20"]
    assert list(ahead) == [True, False, False]
    pairs = counts("tuned rule")[0]
    rule_mean, random_mean = (
        " ".join(together(OPPONENTS[kind][1])) for kind in ("tuned rule", "random selection")
    )
    plus_mean = " ".join(together(OPPONENTS["tuned rule"][1], "bet-plus"))
    assert plus_mean.count("+") == 3  # above, significantly
    assert all(mean.count("-") == 3 for mean in (rule_mean, random_mean))  # below, significantly
    gowalla, yelp = (
        published("merged", "lightgcn", name).loc["bet"] for name in ("gowalla", "yelp2018")
    )
    return [
        f"a Recall@20 of {rule[0]} in {rule[1]} bytes per entity",
        f"the full LightGCN, trained to convergence, has {full} in {bytes_of_full}.",
        f"What to use at {fitting['bytes to serve per entity']:.1f} bytes per entity",
        f"keep {fitting['of full']:.0%} of the full LightGCN's NDCG@20.",
        f"equal rows of 2 bits keep {bits['of full']:.0%} in "
        f"{bits['table bytes per entity']:.1f} bytes, interactions not counted; of the "
        f"{len(floats)} float32 tables that ran at that size, "
        f"{floats.loc[best, 'table bytes per entity']:.1f} bytes, the best keeps "
        f"{floats.loc[best, 'of full']:.0%}.",
        f"BET has a Recall@20 of {three(bet, 'recall@20')} at 80, 90 and 95 % sparsity; a tuned "
        f"power law of frequency has {three(rules, 'recall@20')}.",
        f"`bet-plus`, has {printed(plus.loc['80%', 'recall@20'])} and "
        f"{printed(plus.loc['90%', 'recall@20'])} at 80 and 90 %.",
        f"below the power law's (mean of {pairs} pairs of backbone and budget: {rule_mean})",
        f"below that of random picks ({random_mean})",
        f"That of `bet-plus` is above the power law's ({plus_mean}).",
        f"The paper reports {three(gowalla, 'published')} on Gowalla.",
        f"On Yelp2018 it reports {three(yelp, 'published')}, and our BET, trained more briefly, "
        f"has {three(yelp, 'ours')}; there the filter has {filter_on_yelp}.",
    ]


def test_readme_answer_is_the_reports():
    text = " ".join(section(README, "The answer").replace(" %", "%").split())
    for sentence in answer():
        sentence = sentence.replace(" %", "%")
        assert sentence in text, sentence
        text = text.replace(sentence, "")
    # Names and links may hold digits; no other number goes unchecked.
    names = r"\]\([^)]*\)|(NDCG|Recall)@20|MovieLens-100K|Yelp2018|float32|^1\.|[234]\. \*\*"
    rest = re.sub(names, "", text)
    assert not re.findall(r"\d\S*", rest)
