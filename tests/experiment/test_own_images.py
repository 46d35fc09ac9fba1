"""A user's own untidy folder of images, from the first refusal to the last picture."""

import json
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image

from duogen.cli import main

CLASSES = ["Kreuz x", "größer ü", "三角"]
BROKEN = "Kreuz x/broken one.jpg"
SMALL = (
    "generator.width=4",
    "discriminator.width=4",
    "latent_dim=3",
    "data.batch_size=7",
    "logger=none",
    "trainer=cpu",
)


def drawing(level, size):
    """A bright frame around a dark middle, as colours with an alpha channel."""
    pixels = np.full((size[1], size[0], 4), 250, np.uint8)
    pixels[2:-2, 3:-3, :3] = level
    return Image.fromarray(pixels)


def save(image, path, number):
    """In one of eight forms: grey, 1 bit, palette, transparent, 16 bits, turned by its EXIF data, WebP, JPEG."""
    exif = Image.Exif()
    exif[0x0112] = 6
    grey = image.convert("L")
    forms = [
        (grey, "png", {}),
        (grey.convert("1"), "png", {}),
        (image.convert("RGB").quantize(8), "png", {}),
        (image, "png", {}),
        (Image.fromarray(np.asarray(grey).astype(np.uint16) * 257), "png", {}),
        (image.convert("RGB"), "JPG", {"exif": exif}),
        (image, "webp", {}),
        (image.convert("RGB"), "jpeg", {}),
    ]
    form, suffix, options = forms[number % len(forms)]
    form.save(path / f"bild {number}.{suffix}", **options)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Fifty images of three classes, in odd sizes, among what else lies in a folder."""
    root = tmp_path_factory.mktemp("own") / "my images"
    for name in (*CLASSES, "empty"):
        (root / name).mkdir(parents=True)
    for number in range(50):
        save(drawing(4 * number, (13 + number, 61 - number)), root / CLASSES[number % 3], number)
    (root / ".hidden.png").write_bytes(b"hidden")
    (root / CLASSES[0] / "notes.txt").write_text("text")
    whole = (root / CLASSES[1] / "bild 7.jpeg").read_bytes()
    (root / BROKEN).write_bytes(whole[: len(whole) // 2])
    return root


@pytest.fixture
def duogen(tmp_path, monkeypatch, images):
    """Runs a command in an empty folder, and gives its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(command, *arguments):
        own = ("data=image_folder", f"data.root={images}", *SMALL) if command == "train" else ()
        return main([command, *own, *arguments])

    return run


def record(folder):
    return json.loads((folder / "record.json").read_text())


def size(path):
    with Image.open(path) as image:
        return image.size


def test_a_corrupt_file_is_named_before_anything_is_written(duogen, tmp_path, capsys):
    assert duogen("train", "data.shape=[3,16,16]") == 2
    said = capsys.readouterr().err
    assert "1 of 51 files" in said
    assert f"{BROKEN}: " in said
    assert "do: mend or remove them, or use data.skip_corrupt=true" in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [[3, 16, 16], [1, 28, 28]])
def test_a_folder_trains_without_its_classes(duogen, tmp_path, capsys, shape):
    given = f"data.shape={shape}".replace(" ", "")
    assert duogen("train", given, "budget.steps=2", "data.skip_corrupt=true", "run_dir=run") == 0
    assert f"left out, as they cannot be read: {BROKEN}\n" in capsys.readouterr().out
    assert record(tmp_path / "run")["status"] == "done"
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["classes"], config["data"]["classes"], config["data"]["shape"]) == (None, 3, shape)


def test_the_classes_of_a_folder_from_training_to_pictures(duogen, tmp_path, capsys):
    flip = "data.transforms=[{_target_: duogen.data.transforms.HorizontalFlip, probability: 0.5}]"
    told = ("data.shape=[3,16,16]", "data.skip_corrupt=true", "model=conditional_gan", "data.workers=2", flip)
    assert duogen("train", *told, "augmentation=diffaugment", "budget.steps=3", "run_dir=run") == 0
    first = record(tmp_path / "run")
    assert (first["status"], first["steps"], first["updates"]["generator"]) == ("done", 3, 3)
    assert {value["name"] for value in first["metrics"]} == {"sliced_wasserstein_pixels"}
    assert main(["train", "resume=run", "budget.steps=5"]) == 0
    assert record(tmp_path / "run")["steps"] == 5

    checkpoint = f"checkpoint={shutil.copy(tmp_path / 'run/checkpoints/last.ckpt', tmp_path / 'alone.ckpt')}"
    assert duogen("evaluate", checkpoint, "out=found.json") == 0
    found = {value["weights"]: value["value"] for value in json.loads((tmp_path / "found.json").read_text())}
    assert found == {value["weights"]: value["value"] for value in record(tmp_path / "run")["metrics"]}

    assert duogen("sample", checkpoint, "show=classes", "n=4", "out=classes.npz") == 0
    with np.load(tmp_path / "classes.npz") as arrays:
        assert arrays["values"].shape == (3, 4, 3, 16, 16)
        assert arrays["labels"].tolist() == [[label] * 4 for label in range(3)]
    capsys.readouterr()
    assert duogen("sample", checkpoint, "show=neighbours", "n=2", "k=3", "out=near.png") == 0
    assert "test examples" in capsys.readouterr().out
    for show in ("samples", "interpolation", "classes"):
        assert duogen("sample", checkpoint, f"show={show}", f"out={show}.png") == 0
    cell, gap, wide = 48, 2, 8
    assert size(tmp_path / "near.png") == (4 * (cell + gap) + gap + wide, 2 * (cell + gap) + gap)
    assert size(tmp_path / "samples.png") == (9 * (cell + gap) + gap, 8 * (cell + gap) + gap)
    assert size(tmp_path / "classes.png")[1] == 3 * (cell + gap) + gap
    assert size(tmp_path / "interpolation.png")[1] == 8 * (cell + gap) + gap
