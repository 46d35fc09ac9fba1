import os

import pytest
import torch

from duogen.metrics.cache import TensorCache

TENSORS = {"features": torch.arange(6.0).view(2, 3), "labels": torch.tensor([4, 5])}


def same(found):
    return (
        found is not None and found.keys() == TENSORS.keys() and all(torch.equal(found[k], TENSORS[k]) for k in found)
    )


def test_what_was_saved_is_loaded(tmp_path):
    cache = TensorCache(tmp_path / "below")
    assert cache.load("key") is None
    cache.save("key", TENSORS)
    assert same(TensorCache(tmp_path / "below").load("key"))
    assert cache.load("other") is None


def test_a_view_takes_no_more_room_than_it_shows(tmp_path):
    cache = TensorCache(tmp_path)
    cache.save("part", {"x": torch.zeros(100_000)[:2]})
    assert (tmp_path / "part.pt").stat().st_size < 10_000


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "foreign"])
def test_a_damaged_file_counts_as_none_and_is_replaced(damage, tmp_path):
    cache, path = TensorCache(tmp_path), tmp_path / "key.pt"
    cache.save("key", TENSORS)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes({"flipped": bytes(content), "cut": content[:-9], "empty": b"", "foreign": b"x" * 500}[damage])
    assert cache.load("key") is None
    cache.save("key", TENSORS)
    assert same(cache.load("key"))


def test_a_file_that_would_run_code_counts_as_none(tmp_path):
    import pickle
    from hashlib import sha256

    class Canary:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    content = pickle.dumps(Canary())
    (tmp_path / "key.pt").write_bytes(sha256(content).digest() + content)
    assert TensorCache(tmp_path).load("key") is None
    assert not (tmp_path / "ran").exists()


def test_a_folder_that_cannot_be_made_is_no_error(tmp_path):
    (tmp_path / "file").write_text("")
    cache = TensorCache(tmp_path / "file")
    cache.save("key", TENSORS)
    assert cache.load("key") is None
