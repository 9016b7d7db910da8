"""The full table without a budget: the ceiling that the paper leaves out."""

from bet.search import MethodResult, SearchContext, StageSeconds, load_or_pretrain


def full(context: SearchContext) -> MethodResult:
    """The pre-trained backbone itself: d_max columns for everybody, trained to convergence."""
    trained = load_or_pretrain(context)
    return MethodResult(trained, context, StageSeconds(pretrain=trained.result.seconds))
