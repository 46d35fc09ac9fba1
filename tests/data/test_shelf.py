import gzip
import hashlib

import pytest
import yaml

from duogen.conftree import conf_dir
from duogen.data.shelf import fetch_set, list_sets, shelf
from duogen.errors import UserError

CONTENT = gzip.compress(b"four")
SETS = {
    "mine": {"shape": [3, 4, 6], "root": None},
    "points": {"shape": [2]},
    "pictures": {
        "shape": [1, 5, 7],
        "folder": "set",
        "files": {
            name: {"url": "http://127.0.0.1:9/x", "sha256": hashlib.sha256(CONTENT).hexdigest()} for name in ("a", "b")
        },
    },
}


@pytest.fixture
def conf(tmp_path, monkeypatch):
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path / "data"))
    (tmp_path / "conf" / "data").mkdir(parents=True)
    for name, node in SETS.items():
        (tmp_path / "conf" / "data" / f"{name}.yaml").write_text(yaml.safe_dump({"data": node}))
    return tmp_path / "conf"


def placed(tmp_path, *contents):
    folder = tmp_path / "data" / "set"
    folder.mkdir(parents=True)
    for name, content in zip("ab", contents, strict=False):
        (folder / name).write_bytes(content)
    return folder


def listed(conf, capsys):
    assert list_sets(conf) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    return head, {line.split()[0]: line.split(maxsplit=2)[1:] for line in lines}


def test_a_set_is_listed_with_its_shape_and_its_state(conf, tmp_path, capsys):
    head, lines = listed(conf, capsys)
    assert head == f"data folder: {tmp_path / 'data'}"
    assert lines == {
        "mine": ["3x4x6", "your own: data=mine data.root=PATH"],
        "pictures": ["1x5x7", "not there: duogen data fetch pictures"],
        "points": ["2", "no download needed"],
    }


@pytest.mark.parametrize(
    ("contents", "state"),
    [
        ([CONTENT], "not there: duogen data fetch pictures"),
        ([CONTENT, b"other"], "damaged: b; duogen data fetch pictures"),
        ([b"", b"other"], "damaged: a, b; duogen data fetch pictures"),
    ],
)
def test_files_are_counted_and_checked(contents, state, conf, tmp_path, capsys):
    placed(tmp_path, *contents)
    assert listed(conf, capsys)[1]["pictures"][1] == state


def test_a_whole_set_is_listed_with_its_folder_and_fetched_without_a_network(conf, tmp_path, capsys):
    folder = placed(tmp_path, CONTENT, CONTENT)
    assert listed(conf, capsys)[1]["pictures"][1] == f"in {folder}"
    assert fetch_set(conf, "pictures") == 0
    assert capsys.readouterr().out.count("already there") == 2


def test_packed_files_are_there_too(conf, tmp_path, capsys):
    folder = placed(tmp_path, CONTENT)
    (folder / "b.gz").write_bytes(gzip.compress(CONTENT))
    assert listed(conf, capsys)[1]["pictures"][1] == f"in {folder}"
    assert fetch_set(conf, "pictures") == 0
    (folder / "b.gz").write_bytes(gzip.compress(b"other"))
    assert listed(conf, capsys)[1]["pictures"][1] == "damaged: b; duogen data fetch pictures"


def test_a_file_without_a_checksum_is_taken_as_it_is(conf, tmp_path, capsys):
    node = {"shape": [2], "folder": "set", "files": {"a": {"url": "http://127.0.0.1:9/x", "sha256": None}}}
    (conf / "data" / "points.yaml").write_text(yaml.safe_dump({"data": node}))
    assert listed(conf, capsys)[1]["points"][1] == "not there: duogen data fetch points"
    folder = placed(tmp_path, b"anything")
    assert listed(conf, capsys)[1]["points"][1] == f"in {folder}"


def test_a_set_without_files_needs_no_download(conf, tmp_path, capsys):
    assert fetch_set(conf, "points") == 0
    assert capsys.readouterr().out == "points needs no download.\n"
    assert not (tmp_path / "data").exists()


def test_a_folder_of_the_users_own_is_not_fetched(conf, capsys):
    assert fetch_set(conf, "mine") == 0
    assert "data.root=PATH" in capsys.readouterr().out


def test_an_unknown_set_is_refused_with_the_nearest_name(conf):
    with pytest.raises(UserError) as caught:
        fetch_set(conf, "picture")
    assert caught.value.allowed == "pictures, mine, points"


def test_every_shipped_set_has_a_shape_and_whole_checksums():
    sets = shelf(conf_dir())
    assert {"digits", "mnist", "cifar10", "stacked_mnist", "image_folder", "swiss_roll"} <= set(sets)
    for node in sets.values():
        assert all(side >= 1 for side in node["shape"])
        for entry in node.get("files", {}).values():
            assert entry["url"].startswith("https://")
            assert entry["sha256"] is None or len(bytes.fromhex(entry["sha256"])) == 32
    unknown = {name for name, node in sets.items() for e in node.get("files", {}).values() if e["sha256"] is None}
    assert unknown == {"dsprites"}
