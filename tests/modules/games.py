"""A game of two numbers, x and y, whose every step can be followed by hand; and a small GAN."""

import shutil
from collections.abc import Mapping
from itertools import cycle

import torch
from torch import nn

from contracts.cases import MLP, SMALL, Case, run
from duogen.experiment.checkpoint import load
from duogen.experiment.folder import RunFolder
from duogen.modules.alternating import AlternatingModule, Learner
from duogen.records import Examples, Loss


class Number(nn.Module):
    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value, dtype=torch.float64))

    def forward(self, count):
        return self.value.expand(count)


class Game(AlternatingModule):
    """x minimises mean b x y, y minimises mean decay y^2 / 2 - b x y, over the batch's numbers b (N, 1).

    The objectives `x_penalty` and `y_penalty`, 3 x^2 and 3 y^2, may be lazy. What y sees of x is cut off by no_grad, as
    a discriminator's objective does it.
    """

    def __init__(self, x=1.0, y=2.0, decay=0.0):
        super().__init__()
        self.x, self.y, self.decay, self.seen = Number(x), Number(y), decay, []

    @property
    def players(self):
        return {"x": self.x, "y": self.y}

    @property
    def objectives(self):
        return {
            "x": lambda batch: self.loss(self.x(batch.count) * self.y(batch.count) * batch.values[:, 0]),
            "y": self.answer,
            "x_penalty": lambda batch: self.loss(3 * self.x(batch.count) ** 2),
            "y_penalty": lambda batch: self.loss(3 * self.y(batch.count) ** 2),
        }

    @property
    def lazy_objectives(self):
        return ("x_penalty", "y_penalty")

    def answer(self, batch):
        with torch.no_grad():
            x = self.x(batch.count) * 1.0
        y = self.y(batch.count)
        return self.loss(self.decay * y**2 / 2 - x * y * batch.values[:, 0])

    def loss(self, term):
        return Loss({"loss": term}, len(term))

    def after_turn(self, turn, loss):
        self.seen.append((turn.player, float(self.x.value.detach()), float(self.y.value.detach())))


def batch(*numbers):
    return Examples(torch.tensor(numbers, dtype=torch.float64)[:, None])


ONES = (batch(1.0),)


def taught(game, turns, optimizer, average=None, extra=ONES):
    """The game with an optimizer of the same kind for both players, ready to be played without a trainer."""
    game.learn(turns, {player: Learner(optimizer, average=average) for player in game.players}, None)
    game.configure_optimizers()
    game._extra = cycle(extra)
    return game


def play(game, steps, batches=ONES):
    """The values (x, y) after each step."""
    path = []
    for step in range(steps):
        game.step = step
        game.turns.play(game, batches[step % len(batches)])
        path.append((float(game.x.value.detach()), float(game.y.value.detach())))
    return path


def gan(*overrides):
    """The config of a small GAN on the ring."""
    return Case("gan", (*SMALL, "model=gan", *MLP, "latent_dim=3")).config(*overrides)


def assert_resumes(folder, steps, *overrides):
    """A run of `steps` steps, stopped after each third of them and continued, ends as one that was not, bit for bit."""
    settings = ("log_every=1", "validate_every=100", "checkpoint_every=1", f"keep={steps}", *overrides)
    config = gan(f"budget.steps={steps}", *settings)
    whole = run(config, folder / "whole")
    expected = load(whole.last)
    for step in (steps // 3, 2 * steps // 3):
        other = RunFolder(folder / f"from-{step}")
        ignored = shutil.ignore_patterns("samples", "step-*", "last.ckpt", "lock")
        shutil.copytree(whole.path, other.path, ignore=ignored)
        shutil.copy(whole.checkpoints / f"step-{step}.ckpt", other.last)
        continued = load(run(config, other.path).last)
        continued["rows"] = expected["rows"]
        assert_equal(expected, continued)


def assert_equal(a, b, place=""):
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), place
    elif isinstance(a, Mapping | list | tuple):
        items = a.items() if isinstance(a, Mapping) else enumerate(a)
        assert len(a) == len(b), place
        for key, value in items:
            assert_equal(value, b[key], f"{place}.{key}")
    else:
        assert a == b, place
