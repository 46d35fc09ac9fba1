"""The arithmetic that config files may ask for: ${packed:...}, ${sum:...}, ${half:...}."""

from collections.abc import Sequence

from omegaconf import OmegaConf


def packed(shape: Sequence[int], count: int) -> list[int]:
    """The shape of `count` examples (C, H, W) or (D,) that are judged together: (count C, H, W) or (count D,)."""
    return [shape[0] * count, *shape[1:]]


def total(*parts: int | Sequence[int]) -> int:
    """The sum of numbers and of lists of numbers."""
    return sum(part if isinstance(part, int) else sum(part) for part in parts)


def half(number: int | None) -> int | None:
    """Half of a number, rounded down; null of one that is not known yet, such as steps of a budget in epochs."""
    return None if number is None else number // 2


def register() -> None:
    """Makes them known to every config that is composed from here on."""
    for name, function in (("packed", packed), ("sum", total), ("half", half)):
        OmegaConf.register_new_resolver(name, function, replace=True)
