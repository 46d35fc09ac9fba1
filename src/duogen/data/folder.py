"""Where data files lie."""

import os
from pathlib import Path


def data_folder() -> Path:
    """The absolute folder of all data sets: $DUOGEN_DATA, else `duogen` in the user's cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "duogen"
    return Path(os.environ.get("DUOGEN_DATA") or cache).expanduser().absolute()
