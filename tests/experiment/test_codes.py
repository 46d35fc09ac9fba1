"""What a model with codes shows, on parts that can be computed by hand: the code is what an image's columns hold."""

import pytest
import torch
from torch.distributions import Independent, Normal

from duogen.data.splits import Split
from duogen.errors import UserError
from duogen.experiment.codes import Plane, Reconstructions, Traversals
from duogen.experiment.show import Scene
from duogen.modules.vae import VAE
from duogen.networks.decoder import Decoder
from duogen.networks.likelihoods.gaussian import Gaussian
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.priors.standard import StandardPrior
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
