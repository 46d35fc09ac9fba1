"""What a trial is called on screens, in tables and by trackers."""

from collections import Counter
from collections.abc import Iterable, Mapping


def short(keys: Iterable[str]) -> dict[str, str]:
    """Each key's last part, or all of it where that would name two; key to name."""
    last = {key: key.rpartition(".")[2] for key in keys}
    count = Counter(last.values())
    return {key: name if count[name] == 1 else key for key, name in last.items()}


def label(setting: Mapping[str, str], seed: int) -> str:
    """A trial's short name, such as `generator=mlp,seed=0`."""
    names = short(setting)
    return ",".join([*(f"{names[key]}={value}" for key, value in setting.items()), f"seed={seed}"])
