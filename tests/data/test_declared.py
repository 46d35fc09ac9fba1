import gzip
import hashlib

import pytest

from duogen.data.declared import DeclaredFiles
from duogen.errors import UserError


@pytest.fixture
def declared(tmp_path, monkeypatch):
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    (tmp_path / "my-set").mkdir()
    (tmp_path / "my-set" / "a.gz").write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    return DeclaredFiles("my-set", {name: {"url": f"http://set/{name}", "sha256": digest} for name in ("a.gz", "b.gz")})


def test_a_declared_file_is_read(declared):
    assert declared.read("a.gz") == b"abc"


def test_a_missing_file_is_named_with_its_folder_and_all_remedies(declared, tmp_path):
    with pytest.raises(UserError) as refusal:
        declared.read("b.gz")
    assert "b.gz" in refusal.value.given
    assert str(tmp_path / "my-set") in refusal.value.given
    assert refusal.value.allowed == "all of a.gz, b.gz"
    assert "duogen data fetch my_set" in refusal.value.remedy
    assert "DUOGEN_DATA" in refusal.value.remedy


def test_other_bytes_are_refused(declared, tmp_path):
    path = tmp_path / "my-set" / "a.gz"
    path.write_bytes(b"abd")
    with pytest.raises(UserError) as refusal:
        declared.read("a.gz")
    assert str(path) in refusal.value.given
    assert str(path) in refusal.value.remedy


def test_a_packed_file_is_unpacked_and_checked_by_what_it_holds(declared, tmp_path):
    path = tmp_path / "my-set" / "b.gz.gz"
    path.write_bytes(gzip.compress(b"abc"))
    assert declared.read("b.gz") == b"abc"
    path.write_bytes(gzip.compress(b"abd"))
    with pytest.raises(UserError) as refusal:
        declared.read("b.gz")
    assert str(path) in refusal.value.given
    path.write_bytes(b"abc")
    with pytest.raises(UserError, match=r"b\.gz\.gz cannot be unpacked"):
        declared.read("b.gz")


def test_without_a_checksum_any_bytes_are_read(declared):
    assert DeclaredFiles("my-set", {"a.gz": {"url": "http://set/a", "sha256": None}}).read("a.gz") == b"abc"
