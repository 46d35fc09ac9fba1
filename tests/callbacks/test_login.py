"""Where a W&B login is looked for, beside the cases of test_trackers."""

import pytest

from duogen.callbacks import login

PUBLIC = "machine api.wandb.ai login user password secret\n"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A home without any login, and no setting in the environment."""
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL", "WANDB_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_an_empty_home_holds_no_login():
    assert not login.logged_in()


@pytest.mark.parametrize("name", [".netrc", "_netrc"])
def test_the_usual_files_are_read(name, home):
    (home / name).write_text(PUBLIC)
    (home / name).chmod(0o600)
    assert login.logged_in()


def test_a_named_netrc_file_stands_in_the_place_of_the_usual_one(home, monkeypatch):
    (home / ".netrc").write_text(PUBLIC)
    (home / ".netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", "~/other")
    assert not login.logged_in()
    (home / "other").write_text(PUBLIC)
    assert login.logged_in()


@pytest.mark.parametrize("name", ["WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE"])
def test_the_environment_is_enough_unless_it_is_empty(name, monkeypatch):
    monkeypatch.setenv(name, "x")
    assert login.logged_in()
    monkeypatch.setenv(name, "")
    assert not login.logged_in()


def test_a_server_in_the_environment_comes_before_the_one_in_the_settings(home, monkeypatch):
    (home / ".config" / "wandb").mkdir(parents=True)
    (home / ".config" / "wandb" / "settings").write_text("[default]\nbase_url = https://mine.test\n")
    (home / ".netrc").write_text(PUBLIC)
    (home / ".netrc").chmod(0o600)
    assert not login.logged_in()
    monkeypatch.setenv("WANDB_BASE_URL", "https://api.wandb.ai")
    assert login.logged_in()


@pytest.mark.parametrize("content", ["machine api.wandb.ai login user password\n", "machine", "\xff"])
def test_a_broken_netrc_file_is_no_login(content, home):
    (home / ".netrc").write_text(content, encoding="latin-1")
    (home / ".netrc").chmod(0o600)
    assert not login.logged_in()


def test_broken_settings_are_no_login(home):
    (home / ".config" / "wandb").mkdir(parents=True)
    (home / ".config" / "wandb" / "settings").write_text("base_url = nowhere\n[")
    (home / ".netrc").write_text(PUBLIC)
    (home / ".netrc").chmod(0o600)
    assert not login.logged_in()


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": "theirs"}, "theirs"),
        ({"WANDB_RUN_ID": "theirs"}, "own"),
        ({"WANDB_SWEEP_ID": "s"}, "own"),
        ({"WANDB_SWEEP_ID": "s", "WANDB_RUN_ID": ""}, "own"),
        ({}, "own"),
    ],
)
def test_only_a_sweeps_agent_gives_a_run_its_id(environ, found):
    assert login.run_id(environ, "own") == found
