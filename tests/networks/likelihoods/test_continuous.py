import numpy as np
import pytest
import torch
from scipy.integrate import quad
from scipy.stats import norm

from duogen.errors import UserError
from duogen.networks.likelihoods.gaussian import Gaussian

IMAGE = (1, 50, 60)


def test_noise_is_uniform_within_half_a_level():
    torch.manual_seed(0)
    noise = Gaussian(IMAGE, 17, True, 0.1).prepared(torch.zeros(2, *IMAGE)) / (2 / 16)
    assert noise.abs().max() <= 0.5
    assert noise.min() < -0.49
    assert noise.max() > 0.49
    counts = torch.histc(noise, 10, -0.5, 0.5)
    np.testing.assert_allclose(counts, 600, atol=5 * 600**0.5)


def test_noise_is_new_at_each_use_and_left_out_on_request():
    zeros = torch.zeros(2, *IMAGE)
    noisy = Gaussian(IMAGE, 256, True, 0.1)
    assert not torch.equal(noisy.prepared(zeros), noisy.prepared(zeros))
    assert torch.equal(Gaussian(IMAGE, 256, False, 0.1).prepared(zeros), zeros)


@pytest.mark.parametrize("sigma", [0.05, 0.2, 1.0])
def test_the_noisy_density_and_its_level_bound_the_probability_of_a_level(sigma):
    made = Gaussian((1, 1, 1), 17, True, sigma)
    assert made.level is not None
    mean, value, width = 0.31, 0.25, made.level
    exact = norm.cdf(value + width / 2, mean, sigma) - norm.cdf(value - width / 2, mean, sigma)
    bound = quad(lambda u: norm.logpdf(value + width * u, mean, sigma), -0.5, 0.5)[0] + np.log(width)
    assert bound <= np.log(exact)
    noisy = made.prepared(torch.full((40000, 1, 1, 1), value, dtype=torch.float64))
    drawn = made(torch.full((1, 1, 1), mean, dtype=torch.float64)).log_prob(noisy) + np.log(width)
    assert float(drawn.mean()) == pytest.approx(bound, abs=4 * float(drawn.std()) / 200)


def test_images_are_shown_in_their_range_and_vectors_as_they_are():
    mean = torch.tensor([-3.0, 0.5, 4.0])
    image, vector = Gaussian((1, 1, 3), 256, True, 0.1), Gaussian((3,), 256, True, 0.1)
    assert image.shown(image(mean.view(1, 1, 3))).flatten().tolist() == [-1, 0.5, 1]
    assert torch.equal(vector.shown(vector(mean)), mean)


def test_refuses_one_level_by_name():
    with pytest.raises(UserError, match="Gaussian: levels=1"):
        Gaussian(IMAGE, 1, True, 0.1)
