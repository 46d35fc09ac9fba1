import pytest

from duogen.data.checksum import sha256_of, verify
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
