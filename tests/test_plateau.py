"""Training until validation stops improving: the rate falls, training ends, a refit repeats it."""

from dataclasses import asdict

import pytest
import torch
from test_training import fresh

from bet.adam import Adam
from bet.training import BprSampler, TrainResult, TrainSettings, loop, train

PLATEAU = TrainSettings(
    256,
    0.08,
    "plateau",
    decay=0.5,
    floor=0.02,
    max_epochs=50,
    evaluate_every=2,
    patience=2,
    init_std=0.1,
)


def test_a_plateau_lowers_the_rate_then_ends_and_a_refit_repeats_it(split, tmp_path, monkeypatch):
    monkeypatch.setattr(loop, "CHECKPOINT_SECONDS", 0.0)
    #  the second of each pair of looks without improvement lets the rate fall: .08, .04, .02, end
    script = [0.1, 0.3, 0.2, 0.2, 0.25, 0.4, 0.1, 0.2, 0.3, 0.35]
    sampler, rates, path = BprSampler(split.train), [], tmp_path / "checkpoint.pt"
    step = Adam.step

    def noted(optimizer, *arguments):
        rates.append(optimizer.param_groups[0]["lr"])
        return step(optimizer, *arguments)

    monkeypatch.setattr(Adam, "step", noted)

    def run(model, looks, dies_at=None):
        def validate(_):
            if len(looks) == dies_at:
                raise KeyboardInterrupt
            looks.append(model.snapshot())
            return script[len(looks) - 1]

        return train(model, sampler, PLATEAU, seed=0, validate=validate, checkpoint=path)

    whole, seen = fresh(split), []
    result = run(whole, seen)
    assert (result.epoch, result.quality, len(seen)) == (12, 0.4, 10)
    assert result.falls == (8, 16)
    steps = -(-sampler.n_interactions // PLATEAU.batch_size)
    assert rates[::steps] == [0.08] * 8 + [0.04] * 8 + [0.02] * 4
    for dies_at in (4, 7, 9):  # beside a fall, and later
        looks, again = [], fresh(split)
        with pytest.raises(KeyboardInterrupt):
            run(again, looks, dies_at)
        resumed = fresh(split)
        continued = run(resumed, looks)
        assert (continued.epoch, continued.falls) == (result.epoch, result.falls)
        assert torch.equal(resumed.table.weight, whole.table.weight)
    refitted = fresh(split)
    train(refitted, sampler, PLATEAU, seed=0, epochs=result.epoch, falls=result.falls)
    assert torch.equal(refitted.table.weight, whole.table.weight)
    without = fresh(split)
    train(without, sampler, PLATEAU, seed=0, epochs=result.epoch)
    assert not torch.equal(without.table.weight, whole.table.weight)


def test_a_saved_result_is_read_back():
    result = TrainResult(3, 0.5, 1.0, falls=(1, 2))
    assert TrainResult.from_saved(asdict(result)) == result
