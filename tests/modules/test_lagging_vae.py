"""The encoder's pursuit of its decoder: when it stops within a step, when for good, and that both survive a resume."""

import json
import math
import random
import shutil

import pytest
import torch

from contracts.cases import ALLOW, Case, run
from duogen.compose import compose
from duogen.errors import UserError
from duogen.experiment import assemble, trial
from duogen.experiment.checkpoint import load
from duogen.experiment.folder import RunFolder
from duogen.experiment.trial import Plan
from duogen.modules.lagging_vae import LaggingVAE, Pursuit
from duogen.modules.turns import Simultaneous, Turns
from duogen.objectives.variational.dreg import Dreg

SMALL = (
    "model=lagging_vae", "data=digits", "data.batch_size=16", "data.evaluation_size=40", "latent_dim=3",
    "encoder.width=6", "decoder.width=6", "trainer=cpu", "logger=none", "optimizer.lr=1e-2", "model.window=3",
    "model.most=14",
)  # fmt: skip


def plain(losses, window, most):
    """How many steps the encoder takes on a batch, from its losses in order: algorithm 1 as one loop."""
    previous = math.inf
    for step in range(1, most + 1):
        if step % window == 0:
            current = sum(losses[step - window : step]) / window
            if current > previous:
                return step
            previous = current
    return most


def pursued(pursuit, losses):
    pursuit.begin()
    for acts, loss in enumerate(losses, 1):
        pursuit.add(torch.tensor(5 * loss), 5)
        if acts % pursuit.window == 0:
            pursuit.judge(pursuit.seen.clone())
        if not pursuit.goes_on(acts):
            return acts
    raise AssertionError


def phase(values, patience):
    """After how many validations the phase is over, or None."""
    best, misses = 0.0, 0
    for number, value in enumerate(values, 1):
        if value < best:
            misses += 1
            if misses == patience:
                return number
        else:
            best = value
    return None


@pytest.mark.parametrize(("window", "most"), [(1, 5), (3, 14), (4, 4), (5, 3), (10, 99)])
def test_a_pursuit_ends_where_the_loop_does(window, most):
    chance, ends, pursuit = random.Random(window), set(), Pursuit(window, most, 1)
    for _ in range(60):
        slope = chance.choice([-0.3, -0.01, 0.0, 0.02])
        losses = [100 + slope * step + chance.gauss(0, 1) for step in range(most)]
        expected = plain(losses, window, most)
        assert pursued(pursuit, losses) == expected
        ends.add(expected)
    assert max(ends) == most
    assert len(ends) > 1 or most <= 2 * window


def test_a_mean_that_stays_equal_goes_on():
    assert pursued(Pursuit(2, 9, 1), [1.0] * 9) == 9
    assert pursued(Pursuit(2, 9, 1), [1.0, 1.0, 1.5, 1.0, *[0.0] * 5]) == 4


def test_an_encoder_that_lags_no_more_takes_one_step():
    pursuit = Pursuit(3, 9, 1)
    pursuit.aggressive.fill_(False)
    assert pursued(pursuit, [1.0] * 9) == 1


@pytest.mark.parametrize("patience", [1, 2, 5])
def test_the_phase_ends_when_the_information_was_below_its_best_too_often(patience):
    chance, ends = random.Random(patience), set()
    for _ in range(40):
        values = [math.log1p(step) + chance.gauss(0, 0.3) for step in range(12)]
        pursuit, over = Pursuit(3, 9, patience), None
        for number, value in enumerate(values, 1):
            pursuit.hear(value)
            if over is None and not pursuit.aggressive:
                over = number
        assert over == phase(values, patience)
        assert bool(pursuit.aggressive) == (over is None)
        ends.add(over)
    assert len(ends) > 2


@pytest.mark.parametrize("wrong", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_numbers_below_one_are_refused(wrong):
    with pytest.raises(UserError, match=f"window={wrong[0]}, most={wrong[1]}, patience={wrong[2]}"):
        Pursuit(*wrong)


def config(*more):
    return Case("lagging_vae", SMALL).config(*more)


class Acts:
    """What every act of a run saw: step, player, the batch's values, and the weighted mean loss."""

    def __init__(self, monkeypatch):
        self.seen = []
        act, loss_of = Turns.act, LaggingVAE.evidence_of

        def watched(turns, module, name, batch):
            loss = act(turns, module, name, batch)
            total = float(loss.weighted(loss.sums()).detach()) / loss.count
            self.seen.append((module.step, name, self.values, batch.values, total))
            return loss

        def kept(module, batch):
            self.values = batch.values
            return loss_of(module, batch)

        monkeypatch.setattr(Turns, "act", watched)
        monkeypatch.setattr(LaggingVAE, "evidence_of", kept)


def test_in_a_run_the_encoder_stops_where_the_loop_would_on_the_same_losses(tmp_path, monkeypatch):
    acts = Acts(monkeypatch)
    record = run(config("budget.steps=8", "validate_every=100"), tmp_path / "run").record()
    counts = []
    for step in range(8):
        encoder = [one for one in acts.seen if one[:2] == (step, "encoder")]
        (decoder,) = [one for one in acts.seen if one[:2] == (step, "decoder")]
        counts.append(len(encoder))
        losses = [one[4] for one in encoder]
        assert plain(losses + [0.0] * 14, 3, 14) == len(losses)
        assert torch.equal(encoder[0][2], encoder[0][3])
        assert not any(torch.equal(one[2], one[3]) for one in encoder[1:])
        assert torch.equal(decoder[2], decoder[3])
    extras = [one[2] for one in acts.seen if not torch.equal(one[2], one[3])]
    assert len({values.numpy().tobytes() for values in extras}) == len(extras)
    assert max(counts) > 3
    assert record.updates == {"encoder": sum(counts), "decoder": 8}


def test_after_the_phase_both_sides_step_at_once_and_once(tmp_path, monkeypatch):
    rows, played, play = tmp_path / "run" / "metrics.jsonl", [], Simultaneous.play

    def watched(turns, module, batch):
        played.append(module.step)
        return play(turns, module, batch)

    monkeypatch.setattr(Simultaneous, "play", watched)
    values = iter([0.5, 0.4, 0.6, 0.3, 0.9, 0.9])

    def told(module):
        module.pursuit.hear(next(values))

    monkeypatch.setattr(LaggingVAE, "on_validation_epoch_end", told)
    run(config("budget.steps=12", "validate_every=2", "log_every=2", "model.patience=2"), tmp_path / "run")
    assert played == [8, 9, 10, 11]
    kept = {row["step"]: row for row in map(json.loads, rows.read_text().splitlines())}
    assert [kept[step]["train/encoder/aggressive"] for step in (6, 8, 10, 12)] == [1, 1, 0, 0]
    updates = [kept[step]["updates/encoder"] for step in (8, 10, 12)]
    assert updates[0] > 8
    assert [updates[1] - updates[0], updates[2] - updates[1]] == [2, 2]
    assert kept[12]["updates/decoder"] == 12


def state(folder):
    """All that a checkpoint holds of a run, as text that is equal when every bit is."""
    content = {name: value for name, value in load(folder.last).items() if name != "rows"}

    def plain_of(value):
        if isinstance(value, torch.Tensor):
            return str(value.dtype), tuple(value.shape), value.contiguous().numpy().tobytes()
        if isinstance(value, dict):
            return {str(key): plain_of(one) for key, one in value.items()}
        return [plain_of(one) for one in value] if isinstance(value, list | tuple) else value

    return plain_of(content)


def written(folder):
    return [{k: v for k, v in json.loads(line).items() if k != "time"} for line in folder.rows.read_text().splitlines()]


def test_it_resumes_bit_for_bit_within_the_phase_at_its_end_and_after(tmp_path, monkeypatch):
    """The information rises until step 10 and falls at step 15, where the phase ends."""
    validated = LaggingVAE.on_validation_epoch_end

    def falling(pursuit, information):
        hear(pursuit, {5: 0.5, 10: 0.75}.get(pursuit.step, 0.25))

    def risen(module):
        module.pursuit.step = module.steps
        validated(module)

    hear = Pursuit.hear
    monkeypatch.setattr(Pursuit, "hear", falling)
    monkeypatch.setattr(LaggingVAE, "on_validation_epoch_end", risen)
    settings = ("budget.steps=20", "checkpoint_every=1", "keep=20", "log_every=4", "validate_every=5")
    node = config(*settings, "model.patience=1")
    whole = run(node, tmp_path / "whole")
    updates = {row["step"]: row["updates/encoder"] for row in written(whole)}
    assert updates[15] > 15 + 14
    assert updates[20] == updates[15] + 5
    for step in (1, 7, 10, 14, 15, 17):
        shutil.copytree(whole.path, tmp_path / str(step), ignore=shutil.ignore_patterns("step-*", "last.ckpt", "lock"))
        folder = RunFolder(tmp_path / str(step))
        shutil.copy(whole.checkpoints / f"step-{step}.ckpt", folder.last)
        assert trial.run(Plan(node, folder.path, allow=ALLOW)) == 0
        assert state(folder) == state(whole), step
        assert written(folder) == written(whole)


def test_metrics_that_do_not_tell_are_refused_before_training():
    node = compose(list(SMALL)).config
    assert list(node["metrics"]) == ["mutual_information", "frechet"]
    without = node | {"metrics": {"frechet": node["metrics"]["frechet"]}}
    module = assemble.module(without, ALLOW)
    with pytest.raises(UserError, match=r"metrics=\[frechet\]: nothing says when"):
        assemble.teach(module, without, ALLOW)
    assemble.teach(assemble.module(node, ALLOW), node, ALLOW)


def test_an_encoders_loss_that_means_nothing_is_refused():
    autoencoder = assemble.module(compose(list(SMALL)).config, ALLOW).autoencoder
    generation = autoencoder.generation
    sides = (autoencoder.posterior, generation.prior, generation.decoder, generation.likelihood)
    with pytest.raises(UserError, match="Dreg"):
        LaggingVAE(*sides, Dreg(2), 3, None, 3, 14, 1)


def test_its_turns_are_refused_for_a_model_that_does_not_lag(tmp_path):
    small = [setting for setting in SMALL if not setting.startswith("model")]
    other = Case("split_vae", ("model=split_vae", *small)).config("budget.steps=2", "turns=lagging")
    other["turns"]["_target_"] = "duogen.modules.lagging_vae.Lagging"
    with pytest.raises(UserError, match="turns=lagging with SplitVAE"):
        run(other, tmp_path / "run")
