"""Where data files lie, and what is made of them."""

import os
from pathlib import Path


def data_folder() -> Path:
    """The absolute folder of all data sets: $DUOGEN_DATA, else `duogen` in the user's cache folder."""
    return _absolute(os.environ.get("DUOGEN_DATA") or _user_cache() / "duogen")


def cache_folder() -> Path:
    """The absolute folder of what can be made again: features of real data, small classifiers, decoded images.

    $DUOGEN_CACHE, else `duogen/made` in the user's cache folder; never below $DUOGEN_DATA, which may be read-only.
    """
    return _absolute(os.environ.get("DUOGEN_CACHE") or _user_cache() / "duogen" / "made")


def _user_cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache")


def _absolute(path: str | Path) -> Path:
    return Path(path).expanduser().absolute()
