import gzip
import hashlib
import struct

import numpy as np
import pytest
import torch

from duogen.data.order import seeded


def packed(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def stacked(built, tmp_path, monkeypatch):
    """Over 4x3 digits whose pixels all are 10 times their number in the files: 0 to 13 to train, 20 to 24 to test."""
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    (tmp_path / "small").mkdir()
    files = {}
    for stem, first, count in (("train", 0, 14), ("t10k", 20, 5)):
        numbers = np.arange(first, first + count)
        images = np.broadcast_to(10 * numbers[:, None, None], (count, 4, 3))
        for kind, array in {"images-idx3": images, "labels-idx1": numbers % 10}.items():
            name, content = f"{stem}-{kind}-ubyte.gz", packed(array)
            (tmp_path / "small" / name).write_bytes(content)
            files[name] = {"sha256": hashlib.sha256(content).hexdigest()}

    def build(**overrides):
        sizes = {"train_size": 300, "validate_size": 40, "test_size": 50, "validate_digits": 4}
        given = {"shape": [3, 4, 3], "batch_size": 2, "folder": "small", "files": files}
        return built("stacked_mnist", **(given | sizes | overrides))

    return build


def numbers(split):
    """Which digit of the files each channel (N, 3) is; all its pixels agree."""
    assert (split.values == split.values[:, :, :1, :1]).all()
    return split.values[:, :, 0, 0].long() // 10


def test_sizes_and_storage(stacked):
    data = stacked()
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 300, "validate": 40, "test": 50}
    assert data.splits["train"].values.dtype == torch.uint8
    assert data.splits["train"].values.shape == (300, 3, 4, 3)


def test_the_class_is_the_number_read_off_the_digits(stacked):
    for split in stacked().splits.values():
        digits = numbers(split) % 10
        expected = [int("".join(map(str, triple))) for triple in digits.tolist()]
        assert split.labels.tolist() == expected


def test_no_digit_serves_two_splits(stacked):
    used = {name: set(numbers(split).flatten().tolist()) for name, split in stacked().splits.items()}
    assert used == {"train": set(range(10)), "validate": {10, 11, 12, 13}, "test": set(range(20, 25))}


def test_triples_are_drawn_by_their_own_seed(stacked):
    data = stacked()
    expected = torch.randint(10, (300, 3), generator=seeded(0, "train"))
    assert torch.equal(numbers(data.splits["train"]), expected)
    assert stacked(seed=8).checksum() == data.checksum() != stacked(points_seed=1).checksum()


def test_the_shipped_sizes_are_the_papers(built):
    data = built("stacked_mnist")
    assert (data.train_size, data.test_size, data.classes) == (128_000, 26_000, 1000)
    assert data.declared.files == built("mnist").declared.files


def test_original_files_show_all_thousand_modes(built, real_files):
    real_files("mnist")
    data = built("stacked_mnist", train_size=20_000, validate_size=100, test_size=100)
    assert len(data.splits["train"].labels.unique()) == 1000
    assert data.splits["train"].values.shape == (20_000, 3, 28, 28)
