"""Where a run's numbers come from: the code, the packages, the machine, the data and the command."""

import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("duogen", "torch", "pytorch-lightning", "hydra-core", "torchmetrics", "zuko", "numpy", "wandb")
TIMEOUT_S = 1.0


def provenance(data: Mapping[str, str | None], device: str, loaded: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """All of it, ready for JSON; what cannot be found out is None, and nothing here ever fails or waits for long.

    Args:
        data: name and sha256 of the data set.
        device: as torch names it, such as `cpu` or `cuda:0`.
        loaded: the result of `software` at the time when the code was loaded; found out now where there is none.
    """
    return {
        **(loaded or software()),
        "platform": platform.platform(),
        "device": {"kind": device, "name": device_name(device)},
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "data": dict(data),
        "argv": list(sys.argv),
    }


def software() -> dict[str, Any]:
    """The code and the packages that this process runs: git, dirty, dirty_diff_sha256, packages, python."""
    return {
        **code(Path(__file__), Path.cwd()),
        "packages": {name: installed(name) for name in PACKAGES},
        "python": platform.python_version(),
    }


def continued(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance of a run that goes on: that of now, and under `earlier` each other software it ran under."""
    names = ("git", "dirty", "dirty_diff_sha256", "packages", "python")
    then, here = ({name: found.get(name) for name in names} for found in (before, now))
    earlier = [*before.get("earlier", []), *([then] if before and then != here else [])]
    return {**now, **({"earlier": earlier} if earlier else {})}


def code(source: Path, working: Path) -> dict[str, str | bool | None]:
    """The commit of the repository that tracks the file `source`, else of the one around the folder `working`.

    `dirty` says whether tracked files differ from the commit, and `dirty_diff_sha256` is that of `git diff HEAD` if so.
    """
    # A virtual environment inside a user's repository is not tracked by it.
    tracked = git(source.parent, "ls-files", "--error-unmatch", source.name) is not None
    folder = source.parent if tracked else working
    commit = git(folder, "rev-parse", "--verify", "HEAD")
    diff = git(folder, "diff", "--no-ext-diff", "HEAD") if commit else None
    return {
        "git": commit.decode().strip() if commit else None,
        "dirty": None if diff is None else bool(diff),
        "dirty_diff_sha256": sha256(diff).hexdigest() if diff else None,
    }


def git(folder: Path, *arguments: str) -> bytes | None:
    """What git says in a folder; None where it is not installed, refuses, or takes too long."""
    # Inside a hook, git's own variables would name another repository; without locks, a user's git is not disturbed.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", *arguments],
            cwd=folder,
            env={**environment, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIMEOUT_S,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout if done.returncode == 0 else None


def installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def device_name(device: str) -> str | None:
    """The model of the processor or of the accelerator; asks torch only where it is imported already."""
    kind = device.partition(":")[0]
    torch = sys.modules.get("torch")
    try:
        if kind == "cuda":
            return torch.cuda.get_device_name(device) if torch else None
        return processor()
    except (OSError, RuntimeError, AssertionError, ValueError):
        return None


def processor() -> str | None:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(models, None) or platform.machine() or None
