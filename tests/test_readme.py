"""README.md says what the committed reports say, and stays short."""

import re

from committed import (
    BUDGETS,
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


def beside(dataset):
    """BET's Recall@20 at the three budgets with LightGCN, ours and published."""
    ours = published("merged", "lightgcn", dataset).loc["bet"]
    for column in ours.columns:
        first, second, third = (printed(ours.loc[budget, column]) for budget in BUDGETS)
        yield f"{first}, {second} and {third}"


def answer():
    """The sentences of README's answer, from the tables of the reports."""
    rule, full = served("graph-filter"), served("full", "lightgcn")
    blend = served("blend", "lightgcn", "51.2 B/entity to serve")
    yelp = "yelp2018"
    elsewhere = served("graph-filter", dataset=yelp), served("full", "lightgcn", dataset=yelp)
    for simple, trained in ((rule, full), elsewhere):
        assert simple[0] > trained[0] and float(simple[1]) < float(trained[1])
    fitting = read("full", "best_to_serve").set_index("at most").loc[25.6]
    assert (fitting["method"], fitting["backbone"]) == ("bet-plus-bytes", "ials")
    kept = gowalla_bytes().set_index(["budget", "method"])
    bits, floats = kept.loc[("25.6 B/entity", "uniform-int2")], kept.loc["95%"]
    best = floats["ndcg@20"].idxmax()
    assert best == "bet-simple" and floats.loc[best, "seeds"] == 1
    pairs, _, behind_best, *_ = counts("best on validation")
    assert behind_best == pairs
    behind_rule = counts("tuned rule")[2]
    against_best, against_rule = (together(kind) for kind in ("best on validation", "tuned rule"))
    (ours, theirs), (bet, paper) = (beside(dataset) for dataset in (yelp, "gowalla"))
    return [
        f"a Recall@20 of {rule[0]} in {rule[1]} bytes per entity",
        f"the full LightGCN has {full[0]} in {full[1]}.",
        f"the filter has {blend[0]} in {blend[1]}.",
        f"On Yelp2018 it is {elsewhere[0][0]} against {elsewhere[1][0]}.",
        f"keep {fitting['of full']:.0%} of the full LightGCN's NDCG@20 in "
        f"{fitting['bytes to serve per entity']:.1f}.",
        f"Trained at 2 bits per number they keep {bits['of full']:.0%} of the full table's NDCG@20 "
        f"in {bits['table bytes per entity']:.1f} bytes per entity, interactions not counted.",
        f"Of the {len(floats)} float32 tables that ran at that size, "
        f"{floats.loc[best, 'table bytes per entity']:.1f} bytes, the best keeps "
        f"{floats.loc[best, 'of full']:.0%} (`bet-simple`), a power law of frequency "
        f"{floats.loc['powerlaw', 'of full']:.0%} and BET {floats.loc['bet', 'of full']:.0%}.",
        f"below its best competitor's in all {pairs} pairs of backbone and budget "
        f"(mean {' '.join(against_best)}) and below the tuned power law's in {behind_rule} "
        f"({' '.join(against_rule)}).",
        f"BET has a Recall@20 of {ours} at 80, 90 and 95 % sparsity; the paper reports {theirs}.",
        f"On Gowalla: {bet}; {paper}.",
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
