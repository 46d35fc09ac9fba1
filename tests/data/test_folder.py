from pathlib import Path

import pytest

from duogen.data.folder import cache_folder, data_folder


@pytest.fixture(autouse=True)
def _bare(monkeypatch, tmp_path):
    monkeypatch.delenv("DUOGEN_DATA", raising=False)
    monkeypatch.delenv("DUOGEN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def test_home_cache_by_default(tmp_path):
    assert data_folder() == tmp_path / ".cache" / "duogen"


def test_xdg_cache(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert data_folder() == tmp_path / "x" / "duogen"


@pytest.mark.parametrize(("given", "expected"), [("sets", "sets"), ("~/sets", "sets"), ("", ".cache/duogen")])
def test_variable_decides_and_is_made_absolute(monkeypatch, tmp_path, given, expected):
    monkeypatch.setenv("DUOGEN_DATA", given)
    folder = data_folder()
    monkeypatch.chdir("/")
    assert folder == tmp_path / expected
    assert isinstance(folder, Path)
    assert folder.is_absolute()


def test_what_can_be_made_again_never_lies_among_the_data(monkeypatch, tmp_path):
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path / "sets"))
    assert cache_folder() == tmp_path / ".cache" / "duogen" / "made"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert cache_folder() == tmp_path / "x" / "duogen" / "made"
    monkeypatch.setenv("DUOGEN_CACHE", "elsewhere")
    assert cache_folder() == tmp_path / "elsewhere"
