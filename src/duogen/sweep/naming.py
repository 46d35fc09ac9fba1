"""What a trial is called on screens, in tables and by trackers."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

DECIMAL = re.compile(r"-?(\d+\.\d+)(e[-+]?\d+)?")
DIGITS = 6  # that people write themselves


def short(keys: Iterable[str]) -> dict[str, str]:
    """Each key's last parts, as many as tell it from the others; key to name."""
    keys = list(keys)
    count = Counter(end for key in keys for end in ends(key))
    return {key: next((end for end in ends(key) if count[end] == 1), key) for key in keys}


def ends(key: str) -> list[str]:
    """`a.b.c` is c, b.c and a.b.c."""
    parts = key.split(".")
    return [".".join(parts[-n:]) for n in range(1, len(parts) + 1)]


def brief(value: str) -> str:
    """A value as people read it: a drawn number with four digits; the plan holds all of them."""
    found = DECIMAL.fullmatch(value)
    drawn = found is not None and len(found[1].replace(".", "").lstrip("0")) > DIGITS
    return f"{float(value):.4g}" if drawn else value


def label(setting: Mapping[str, str], seed: int) -> str:
    """A trial's short name, such as `generator=mlp,seed=0`."""
    names = short(setting)
    return ",".join([*(f"{names[key]}={brief(value)}" for key, value in setting.items()), f"seed={seed}"])
