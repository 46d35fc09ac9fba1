import gzip

import pytest

from duogen.conftree import conf_dir
from duogen.data.shelf import fetch_set, list_sets, shelf
from duogen.errors import UserError


def test_every_set_of_the_tree_is_on_the_shelf(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    assert list_sets(conf_dir()) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"data folder: {tmp_path}"
    assert [line.split()[0] for line in lines[1:]] == sorted(path.stem for path in (conf_dir() / "data").glob("*.yaml"))
    assert len(shelf(conf_dir())) >= 5
    by_name = {line.split()[0]: line for line in lines[1:]}
    assert "no download needed" in by_name["digits"]
    assert "not there: duogen data fetch mnist" in by_name["mnist"]


def test_a_damaged_file_is_named(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    (tmp_path / "mnist").mkdir()
    for name in shelf(conf_dir())["mnist"]["files"]:
        (tmp_path / "mnist" / name).write_bytes(gzip.compress(b"other"))
    list_sets(conf_dir())
    assert "damaged: train-images-idx3-ubyte.gz" in capsys.readouterr().out


def test_a_set_without_files_needs_no_fetch(capsys):
    assert fetch_set(conf_dir(), "ring") == 0
    assert "no download" in capsys.readouterr().out


def test_an_unknown_set_is_met_with_the_nearest():
    with pytest.raises(UserError) as error:
        fetch_set(conf_dir(), "minst")
    assert error.value.allowed.startswith("mnist")


def test_whole_files_are_listed_with_their_folder(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    digest = "2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae"
    (tmp_path / "conf" / "data").mkdir(parents=True)
    lines = [
        "data:",
        "  shape: [1, 2, 3]",
        "  folder: mine",
        f"  files: {{f.gz: {{url: 'http://x', sha256: {digest}}}}}",
    ]
    (tmp_path / "conf" / "data" / "mine.yaml").write_text("\n".join(lines))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "f.gz").write_bytes(b"foo")
    list_sets(tmp_path / "conf")
    assert f"1x2x3        in {tmp_path / 'mine'}" in capsys.readouterr().out
