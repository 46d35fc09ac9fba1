"""Whatever can be drawn from a checkpoint, as a picture, an array or an archive, and what is refused."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from contracts.cases import MLP, SMALL
from duogen.cli import main
from duogen.compose import compose
from duogen.experiment.evaluate import restored
from duogen.seeds import derive

SHORT = ["logger=none", "trainer=cpu", "budget.steps=2", "log_every=2", "data.batch_size=16"]
IMAGES = ["data=digits", "data.evaluation_size=70", "generator.width=4", "discriminator.width=4", "latent_dim=5"]
RING = [*SMALL, *MLP, "latent_dim=3", "optimizers.generator.ema.decay=0.9"]


@dataclass(frozen=True)
class Checkpoints:
    """Of points, of images, and of images of ten classes."""

    points: Path
    images: Path
    classes: Path


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    for name, more in (("points", RING), ("images", IMAGES), ("classes", [*IMAGES, "model=conditional_gan"])):
        assert main(["train", *SHORT, *more, f"run_dir={runs / name}"]) == 0
    return Checkpoints(*(runs / name / "checkpoints" / "last.ckpt" for name in ("points", "images", "classes")))


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


def sample(checkpoint, *settings):
    return main(["sample", f"checkpoint={checkpoint}", *settings])


def by_hand(state, noise):
    """The generator's formula with the averaged weights of a checkpoint: affine, ReLU, affine, ReLU, affine."""
    parts = [state[f"averages.generator.network.layers.{index}.{name}"].double().numpy()
             for index in (0, 2, 4) for name in ("weight", "bias")]  # fmt: skip
    values = noise
    for index in (0, 2, 4):
        values = values @ parts[index].T + parts[index + 1]
        values = np.maximum(values, 0) if index < 4 else values
    return values


def test_an_array_holds_the_averaged_generator_of_seeded_noise(checkpoints):
    assert sample(checkpoints.points, "n=9", "seed=3", "out=values.npy") == 0
    state = torch.load(checkpoints.points, weights_only=True)["module"]
    noise = torch.randn(9, 3, generator=torch.Generator().manual_seed(derive(3, "samples"))).double().numpy()
    found = np.load("values.npy")
    assert (found.shape, found.dtype) == ((9, 2), np.float32)
    np.testing.assert_allclose(found, by_hand(state, noise), rtol=1e-5, atol=1e-6)


def test_a_picture_is_a_whole_image_and_follows_the_seed(checkpoints, tmp_path, capsys):
    for name, seed in (("a", 0), ("b", 1), ("c", 0)):
        assert sample(checkpoints.points, "n=5", f"out={name}.png", f"seed={seed}") == 0
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == c != b
    with Image.open("a.png") as image:
        image.load()
        assert min(image.size) > 0
    assert "5 samples in a.png" in capsys.readouterr().out


SHOWN = {
    "show=samples n=6": (6,),
    "show=interpolation n=2 steps=3": (2, 3),
    "show=classes n=2": (10, 2),
    "show=neighbours n=2 k=4": (2, 5),
}


@pytest.mark.parametrize("show", SHOWN)
def test_every_show_writes_equal_pictures_and_archives_for_equal_seeds(show, checkpoints, tmp_path):
    for out in ("a.png", "b.png", "a.npz", "b.npz", "a.npy"):
        assert sample(checkpoints.classes, *show.split(), "truncation=0.8", "standing=2", f"out={out}") == 0
    for ending in ("png", "npz"):
        assert (tmp_path / f"a.{ending}").read_bytes() == (tmp_path / f"b.{ending}").read_bytes()
    with np.load("a.npz") as archive:
        assert archive["values"].shape == (*SHOWN[show], 1, 8, 8)
        assert (archive["values"] == np.load("a.npy")).all()
        rest = {"labels"} if "neighbours" not in show else {"distances", "places"}
        assert set(archive) - {"values"} == rest
        if "labels" in rest:
            assert archive["labels"].shape == SHOWN[show]


def test_rows_of_classes_differ_in_the_class_alone(checkpoints):
    assert sample(checkpoints.classes, "show=classes", "n=3", "seed=4", "out=all.npz") == 0
    module, _ = restored(checkpoints.classes, ())
    noise = torch.randn(3, 5, generator=torch.Generator().manual_seed(derive(4, "samples")))
    with np.load("all.npz") as archive:
        for label in range(10):
            expected = module.generate(noise, torch.full((3,), label))
            np.testing.assert_allclose(archive["values"][label], expected, atol=1e-5)
            assert (archive["labels"][label] == label).all()


def drawn(checkpoint, *settings):
    assert sample(checkpoint, "n=30", *settings, "out=drawn.npy") == 0
    return np.load("drawn.npy")


def test_each_manner_changes_what_is_drawn_and_no_file(checkpoints):
    before = checkpoints.images.read_bytes()
    plain = drawn(checkpoints.images)
    manners = [drawn(checkpoints.images, *given) for given in (["truncation=0.5"], ["standing=3"])]
    both = drawn(checkpoints.images, "truncation=0.5", "standing=3")
    found = [plain, *manners, both]
    assert all((one != other).any() for i, one in enumerate(found) for other in found[:i])
    assert (drawn(checkpoints.images, "truncation=null", "standing=null") == plain).all()
    assert checkpoints.images.read_bytes() == before


def test_points_are_shown_too(checkpoints, capsys):
    for show in ("interpolation", "neighbours"):
        assert sample(checkpoints.points, f"show={show}", f"out={show}.png") == 0
        with Image.open(f"{show}.png") as image:
            assert image.size == (540, 540)
    told = capsys.readouterr().out
    assert "8 paths of 9 samples in interpolation.png" in told
    assert "1,000 training examples" in told
    assert "8 samples, each with its 5 nearest training examples" in told


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        (["n=0"], "n=0"),
        (["n=-2"], "n=-2"),
        (["n=many"], "n=many"),
        (["n=2000000"], "1000000"),
        (["seed=x"], "seed=x"),
        (["out=samples.gif"], ".npy"),
        (["out=samples"], ".png"),
        (["out="], ".png"),
        (["out=folder.png"], "folder.png"),
        (["count=3"], "n=..."),
        (["3"], "3 is not understood"),
        (["show=class"], "show=classes"),
        (["show=classes"], "told no classes"),
        (["steps=3"], "use show=interpolation"),
        (["show=interpolation", "k=3"], "use show=neighbours"),
        (["show=interpolation", "steps=1"], "steps=1"),
        (["show=neighbours", "k=1001"], "1 to 1000"),
        (["show=neighbours", "k=few"], "k=few"),
        (["truncation=-1"], "truncation=-1.0"),
        (["truncation=nan"], "truncation=nan"),
        (["psi=0.5"], "truncation=T"),
        (["psi=1.51"], "0 to 1.5"),
        (["standing=none"], "standing=none"),
        (["standing=3"], "no batch norm"),
    ],
)
def test_samples_that_make_no_sense_are_refused_in_three_parts(settings, named, checkpoints, tmp_path, capsys):
    (tmp_path / "folder.png").mkdir()
    assert sample(checkpoints.points, *settings) == 2
    shown = capsys.readouterr()
    assert named in shown.err
    assert [line.split(":")[0].strip() for line in shown.err.splitlines()] == ["duogen", "allowed", "do"]
    assert shown.out == ""
    assert list(tmp_path.iterdir()) == [tmp_path / "folder.png"]


def test_neighbours_without_the_data_are_refused_and_say_how_to_get_it(checkpoints, tmp_path, monkeypatch, capsys):
    content = torch.load(checkpoints.images, weights_only=True)
    content["config"]["data"] = compose(["data=mnist"]).config["data"]
    torch.save(content, tmp_path / "moved.ckpt")
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path / "data"))
    assert sample("moved.ckpt", "out=fine.npy") == 0
    assert sample("moved.ckpt", "show=neighbours") == 2
    assert "duogen data fetch mnist" in capsys.readouterr().err
    assert not (tmp_path / "samples.png").exists()
