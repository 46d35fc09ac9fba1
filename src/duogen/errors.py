"""The one exception that speaks to the user, and the nearest name to a misspelt one."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(ValueError):
    """A user's mistake in three parts: what was given and where, what is allowed (nearest first), what to do.

    The command line prints it without a traceback and exits with 2.
    """

    def __init__(self, given: str, allowed: str, remedy: str) -> None:
        super().__init__(given, allowed, remedy)
        self.given, self.allowed, self.remedy = given, allowed, remedy

    def __str__(self) -> str:
        return f"{self.given}\n  allowed: {self.allowed}\n  do: {self.remedy}"


def require_at_least(least: int, owner: str, **sizes: int) -> None:
    """Raises `UserError` for the first named number of `owner`, a class, that is below `least`."""
    for name, size in sizes.items():
        if size < least:
            given, allowed = f"{owner}: {name}={size}", f"whole numbers of at least {least}"
            raise UserError(given, allowed, f"set {name} to {least} or more")


def nearest(name: str, options: Iterable[str]) -> list[str]:
    """All options, the ones spelt most like `name` first and the others in alphabetical order."""
    options = sorted(set(options))
    close = get_close_matches(name, options, n=3, cutoff=0.5)
    return close + [option for option in options if option not in close]
