import os

import pytest

from duogen import files
from duogen.files import write_atomic


def test_the_content_replaces_what_was_there_and_folders_are_made(tmp_path):
    path = tmp_path / "deep" / "down" / "file.bin"
    write_atomic(path, b"first")
    write_atomic(path, b"\x00second")
    assert path.read_bytes() == b"\x00second"
    assert list(path.parent.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_it_has_the_name(tmp_path, monkeypatch):
    path, synced = tmp_path / "file", []

    def fsync(number):
        synced.append((os.fstat(number).st_size, path.read_bytes()))

    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", fsync)
    write_atomic(path, b"newer")
    assert synced == [(5, b"old")]
    assert path.read_bytes() == b"newer"


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt()])
def test_a_failure_leaves_the_old_file_and_nothing_beside_it(error, tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(files.os, "fsync", lambda number: (_ for _ in ()).throw(error))
    with pytest.raises(type(error)):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_another_name_of_the_old_file_keeps_the_old_content(tmp_path):
    path, link = tmp_path / "file", tmp_path / "link"
    path.write_bytes(b"old")
    link.hardlink_to(path)
    write_atomic(path, b"new")
    assert link.read_bytes() == b"old"
