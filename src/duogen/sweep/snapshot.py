"""A copy of the code as it is when a sweep is submitted: jobs that start later do not see what is edited since."""

import hashlib
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

import duogen
from duogen.conftree import conf_dir

CODE = "code"
PLUGINS = "hydra_plugins"
VARIABLE = "DUOGEN_CODE"


def snapshot(folder: Path, allow: Sequence[str]) -> Path:
    """Copies duogen, its configs and the modules that `allow` names below `folder`; the same code is copied once.

    Processes that are started after it import duogen from the copy, and what else is in it once they have called
    `prefer`.
    """
    parts = sources(allow)
    target = folder / CODE / digest(parts)
    if not target.exists():
        copy(parts, target)
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path and path != str(target)]
    os.environ |= {VARIABLE: str(target), "PYTHONPATH": os.pathsep.join([str(target), *others])}
    return target


def prefer() -> None:
    """Imports from the copy, where one was made, what would else be found in the current folder."""
    if VARIABLE in os.environ:
        sys.path.insert(0, os.environ[VARIABLE])


def sources(allow: Sequence[str]) -> dict[str, Path]:
    """What is copied: files and folders by their place in the copy."""
    source = Path(duogen.__file__).parent
    parts = {"duogen": source, f"{PLUGINS}/duogen": source.parent / PLUGINS / "duogen", "duogen/conf": conf_dir()}
    for name in dict.fromkeys(prefix.partition(".")[0] for prefix in allow):
        spec = find_spec(name)
        if spec is None or name == "duogen":
            continue
        if spec.submodule_search_locations:
            parts[name] = Path(next(iter(spec.submodule_search_locations)))
        elif spec.has_location and spec.origin:
            parts[Path(spec.origin).name] = Path(spec.origin)
    return parts


def copy(parts: Mapping[str, Path], target: Path) -> None:
    """Copies every part to its place below `target`, which is there whole or not at all."""
    part = target.with_name(f".{target.name}.{os.getpid()}")
    for name, source in parts.items():
        place = part / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy2(source, place)
    try:
        part.rename(target)
    except OSError:  # another command has copied the same code meanwhile
        if not target.exists():
            raise
        shutil.rmtree(part)


def digest(parts: Mapping[str, Path]) -> str:
    """The first 12 hexadecimal digits of the sha256 of all that is copied, and of where it lies."""
    found = hashlib.sha256()
    for name, source in parts.items():
        for path in sorted(source.rglob("*") if source.is_dir() else [source]):
            if path.is_file() and "__pycache__" not in path.parts:
                content = path.read_bytes()
                found.update(f"{name}/{path.relative_to(source)} {len(content)}\n".encode() + content)
    return found.hexdigest()[:12]
