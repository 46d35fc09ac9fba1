"""Grey levels: 0 to L - 1, which data modules spread evenly over [-1, 1]."""

from torch import Tensor


def spacing(levels: int) -> float:
    """From one of L levels to the next in [-1, 1]: 2 / (L - 1)."""
    return 2 / (levels - 1)


def level_of(examples: Tensor, levels: int) -> Tensor:
    """The nearest level, a whole number in [0, L - 1], of each value in [-1, 1]; any shape."""
    return ((examples + 1) / spacing(levels)).round().clamp(0, levels - 1)


def value_of(level: Tensor, levels: int) -> Tensor:
    """The value in [-1, 1] of each level in [0, L - 1]; any shape."""
    return level * spacing(levels) - 1
