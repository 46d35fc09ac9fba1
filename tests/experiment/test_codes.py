"""What a model with codes shows, on parts that can be computed by hand: the code is what an image's columns hold."""

import math

import pytest
import torch
from torch.distributions import Independent, Normal

from duogen.data.splits import Split
from duogen.errors import UserError
from duogen.experiment.codes import Plane, Rates, Reconstructions, Traversals, bars
from duogen.experiment.show import Scene
from duogen.modules.vae import VAE
from duogen.modules.vq_vae import VQVAE
from duogen.networks.decoder import Decoder
from duogen.networks.likelihoods.gaussian import Gaussian
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.priors.standard import StandardPrior
from duogen.networks.quantized import MapDecoder, MapEncoder
from duogen.networks.quantizers.vector import VectorQuantizer
from duogen.objectives.variational.elbo import Elbo


class Columns(Posterior):
    """Examples (N, 1, 2, Z) to codes near four times the means of their columns."""

    def __init__(self, latent_dim):
        super().__init__()
        self.latent_dim = latent_dim

    def forward(self, examples, labels=None):
        means = 4 * examples.mean((1, 2))
        return Independent(Normal(means, torch.full_like(means, 0.01)), 1)


class Repeat(Decoder):
    """Codes (N, Z) to images (N, 1, 2, Z) of a fourth, plus a tenth of the class."""

    def forward(self, code, labels=None):
        values = code[:, None, None].expand(-1, 1, 2, -1) / 4
        return values if labels is None else values + labels.view(-1, 1, 1, 1) / 10


class Shelf:
    def __init__(self, latent_dim):
        generator = torch.Generator().manual_seed(0)
        scale = torch.arange(1.0, latent_dim + 1)
        rows = (torch.randn(20, 1, 1, latent_dim, generator=generator) * scale / 10).clamp(-1, 1)
        self.splits = {"test": Split(rows.expand(-1, 1, 2, -1).contiguous(), torch.arange(20) % 4)}


def scene(latent_dim=3, classes=None):
    likelihood = Gaussian([1, 2, latent_dim], 256, dequantise=False, sigma=1.0)
    vae = VAE(Columns(latent_dim), StandardPrior(latent_dim), Repeat(), likelihood, Elbo(1.0, 1), latent_dim, classes)
    return Scene(vae, lambda: Shelf(latent_dim), torch.Generator().manual_seed(3))


def test_reconstructions_stand_beside_their_examples():
    sheet = Reconstructions(n=6).sheet(scene())
    pairs = sheet.values.unflatten(0, (6, 2))
    assert torch.allclose(pairs[:, 0], pairs[:, 1], atol=1e-6)
    assert len(pairs[:, 0].unique(dim=0)) == 6
    assert sheet.rows == 6
    assert sheet.layout.columns % 2 == 0


def test_a_conditional_model_is_told_the_class_of_each_example():
    sheet = Reconstructions(n=6).sheet(scene(classes=4))
    pairs = sheet.values.unflatten(0, (6, 2))
    told = (pairs[:, 1] - pairs[:, 0])[:, 0, 0, 0] * 10
    assert torch.allclose(told, sheet.labels[::2].float(), atol=1e-5)


class Places(MapEncoder):
    """Examples (N, 1, 2, 3) as they are, three places of two features; the class is subtracted."""

    feature_dim, places = 2, (1, 3)

    def forward(self, examples, labels=None):
        return examples.transpose(1, 2) - (0 if labels is None else labels.view(-1, 1, 1, 1))


class Back(MapDecoder):
    def forward(self, features, labels=None):
        return features.transpose(1, 2) + (0 if labels is None else labels.view(-1, 1, 1, 1))


@pytest.mark.parametrize("classes", [None, 4])
def test_a_model_with_integer_codes_is_shown_what_its_codes_keep(classes):
    likelihood = Gaussian([1, 2, 3], 256, dequantise=False, sigma=1.0)
    vq = VQVAE(Places(), VectorQuantizer(2, 5, 0.25), Back(), likelihood, classes, 0.5)
    torch.nn.init.eye_(vq.autoencoder.projection.weight)
    torch.nn.init.zeros_(vq.autoencoder.projection.bias)
    book = torch.linspace(-1, 1, 5)[:, None].expand(5, 2) - (0 if classes is None else 2)
    vq.autoencoder.quantizer.codebook.data.copy_(book)
    sheet = Reconstructions(n=6).sheet(Scene(vq, lambda: Shelf(3), torch.Generator()))
    pairs = sheet.values.unflatten(0, (6, 2))
    told = 0 if classes is None else sheet.labels[::2].view(-1, 1, 1, 1)
    distances = ((pairs[:, 0] - told).unsqueeze(-1) - book[:, 0]).square().sum(2).unsqueeze(2)
    expected = (book[distances.argmin(-1), 0] + told).clamp(-1, 1).expand(6, 1, 2, 3)
    assert torch.allclose(pairs[:, 1], expected)
    with pytest.raises(UserError, match="show=traversals with a checkpoint of VQVAE"):
        Traversals().sheet(Scene(vq, lambda: Shelf(3), torch.Generator()))


def test_traversals_move_one_dimension_a_row_the_widest_first():
    sheet = Traversals(n=2, steps=5).sheet(scene())
    assert sheet.extra["dimensions"].tolist() == [2, 1]
    assert sheet.layout.names == ["z2", "z1"]
    rows = 4 * sheet.values[:, 0, 0].unflatten(0, (2, 5))
    assert torch.allclose(rows[0, :, 2], torch.linspace(-2, 2, 5), atol=1e-6)
    assert torch.allclose(rows[1, :, 1], torch.linspace(-2, 2, 5), atol=1e-6)
    assert len(rows[0, :, :2].unique(dim=0)) == 1
    assert torch.allclose(rows[0, 0, 0], rows[1, 0, 0])


def test_no_more_rows_than_dimensions():
    assert Traversals(n=10, steps=3).sheet(scene()).rows == 3


def test_the_plane_goes_from_low_to_high_in_equal_steps_of_probability():
    values = 4 * Plane(n=3).sheet(scene(latent_dim=2)).values[:, 0, 0].unflatten(0, (3, 3))
    edge = Normal(0.0, 1.0).icdf(torch.tensor(0.975))
    assert torch.allclose(values[0, :, 0], torch.stack([-edge, 0 * edge, edge]), atol=1e-5)
    assert torch.allclose(values[:, 0, 1], torch.stack([edge, 0 * edge, -edge]), atol=1e-5)


def test_a_plane_of_another_code_is_refused():
    with pytest.raises(UserError, match="latent_dim=3"):
        Plane().sheet(scene())


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
