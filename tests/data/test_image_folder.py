from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from duogen.data.image_folder import ImageFolder
from duogen.data.transforms import HorizontalFlip, Shift
from duogen.data.tree import cuts, image_files
from duogen.errors import UserError

CLASSES = ["Äpfel", "birnen", "猫"]


def image(path, level, size=(9, 7), mode="L"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, level).convert(mode).save(path)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Thirty images of three classes, in many sizes and modes, each of one level of grey, 3 x number."""
    monkeypatch.setenv("DUOGEN_CACHE", str(tmp_path / "data"))
    modes = ["L", "1", "P", "RGBA", "RGB", "LA"]
    for index in range(30):
        mode = modes[index % 6]
        level = 3 * index if mode != "1" else 255 * (index % 2)
        image(tmp_path / "my" / CLASSES[index % 3] / f"{index}.png", level, (5 + index, 34 - index), mode)
    return tmp_path / "my"


@pytest.fixture
def folder(built, root):
    def build(**overrides):
        return built(
            "image_folder", **({"shape": [1, 4, 6], "classes": 3, "root": str(root), "batch_size": 4} | overrides)
        )

    return build


def level(path):
    return int(path.stem) * 3 if int(path.stem) % 6 != 1 else 255


def everything(data):
    """All images in the order of positions: test, validate, train."""
    splits = [data.splits[name] for name in ("test", "validate", "train")]
    return torch.cat([split.values for split in splits]), torch.cat([split.labels for split in splits])


def test_images_and_labels_belong_together(folder, root):
    values, labels = everything(folder())
    files = image_files(root)
    assert values.shape == (30, 1, 4, 6)
    assert values.dtype == torch.uint8
    for value, label, file in zip(values, labels, files, strict=True):
        assert (value == level(file.path)).all()
        assert sorted(CLASSES)[label] == file.group


def test_splits_are_cut_at_the_shares(folder, root):
    first, second = cuts([file.position for file in image_files(root)], 0.3, 0.2)
    splits = folder(test_share=0.3, validate_share=0.2).splits
    assert {name: len(split) for name, split in splits.items()} == {
        "test": first,
        "validate": second - first,
        "train": 30 - second,
    }


def test_facts_are_what_only_the_folder_knows(folder, root, monkeypatch):
    facts = folder(classes=None).facts()
    assert facts["classes"] == 3
    assert facts["root"] == str(root)
    assert len(bytes.fromhex(facts["sha256"])) == 32
    monkeypatch.chdir(root.parent)
    assert folder(root="my").facts() == facts
    image(root / "birnen" / "99.png", 1)
    changed = folder().facts()
    assert changed["classes"] == 3
    assert changed["sha256"] != facts["sha256"]


def test_the_facts_build_a_module_that_loads(folder):
    facts = folder(classes=None).facts()
    assert len(folder(**facts).splits["train"]) > 0


def test_a_folder_without_sub_folders_has_no_labels(folder, tmp_path):
    for index in range(5):
        image(tmp_path / "flat" / f"{index}.png", index)
    data = folder(root=str(tmp_path / "flat"), classes=None, batch_size=1)
    assert data.facts()["classes"] is None
    assert {split.labels for split in data.splits.values()} == {None}
    assert next(data.stream(0)).labels is None


def test_colour_and_background(folder, tmp_path):
    for index in range(3):
        (tmp_path / "clear").mkdir(exist_ok=True)
        Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(tmp_path / "clear" / f"{index}.png")
    given = {"root": str(tmp_path / "clear"), "classes": None, "shape": [3, 2, 5]}
    values = folder(**given, background=[1, 20, 250]).splits["train"].values
    assert values[0].flatten(1).unique(dim=1).flatten().tolist() == [1, 20, 250]


def test_all_corrupt_files_are_named_at_once(folder, root):
    (root / "birnen" / "kaputt.png").write_bytes(b"no image")
    whole = (root / "猫" / "2.png").read_bytes()
    (root / "猫" / "halb.png").write_bytes(whole[: len(whole) // 2])
    for _ in range(2):
        with pytest.raises(UserError) as refusal:
            folder().setup()
        assert "2 of 32 files" in refusal.value.given
        assert "birnen/kaputt.png: " in refusal.value.given
        assert "猫/halb.png: " in refusal.value.given
        assert "data.skip_corrupt=true" in refusal.value.remedy


def test_corrupt_files_are_left_out_where_asked_and_the_others_stay(folder, root, capsys):
    before = everything(folder())
    (root / "birnen" / "kaputt.png").write_bytes(b"no image")
    data = folder(skip_corrupt=True)
    after = everything(data)
    assert "birnen/kaputt.png" in capsys.readouterr().out
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(("rank", "told"), [("0", 1), ("1", 0)])
def test_one_rank_tells_what_is_left_out(folder, root, capsys, monkeypatch, rank, told):
    (root / "birnen" / "kaputt.png").write_bytes(b"no image")
    monkeypatch.setenv("RANK", rank)
    assert len(folder(skip_corrupt=True).splits["train"]) > 0
    assert capsys.readouterr().out.count("birnen/kaputt.png") == told


def test_each_image_is_decoded_once(folder, monkeypatch, capsys):
    first = folder().checksum()
    assert "decoding 30 images" in capsys.readouterr().out
    monkeypatch.setattr("duogen.data.pixels.decoded", lambda *args: pytest.fail("decoded again"))
    assert folder().checksum() == first
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("change", [{"shape": [1, 6, 4]}, {"shape": [3, 4, 6]}, {"background": [0, 0, 0]}])
def test_other_rules_have_their_own_cache(folder, change):
    first = folder().checksum()
    assert folder(**change).splits["train"].values.shape[1:] == tuple(change.get("shape", [1, 4, 6]))
    assert folder().checksum() == first


@pytest.mark.parametrize("workers", [0, 2])
def test_what_exceeds_the_memory_is_read_from_the_disk_in_the_same_batches(folder, workers):
    held, mapped = folder(), folder(memory_limit_gb=0.0, workers=workers)
    assert (held.mapped, mapped.mapped) == (False, True)
    assert (held.resident, mapped.resident) == (True, False)
    held.transforms = mapped.transforms = [HorizontalFlip(0.5), Shift(1)]
    stream = mapped.stream(3)
    for one, other in zip(islice(held.stream(3), 9), stream, strict=False):
        assert torch.equal(one.values, other.values)
        assert torch.equal(one.labels, other.labels)
    stream.close()
    assert torch.equal(next(iter(held.val_dataloader())).values, next(iter(mapped.val_dataloader())).values)
    assert held.checksum() == mapped.checksum()


def test_the_limit_is_in_units_of_ten_to_the_nine_bytes(folder):
    size = 30 * 1 * 4 * 6
    assert not folder(memory_limit_gb=size / 1e9).mapped
    assert folder(memory_limit_gb=(size - 1) / 1e9).mapped


def test_a_folder_that_changed_is_refused(folder, root):
    facts = folder().facts()
    image(root / "birnen" / "1.png", 77)
    for use in (lambda data: data.setup(), lambda data: data.facts()):
        with pytest.raises(UserError, match=f"the declared sha256 {facts['sha256']}"):
            use(folder(sha256=facts["sha256"]))


def test_a_folder_must_be_named(folder):
    for use in (lambda data: data.setup(), lambda data: data.facts()):
        with pytest.raises(UserError) as refusal:
            use(folder(root=None))
        assert refusal.value.remedy == "give data.root=PATH"


def test_fewer_than_three_images_are_refused(folder, tmp_path):
    for index in range(2):
        image(tmp_path / "two" / f"{index}.png", index)
    with pytest.raises(UserError, match="holds 2 image"):
        folder(root=str(tmp_path / "two"), classes=None).setup()


def test_wrong_classes_are_refused(folder):
    with pytest.raises(UserError, match=r"data\.classes=2"):
        folder(classes=2).setup()


def test_a_cache_that_cannot_be_written_is_the_users_to_mend(folder, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("DUOGEN_CACHE", str(tmp_path / "file"))
    with pytest.raises(UserError) as refusal:
        folder().facts()
    assert "DUOGEN_CACHE" in refusal.value.remedy


@pytest.mark.parametrize(
    ("wrong", "given"),
    [
        ({"shape": [2, 4, 6]}, "data.shape=[2, 4, 6]"),
        ({"shape": [16]}, "data.shape=[16]"),
        ({"background": [0, 0]}, "data.background=[0, 0]"),
        ({"background": [0, 0, 256]}, "data.background=[0, 0, 256]"),
        ({"test_share": 0.0}, "test_share=0.0"),
        ({"validate_share": 0.95}, "validate_share=0.95"),
    ],
)
def test_odd_settings_are_refused(folder, wrong, given):
    with pytest.raises(UserError) as refusal:
        folder(**wrong)
    assert given in refusal.value.given


def test_a_path_in_the_users_home(folder, root, monkeypatch):
    monkeypatch.setenv("HOME", str(root.parent))
    assert Path(folder(root="~/my").facts()["root"]) == root


def test_loading_leaves_global_generators_alone(folder, global_generators):
    before = global_generators()
    folder().setup()
    assert global_generators() == before


def test_the_class_is_exported_under_its_target(folder):
    assert type(folder()) is ImageFolder
    assert np.isclose(folder().memory_limit_gb, 8)
