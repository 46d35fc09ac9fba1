import gzip

import pytest

from duogen.data.checksum import gunzipped, present, sha256_of, verify, whole
from duogen.errors import UserError

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-4, the example "abc"


def test_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_of(tmp_path / "abc") == ABC


def test_declared_content_passes():
    verify("the letters", b"abc", ABC, "learn to read")


def test_other_content_is_refused_with_all_that_is_needed():
    with pytest.raises(UserError) as refusal:
        verify("the letters", b"abd", ABC, "learn to read")
    assert "the letters" in refusal.value.given
    assert ABC in refusal.value.allowed
    assert refusal.value.remedy == "learn to read"


def test_a_file_is_found_before_the_packed_one(tmp_path):
    path, packed = tmp_path / "a.txt", tmp_path / "a.txt.gz"
    assert present(path) is None
    packed.write_bytes(b"")
    assert present(path) == packed
    path.write_bytes(b"")
    assert present(path) == path


@pytest.mark.parametrize(
    ("name", "content", "right"),
    [
        ("a", b"abc", True),
        ("a", b"abd", False),
        ("a.gz", gzip.compress(b"abc", mtime=0), True),
        ("a.gz", gzip.compress(b"abd", mtime=0), False),
        ("a.gz", b"abc", False),
        ("a.gz", gzip.compress(b"abc", mtime=0)[:-3], False),
        ("b", b"abc", False),
    ],
)
def test_whole_is_what_is_there_with_the_declared_bytes(tmp_path, name, content, right):
    (tmp_path / name).write_bytes(content)
    assert whole(tmp_path / "a", ABC) is right
    assert whole(tmp_path / "a", None) is (name != "b")


def test_unpacking_gives_the_bytes_or_names_what_was_read():
    assert gunzipped(gzip.compress(b"abc", mtime=0), "x.gz") == b"abc"
    for content in (b"abc", gzip.compress(b"abc", mtime=0)[:-5]):
        with pytest.raises(UserError, match=r"x\.gz cannot be unpacked"):
            gunzipped(content, "x.gz")
