import hashlib
import io
import pickle
import struct
import tarfile

import numpy as np
import pytest
import torch

from duogen.data.cifar10 import ARCHIVE, TEST, TRAIN, batch, members_of
from duogen.errors import UserError


def text(value):
    return b"U" + bytes([len(value)]) + value


def batch_file(data, labels, name=b"training batch"):
    """A batch as Python 2 pickled it: protocol 2, a dictionary of four, its array by NumPy 1."""
    rows = struct.pack("<H", len(data))
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07K\x00\x85U\x01b\x87Rq\x08(K\x01M"
        + rows + b"M\x00\x0c\x86cnumpy\ndtype\nq\tU\x02u1K\x00K\x01\x87Rq\n"
        + b"(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T" + struct.pack("<i", data.nbytes)
        + data.tobytes() + b"tb"
    )  # fmt: skip
    numbers = b"]q\x0b(" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    names = b"]q\x0c(" + b"".join(text(b"%d.png" % index) for index in range(len(labels))) + b"e"
    pairs = [b"batch_label", text(name)], [b"labels", numbers], [b"data", array], [b"filenames", names]
    return b"\x80\x02}q\x01(" + b"".join(text(key) + value for key, value in pairs) + b"u."


def tar_of(members):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        folder = tarfile.TarInfo("cifar-10-batches-py")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in members.items():
            info = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


DRAW = np.random.default_rng(0)
BATCHES = {
    name: (DRAW.integers(0, 256, (count, 3072), np.uint8), [(index + count) % 10 for index in range(count)])
    for count, name in zip((5, 4, 3, 5, 6, 7), (*TRAIN, *TEST), strict=True)
}


@pytest.fixture
def cifar10(built, tmp_path, monkeypatch):
    """The data module over a small archive of the same structure, members exchanged where asked."""
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    (tmp_path / "cifar10").mkdir()

    def build(exchanged=None, **overrides):
        members = {name: batch_file(*held) for name, held in BATCHES.items()} | {"batches.meta": b"never read"}
        content = tar_of(members | (exchanged or {}))
        (tmp_path / "cifar10" / ARCHIVE).write_bytes(content)
        files = {ARCHIVE: {"sha256": hashlib.sha256(content).hexdigest()}}
        return built("cifar10", **({"files": files, "batch_size": 2, "validate_size": 8} | overrides))

    return build


def test_the_test_files_are_what_pickle_reads():
    data, labels = BATCHES["data_batch_2"]
    held = pickle.loads(batch_file(data, labels), encoding="bytes")
    assert set(held) == {b"batch_label", b"labels", b"data", b"filenames"}
    assert held[b"labels"] == labels
    np.testing.assert_array_equal(held[b"data"], data)


def test_the_end_of_the_training_batches_is_for_validation(cifar10):
    data = cifar10()
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 15, "validate": 8, "test": 7}
    pixels = np.concatenate([BATCHES[name][0] for name in TRAIN])
    labels = np.concatenate([BATCHES[name][1] for name in TRAIN])
    for name, part in {"train": slice(0, 15), "validate": slice(15, 23)}.items():
        np.testing.assert_array_equal(data.splits[name].values.flatten(1), pixels[part])
        np.testing.assert_array_equal(data.splits[name].labels, labels[part])
    np.testing.assert_array_equal(data.splits["test"].values.flatten(1), BATCHES["test_batch"][0])
    assert data.splits["test"].labels.tolist() == BATCHES["test_batch"][1]


def test_a_row_is_red_then_green_then_blue_each_by_rows():
    row = np.zeros((1, 3072), np.uint8)
    row[0, 1024 * 2 + 32 * 5 + 7] = 9
    image = batch(batch_file(row, [3]), "x").values
    assert image.shape == (1, 3, 32, 32)
    assert image.nonzero().tolist() == [[0, 2, 5, 7]]


def test_bytes_are_kept_and_batches_are_floats(cifar10):
    data = cifar10()
    assert data.splits["train"].values.dtype == torch.uint8
    first = next(data.stream(0))
    assert first.values.shape == (2, 3, 32, 32)
    assert first.values.abs().max() <= 1


def test_the_shipped_sizes_are_45000_and_5000(built):
    data = built("cifar10")
    assert (data.shape, data.classes, data.validate_size) == ((3, 32, 32), 10, 5000)
    assert list(data.declared.files) == [ARCHIVE]


def test_a_malicious_batch_runs_nothing(cifar10, tmp_path):
    canary = tmp_path / "canary"
    evil = b"\x80\x02cos\nmkdir\n" + text(str(canary).encode()) + b"\x85R."
    with pytest.raises(UserError, match=r"data_batch_3 of cifar-10-python\.tar\.gz asks for the name os mkdir"):
        cifar10({"data_batch_3": evil}).setup()
    assert not canary.exists()


def other_contents():
    data, labels = BATCHES["data_batch_1"]
    return {
        "a label too few": batch_file(data, labels[1:]),
        "shorter rows": batch_file(data, labels).replace(b"M\x00\x0c\x86", b"M\x00\x06\x86"),
        "no dictionary": pickle.dumps([1, 2], 2),
        "no data": pickle.dumps({"labels": labels}, 2),
        "no labels": batch_file(data, labels).replace(text(b"labels"), text(b"labelz")),
        "text for labels": pickle.dumps({"data": "x", "labels": "y"}, 2),
    }


@pytest.mark.parametrize("kind", other_contents())
def test_batches_with_other_content_are_refused(cifar10, kind):
    with pytest.raises(UserError, match="data_batch_1 of"):
        cifar10({"data_batch_1": other_contents()[kind]}).setup()


def test_labels_beyond_the_classes_are_refused(cifar10):
    data, labels = BATCHES["test_batch"]
    with pytest.raises(UserError, match=r"data\.classes=10"):
        cifar10({"test_batch": batch_file(data, [*labels[1:], 10])}).setup()


def test_missing_members_are_named():
    with pytest.raises(UserError) as refusal:
        members_of(tar_of({"data_batch_2": b"x"}), [*TRAIN, *TEST])
    assert "data_batch_1, data_batch_3" in refusal.value.given


@pytest.mark.parametrize("damage", [lambda tar: b"hello", lambda tar: tar[: len(tar) // 2], lambda tar: tar[:60] + tar])
def test_a_damaged_archive_is_refused(damage):
    members = {name: batch_file(*held) for name, held in BATCHES.items()}
    with pytest.raises(UserError, match=ARCHIVE):
        members_of(damage(tar_of(members)), [*TRAIN, *TEST])


def test_a_link_in_the_archive_is_not_followed(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        link = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/hostname"
        tar.addfile(link)
    with pytest.raises(UserError, match="lacks data_batch_1"):
        members_of(buffer.getvalue(), ["data_batch_1"])
