import gzip
import hashlib
import struct
from itertools import islice

import numpy as np
import pytest
import torch

from duogen.data.order import Order, permutation, seeded
from duogen.data.stream import uniform_table

COUNTS = {"train": 9, "t10k": 6}


def packed(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def grey():
    draw = np.random.default_rng(0)
    return {stem: draw.integers(0, 256, (count, 5, 4)) for stem, count in COUNTS.items()}


@pytest.fixture
def small(built, grey, tmp_path, monkeypatch):
    """Grey images (1, 5, 4): 7 to train, 2 to validate, 6 to test."""
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    (tmp_path / "small").mkdir()
    files = {}
    for stem, images in grey.items():
        for kind, array in {"images-idx3": images, "labels-idx1": np.arange(len(images)) % 7}.items():
            name, content = f"{stem}-{kind}-ubyte.gz", packed(array)
            (tmp_path / "small" / name).write_bytes(content)
            files[name] = {"url": f"http://set/{name}", "sha256": hashlib.sha256(content).hexdigest()}

    def build(**overrides):
        given = {"shape": [1, 5, 4], "classes": 7, "batch_size": 3, "validate_size": 2, "folder": "small"}
        return built("dynamic_mnist", **(given | {"files": files} | overrides))

    return build


def values(stream, count):
    return torch.cat([batch.values for batch in islice(stream, count)])


def test_a_training_image_is_white_where_its_number_is_below_its_grey(small, grey):
    batch = next(small().stream(0))
    index = permutation(7, "train", 0, 7)[:3]
    uniform = uniform_table(Order(7, "train", 7, 3), 0, 20)[index].view(3, 1, 5, 4)
    expected = np.where(uniform.numpy() < grey["train"][index][:, None] / 255, 1, -1)
    np.testing.assert_array_equal(batch.values, expected)
    assert batch.labels.tolist() == index.tolist()


def test_training_images_are_drawn_anew_at_each_use(small):
    data = small(batch_size=7)
    epochs = [batch.values[batch.labels.argsort()] for batch in islice(data.stream(0), 60)]
    mean = torch.stack(epochs).mean(0)
    assert len({tuple(epoch.flatten().tolist()) for epoch in epochs}) == 60
    level = data.splits["train"].values / 127.5 - 1
    assert (mean - level).abs().max() < 5 / 60**0.5


def test_training_resumes_exactly(small):
    assert torch.equal(values(small().stream(0), 9)[15:], values(small().stream(5), 4))


def test_the_stored_training_images_stay_grey(small, grey):
    np.testing.assert_array_equal(small().splits["train"].values[:, 0], grey["train"][:7])


def test_held_out_images_are_drawn_once_by_their_own_seed(small, grey):
    data = small()
    for name, images in {"validate": grey["train"][7:], "test": grey["t10k"]}.items():
        uniform = torch.rand(len(images), 20, generator=seeded(0, f"{name} binarised")).view(-1, 5, 4)
        expected = np.where(uniform.numpy() < images / 255, 255, 0)
        np.testing.assert_array_equal(data.splits[name].values[:, 0], expected)
    shown = [torch.cat([batch.values for batch in data.val_dataloader()]) for _ in range(2)]
    assert torch.equal(*shown)


def test_the_split_seed_is_part_of_the_checksum_and_the_runs_seed_is_not(small):
    assert small(seed=8).checksum() == small().checksum() != small(split_seed=1).checksum()


def test_the_examples_that_others_are_compared_with_are_black_and_white(small, grey):
    data = small()
    first = data.train_examples(4)
    assert first.values.unique().tolist() == [-1, 1]
    assert torch.equal(first.values, data.train_examples(7).values[:4])
    uniform = torch.rand(7, 20, generator=seeded(0, "train binarised")).view(-1, 5, 4)
    expected = np.where(uniform.numpy() < grey["train"][:7] / 255, 1, -1)
    np.testing.assert_array_equal(data.train_examples(7).values[:, 0], expected)


def test_other_transforms_see_the_grey_images(small):
    from duogen.data.transforms import HorizontalFlip

    flipped, plain = small(transforms=[]), small()
    flipped.transforms = [HorizontalFlip(1.0), *flipped.transforms]
    assert flipped.transforms[-1].draws == 20
    batch, index = next(flipped.stream(0)), permutation(7, "train", 0, 7)[:3]
    uniform = uniform_table(Order(7, "train", 7, 3), 0, 21)[index, 1:].view(3, 1, 5, 4)
    level = plain.splits["train"].values[index].flip(3) / 255
    assert torch.equal(batch.values, (uniform < level).float() * 2 - 1)


def test_padding_stays_black(small):
    data = small(shape=[1, 9, 8], pad=2)
    assert data.binarise.draws == 72
    batch = next(data.stream(0))
    assert batch.values[:, :, :2].eq(-1).all()
    assert data.splits["test"].values[..., -2:].eq(0).all()


@pytest.mark.parametrize("stem", ["mnist", "fashion_mnist"])
def test_the_files_are_those_of_the_grey_set(built, stem):
    assert built(f"dynamic_{stem}").declared == built(stem).declared


@pytest.mark.parametrize(("stem", "mean"), [("mnist", 0.1325), ("fashion_mnist", 0.2868)])
def test_original_files(built, real_files, stem, mean):
    real_files(stem.replace("_", "-"))
    data = built(f"dynamic_{stem}", validate_size=400)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 59600, "validate": 400, "test": 10000}
    levels, counts = data.splits["test"].values.unique(return_counts=True)
    assert levels.tolist() == [0, 255]
    assert float(counts[1] / counts.sum()) == pytest.approx(mean, abs=1e-3)
