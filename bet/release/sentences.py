"""What the page and the last lines say about a file that was written."""

from bet import text
from bet.release.choice import WORTH
from bet.release.result import BudgetAlternative, TableRelease
from bet.search.gate import CONFIDENCE, GateDecision


def load_lines(release: TableRelease) -> str:
    """Three lines of Python that recommend from the file, to be pasted as they are."""
    user, exclude_seen = release.example_user, release.example_excludes_seen
    return text.load_lines(release.file, user, release.n_items, exclude_seen=exclude_seen)


def history_sentence(release: TableRelease) -> str:
    """Whether the file says what people have seen."""
    if release.holds_history:
        return (
            "The file holds people's histories: which items every user has seen. Keep it as you "
            "keep your interactions; --no-history writes one without."
        )
    return (
        "The file holds no histories: what users have seen is not left out of their "
        "recommendations, unless you leave it out yourself."
    )


def ids_sentence(release: TableRelease) -> str:
    """Where the ids are."""
    if release.holds_ids:
        return "The file holds your ids."
    return (
        f"Your ids are in {release.file.name}.ids, which is to stay beside the file and is not "
        "counted; --with-ids keeps them in the file, where they count."
    )


def decision_sentence(release: TableRelease) -> str:
    """Why this candidate: what fits, whether histories are in the file, whether it is searched."""
    return " ".join(filter(None, [_fits(release), _histories(release), _searched(release)]))


def _fits(release: TableRelease) -> str:
    if {measured.family for measured in release.measured} != {"popularity"}:
        return ""
    if release.left_out or not release.too_large:  # others fit, and there was no time
        return "Only popularity was trained."
    name, n_bytes = min(release.too_large.items(), key=lambda each: each[1])
    return (
        f"Only popularity fits into {release.limit:,} bytes, which recommends the same to "
        f"everybody; the next, {name}, takes {n_bytes:,}."
    )


def _histories(release: TableRelease) -> str:
    decision, chosen = release.without_histories, release.chosen
    simple = [each for each in release.measured if not each.is_searched]
    bare = [each for each in simple if not each.history]
    if decision is None and not chosen.history:  # there was no choice
        return ""
    if not bare:
        return "No file without histories was trained (--no-history makes one)."
    best = max(bare, key=lambda each: each.quality)
    holding = max(each.quality for each in simple if each.history)
    offered = (
        f"Without histories (--no-history) the best, {best.name.split(',')[0]}, has validation "
        f"quality {best.quality / holding - 1:+.1%} against the best with them."
    )
    rule = (
        f"One without is used only if its quality is higher by more than {WORTH:.0%} and users "
        "that the selection never saw gain from it."
    )
    if decision is None:
        return f"{offered} {rule}"
    used = "without" if decision.accepted else "with"
    numbers = _numbers(decision, "the best without them")
    return f"A file {used} histories is used. {offered} {numbers} {rule}"


def _searched(release: TableRelease) -> str:
    decision = release.decision
    if decision is None:
        return f"No search: {release.unsearched}."
    used = "searched" if decision.accepted else "simple"
    return (
        f"The {used} table is used. {_numbers(decision, 'the searched one')} It is used only if "
        "those users gain from it."
    )


def _numbers(decision: GateDecision, what: str) -> str:
    bound = (
        "too few users for a bound"
        if decision.bound is None
        else f"{CONFIDENCE:.0%} lower bound {decision.bound:+.4f}"
    )
    return (
        f"On {decision.users:,} users that the selection never saw, NDCG@20 of {what} minus that "
        f"of the other is {decision.difference:+.4f} ({bound})."
    )


def expectations(release: TableRelease) -> str:
    """What half and double the bytes would give, from what was trained for them."""
    quality = release.chosen.quality
    half = _expectation("Half", release.half, quality)
    return f"{half} {_expectation('Double', release.double, quality)}"


def _expectation(word: str, alternative: BudgetAlternative, quality: float) -> str:
    best, outcome = alternative.best, alternative.instead
    if best is not None:
        change = f"validation quality {best.quality / quality - 1:+.1%} against the chosen one"
        outcome = f"{best.name}, {best.n_bytes:,} bytes, {change}"
    partial = " (not all of it was trained, for want of time)" if alternative.is_partial else ""
    return f"{word} the bytes ({alternative.limit:,}): {outcome}{partial}."


def refit_sentence(release: TableRelease) -> str:
    """Which numbers of the chosen one are others in the file; empty where none are."""
    if not release.chosen_again:
        return ""
    numbers = ", ".join(f"{name} {value:g}" for name, value in release.chosen_again.items())
    return (
        "The numbers of a rule are chosen again when it is fitted to all interactions, which are "
        f"denser: the file has {numbers}."
    )


def left_out_sentence(release: TableRelease) -> str:
    """What was not trained, or not with all its settings, for want of time, and what does not
    fit.
    """
    sentences = []
    if release.left_out:
        sentences.append(
            f"Not finished in {release.minutes:g} minutes, or not with all settings: "
            f"{'; '.join(release.left_out)}."
        )
    if release.too_large:
        named = [f"{name} ({n_bytes:,})" for name, n_bytes in release.too_large.items()]
        sentences.append(f"Too large, with the bytes of the smallest file: {'; '.join(named)}.")
    return " ".join(sentences)


def time_sentence(release: TableRelease) -> str:
    """How long it took, beside what was given."""
    return f"It took {release.seconds / 60:.1f} of the {release.minutes:g} minutes given."


def reference_sentence(release: TableRelease) -> str:
    """What the file, popularity and an untouched ALS give test users."""
    parts = [
        f"{each.name} {each.test['ndcg@20']:.4f} in {each.n_bytes:,} bytes"
        for each in release.references
    ]
    scores = f"NDCG@20 on test: this file {release.test['ndcg@20']:.4f}; {', '.join(parts)}."
    return f"{scores} {warning_sentence(release)}".rstrip()


def warning_sentence(release: TableRelease) -> str:
    """That test users would get more from popularity; empty where they would not."""
    popularity, ndcg = release.references[0], release.test["ndcg@20"]
    if ndcg >= popularity.test["ndcg@20"]:
        return ""
    return (
        f"This file is worse than popularity on test (NDCG@20 {ndcg:.4f} against "
        f"{popularity.test['ndcg@20']:.4f}): recommend what is popular instead, or give more "
        "interactions."
    )
