"""What a model with codes shows, on parts that can be computed by hand."""

import pytest
import torch
from torch.distributions import Normal

from duogen.errors import UserError
from duogen.experiment.codes import Plane, Reconstructions, Traversals
from duogen.experiment.show import Scene
from duogen.modules.vq_vae import VQVAE
from duogen.networks.likelihoods.gaussian import Gaussian
from duogen.networks.quantized import MapDecoder, MapEncoder
from duogen.networks.quantizers.vector import VectorQuantizer
from experiment.columns import Shelf, scene


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
