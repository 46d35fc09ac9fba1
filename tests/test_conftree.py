from pathlib import Path

import pytest

from duogen import conftree
from duogen.errors import UserError

FILES = {
    "train.yaml": "defaults: [_self_, model: gan]\n",
    "model/gan.yaml": "# @package _global_\ndefaults: [{/generator: mlp}, {override /data@other: ring}, _self_]\n",
    "generator/mlp.yaml": "width: 3\n",
    "generator/dcgan.yaml": "width: 5\n",
    "penalty/r1.yaml": "# @package penalties.r1\nweight: 7\n",
    "hydra/launcher/pool.yaml": "n: 2\n",
}


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    folder = write(tmp_path / "shipped", FILES)
    monkeypatch.setattr(conftree, "conf_dir", lambda: folder)
    return folder


def test_conf_dir_is_the_repositorys_or_the_wheels(tmp_path, monkeypatch):
    assert (conftree.conf_dir() / "train.yaml").is_file()
    module = tmp_path / "site-packages" / "duogen" / "conftree.py"
    (module.parent / "conf").mkdir(parents=True)
    monkeypatch.setattr(conftree, "__file__", str(module))
    assert conftree.conf_dir() == module.parent / "conf"


def test_groups_and_options_are_what_stands_on_disk(shipped):
    assert conftree.groups() == ["generator", "model", "penalty"]
    assert conftree.options("generator") == ["dcgan", "mlp"]
    assert conftree.options("encoder") == []


def test_a_users_folder_adds_groups_and_options_and_its_files_win(shipped, tmp_path):
    own = write(
        tmp_path / "own", {"generator/mlp.yaml": "width: 11\n", "generator/mine.yaml": "", "prior/flow.yaml": ""}
    )
    assert conftree.groups(own) == ["generator", "model", "penalty", "prior"]
    assert conftree.options("generator", own) == ["dcgan", "mine", "mlp"]
    assert conftree.tree(own).read("generator/mlp") == (None, {"width": 11})
    assert conftree.tree(own).read("generator/dcgan") == (None, {"width": 5})


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        conftree.groups(tmp_path / "nowhere")


def test_a_file_is_read_with_its_package_and_its_groups(shipped):
    tree = conftree.tree()
    assert tree.read("penalty/r1") == ("penalties.r1", {"weight": 7})
    assert tree.read("penalty/none") == (None, {})
    assert tree.defaults("model/gan") == {"generator": "mlp", "data": "ring"}
    assert tree.defaults("generator/mlp") == {}
    assert tree.placed("penalties.r1") == ["penalty=[r1]"]
    assert tree.placed("penalties.r") == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"a: [\n", "line 2"),
        (b"a: 1\n\tb: 2\n", "line 2"),
        (b"a: \xff\n", "utf-8"),
        (b"- 1\n", "no mapping"),
        (b"x\n", "no mapping"),
    ],
)
def test_a_file_that_is_no_yaml_mapping_is_named_with_its_line(shipped, text, words):
    (shipped / "generator" / "mlp.yaml").write_bytes(text)
    with pytest.raises(UserError) as caught:
        conftree.tree().read("generator/mlp")
    assert "generator/mlp.yaml" in caught.value.given
    assert words in caught.value.given


BASE = {
    "seed": 0,
    "resume": None,
    "optimizer": {"_target_": "torch.optim.Adam", "lr": 0.5},
    "trainer": {"devices": 1},
    "penalties": {},
    "metrics": {"fid": {"_target_": "x.Fid"}},
    "shape": [3, 5],
}


@pytest.mark.parametrize(
    ("content", "nothing_more", "new_parts", "but_typos"),
    [
        ({"seed": 3}, None, None, None),
        ({"sed": 3}, "sed", "sed", "sed"),
        ({"optimizer": {"lr": 1}}, None, None, None),
        ({"optimizer": {"lrr": 1}}, "optimizer.lrr", None, "optimizer.lrr"),
        ({"optimizer": {"amsgrad": True}}, "optimizer.amsgrad", None, None),
        ({"trainer": {"device": 1}}, "trainer.device", "trainer.device", "trainer.device"),
        ({"penalties": {"r1": {"weight": 2}}}, "penalties.r1", None, None),
        ({"metrics": {"kid": {"_target_": "x.Kid"}}}, "metrics.kid", None, None),
        ({"metrics": {"kid": {"weight": 2}}}, "metrics.kid", "metrics.kid", "metrics.kid"),
        ({"seed": {"x": 1}}, "seed.x", "seed.x", "seed.x"),
        ({"resume": {"x": 1}}, "resume.x", None, None),
        ({"shape": {"1": 7}}, None, None, None),
        ({"shape": {"2": 7}}, "shape.2", "shape.2", "shape.2"),
        ({1: 2}, "1", "1", "1"),
    ],
)
def test_the_first_key_that_leads_out_of_a_tree_is_found(content, nothing_more, new_parts, but_typos):
    for takes, expected in (
        (conftree.nothing_more, nothing_more),
        (conftree.new_parts, new_parts),
        (conftree.new_parts_but_typos, but_typos),
    ):
        found = conftree.lost(content, BASE, takes)
        assert (found and found[0]) == expected
