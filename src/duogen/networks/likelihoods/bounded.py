"""Logarithms of scales that cannot run away."""

from torch import Tensor

from duogen.errors import UserError


def bounded(number: Tensor, bound: float) -> Tensor:
    """B tanh(s / B): about s near 0, and softly within [-B, B]; any shape."""
    return bound * (number / bound).tanh()


def require_scale(least: float, likelihood: str) -> None:
    """Raise `UserError` for a least scale outside (0, 1)."""
    if not 0 < least < 1:
        raise UserError(f"{likelihood}: least={least}", "more than 0, less than 1", "set least, for example to 0.0025")
