"""Fitting by likelihood keeps what was best on held-out codes, of the generator alone."""

import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.networks.samplers.descent import Descent
from duogen.networks.samplers.sampler import VectorSampler


class Line(VectorSampler):
    """log p(z) = -(z - a)^2, and a record of the codes that were seen in training and in evaluation."""

    def __init__(self, start=0.0):
        super().__init__(1, None)
        self.place = nn.Parameter(torch.tensor(start))
        self.trained, self.looked, self.places = [], [], []

    def fit(self, codes, labels, generator):
        return ""

    def log_prob(self, codes, labels):
        (self.trained if self.training else self.looked).extend(codes[:, 0].tolist())
        if not self.training:
            self.places.append(self.place.item())
        return -(codes[:, 0] - self.place).square()

    def forward(self, noise, labels):
        return noise


def fit(sampler, codes, seed=0, **settings):
    given = {"lr": 0.1, "batch_size": 4, "steps": 6, "look_every": 2, "patience": 9} | settings
    return Descent(**given)(sampler, codes[:, None], None, torch.Generator().manual_seed(seed))


def test_a_tenth_is_held_out_and_never_trained_on():
    line = Line()
    fit(line, torch.arange(30.0), steps=14)
    assert len(set(line.looked)) == 3
    assert len(set(line.trained)) == 27
    assert not set(line.looked) & set(line.trained)


def test_every_epoch_sees_each_code_once():
    line = Line()
    fit(line, torch.arange(30.0), steps=14)  # batches of 4 of 27 codes: 7 a pass
    assert sorted(line.trained[:27]) == sorted(line.trained[27:])
    assert line.trained[:27] != line.trained[27:]


class Drifting(Line):
    """Trains towards -100, whatever the codes are: its first look is its best."""

    def log_prob(self, codes, labels):
        if self.training:
            self.trained.append(len(codes))
            return -(codes[:, 0] * 0 - 100 - self.place).square()
        return super().log_prob(codes, labels)


def test_the_best_state_stays_and_patience_ends_it():
    line = Drifting(5.0)
    said = fit(line, torch.full((20,), 5.0), steps=1000, look_every=1, patience=3)
    assert len(line.trained) == 4
    first = line.places[0]
    assert line.place.item() == pytest.approx(first)
    assert said == f"{(5 - first) ** 2:.4g} nats a held-out code"
    assert not line.training


def test_the_last_step_is_looked_at_too():
    line = Line()
    fit(line, torch.arange(30.0), steps=5, look_every=100)
    assert len(line.looked) == 3


def test_the_generator_alone_decides():
    lines = [Line(), Line(), Line()]
    for line, seed in zip(lines, (1, 1, 2), strict=True):
        fit(line, torch.arange(30.0), seed=seed)
    assert lines[0].trained == lines[1].trained != lines[2].trained


def test_a_likelihood_that_is_never_finite_is_refused():
    with pytest.raises(UserError, match="finite"):
        fit(Line(), torch.full((20,), float("nan")))


@pytest.mark.parametrize("name", ["batch_size", "steps", "look_every", "patience", "lr"])
def test_numbers_below_their_least_are_refused(name):
    with pytest.raises(UserError, match=f"{name}=0"):
        fit(Line(), torch.arange(30.0), **{name: 0})


def test_one_code_is_refused():
    line = Line()
    line.classes = 3  # a few codes of all classes are not those of the first one
    with pytest.raises(UserError, match="1 codes\n"):
        fit(line, torch.ones(1))
