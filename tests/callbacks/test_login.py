import pytest

from duogen.callbacks import login


@pytest.fixture(autouse=True)
def no_login(monkeypatch, tmp_path):
    for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "wandb-config"))


@pytest.mark.parametrize(
    ("asked", "environment", "allowed"),
    [
        (None, {}, "offline"),
        ("online", {}, "offline"),
        (None, {"WANDB_MODE": "online"}, "offline"),
        (None, {"WANDB_MODE": "disabled"}, None),
        ("disabled", {}, "disabled"),
        (None, {"WANDB_API_KEY": "k"}, None),
        (None, {"WANDB_API_KEY": "k", "WANDB_MODE": "offline"}, None),
        ("online", {"WANDB_API_KEY": "k"}, "online"),
    ],
)
def test_nothing_that_needs_a_login_is_asked_for_without_one(monkeypatch, asked, environment, allowed):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert login.allowed_mode(asked) == allowed


@pytest.mark.parametrize(
    ("content", "server", "found"),
    [
        ("machine api.wandb.ai login user password secret\n", None, True),
        ("machine api.wandb.ai login user password secret\n", "https://mine.test", False),
        ("machine mine.test login user password secret\n", "https://mine.test", True),
        ("machine elsewhere.test login user password secret\n", None, False),
        ("machine api.wandb.ai login", None, False),
    ],
)
def test_a_login_is_found_in_the_netrc_file(tmp_path, content, server, found):
    (tmp_path / "netrc").write_text(content)
    if server:
        (tmp_path / "wandb-config").mkdir()
        (tmp_path / "wandb-config" / "settings").write_text(f"[default]\nbase_url = {server}\n")
    assert login.logged_in() is found
