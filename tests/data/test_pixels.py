import json

import numpy as np
import pytest
import torch
from PIL import Image

from duogen.data import pixels
from duogen.data.pixels import PixelFile
from duogen.data.tree import ImageFile

WHITE = (255, 255, 255)


@pytest.fixture
def files(tmp_path):
    """Seven images whose pixels all are their number, and between them a text that is none."""
    found = []
    for index in range(7):
        path = tmp_path / f"{index}.png"
        Image.new("L", (6, 4), index).save(path)
        found.append(ImageFile(path, path.name))
    (tmp_path / "bad.png").write_bytes(b"no image")
    return [*found[:3], ImageFile(tmp_path / "bad.png", "bad.png"), *found[3:]]


@pytest.fixture
def store(tmp_path):
    return PixelFile(tmp_path / "cache" / "deep" / "key", (1, 4, 6))


@pytest.mark.parametrize("chunk", [1, 3, 512])
def test_images_are_stored_in_order_and_the_unreadable_listed(store, files, chunk, monkeypatch):
    monkeypatch.setattr(pixels, "CHUNK", chunk)
    assert store.unreadable() is None
    written = store.write(files, WHITE)
    assert list(written) == ["bad.png"]
    assert store.unreadable() == written
    for mapped in (False, True):
        values = store.values(mapped)
        assert values.dtype == torch.uint8
        assert values.shape == (7, 1, 4, 6)
        assert (values == torch.arange(7).view(7, 1, 1, 1)).all()


def test_a_mapped_file_is_not_changed_by_those_who_read_it(store, files):
    store.write(files, WHITE)
    store.values(mapped=True).fill_(9)
    assert store.values(mapped=True).flatten()[-1] == 6


def test_nothing_but_the_two_files_remains(store, files):
    store.write(files, WHITE)
    assert sorted(path.name for path in store.stem.parent.iterdir()) == ["key.bin", "key.json"]


@pytest.mark.parametrize(
    "damage",
    [
        lambda store: store.bytes.unlink(),
        lambda store: store.listed.unlink(),
        lambda store: store.bytes.write_bytes(store.bytes.read_bytes()[:-1]),
        lambda store: store.listed.write_text("{"),
        lambda store: store.listed.write_text("[]"),
        lambda store: store.listed.write_text(json.dumps({"count": 6, "unreadable": {}})),
    ],
)
def test_a_file_that_is_not_whole_counts_as_not_there(store, files, damage):
    store.write(files, WHITE)
    damage(store)
    assert store.unreadable() is None
    store.write(files, WHITE)
    assert list(store.unreadable()) == ["bad.png"]


def test_a_writer_that_fails_leaves_nothing_behind(store, files, monkeypatch):
    def fail(*args, **kwargs):
        raise OSError("the disk is full")

    monkeypatch.setattr(pixels, "decoded", fail)
    with pytest.raises(OSError, match="full"):
        store.write(files, WHITE)
    assert list(store.stem.parent.iterdir()) == []


def test_the_background_is_handed_on(store, tmp_path):
    Image.new("RGBA", (6, 4), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    store.write([ImageFile(tmp_path / "clear.png", "clear.png")], (80, 80, 80))
    np.testing.assert_array_equal(store.values(False), np.full((1, 1, 4, 6), 80))
