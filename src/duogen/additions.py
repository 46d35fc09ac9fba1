"""What files and overrides may set that no other file defines: whole nodes and arguments of classes, never typos."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml

from duogen import conftree
from duogen.conftree import Tree
from duogen.errors import UserError
from duogen.loading import Known, loaded, plain
from duogen.overrides import Override, chosen

OVERLAYS = ("experiment", "sweep")  # files that set what others define, each over all before it


def merged(base: dict[str, Any]) -> dict[str, Any]:
    """The settings of each player under `optimizers` are laid over `optimizer`, whose arguments they may repeat."""
    players = {player: base.get("optimizer", {}) | own for player, own in base.get("optimizers", {}).items()}
    return base | {"optimizers": players} if players else base


def check_options(choices: Mapping[str, str | None], files: Tree) -> None:
    """An option of the user's own that names no class holds only keys which a shipped option of its group holds."""
    if len(files.folders) == 1:
        return
    own, shipped = Tree(files.folders[:-1]), Tree(files.folders[-1:])
    for group, option in choices.items():
        package, content = own.read(f"{group}/{option}")
        known = {key: None for name in shipped.options(group) for key in shipped.read(f"{group}/{name}")[1]}
        if package or not known or "_target_" in content:
            continue
        if stray := conftree.lost(content, known, conftree.nothing_more, f"{group}."):
            raise files.no_key(f"{group}/{option}.yaml", *stray)


def check_additions(
    given: Sequence[Override], choices: Mapping[str, str | None], files: Tree, known: Known | None = None
) -> None:
    """Experiment, sweep and keys behind + set what other files define; new are nodes and arguments of classes."""
    added = [override for override in given if "+" in override.prefix]
    overlays = {f"{group}/{choices[group]}": overlay(group, choices[group], files)
                for group in OVERLAYS if choices.get(group)}  # fmt: skip
    if not added and not overlays:
        return
    defaults = {name: content.pop("defaults", []) for name, content in overlays.items()}
    options, known = chosen(given, files), {} if known is None else known
    key = ("defined", *overlays, *(override.line for override in options))
    known[key] = base = known.get(key) or defined(options, defaults, files)
    sources = [(override.line, override.content, conftree.new_parts) for override in added]
    sources += [(f"{name}.yaml", content, conftree.new_parts_but_typos) for name, content in overlays.items()]
    for where, keys, takes in sources:
        if stray := conftree.lost(keys, base, takes):
            raise files.no_key(where, *stray)


def refuse_several(group: str, value: Any, files: Tree) -> None:
    """Refuses a list of options of which only the last would stand."""
    options = [str(option) for option in value] if isinstance(value, list) else []
    if len(options) > 1 and len({files.read(f"{group}/{option}")[0] for option in options}) == 1:
        axis = f"{group}={','.join(options)}"
        raise UserError(
            f"{group}=[{','.join(options)}]: a run has one {group}", f"{axis}, an axis of duogen train -m",
            "take one of them, or sweep over them",
        )  # fmt: skip


def overlay(group: str, option: str | None, files: Tree) -> dict[str, Any]:
    """What an experiment or a sweep sets of a run, with its defaults list."""
    package, content = files.read(f"{group}/{option}")
    if package != "_global_":
        where = f"{group}/{option}.yaml: its package is {package or group}"
        raise UserError(where, "_global_", "begin it with # @package _global_")
    return {key: value for key, value in content.items() if key != "hydra"}


def defined(given: Sequence[Override], overlays: Mapping[str, Any], files: Tree) -> dict[str, Any]:
    """The config as it would be if experiment and sweep chose their options and set no value."""
    with TemporaryDirectory() as folder:
        for name, defaults in overlays.items():
            file = Path(folder, f"{name}.yaml")
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"# @package _global_\n{yaml.safe_dump({'defaults': defaults})}", encoding="utf-8")
        return merged(plain(loaded(given, Tree((Path(folder), *files.folders)))))
