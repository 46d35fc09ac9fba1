"""A run's key: equal for equal runs, whatever is said of their folders, trackers and habits of logging."""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

FREE = (
    "hydra", "run_dir", "name", "resume", "fresh", "keep", "log_every", "checkpoint_every", "loggers", "callbacks",
    "trial", "compile", "budget", "budgets", "tiers", "data.workers", "data.root", "data.folder",
    "data.memory_limit_gb",
)  # fmt: skip
PLACES = re.compile(r"data\.files\..*\.url|(.*\.)?extractor\.weights")


def run_key(config: Mapping[str, Any]) -> str:
    """The first 16 hexadecimal digits of the sha256 of what decides results in the config, as canonical JSON."""
    canonical = json.dumps(behaviour(config), sort_keys=True, separators=(",", ":"))
    return sha256(canonical.encode()).hexdigest()[:16]


def behaviour(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The part of the config that decides results, numbers normalised: 1.0 is 1."""
    kept = {}
    for name, value in config.items():
        path = f"{prefix}{name}"
        if path not in FREE and not PLACES.fullmatch(path):
            kept[name] = behaviour(value, f"{path}.") if isinstance(value, Mapping) else normalised(value)
    return kept


def normalised(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, list | tuple):
        return [behaviour(v, "_.") if isinstance(v, Mapping) else normalised(v) for v in value]
    return value


def leaves(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The config's values by dotted path."""
    found: dict[str, Any] = {}
    for name, value in config.items():
        if isinstance(value, Mapping):
            found |= leaves(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Where two configs would give different results: dotted path to (old, new), absent values as None."""
    a, b = leaves(behaviour(old)), leaves(behaviour(new))
    return {path: (a.get(path), b.get(path)) for path in sorted(a.keys() | b.keys()) if a.get(path) != b.get(path)}
