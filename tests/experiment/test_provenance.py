import hashlib
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import pytest

from duogen.experiment import provenance as subject
from duogen.experiment.provenance import code, provenance

NOTHING = {"git": None, "dirty": None, "dirty_diff_sha256": None}


@pytest.fixture(autouse=True)
def plain_git(monkeypatch, tmp_path):
    """No settings of the machine's, and no repository around the test's folder."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))


def git(folder, *arguments) -> bytes:
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.test")
    return subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True).stdout


def repository(folder):
    """A repository with one commit of one file."""
    folder.mkdir(parents=True)
    git(folder, "init")
    (folder / "net.py").write_text("lr = 1\n")
    git(folder, "add", "net.py")
    git(folder, "commit", "-m", "first")
    return folder


def head(folder) -> str:
    return git(folder, "rev-parse", "HEAD").decode().strip()


def test_a_clean_repository_has_a_commit_and_no_diff(tmp_path):
    folder = repository(tmp_path / "repo")
    (folder / "notes.txt").write_text("not tracked\n")
    assert code(folder / "net.py", tmp_path) == {"git": head(folder), "dirty": False, "dirty_diff_sha256": None}


def test_a_changed_file_is_known_by_the_sha256_of_the_diff(tmp_path):
    folder = repository(tmp_path / "repo")
    (folder / "net.py").write_text("lr = 2\n")
    found = code(folder / "net.py", tmp_path)
    assert found == {
        "git": head(folder),
        "dirty": True,
        "dirty_diff_sha256": hashlib.sha256(git(folder, "diff", "HEAD")).hexdigest(),
    }
    (folder / "net.py").write_text("lr = 3\n")
    assert code(folder / "net.py", tmp_path)["dirty_diff_sha256"] != found["dirty_diff_sha256"]


def test_a_change_elsewhere_in_the_repository_counts(tmp_path):
    folder = repository(tmp_path / "repo")
    (folder / "src").mkdir()
    (folder / "src" / "loss.py").write_text("")
    git(folder, "add", "src")
    git(folder, "commit", "-m", "second")
    (folder / "net.py").write_text("lr = 2\n")
    assert code(folder / "src" / "loss.py", tmp_path)["dirty"] is True


def test_an_installed_source_gives_way_to_the_working_folder(tmp_path):
    outer, working = repository(tmp_path / "outer"), repository(tmp_path / "working")
    (working / "net.py").write_text("lr = 5\n")
    source = outer / ".venv" / "duogen" / "net.py"
    source.parent.mkdir(parents=True)
    source.write_text("")
    found = code(source, working)
    assert (found["git"], found["dirty"]) == (head(working), True)


def test_outside_any_repository_there_is_nothing(tmp_path):
    (tmp_path / "a").mkdir()
    assert code(tmp_path / "a" / "net.py", tmp_path) == NOTHING
    assert code(tmp_path / "gone" / "net.py", tmp_path / "gone") == NOTHING


def test_a_repository_without_a_commit_has_nothing(tmp_path):
    git(tmp_path, "init")
    assert code(tmp_path / "net.py", tmp_path) == NOTHING


def test_without_git_there_is_nothing(tmp_path, monkeypatch):
    folder = repository(tmp_path / "repo")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert code(folder / "net.py", folder) == NOTHING


def test_a_git_that_hangs_is_given_up(tmp_path, monkeypatch):
    slow = tmp_path / "git"
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(subject, "TIMEOUT_S", 0.05)
    assert code(tmp_path / "net.py", tmp_path) == NOTHING


def test_a_hook_s_own_repository_is_not_ours(tmp_path, monkeypatch):
    folder, other = repository(tmp_path / "repo"), repository(tmp_path / "other")
    (other / "net.py").write_text("lr = 9\n")
    git(other, "commit", "-am", "second")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    found = code(folder / "net.py", tmp_path)["git"]
    monkeypatch.delenv("GIT_DIR")
    assert found == head(folder) != head(other)


def test_it_is_plain_json_and_says_what_ran(monkeypatch):
    import numpy
    import torch

    monkeypatch.setattr(sys, "argv", ["duogen", "train", "data=ring"])
    found = provenance({"name": "ring", "sha256": None}, "cpu")
    assert json.loads(json.dumps(found)) == found
    assert found["argv"] == ["duogen", "train", "data=ring"]
    assert found["data"] == {"name": "ring", "sha256": None}
    assert found["packages"]["torch"] == torch.__version__
    assert found["packages"]["numpy"] == numpy.__version__
    assert found["python"] == ".".join(map(str, sys.version_info[:3]))
    assert found["device"]["kind"] == "cpu"
    assert found["device"]["name"]
    assert 1 <= found["cpus"] <= (os.cpu_count() or 1)


def test_a_package_that_is_not_there_has_no_version(monkeypatch):
    monkeypatch.setattr(subject, "PACKAGES", ("numpy", "no-such-package"))
    assert provenance({}, "cpu")["packages"]["no-such-package"] is None


def test_an_accelerator_s_name_is_asked_only_of_a_torch_that_is_there(monkeypatch):
    fake = SimpleNamespace(cuda=SimpleNamespace(get_device_name=lambda device: f"card {device}"))
    monkeypatch.setitem(sys.modules, "torch", fake)
    assert subject.device_name("cuda:3") == "card cuda:3"
    monkeypatch.delitem(sys.modules, "torch")
    assert subject.device_name("cuda:3") is None
    assert "torch" not in sys.modules


def test_a_device_that_is_not_there_has_no_name(monkeypatch):
    def missing(device):
        raise AssertionError("Torch not compiled with CUDA enabled")

    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=SimpleNamespace(get_device_name=missing)))
    assert subject.device_name("cuda:0") is None


HERE = {"git": "b", "dirty": False, "dirty_diff_sha256": None, "packages": {"torch": "2"}, "python": "3.11.7"}


def test_a_run_that_goes_on_under_the_same_software_has_no_past():
    before, now = HERE | {"argv": ["a"], "cpus": 2}, HERE | {"argv": ["b"], "cpus": 3}
    assert subject.continued(before, now) == now


@pytest.mark.parametrize(
    "change",
    [{"git": "a"}, {"dirty": True, "dirty_diff_sha256": "0"}, {"packages": {"torch": "1"}}, {"python": "3.12.1"}],
)
def test_a_run_that_goes_on_under_other_software_keeps_what_it_ran_under(change):
    found = subject.continued(HERE | change | {"argv": ["a"]}, HERE | {"argv": ["b"]})
    assert found == HERE | {"argv": ["b"], "earlier": [HERE | change]}


def test_every_earlier_software_is_kept_in_order():
    first, second = HERE | {"git": "1"}, HERE | {"git": "2"}
    once = subject.continued(first, second)
    twice = subject.continued(once, HERE)
    assert twice["earlier"] == [first, second]
    assert subject.continued(twice, HERE)["earlier"] == [first, second]


def test_a_run_without_a_past_has_none():
    assert subject.continued({}, HERE) == HERE


def test_a_sweep_says_what_code_it_has_loaded(monkeypatch):
    monkeypatch.setattr(subject, "code", lambda *_: pytest.fail("git was asked"))
    found = provenance({"name": "ring", "sha256": None}, "cpu", HERE)
    assert {name: found[name] for name in HERE} == HERE
    assert found["data"] == {"name": "ring", "sha256": None}


def test_software_is_what_provenance_says_of_the_code():
    found = subject.software()
    assert set(found) == {"git", "dirty", "dirty_diff_sha256", "packages", "python"}
    assert provenance({}, "cpu") == provenance({}, "cpu", found)
