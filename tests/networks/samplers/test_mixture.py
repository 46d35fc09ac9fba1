"""Mixtures set by hand: densities by scipy, components by their shares."""

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from duogen.networks.samplers.mixture import MixtureSampler, Normals

WEIGHTS, MEANS = [0.2, 0.5, 0.3], [[0.0, 0], [10, 0], [0, 10]]
COVARIANCES = [[[1.0, 0.5], [0.5, 2]], [[1, 0], [0, 1]], [[3, -1], [-1, 1]]]


class Given(MixtureSampler):
    def found(self, codes, generator):
        parts = (torch.tensor(part, dtype=torch.float64) for part in (WEIGHTS, MEANS, COVARIANCES))
        return Normals(*parts, "given")


def sampler():
    made = Given(2, None, 3)
    assert made.fit(torch.randn(4, 2), None, torch.Generator()) == "given"
    return made


def test_the_density_is_the_weighted_sum():
    places = torch.tensor([[0.3, 0.1], [9.0, 1], [1, 8], [5, 5]])
    parts = [w * multivariate_normal(m, c).pdf(places) for w, m, c in zip(WEIGHTS, MEANS, COVARIANCES, strict=True)]
    assert sampler().log_prob(places, None).numpy() == pytest.approx(np.log(sum(parts)), abs=1e-6)


def test_the_first_number_chooses_and_the_others_are_moved_by_the_cholesky_factor():
    noise = torch.tensor([[-3.0, 1, 2], [0.0, 1, 2], [0.6, 1, 2]])  # shares 0.001, 0.5, 0.73
    moved = [np.array(m) + np.linalg.cholesky(np.array(c)) @ [1, 2] for m, c in zip(MEANS, COVARIANCES, strict=True)]
    assert sampler()(noise, None).numpy() == pytest.approx(np.array(moved), abs=1e-5)


def test_components_are_drawn_in_their_shares():
    drawn = sampler()(torch.randn(20_000, 3, generator=torch.Generator().manual_seed(0)), None)
    nearest = torch.cdist(drawn, torch.tensor(MEANS)).argmin(1)
    assert (nearest.bincount() / 20_000).tolist() == pytest.approx(WEIGHTS, abs=0.02)
