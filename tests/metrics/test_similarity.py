import numpy as np
import pytest
import torch

from duogen.errors import UserError
from duogen.metrics.similarity import EXPONENTS, MultiScaleSimilarity, gaussian, ms_ssim, pairs_of
from duogen.records import Examples
from metrics.fakes import computed, labelled, normal, part


def images(count, seed, shape=(2, 12, 13)):
    return normal(count, *shape, seed=seed).sigmoid()


def windows(image, size):
    h, w = image.shape
    return [image[i : i + size, j : j + size] for i in range(h - size + 1) for j in range(w - size + 1)]


def reference(x, y, scales, size):
    """Wang et al. 2003 in loops over windows, for one pair of images (C, H, W)."""
    axis = np.exp(-((np.arange(size) - (size - 1) / 2) ** 2) / (2 * 1.5**2))
    weight = np.outer(axis, axis) / axis.sum() ** 2
    exponents, product = np.array(EXPONENTS[:scales]) / sum(EXPONENTS[:scales]), 1.0
    for scale in range(scales):
        wholes, contrasts = [], []
        for a, b in zip(x, y, strict=True):
            for u, v in zip(windows(a, size), windows(b, size), strict=True):
                mu, mv = (weight * u).sum(), (weight * v).sum()
                su, sv, suv = (
                    (weight * (u - mu) ** 2).sum(),
                    (weight * (v - mv) ** 2).sum(),
                    (weight * (u - mu) * (v - mv)).sum(),
                )
                contrasts.append((2 * suv + 0.0009) / (su + sv + 0.0009))
                wholes.append(contrasts[-1] * (2 * mu * mv + 0.0001) / (mu**2 + mv**2 + 0.0001))
        product *= max(np.mean(wholes if scale == scales - 1 else contrasts), 0) ** exponents[scale]
        x, y = (v[:, : v.shape[1] // 2 * 2, : v.shape[2] // 2 * 2] for v in (x, y))
        x, y = (v.reshape(len(v), v.shape[1] // 2, 2, v.shape[2] // 2, 2).mean((2, 4)) for v in (x, y))
    return product


@pytest.mark.parametrize(("scales", "window"), [(1, 5), (2, 5), (2, 3), (3, 3)])
def test_equals_loops_over_windows(scales, window):
    x = images(4, 1)
    y = (x + 0.2 * images(4, 2)) / 1.2
    expected = [reference(a.double().numpy(), b.double().numpy(), scales, window) for a, b in zip(x, y, strict=True)]
    np.testing.assert_allclose(ms_ssim(x, y, scales, window), expected, rtol=1e-6)


def test_an_image_is_wholly_similar_to_itself_and_less_so_to_others():
    x = images(5, 1)
    np.testing.assert_allclose(ms_ssim(x, x, 2, 5), 1)
    noisy = [ms_ssim(x, x + strength * images(5, 2), 2, 5).mean().item() for strength in (0.1, 0.3, 0.9)]
    assert noisy == sorted(noisy, reverse=True)
    assert noisy[0] < 1


def test_a_negative_is_not_similar_and_no_nan():
    x = images(5, 1)
    assert ms_ssim(x, 1 - x, 2, 5).tolist() == [0] * 5


def test_the_window_is_a_gaussian():
    assert gaussian(7).sum().item() == pytest.approx(1)
    assert (gaussian(7)[3] / gaussian(7)[0]).item() == pytest.approx(np.exp(9 / 4.5))


def test_pairs_stay_within_their_class_and_never_repeat_an_image():
    labels = torch.tensor([0, 1, 2, 0, 1, 0, 3, 3])
    pairs = pairs_of(labels, 30, seed=0)
    assert pairs.shape == (30, 2)
    assert (pairs[:, 0] != pairs[:, 1]).all()
    assert torch.equal(labels[pairs[:, 0]], labels[pairs[:, 1]])
    assert torch.bincount(labels[pairs[:, 0]], minlength=4).tolist() == [10, 10, 0, 10]


def test_every_other_image_can_be_the_partner():
    pairs = pairs_of(torch.zeros(4), 400, seed=0)
    assert len(pairs.unique(dim=0)) == 12


def measured(generated, **settings):
    given = {"scales": None, "window": 3, "pairs": 40, "seed": 0} | settings
    metric = MultiScaleSimilarity((2, 12, 13), **given)
    return computed(metric, generated, generated)["ms_ssim"], metric.protocol()


def test_a_collapsed_generator_is_wholly_similar():
    collapsed = images(1, 1).repeat(6, 1, 1, 1) * 2 - 1
    assert measured(collapsed)[0] == pytest.approx(1)
    assert measured(images(6, 1) * 2 - 1)[0] < 0.5


def test_it_is_the_mean_over_all_pairs_of_two_images():
    x = images(2, 1)
    expected = ms_ssim(x[:1], x[1:], 2, 3).item()
    assert measured(2 * x - 1, scales=2)[0] == pytest.approx(expected, rel=1e-5)


def test_classes_are_compared_within():
    """Two collapsed classes: each is wholly similar within, though the two differ."""
    labels = torch.tensor([0, 1, 0, 1])
    values = images(2, 1)[labels] * 2 - 1
    assert measured(Examples(values, labels))[0] == pytest.approx(1)
    assert measured(Examples(values))[0] < 0.9


def test_it_depends_on_the_content_alone():
    generated = labelled(20, 1, shape=(2, 12, 13))
    metric = MultiScaleSimilarity((2, 12, 13), None, 3, 40, 0)
    for rows in (slice(11, 20), slice(0, 11)):
        metric.update(part(generated, rows), part(generated, slice(0, 0)))
    assert metric.compute()["ms_ssim"].item() == pytest.approx(measured(generated)[0], rel=1e-12)


@pytest.mark.parametrize(
    ("side", "window", "scales"), [(8, 7, 1), (28, 7, 3), (32, 7, 3), (32, 11, 2), (64, 7, 4), (176, 11, 5)]
)
def test_as_many_scales_as_fit(side, window, scales):
    metric = MultiScaleSimilarity((1, side, side), None, window, 10, 0)
    assert metric.protocol()["scales"] == scales
    assert sum(metric.protocol()["exponents"]) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("shape", "settings", "match"),
    [
        ((2,), {}, "images"),
        ((1, 28, 28), {"scales": 4}, "1 to 3 scales"),
        ((1, 28, 28), {"scales": 0}, "1 to 3 scales"),
        ((1, 8, 8), {"window": 9}, "a window of 1 to 8"),
        ((1, 28, 28), {"pairs": 0}, "1 or more pairs"),
    ],
)
def test_what_does_not_fit_is_refused(shape, settings, match):
    with pytest.raises(UserError, match=match):
        MultiScaleSimilarity(shape, **({"scales": None, "window": 7, "pairs": 10, "seed": 0} | settings))


def test_one_image_has_no_pair():
    with pytest.raises(UserError, match="no two of one class"):
        measured(images(1, 1))
