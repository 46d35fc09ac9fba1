import re

import numpy as np
import pytest
import scipy.linalg
import torch

from duogen.errors import UserError
from duogen.metrics import frechet
from duogen.metrics.frechet import Frechet, factor, frechet_distance, mean_and_factor, moments
from duogen.records import Examples
from metrics.fakes import Fake, computed


def normal(*shape, seed=0, scale=1.0, shift=0.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64) * scale + shift


def measured(generated, real) -> float:
    """The distance on all values as features; the fake extractor doubles them."""
    values = computed(Frechet(Fake(generated.flatten(1).shape[1])), generated / 2, real / 2)
    return values["frechet_fake"]


def reference(generated, real) -> float:
    x, y = (values.double().flatten(1).numpy() for values in (generated, real))
    cov1, cov2 = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    root = scipy.linalg.sqrtm(cov1 @ cov2).real
    return float(((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(cov1 + cov2 - 2 * root))


@pytest.mark.parametrize("shape", [(5,), (1, 2, 3), (3, 2, 2)])
def test_equals_scipy_on_random_examples(shape):
    mix = normal(*shape, seed=3)
    generated, real = (
        (normal(40, *shape, seed=1) * mix).float(),
        normal(31, *shape, seed=2, scale=0.7, shift=0.3).float(),
    )
    assert measured(generated, real) == pytest.approx(reference(generated, real), rel=1e-9)


def test_equals_the_closed_form_of_commuting_covariances():
    """d^2 = |m1 - m2|^2 + sum_i (sqrt(a_i) - sqrt(b_i))^2 in any common basis."""
    basis = torch.linalg.qr(normal(4, 4))[0]
    first, second = torch.tensor([[4.0, 9.0, 1.0, 0.0], [1.0, 25.0, 0.0, 0.0]]).double()
    mean1, mean2 = torch.tensor([[1.0, 2.0, 3.0, 4.0], [1.0, 0.0, 3.0, 7.0]]).double()
    distance = frechet_distance(mean1, basis * first @ basis.T, mean2, basis * second.sqrt())
    assert distance.item() == pytest.approx(4 + 9 + 1 + 4 + 1, abs=1e-6)


def test_equals_the_hand_made_value_of_two_pairs():
    """In one dimension {0, 2} has mean 1 and variance 2, {4, 12} mean 8 and variance 32: 49 + (sqrt 32 - sqrt 2)^2."""
    assert measured(torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0], [12.0]])) == pytest.approx(49 + 18)


def test_is_symmetric():
    generated, real = normal(20, 6, seed=1), normal(15, 6, seed=2, scale=2.0)
    assert measured(generated, real) == pytest.approx(measured(real, generated), rel=1e-9)


@pytest.mark.parametrize("count", [3, 50])
def test_is_zero_between_equal_sets(count):
    values = normal(count, 7)
    assert measured(values, values.flip(0)) == pytest.approx(0, abs=1e-6)


def test_covariances_of_orthogonal_support_have_no_overlap():
    """Fewer examples than dimensions: with S1 S2 = 0, d^2 = |m1 - m2|^2 + tr S1 + tr S2."""
    generated, real = torch.zeros(3, 8), torch.zeros(3, 8)
    generated[:, 1], real[:, 5] = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([0.0, 0.0, 6.0])
    assert measured(generated, real) == pytest.approx((4 + 4) + 1 + 12, abs=1e-6)


def test_fewer_examples_than_dimensions():
    generated, real = normal(4, 9, seed=1), normal(5, 9, seed=2, shift=1.0)
    x, y = generated.numpy(), real.numpy()
    overlap = np.linalg.svd((x - x.mean(0)) @ (y - y.mean(0)).T / np.sqrt(3 * 4), compute_uv=False).sum()
    spread = x.var(axis=0, ddof=1).sum() + y.var(axis=0, ddof=1).sum()
    expected = ((x.mean(0) - y.mean(0)) ** 2).sum() + spread - 2 * overlap
    assert measured(generated, real) == pytest.approx(expected, rel=1e-6)


def test_single_precision_examples_far_from_zero_keep_their_moments():
    generated, real = (normal(60, 4, seed=seed, shift=1000.0).float() for seed in (1, 2))
    assert measured(generated, real) == pytest.approx(reference(generated, real), rel=1e-5)


def test_does_not_depend_on_order_or_batches():
    generated, real = normal(24, 2, 3, seed=1).float(), normal(18, 2, 3, seed=2).float()
    metric = Frechet(Fake(6))
    for part, others in zip(generated.flip(0).split(7), real.flip(0).split(5), strict=True):
        metric.update(Examples(part / 2), Examples(others / 2))
    assert metric.compute()["frechet_fake"].item() == pytest.approx(measured(generated, real), rel=1e-10)


@pytest.mark.parametrize("block", [3, 7, 50])
def test_moments_are_those_of_numpy_whatever_the_block(block, monkeypatch):
    monkeypatch.setattr(frechet, "BLOCK", block)
    features = normal(29, 4, shift=100.0)
    found = moments(features.float())
    np.testing.assert_allclose(found["mean"], features.float().double().mean(0), rtol=1e-12)
    np.testing.assert_allclose(found["covariance"], np.cov(features.float().double().numpy(), rowvar=False), rtol=1e-9)


@pytest.mark.parametrize("count", [3, 6, 7, 40])
def test_a_factor_is_a_root_of_the_covariance(count):
    """Fewer examples than dimensions, as many, one more, many."""
    features = normal(count, 6)
    root = mean_and_factor(features)["factor"].numpy()
    np.testing.assert_allclose(root @ root.T, np.cov(features.numpy(), rowvar=False), atol=1e-12)


def test_a_singular_covariance_has_a_factor_too():
    features = normal(40, 6)
    features[:, 2], features[:, 4] = 1.0, features[:, 1]
    covariance = moments(features)["covariance"]
    root = factor(covariance)
    np.testing.assert_allclose(root @ root.T, covariance, atol=1e-12)


def test_growing_corruption_makes_it_grow():
    real, noise = normal(200, 5, seed=1), normal(200, 5, seed=2)
    distances = [measured(normal(200, 5, seed=3) + strength * (noise + 1), real) for strength in (0, 0.3, 0.6, 1.2)]
    assert distances == sorted(distances)
    assert distances[-1] > 10 * distances[0]


def test_real_examples_fall_with_their_number():
    sizes = [20, 80, 320]
    floors = [measured(normal(size, 8, seed=size), normal(size, 8, seed=size + 1)) for size in sizes]
    assert floors == sorted(floors, reverse=True)


@pytest.mark.parametrize(
    ("name", "title"), [("inception", "fid"), ("lenet", "frechet_lenet"), ("pixels", "frechet_pixels")]
)
def test_only_inception_makes_it_fid(name, title):
    metric = Frechet(Fake(2, name=name))
    assert list(metric.facts) == [title]
    assert metric.name == "frechet"


@pytest.mark.parametrize(("count", "few"), [(6, True), (7, False)])
def test_too_few_examples_for_the_dimension_are_remarked_on(count, few):
    metric = Frechet(Fake(6))
    assert metric.remarks() == ()
    computed(metric, normal(count, 6), normal(9, 6))
    found = [re.findall(r"frechet_fake|\d+", remark) for remark in metric.remarks()]
    assert found == [["frechet_fake", "6", str(count), "7"] for _ in range(few)]
    assert metric.protocol()["too_few_examples"] is few
    assert metric.protocol()["least_examples"] == 7


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_broken_generator_measures_nan(bad):
    generated = normal(5, 3)
    generated[2, 1] = bad
    assert np.isnan(measured(generated, normal(5, 3)))


@pytest.mark.parametrize(("generated", "real", "short"), [(1, 9, "n_generated"), (9, 1, "n_real"), (9, 0, "n_real")])
def test_fewer_than_two_examples_are_refused(generated, real, short):
    with pytest.raises(UserError, match=f"{short} >= 2"):
        measured(normal(generated, 3), normal(real, 3))
