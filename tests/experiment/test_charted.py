"""Charts of codes: their heights and places are those of the numbers."""

import math

import pytest
import torch

from duogen.errors import UserError
from duogen.experiment.charted import Codes, Rates, bars, plane
from experiment.columns import Shelf, scene


def test_rates_are_shown_as_bars_the_largest_first():
    """Of codes N(4 m, 0.01^2), m a test example's mean: KL = (16 m^2 + 0.01^2 - 1) / 2 - log 0.01."""
    sheet = Rates(n=2).sheet(scene())
    codes = 4 * Shelf(3).splits["test"].values.mean((1, 2))
    by_hand = (codes.square() + 1e-4 - 1) / 2 - math.log(0.01)
    assert torch.allclose(sheet.extra["rates"], by_hand.double().mean(0), atol=1e-4)
    assert sheet.extra["dimensions"].tolist() == [2, 1, 0]
    assert f"{by_hand.mean(0).sum():.4g} nats of 20 test examples in 3 dimensions, 3 of which" in sheet.sentence
    assert sheet.values.shape == (1, 3, 400, 640)
    assert (sheet.values.min(), sheet.values.max()) == (sheet.values.min().clamp(-1, 0), 1)


def heights(rates):
    """Of each bar of a picture, in pixels."""
    names = [f"z{place}" for place in range(len(rates))]
    picture = bars(torch.tensor(rates, dtype=torch.float64), names)[0]
    blue = ((picture[2] - picture[0]) > 0.8).sum(0)
    edges = torch.cat([torch.zeros(1), (blue > 0).float(), torch.zeros(1)]).diff()
    starts, stops = edges.eq(1).nonzero()[:, 0], edges.eq(-1).nonzero()[:, 0]
    return [int(blue[start:stop].max()) for start, stop in zip(starts, stops, strict=True)]


@pytest.mark.parametrize("rates", [[4.0, 2.0, 1.0], [1e-3, 5e-4], [3.0]])
def test_the_height_of_a_bar_is_its_rate(rates):
    found = heights(rates)
    assert len(found) == len(rates)
    assert found[0] > 200
    assert [height / found[0] for height in found] == pytest.approx([rate / rates[0] for rate in rates], abs=0.02)


def test_many_bars_have_no_names_and_those_of_0_no_height():
    assert len(heights([2.0] * 70)) == 70
    assert heights([0.0, 0.0]) == []


@pytest.mark.parametrize("n", [0, 1001])
def test_a_number_of_bars_out_of_range_is_refused(n):
    with pytest.raises(UserError, match=f"n={n}"):
        Rates(n=n)


def test_codes_are_shown_in_the_two_dimensions_that_spread_most():
    sheet = Codes(n=12).sheet(scene())
    codes = 4 * Shelf(3).splits["test"].values.mean((1, 2))
    assert sheet.extra["dimensions"].tolist() == [1, 2]
    assert sheet.extra["codes"].shape == (12, 3)
    assert {tuple(code) for code in sheet.extra["codes"].tolist()} <= {tuple(code) for code in codes.tolist()}
    assert sheet.values.shape == (1, 3, 540, 600)
    assert sheet.sentence.startswith("12 test examples")
    assert Codes().sheet(scene()).extra["codes"].shape == (20, 3)


def colours(labels, count=40):
    """How many colours, beside greys, a map of so many examples has."""
    places = torch.randn(count, 2, generator=torch.Generator().manual_seed(0))
    pixels = plane(places, labels, ["z0", "z1"])[0].permute(1, 2, 0).flatten(0, 1)
    vivid = pixels[(pixels.max(1).values - pixels.min(1).values) > 1.1]
    return len((vivid * 4).round().unique(dim=0))


def test_each_class_has_a_colour_of_its_own():
    assert colours(None) == colours(torch.arange(40)) < colours(torch.arange(40) % 2) < colours(torch.arange(40) % 5)


def test_a_line_of_codes_is_no_map():
    with pytest.raises(UserError, match="latent_dim=1"):
        Codes().sheet(scene(latent_dim=1))
    with pytest.raises(UserError, match="n=1"):
        Codes(n=1)
