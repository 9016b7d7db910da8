"""The full table without a budget: the ceiling that the paper leaves out."""

from scipy.sparse import csr_array

from bet.search import MethodResult, Refitted, SearchContext, StageSeconds, load_or_pretrain


def full(context: SearchContext) -> MethodResult:
    """The pre-trained backbone itself: d_max columns for everybody, trained to convergence."""
    trained = load_or_pretrain(context)

    def fit_again(interactions: csr_array, what: str) -> Refitted:
        return Refitted(load_or_pretrain(context.fitted_to(interactions)).model)

    seconds = StageSeconds(pretrain=trained.result.seconds)
    return MethodResult(trained, context, seconds, refit=fit_again)
