"""A copy of the code: what is in it, that it is made once, and that it comes before the current folder."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import duogen
from duogen.sweep import snapshot as subject
from duogen.sweep.snapshot import CODE, VARIABLE, digest, prefer, snapshot

SHOWN = """
from duogen.sweep.snapshot import prefer
prefer()
import duogen, hydra_plugins.duogen.slurm, own, package.inner
from duogen.conftree import conf_dir
for path in (duogen.__file__, hydra_plugins.duogen.slurm.__file__, conf_dir(), own.__file__, package.inner.__file__):
    print(path)
print(own.VERSION)
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with a module, a package and a folder without __init__.py, from which a sweep is begun."""
    (tmp_path / "own.py").write_text("VERSION = 1\n")
    for name in ("package", "bare"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "inner.py").write_text("")
        (tmp_path / name / "deep" / "data.txt").write_text("x")
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "__pycache__").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    for name in (VARIABLE, "PYTHONPATH"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield tmp_path
    for name in ("own", "package", "package.inner", "bare"):
        sys.modules.pop(name, None)


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_copy_holds_duogen_its_plugins_its_configs_and_what_is_allowed(here):
    copied = files(snapshot(here / "sweep", ["own.", "package.inner.", "bare.", "nowhere."]))
    source = Path(duogen.__file__).parent
    assert {name for name in copied if not name.startswith(("duogen/", "hydra_plugins/"))} == {
        "own.py", "package/__init__.py", "package/inner.py", "package/deep/data.txt", "bare/inner.py",
        "bare/deep/data.txt",
    }  # fmt: skip
    assert files(source).items() <= {name.removeprefix("duogen/"): text for name, text in copied.items()}.items()
    assert "duogen/conf/train.yaml" in copied
    assert "hydra_plugins/duogen/slurm.py" in copied


def test_a_process_that_is_started_later_runs_the_copy_whatever_is_edited(here):
    target = snapshot(here / "sweep", ["own.", "package."])
    (here / "own.py").write_text("VERSION = 2\n")
    (here / "shown.py").write_text(SHOWN)
    done = subprocess.run([sys.executable, "-m", "shown"], cwd=here, capture_output=True, text=True, check=True)
    *paths, version = done.stdout.split()
    assert len(paths) == 5
    assert [path for path in paths if not Path(path).is_relative_to(target)] == []
    assert version == "1"


def test_the_same_code_is_copied_once_and_changed_code_beside_it(here, monkeypatch):
    monkeypatch.setattr(subject, "sources", lambda allow: {"own.py": here / "own.py"})
    first = snapshot(here / "sweep", [])
    mark = first / "mark"
    mark.touch()
    assert snapshot(here / "sweep", []) == first
    assert mark.exists()
    (here / "own.py").write_text("VERSION = 2\n")
    second = snapshot(here / "sweep", [])
    assert sorted(path.name for path in (here / "sweep" / CODE).iterdir()) == sorted([first.name, second.name])
    assert ((first / "own.py").read_text(), (second / "own.py").read_text()) == ("VERSION = 1\n", "VERSION = 2\n")
    assert os.environ["PYTHONPATH"].split(os.pathsep) == [str(second), str(first)]
    assert os.environ[VARIABLE] == str(second)


def test_the_digest_is_of_content_and_place(here):
    before = digest({"a": here / "package"})
    assert digest({"a": here / "package"}) == before
    (here / "package" / "__pycache__" / "x.pyc").write_text("x")
    assert digest({"a": here / "package"}) == before
    assert digest({"b": here / "package"}) != before
    (here / "package" / "inner.py").rename(here / "package" / "deep" / "inner.py")
    assert digest({"a": here / "package"}) != before


def test_two_commands_may_copy_the_same_code_at_once(here):
    parts = {"own.py": here / "own.py"}
    subject.copy(parts, here / "one")
    subject.copy(parts, here / "one")
    assert [path.name for path in here.iterdir() if "one" in path.name] == ["one"]
    assert files(here / "one") == {"own.py": b"VERSION = 1\n"}


def test_without_a_copy_nothing_is_preferred(here):
    before = list(sys.path)
    prefer()
    assert sys.path == before
