"""What the environment says of Weights & Biases, found without a prompt, a network or its import."""

import netrc
import os
from collections.abc import Mapping
from configparser import ConfigParser
from configparser import Error as ConfigError
from pathlib import Path
from urllib.parse import urlsplit

HOSTS = ("api.wandb.ai", "api.forge.coreweave.com")


def allowed_mode(mode: str | None) -> str | None:
    """The mode to ask W&B for, which without a login is one that needs none; None leaves it to W&B's own settings."""
    wanted = mode or os.environ.get("WANDB_MODE")
    return mode if logged_in() or wanted == "disabled" else "offline"


def run_id(environ: Mapping[str, str], own: str) -> str:
    """The id of a run on W&B: our own, unless a sweep's agent has started it, whose run it then is."""
    given = environ.get("WANDB_RUN_ID") if environ.get("WANDB_SWEEP_ID") else None
    return given or own


def logged_in() -> bool:
    """Whether a key lies ready in the environment, or in a netrc file for the server in use."""
    if any(os.environ.get(name) for name in ("WANDB_API_KEY", "WANDB_IDENTITY_TOKEN_FILE")):
        return True
    try:
        logins = netrc.netrc(_netrc_file())
        server = _server()
    except (OSError, ValueError, netrc.NetrcParseError, ConfigError):
        return False
    hosts = [urlsplit(server).netloc] if server else HOSTS
    return any(login[2] for host in hosts if (login := logins.authenticators(host)))


def _netrc_file() -> Path:
    if given := os.environ.get("NETRC"):
        return Path(given).expanduser()
    usual = Path("~/.netrc").expanduser()
    return usual if usual.exists() else usual.with_name("_netrc")


def _server() -> str | None:
    """The address of the user's own W&B server, as `wandb login --host` keeps it; None for the public one."""
    settings = ConfigParser(interpolation=None)
    settings.read(Path(os.environ.get("WANDB_CONFIG_DIR") or "~/.config/wandb").expanduser() / "settings")
    return os.environ.get("WANDB_BASE_URL") or settings.get("default", "base_url", fallback=None)
