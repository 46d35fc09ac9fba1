"""A copy of the code as it is when a sweep is submitted: jobs that start later do not see what is edited since."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path

import duogen
from duogen.conftree import conf_dir

CODE = "code"
PLUGINS = "hydra_plugins"


def snapshot(folder: Path, allow: Sequence[str]) -> Path:
    """Copies duogen, its configs and the modules that `allow` names below `folder`; the same code is copied once.

    Processes that are started after it import from the copy.
    """
    source = Path(duogen.__file__).parent
    parts = {"duogen": source, f"{PLUGINS}/duogen": source.parent / PLUGINS / "duogen", "duogen/conf": conf_dir()}
    for name in dict.fromkeys(prefix.partition(".")[0] for prefix in allow):
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            origin = Path(spec.origin)
            parts |= {name: origin.parent} if origin.stem == "__init__" else {origin.name: origin}
    target = folder / CODE / digest(parts.values())
    if not target.exists():
        copy(parts, target)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(target), *filter(None, [os.environ.get("PYTHONPATH")])])
    return target


def copy(parts: dict[str, Path], target: Path) -> None:
    """Copies every part to its place below `target`, which is there whole or not at all."""
    part = target.with_name(f".{target.name}.{os.getpid()}")
    for name, source in parts.items():
        place = part / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, place, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)
        else:
            shutil.copy2(source, place)
    part.rename(target)


def digest(sources: Iterable[Path]) -> str:
    """The first 12 hexadecimal digits of the sha256 of all that is copied."""
    found = hashlib.sha256()
    for source in sources:
        for path in sorted(source.rglob("*") if source.is_dir() else [source]):
            if path.is_file() and "__pycache__" not in path.parts:
                found.update(path.name.encode() + path.read_bytes())
    return found.hexdigest()[:12]
