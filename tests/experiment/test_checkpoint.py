"""Reading checkpoints: ours come back whole; of anything else nothing is kept and nothing is executed."""

import os
import random
from collections import OrderedDict

import pytest
import torch

from duogen.callbacks.checkpoints import FORMAT
from duogen.errors import UserError
from duogen.experiment.checkpoint import FIELDS, NEEDED, load

CONFIG = {name: {"nested": [1, 2.5, "x", None, True]} for name in NEEDED}
GOOD = dict.fromkeys(FIELDS, 0) | {
    "format": FORMAT,
    "config": CONFIG,
    "module": OrderedDict(weight=torch.arange(6.0).view(2, 3), counter=torch.tensor(7)),
}


@pytest.fixture
def good(tmp_path):
    torch.save(GOOD, tmp_path / "good.ckpt")
    return tmp_path / "good.ckpt"


def test_ours_comes_back_as_it_was(good):
    found = load(good)
    assert set(found) == FIELDS
    assert found["config"] == CONFIG
    assert torch.equal(found["module"]["weight"], GOOD["module"]["weight"])
    assert found["module"]["counter"].dtype == torch.int64


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"format": FORMAT + 1}, f"format {FORMAT + 1}"),
        ({"surplus": 1}, "surplus"),
        ({"config": None}, "no config"),
        ({"config": [1]}, "no config"),
        ({"config": {}}, "no config"),
        ({"config": {name: {} for name in NEEDED - {"turns"}}}, "no config"),
    ],
)
def test_another_shape_is_refused_by_what_is_odd(changes, named, tmp_path):
    torch.save(GOOD | changes, tmp_path / "odd.ckpt")
    with pytest.raises(UserError, match=named):
        load(tmp_path / "odd.ckpt")


@pytest.mark.parametrize("field", sorted(FIELDS))
def test_no_field_may_be_missing(field, tmp_path):
    torch.save({name: value for name, value in GOOD.items() if name != field}, tmp_path / "part.ckpt")
    with pytest.raises(UserError, match=field):
        load(tmp_path / "part.ckpt")


@pytest.mark.parametrize("content", [[1, 2], torch.zeros(2), 3, "text", None, {1: 2}, {}])
def test_another_object_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "other.ckpt")
    with pytest.raises(UserError, match="other fields"):
        load(tmp_path / "other.ckpt")


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("canary",))


class Harmless:
    pass


@pytest.mark.parametrize(
    "content", [Bomb(), Harmless(), os.system, torch.nn.Linear(1, 1)], ids=["bomb", "class", "function", "module"]
)
@pytest.mark.parametrize("place", ["top", "inside"])
def test_more_than_tensors_and_containers_is_refused_as_such(content, place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(content if place == "top" else GOOD | {"extras": content}, "object.ckpt")
    with pytest.raises(UserError, match="more than tensors and plain containers"):
        load(tmp_path / "object.ckpt")
    assert [path.name for path in tmp_path.iterdir()] == ["object.ckpt"]


def test_a_file_cut_anywhere_is_no_whole_checkpoint(good, tmp_path):
    content, cut = good.read_bytes(), tmp_path / "cut.ckpt"
    for length in [*range(0, 200, 9), *range(200, len(content), 97), len(content) - 1]:
        cut.write_bytes(content[:length])
        with pytest.raises(UserError, match="no whole checkpoint and was not read"):
            load(cut)


def test_a_damaged_file_gives_a_refusal_or_our_fields(good, tmp_path):
    content, damaged, draw = good.read_bytes(), tmp_path / "damaged.ckpt", random.Random(0)
    refused = 0
    for _ in range(300):
        broken = bytearray(content)
        for _ in range(draw.randint(1, 8)):
            broken[draw.randrange(len(broken))] = draw.randrange(256)
        damaged.write_bytes(broken)
        try:
            assert set(load(damaged)) == FIELDS
        except UserError:
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(("name", "named"), [("", "a folder"), ("nothing.ckpt", "not there")])
def test_what_is_no_file_is_named(name, named, tmp_path):
    with pytest.raises(UserError, match=named):
        load(tmp_path / name)


def test_a_text_is_no_checkpoint(tmp_path):
    (tmp_path / "notes.txt").write_text("import os\n")
    with pytest.raises(UserError, match="no whole checkpoint"):
        load(tmp_path / "notes.txt")
