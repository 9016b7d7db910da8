"""The fitness of an action: quality after fine-tuning the full model with its mask, over the full model's quality (Eq. 12)."""

from dataclasses import asdict, replace

import numpy as np

from bet.actions import Budget
from bet.backbones import masked_recommender
from bet.files import locked
from bet.search.problem import Problem, Trained, fresh_recommender, train_from_scratch
from bet.training import TrainResult, load_state, save_state, train


def unbudgeted(problem: Problem) -> Problem:
    """The same problem with room for the full table."""
    budget = problem.budget
    full = Budget(budget.n * budget.d_max, budget.n, budget.d_max, budget.d_min, budget.copies)
    return replace(problem, budget=full)


def pretrained(problem: Problem) -> Trained:
    """The backbone with its full table, trained to convergence once per data set, settings and seed, and cached.

    Cells that start together wait for the first one to train it; a damaged or foreign cache file is rebuilt.
    """
    full = unbudgeted(problem)
    sizes = np.full(full.budget.n, full.budget.d_max, dtype=np.int16)
    path = problem.cache / "backbones" / f"{problem.backbone}-{problem.key}.pt"
    with locked(path):
        saved = load_state(path, problem.key)
        if saved is None:
            trained = train_from_scratch(replace(full, work=path.parent), sizes, f"pretrain-{problem.key}")
            save_state(path, problem.key, {"model": trained.model.state_dict(), "result": asdict(trained.result)})
            return trained
    model = fresh_recommender(full, sizes)
    model.load_state_dict(saved["model"])
    return Trained(model, TrainResult(**saved["result"]))


def finetuned_quality(problem: Problem, full: Trained, sizes: np.ndarray) -> float:
    """Validation quality after ``finetune_epochs`` from the full model with the mask of ``sizes`` (n,) by entity id."""
    problem.budget.check(sizes)
    model = masked_recommender(full.model, sizes)
    train(model, problem.sampler, problem.finetuning, problem.seed, epochs=problem.search.finetune_epochs)
    return problem.quality(model)
