"""Each show of a module whose outputs can be computed by hand, and the settings that belong to it."""

import io

import numpy as np
import pytest
import torch
from rich.console import Console
from torch import nn

from duogen.callbacks.pictures import Layout
from duogen.data.splits import Split
from duogen.errors import UserError
from duogen.experiment import shows
from duogen.experiment.shows import SHOWS, Classes, Interpolation, Neighbours, Samples, Scene, chosen
from duogen.modules.gan import GAN
from duogen.modules.sampling import slerp
from duogen.modules.vq_vae import VQVAE
from duogen.networks.generator import Generator
from duogen.networks.likelihoods.bernoulli import Bernoulli
from duogen.networks.quantized import VqDecoder, VqEncoder
from duogen.networks.quantizers.vector import VectorQuantizer
from duogen.objectives.adversarial import NonSaturating


class Image(Generator):
    """The noise (N, 6) as an image (N, 1, 2, 3), plus ten times the class."""

    def forward(self, latent, labels=None):
        values = latent.view(-1, 1, 2, 3)
        return values if labels is None else values + 10 * labels.view(-1, 1, 1, 1)


def gan(classes=None):
    return GAN(
        Image(), nn.Linear(6, 1), NonSaturating(), {}, None,
        latent_dim=6, pack=1, top_k=1.0, classes=classes, weight_clip=None,
    )  # fmt: skip


def generator():
    return torch.Generator().manual_seed(3)


def drawn(count):
    return torch.randn(count, 6, generator=generator())


class Shelf:
    """The splits of a data set of 30 training and 12 test images of bytes."""

    def __init__(self):
        source = torch.Generator().manual_seed(0)
        bytes_ = torch.randint(256, (42, 1, 2, 3), generator=source, dtype=torch.uint8)
        self.train_once = Split(bytes_[:30], torch.arange(30) % 5)
        self.splits = {"train": self.train_once, "test": Split(bytes_[30:], None)}


def no_data():
    pytest.fail("no show but neighbours reads the data")


def scene(classes=None, data=no_data):
    return Scene(gan(classes), data, generator())


def test_samples_are_the_modules_own():
    sheet = Samples(n=4).sheet(scene())
    assert (sheet.values == drawn(4).view(4, 1, 2, 3)).all()
    assert (sheet.labels, sheet.layout, sheet.rows) == (None, None, None)


def test_samples_of_few_classes_have_one_column_each():
    sheet = Samples(n=7).sheet(scene(classes=3))
    assert sheet.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert sheet.layout == Layout(3)
    torch.testing.assert_close(sheet.values[:, 0, 0, 0], drawn(7)[:, 0] + 10 * sheet.labels)


def test_interpolation_draws_spherical_paths_between_pairs():
    sheet = Interpolation(n=3, steps=4).sheet(scene())
    expected = slerp(drawn(6)[:3], drawn(6)[3:], 4)
    assert (sheet.values.view(3, 4, 6) == expected).all()
    assert (sheet.values.view(3, 4, 6)[:, 0] == drawn(6)[:3]).all()
    assert (sheet.layout, sheet.rows, sheet.labels) == (Layout(4), 3, None)


def test_a_path_stays_within_a_class():
    sheet = Interpolation(n=3, steps=2).sheet(scene(classes=2))
    assert sheet.labels.tolist() == [0, 0, 1, 1, 0, 0]
    assert sheet.layout == Layout(2, ["0", "1", "0"])


def test_classes_share_their_noise_down_each_column():
    sheet = Classes(n=2).sheet(scene(classes=3))
    grid = sheet.values.view(3, 2, 6)
    assert sheet.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert (sheet.layout, sheet.rows) == (Layout(2, ["0", "1", "2"]), 3)
    for label in range(3):
        torch.testing.assert_close(grid[label], drawn(2) + 10 * label)


def test_classes_need_classes_and_paths_need_noise():
    with pytest.raises(UserError, match="told no classes"):
        Classes(n=2).sheet(scene())
    for show in (Classes(), Interpolation()):
        with pytest.raises(UserError, match="with a checkpoint of Linear"):
            show.sheet(Scene(nn.Linear(2, 3), no_data, generator()))


def quantized(classes=None):
    torch.manual_seed(0)
    networks = VqEncoder((1, 8, 8), 4, 1, classes), VectorQuantizer(3, 5, 0.25), VqDecoder((1, 8, 8), 3, 4, 1, classes)
    return Scene(VQVAE(*networks, Bernoulli((1, 8, 8)), classes, 0.5), no_data, generator())


def test_integer_codes_have_classes_and_no_paths():
    asked = quantized(classes=4)
    sheet = Classes(n=2).sheet(asked)
    codes = asked.module.drawn(2, generator())
    for label, row in enumerate(sheet.values.unflatten(0, (4, 2))):
        torch.testing.assert_close(row, asked.module.generate(codes, torch.full((2,), label)))
    with pytest.raises(UserError, match="show=interpolation with a checkpoint of VQVAE, whose codes are integers"):
        Interpolation().sheet(quantized())


def shown(table) -> str:
    file = io.StringIO()
    Console(file=file, width=100).print(table)
    return file.getvalue()


def test_neighbours_stand_beside_their_samples(monkeypatch):
    monkeypatch.setattr(shows, "COMPARED", 5)
    shelf = Shelf()
    sheet = Neighbours(n=3, k=2).sheet(scene(data=lambda: shelf))
    train = shelf.splits["train"].examples().values.flatten(1)
    distances = (drawn(5)[:, None] - train[None]).norm(dim=2)
    order = distances.argsort(1)[:3, :2]
    rows = sheet.values.view(3, 3, 6)
    assert (rows[:, 0] == drawn(5)[:3]).all()
    assert (rows[:, 1:] == train[order]).all()
    assert (sheet.extra["places"] == order).all()
    np.testing.assert_allclose(sheet.extra["distances"], distances.gather(1, order), rtol=1e-5)
    assert (sheet.layout, sheet.rows, sheet.reference.shape) == (Layout(3, lead=1), 3, (30, 1, 2, 3))


def test_distances_of_samples_are_told_beside_those_of_test_examples(monkeypatch):
    monkeypatch.setattr(shows, "COMPARED", 12)
    shelf = Shelf()
    table = shown(Neighbours(n=15, k=1).sheet(scene(data=lambda: shelf)).table)
    train, test = (shelf.splits[name].examples().values.flatten(1) for name in ("train", "test"))
    for name, count, values in (("samples", 15, drawn(15)), ("test examples", 12, test)):
        least = (values[:, None] - train[None]).norm(dim=2).amin(1).double().numpy()
        row = next(line for line in table.splitlines() if f" {name} " in line)
        assert [cell.strip() for cell in row.split("│")[1:-1]] == [
            name,
            str(count),
            f"{np.median(least):.4g}",
            f"{least.min():.4g}",
        ]
    assert "30 training examples" in table


def test_more_neighbours_than_training_examples_are_refused():
    with pytest.raises(UserError, match="k=31") as refused:
        Neighbours(n=1, k=31).sheet(scene(data=Shelf))
    assert "30" in refused.value.allowed


def test_the_word_and_its_settings_choose_the_show():
    assert chosen("samples", {}) == Samples(64)
    assert chosen("interpolation", {"n": 3, "steps": 5}) == Interpolation(3, 5)
    assert chosen("neighbours", {"k": 2}) == Neighbours(8, 2)
    assert {name: type(chosen(name, {})) for name in SHOWS} == SHOWS


@pytest.mark.parametrize(
    ("show", "settings", "named"),
    [
        ("interpolations", {}, "show=interpolation"),
        ("", {}, "show=samples"),
        ("samples", {"steps": 3}, "show=interpolation"),
        ("classes", {"k": 3}, "show=neighbours"),
        ("samples", {"n": 0}, "n=0"),
        ("samples", {"n": 2_000_000}, "1000000"),
        ("interpolation", {"steps": 1}, "2 to 1000"),
        ("interpolation", {"n": 10_000, "steps": 1000}, "n * steps=10000000"),
        ("classes", {"n": -1}, "n=-1"),
        ("neighbours", {"k": 0}, "k=0"),
    ],
)
def test_shows_that_make_no_sense_are_refused(show, settings, named):
    with pytest.raises(UserError) as refused:
        chosen(show, settings)
    assert named in str(refused.value)
