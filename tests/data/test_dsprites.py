import hashlib
import io
import os
import pickle
import zipfile

import numpy as np
import pytest
import torch

from duogen.data import dsprites
from duogen.data.dsprites import FILE
from duogen.errors import UserError

SIZES = {"shape": 2, "scale": 1, "orientation": 3, "position_x": 2, "position_y": 4}
COUNT = 48


class Poison:
    """An object whose unpickling makes a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


def grid(sizes):
    return np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes), 1)


@pytest.fixture
def content():
    """48 images (5, 3) of the grid of SIZES, as the authors keep theirs."""
    images = np.random.default_rng(0).integers(0, 2, (COUNT, 5, 3)).astype(np.uint8)
    classes = np.concatenate([np.zeros((COUNT, 1), np.int64), grid(tuple(SIZES.values()))], 1)
    return {"imgs": images, "latents_classes": classes, "latents_values": classes / 7}


def npy(array):
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def archived(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, member in members.items():
            archive.writestr(f"{name}.npy", member if isinstance(member, bytes) else npy(member))
    return buffer.getvalue()


@pytest.fixture
def small(built, tmp_path, monkeypatch):
    """The data module on an archive of these members or bytes."""
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    (tmp_path / "dsprites").mkdir()

    def build(members, sha256=None, **overrides):
        archive = members if isinstance(members, bytes) else archived(members)
        (tmp_path / "dsprites" / FILE).write_bytes(archive)
        files = {FILE: {"url": "http://set/x", "sha256": sha256 and hashlib.sha256(archive).hexdigest()}}
        given = {
            "shape": [1, 5, 3],
            "batch_size": 4,
            "validate_size": 6,
            "test_size": 9,
            "factors": SIZES,
            "files": files,
        }
        return built("dsprites", **(given | overrides))

    return build


@pytest.mark.parametrize("chunk", [1, 5, 48, 4096])
def test_images_are_read_whole_in_order_and_kept_as_bits(small, content, chunk, monkeypatch):
    monkeypatch.setattr(dsprites, "CHUNK", chunk)
    data = small(content)
    train = data.splits["train"]
    assert train.values.shape == (COUNT, 2)
    assert train.labels.tolist() == list(range(COUNT))
    everything = train.rows(torch.arange(COUNT))
    np.testing.assert_array_equal(everything.values, content["imgs"][:, None] * 255)


def test_batches_are_black_and_white_with_the_place_in_the_grid(small, content):
    batch = next(small(content).stream(3))
    np.testing.assert_array_equal(batch.values, 2.0 * content["imgs"][batch.labels][:, None] - 1)


def test_held_out_images_are_those_of_their_labels(small, content):
    for name, size in (("validate", 6), ("test", 9)):
        split = small(content).splits[name]
        assert len(split) == size
        np.testing.assert_array_equal(split.values, content["imgs"][split.labels][:, None] * 255)


def test_a_pickle_in_the_archive_is_never_executed(small, content, tmp_path):
    trace = tmp_path / "executed"
    poisoned = np.array([Poison(trace)], dtype=object)
    assert len(small(content | {"metadata": poisoned}).splits["train"]) == COUNT
    for name in ("imgs", "latents_classes"):
        for member in (poisoned, pickle.dumps(Poison(trace))):
            with pytest.raises(UserError, match="cannot be used"):
                small(content | {name: member}).setup()
    assert not trace.exists()
    np.load(io.BytesIO(npy(poisoned)), allow_pickle=True)
    assert trace.exists()  # so it would have been seen


def wrong(content):
    images, classes = content["imgs"], content["latents_classes"]
    damaged = bytearray(archived(content))
    damaged[60] ^= 255
    return {
        "no archive": (b"hello", "not a zip"),
        "cut": (archived(content)[:-30], "zip"),
        "damaged": (bytes(damaged), "cannot be used"),
        "no images": ({"latents_classes": classes}, "imgs.npy"),
        "no classes": ({"imgs": images}, "latents_classes.npy"),
        "grey": (content | {"imgs": images * 9}, "imgs holds the value 9"),
        "floats": (content | {"imgs": images / 1.0}, "of float64"),
        "columns first": (content | {"imgs": np.asfortranarray(images)}, "imgs is an array"),
        "flat": (content | {"imgs": images.reshape(COUNT, 15)}, "(48, 15)"),
        "too few": (content | {"imgs": images[1:]}, "(47, 5, 3)"),
        "values missing": (content | {"imgs": npy(images)[:-1]}, "cannot be used"),
        "values left over": (content | {"imgs": npy(images) + b"\0"}, "more values than it declares"),
        "no table": (content | {"latents_classes": classes[:, 0]}, "(48,)"),
        "nothing": ({"imgs": images[:0], "latents_classes": classes[:0]}, "(0, 6)"),
    }


KINDS = (
    "no archive", "cut", "damaged", "no images", "no classes", "grey", "floats", "columns first", "flat", "too few",
    "values missing", "values left over", "no table", "nothing",
)  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_another_archive_is_refused_and_named(small, content, kind):
    cases = wrong(content)
    assert set(cases) == set(KINDS)
    members, message = cases[kind]
    with pytest.raises(UserError) as refusal:
        small(members).setup()
    assert message in refusal.value.given
    assert FILE in refusal.value.given
    assert "duogen data fetch dsprites" in refusal.value.remedy


@pytest.mark.parametrize("change", ["order", "sizes"])
def test_images_in_another_order_are_refused_with_the_sizes_found(small, content, change):
    classes = content["latents_classes"].copy()
    if change == "order":
        classes[[3, 4]] = classes[[4, 3]]
    else:
        classes[:, 1:] = grid((2, 2, 3, 2, 2))
    with pytest.raises(UserError) as refusal:
        small(content | {"latents_classes": classes}).setup()
    assert "data.factors=" in refusal.value.given
    assert ("2, 1, 3, 2, 4" if change == "order" else "2, 2, 3, 2, 2") in refusal.value.allowed


def test_a_declared_checksum_is_checked(small, content, tmp_path):
    data = small(content, sha256=True)
    (tmp_path / "dsprites" / FILE).write_bytes(archived(content | {"more": np.zeros(1)}))
    with pytest.raises(UserError, match="sha256"):
        data.setup()


def test_the_shipped_grid_is_the_authors(built):
    data = built("dsprites")
    assert list(data.factors.values()) == [3, 6, 40, 32, 32]
    assert data.label_count == 737_280
    assert list(data.declared.files) == [FILE]
