import gzip
import hashlib

import numpy as np
import pytest
import torch

from duogen.data.amat import FILES, parse_amat
from duogen.errors import UserError

COUNTS = {"train": 7, "validate": 3, "test": 5}


def text(bits):
    return "".join(" ".join(map(str, row)) + "\n" for row in bits.tolist()).encode()


@pytest.fixture
def images():
    """Black and white images (N, 12) of each split, as 0 and 1."""
    draw = np.random.default_rng(0)
    return {name: draw.integers(0, 2, (count, 12)) for name, count in COUNTS.items()}


@pytest.fixture
def small(built, images, tmp_path, monkeypatch):
    """Images (1, 4, 3) from three small files, packed or not."""
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    (tmp_path / "small").mkdir()

    def build(packed=False, **overrides):
        files = {}
        for name, file in FILES.items():
            content = text(images[name])
            path = tmp_path / "small" / (f"{file}.gz" if packed else file)
            path.write_bytes(gzip.compress(content) if packed else content)
            files[file] = {"url": f"http://set/{file}", "sha256": hashlib.sha256(content).hexdigest()}
        given = {"shape": [1, 4, 3], "batch_size": 2, "folder": "small", "files": files}
        return built("binarized_mnist", **(given | overrides))

    return build


@pytest.mark.parametrize("packed", [False, True])
def test_each_file_is_a_split_of_black_and_white_bytes(small, images, packed):
    data = small(packed)
    assert set(data.splits) == set(COUNTS)
    for name, split in data.splits.items():
        np.testing.assert_array_equal(split.values.view(-1, 12), images[name] * 255)
        assert split.values.dtype == torch.uint8
        assert split.shape == (1, 4, 3)
        assert split.labels is None


def test_networks_see_minus_one_and_one(small, images):
    batch = next(iter(small().test_dataloader()))
    np.testing.assert_array_equal(batch.values.view(-1, 12), images["test"] * 2 - 1)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"0 1 0",
        b"0 1 0\n1 1\n",
        b"0 1 2\n",
        b"0 1 /\n",
        b"0,1 0\n",
        b"0 1 0\r\n",
        b"0 1 0 1\n",
        b"0 1 0\n0",
        b"1 \n1 0\n",
    ],
)
def test_other_text_is_refused_and_named(content):
    with pytest.raises(UserError) as refusal:
        parse_amat(content, "some.amat", 3)
    assert "some.amat" in refusal.value.given
    assert "3 digits" in refusal.value.allowed


def test_lines_are_read_in_order():
    assert parse_amat(b"0 1 0\n1 1 0\n", "x", 3).tolist() == [[0, 255, 0], [255, 255, 0]]


def test_packed_bytes_must_be_the_declared_ones(small, tmp_path):
    data = small(packed=True)
    path = tmp_path / "small" / f"{FILES['test']}.gz"
    path.write_bytes(gzip.compress(b"0 1 0\n"))
    with pytest.raises(UserError) as refusal:
        data.setup()
    assert str(path) in refusal.value.given
    path.write_bytes(b"no gzip")
    with pytest.raises(UserError, match="cannot be unpacked"):
        data.setup()


def test_a_missing_file_names_the_yaml(built, tmp_path, monkeypatch):
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    with pytest.raises(UserError, match="duogen data fetch binarized_mnist"):
        built("binarized_mnist").setup()


def test_original_files(built, real_files):
    real_files("binarized-mnist")
    splits = built("binarized_mnist").splits
    assert {name: len(split) for name, split in splits.items()} == {"train": 50000, "validate": 10000, "test": 10000}
    for name, mean in {"train": 0.130562, "validate": 0.131127, "test": 0.132512}.items():
        levels, counts = splits[name].values.unique(return_counts=True)
        assert levels.tolist() == [0, 255]
        assert float(counts[1] / counts.sum()) == pytest.approx(mean, abs=1e-6)
