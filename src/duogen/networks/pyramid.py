"""Which square images a pyramid of maps reaches, each map of twice the side of the one before."""

from collections.abc import Sequence

from duogen.errors import UserError


def doublings(network: str, shape: Sequence[int], remedy: str) -> int:
    """k = max(2, floor(log2(H / 4))), how often a map of side H / 2**k is doubled until it is an image (C, H, H).

    Raises `UserError`, in the name of `network`, for shapes that are not square images or that 2**k does not divide.
    """
    side = shape[-1] if shape else 0
    if len(shape) == 3 and shape[0] >= 1 and shape[1] == side and _served(side):
        return _levels(side)
    near = sorted(filter(_served, range(8, 2 * max(side, 16))), key=lambda size: abs(size - side))[:4]
    sizes = ", ".join(map(str, near))
    allowed = f"square images (C, H, H) with H of {sizes}, ...: divisible by 2**k, k = max(2, floor(log2(H / 4)))"
    raise UserError(f"{network}: shape {tuple(shape)}", allowed, f"use {remedy}, or data of such a shape")


def _levels(side: int) -> int:
    return max(2, (side // 4).bit_length() - 1)


def _served(side: int) -> bool:
    return side >= 8 and side % 2 ** _levels(side) == 0
