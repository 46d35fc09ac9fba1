import gzip
import hashlib
import struct

import numpy as np
import pytest
import torch

from duogen.data.idx import parse_idx
from duogen.errors import UserError


def packed(array):
    header = struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes())


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Four small files of 4x3 images in the folder `small`, as a YAML would declare them."""
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    (tmp_path / "small").mkdir()
    draw, declared = np.random.default_rng(0), {}
    for stem, count in (("train", 11), ("t10k", 5)):
        contents = {"images-idx3": draw.integers(0, 256, (count, 4, 3)), "labels-idx1": np.arange(count) % 7}
        for kind, array in contents.items():
            name, content = f"{stem}-{kind}-ubyte.gz", packed(array)
            (tmp_path / "small" / name).write_bytes(content)
            declared[name] = {"url": f"http://set/{name}", "sha256": hashlib.sha256(content).hexdigest()}
    return declared


@pytest.fixture
def small(built, files):
    def build(**overrides):
        given = {"shape": [1, 4, 3], "classes": 7, "batch_size": 2, "validate_size": 3, "folder": "small"}
        return built("mnist", **(given | {"files": files} | overrides))

    return build


def test_parse_reads_values_in_row_order():
    array = np.arange(2 * 3 * 5).reshape(2, 3, 5)
    found = parse_idx(packed(array), "x.gz", 3)
    assert found.dtype == torch.uint8
    np.testing.assert_array_equal(found, array)


def broken():
    good = packed(np.arange(12).reshape(3, 4))
    raw = gzip.decompress(good)
    return {
        "not gzip": (b"hello", "cannot be unpacked"),
        "cut gzip": (good[:-9], "cannot be unpacked"),
        "damaged gzip": (good[:12] + b"\xff\xff\xff" + good[15:], "cannot be unpacked"),
        "dimensions": (packed(np.arange(12)), "magic number 2049"),
        "floats": (gzip.compress(raw[:2] + b"\x0d" + raw[3:]), "magic number 3330"),
        "values missing": (gzip.compress(raw[:-1]), "holds 11 values"),
        "values left over": (gzip.compress(raw + b"\0"), "holds 13 values"),
        "header only in part": (gzip.compress(raw[:6]), "holds 0 values"),
        "empty": (gzip.compress(b""), "magic number 0"),
    }


@pytest.mark.parametrize("kind", broken())
def test_parse_refuses_and_names_the_file(kind):
    content, message = broken()[kind]
    with pytest.raises(UserError) as refusal:
        parse_idx(content, "some/file.gz", 2)
    assert message in refusal.value.given
    assert "some/file.gz" in refusal.value.given


def test_last_training_images_are_for_validation(small):
    data = small()
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 8, "validate": 3, "test": 5}
    assert data.splits["train"].labels.tolist() == [0, 1, 2, 3, 4, 5, 6, 0]
    assert data.splits["validate"].labels.tolist() == [1, 2, 3]
    assert data.splits["test"].labels.tolist() == [0, 1, 2, 3, 4]


def test_bytes_are_kept_and_batches_are_floats(small):
    data = small()
    assert data.splits["train"].values.dtype == torch.uint8
    assert data.splits["train"].values.shape == (8, 1, 4, 3)
    batch = next(data.stream(0))
    assert batch.values.dtype == torch.float32
    assert batch.values.abs().max() <= 1


def test_padding_is_black_all_around(small):
    data, plain = small(shape=[1, 8, 7], pad=2), small()
    for name, split in data.splits.items():
        expected = np.pad(plain.splits[name].values.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)))
        np.testing.assert_array_equal(split.values, expected)
        assert split.values.dtype == torch.uint8


def test_negative_padding_is_refused(small):
    with pytest.raises(UserError, match=r"data\.pad=-1"):
        small(pad=-1)


def test_missing_file_is_named_with_folder_and_remedies(small, tmp_path):
    (tmp_path / "small" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(UserError) as refusal:
        small().setup()
    assert "t10k-labels-idx1-ubyte.gz" in refusal.value.given
    assert str(tmp_path / "small") in refusal.value.given
    assert "duogen data fetch small" in refusal.value.remedy
    assert "DUOGEN_DATA" in refusal.value.remedy


def test_remedy_names_the_yaml(built, tmp_path, monkeypatch):
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    with pytest.raises(UserError, match="duogen data fetch fashion_mnist"):
        built("fashion_mnist").setup()


def test_other_bytes_are_refused_and_named(small, tmp_path):
    path = tmp_path / "small" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(packed(np.zeros(11)))
    with pytest.raises(UserError) as refusal:
        small().setup()
    assert str(path) in refusal.value.given
    assert str(path) in refusal.value.remedy


def test_images_without_labels_are_refused(small, files, tmp_path):
    name, content = "t10k-labels-idx1-ubyte.gz", packed(np.zeros(4))
    (tmp_path / "small" / name).write_bytes(content)
    files[name]["sha256"] = hashlib.sha256(content).hexdigest()
    with pytest.raises(UserError, match="5 images and 4 labels"):
        small().setup()


@pytest.mark.parametrize("wrong", [{"shape": [1, 3, 4]}, {"shape": [12]}, {"classes": 6}, {"classes": None}])
def test_facts_that_the_files_contradict_are_refused(small, wrong):
    with pytest.raises(UserError, match=f"data.{next(iter(wrong))}="):
        small(**wrong).setup()


@pytest.mark.parametrize(
    ("stem", "folder", "mean", "std"),
    [("mnist", "mnist", 0.1307, 0.3081), ("fashion_mnist", "fashion-mnist", 0.2860, 0.3530)],
)
def test_original_files(built, real_files, stem, folder, mean, std):
    real_files(folder)
    splits = built(stem).splits
    assert {name: len(split) for name, split in splits.items()} == {"train": 50000, "validate": 10000, "test": 10000}
    pixels = torch.cat([splits["train"].values, splits["validate"].values])
    assert pixels.dtype == torch.uint8
    fractions = torch.arange(256).double() / 255
    weights = pixels.flatten().bincount(minlength=256).double() / pixels.numel()
    found = (weights * fractions).sum()
    assert found.item() == pytest.approx(mean, abs=1e-4)
    assert (weights * (fractions - found) ** 2).sum().sqrt().item() == pytest.approx(std, abs=1e-4)
    counts = torch.cat([splits["train"].labels, splits["validate"].labels]).bincount()
    assert counts.tolist() == (
        [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949] if stem == "mnist" else [6000] * 10
    )
