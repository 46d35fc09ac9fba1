"""The data sets that the config tree names: what is there, and how the rest gets there."""

from pathlib import Path
from typing import Any

import yaml

from duogen.data.checksum import present, whole
from duogen.data.fetch import fetch, remote_files
from duogen.data.folder import data_folder
from duogen.errors import UserError, nearest


def shelf(conf: Path) -> dict[str, dict[str, Any]]:
    """The `data` node of each YAML below conf/data, by stem."""
    files = sorted((conf / "data").glob("*.yaml"))
    return {file.stem: yaml.safe_load(file.read_text(encoding="utf-8"))["data"] for file in files}


def list_sets(conf: Path) -> int:
    """Prints each set, its shape, and whether its files are on the disk."""
    print(f"data folder: {data_folder()}")
    for name, node in shelf(conf).items():
        shape = "x".join(str(side) for side in node["shape"])
        print(f"{name:21} {shape:12} {state(name, node)}")
    return 0


def state(name: str, node: dict[str, Any]) -> str:
    if "root" in node:
        return f"your own: data={name} data.root=PATH"
    if "files" not in node:
        return "no download needed"
    folder = data_folder() / node["folder"]
    paths = {folder / file: entry["sha256"] for file, entry in node["files"].items()}
    missing = [path.name for path in paths if present(path) is None]
    if missing:
        return f"not there: duogen data fetch {name}"
    wrong = [path.name for path, digest in paths.items() if not whole(path, digest)]
    return f"damaged: {', '.join(wrong)}; duogen data fetch {name}" if wrong else f"in {folder}"


def fetch_set(conf: Path, name: str) -> int:
    """Downloads a set's files into the data folder.

    Raises:
        UserError: no such set, or its files cannot be had.
    """
    sets = shelf(conf)
    if name not in sets:
        raise UserError(f"data fetch {name}", ", ".join(nearest(name, sets)), "see duogen data list")
    node = sets[name]
    if "files" not in node:
        print(f"{name}: {state(name, node)}" if "root" in node else f"{name} needs no download.")
        return 0
    fetch(name, remote_files(node["files"]), data_folder() / node["folder"])
    return 0
