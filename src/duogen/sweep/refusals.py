"""What is refused of a sweep's own settings, those below hydra, in its command or in its file."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from hydra.conf import HydraConf
from hydra.core.override_parser.types import Override

from duogen.conftree import Tree
from duogen.errors import UserError, nearest
from duogen.sweep.axes import text

OURS = {"hydra/sweeper": "grid", "hydra/launcher": "pool"}
KINDS = ("sweeper", "launcher")
HYDRA = {field.name for field in fields(HydraConf)}
EXAMPLES = {
    "params": "e.g. params: {generator: 'mlp,dcgan', seed: range(3)}",
    "compare": "e.g. compare: {adversarial: 'hinge,minimax'}",
    "settings": "e.g. settings: {small: {generator: mlp, generator.width: 64}}",
}


def refuse_file(given: Mapping[str, Override], files: Tree) -> None:
    """Refuses a sweep's file that Hydra would not read as it is meant."""
    if "sweep" not in given or (option := given["sweep"].value()) is None:
        return
    where, (package, content) = f"sweep/{option}.yaml", files.read(f"sweep/{option}")
    for key in content.get("hydra") or {}:
        if key not in HYDRA:
            raise files.no_key(f"{where}: hydra.{key}", f"hydra.{key}", dict.fromkeys((*KINDS, "sweep")))
    if package != "_global_":
        begins = f"{where} does not say that it is about the whole run"
        raise UserError(begins, "# @package _global_", "make this its first line")
    for kind, ours in zip(KINDS, OURS.values(), strict=True):
        group, said = f"hydra/{kind}", (content.get("hydra") or {}).get(kind) or {}
        if said and group not in files.defaults(f"sweep/{option}"):
            raise UserError(
                f"{where} sets hydra.{kind} and chooses none", ", ".join(files.options(group)),
                f"add `- override /{group}: {ours}` to its defaults",
            )  # fmt: skip
        refuse_keys(f"{where}: hydra.{kind}", f"hydra.{kind}", said, takes(group, choices(given), files), files)


def choices(given: Mapping[str, Override]) -> list[str]:
    """What the command says of sweeper, launcher and the sweep's file."""
    return [f"{key}={one.value()}" for key, one in given.items() if key.startswith(("hydra/", "sweep"))]


def refuse_keys(where: str, name: str, said: Any, known: Mapping[str, Any], files: Tree) -> None:
    """Refuses keys that a sweeper or launcher of `known` ones does not take, and one value in the place of several."""
    if not isinstance(said, Mapping):
        raise UserError(f"{where}={said}", "keys, each with its value", "mend the file")
    for key, value in said.items() if known else ():
        if key not in known:
            raise files.no_key(f"{where}.{key}", f"{name}.{key}", known, hint(name, key, files))
        if isinstance(known[key], dict) and not isinstance(value, Mapping):
            example = EXAMPLES.get(key, "mend the file")
            raise UserError(f"{where}.{key}={value}", "names, each with its value", example)


def refuse_hydra(given: Mapping[str, Override], files: Tree) -> None:
    """Refuses a value in the place of a whole sweeper or launcher, several values for one of their settings, and a new
    setting that they would not read."""
    for key, one in given.items():
        if key in ("hydra.sweeper", "hydra.launcher"):
            allowed = f"{key.replace('.', '/')}=NAME, {key}.KEY=VALUE"
            raise UserError(f"{one.input_line}", allowed, "choose it by its name, or set one key")
        if one.is_hydra_override() and one.is_sweep_override():
            axis = key.removeprefix("hydra.sweeper.params.")
            remedy = "write [a,b] for a list" if axis == key else f"write {axis}={text(one)}, without hydra"
            raise UserError(f"{one.input_line}: a setting of the sweep itself does not vary", "one value", remedy)
        kind, dot, rest = key.removeprefix("hydra.").partition(".")
        if one.is_add() and kind in KINDS and dot:
            name = rest.partition(".")[0]
            refuse_keys(f"{one.input_line}: hydra.{kind}", f"hydra.{kind}", {name: {}},
                        takes(f"hydra/{kind}", choices(given), files), files)  # fmt: skip


def explained(error: Exception, overrides: Sequence[str], files: Tree) -> UserError:
    """A refusal of Hydra's in our words; the first trial has been composed by then."""
    for line in overrides:
        group, _, option = line.partition("=")
        if group.startswith(tuple(OURS)) and option not in (*files.options(group), "basic"):
            return files.no_option(line, group, option)
    message = " ".join(str(error).splitlines()[:2])
    if match := re.search(r"'(hydra[./][\w./]+)'", message):
        return no_setting(match[1], overrides, files)
    if match := re.search(r"Key '(\w+)' (?:is )?not in", message):
        return UserError(message, ", ".join(nearest(match[1], ["hydra.sweeper.params", "hydra.launcher"])), "mend it")
    return UserError(message, "the keys of conf/hydra/", "mend what the first line names")


def no_setting(name: str, overrides: Sequence[str], files: Tree) -> UserError:
    """The refusal of a setting below hydra that there is not, with the nearest ones of what was chosen."""
    given = next((line for line in overrides if line.lstrip("+~").startswith(f"{name}=")), name)
    if "/" in name:
        return UserError(f"{given}: there is no {name}", ", ".join(nearest(name, OURS)), "take one of these")
    node: Any = {"sweep": {"dir": None}, **{kind: takes(f"hydra/{kind}", overrides, files) for kind in KINDS}}
    parts = name.split(".")
    for depth, part in enumerate(parts[1:], 2):
        if node == {}:
            key, value = ".".join(parts[depth - 1 :]), given.partition("=")[2]
            return UserError(f"{given} adds to what stands in a file", f"{key}={value}", "write it so, without hydra")
        if not isinstance(node, dict) or part not in node:
            return files.no_key(given, ".".join(parts[:depth]), node, hint(".".join(parts[:2]), part, files))
        node = node[part]
    return UserError(f"{given} adds to what is there", f"+{given}", "write it so, or in a file in conf/sweep")


def hint(name: str, key: str, files: Tree) -> str:
    """What to do about a key that `name`, hydra.sweeper or hydra.launcher, does not take."""
    searches = files.read("hydra/sweeper/optuna")[1] if name == "hydra.sweeper" else {}
    return "take hydra/sweeper=optuna" if key in searches else "take one of these"


def takes(group: str, overrides: Sequence[str], files: Tree) -> dict[str, Any]:
    """What the chosen sweeper or launcher takes, its parts such as a sampler too."""
    option = next((line.partition("=")[2] for line in overrides if line.startswith("sweep=")), "")
    told = dict(line.split("=", 1) for line in overrides if line.startswith("hydra/"))
    chosen = OURS | files.defaults(f"sweep/{option}") | told
    file = f"{group}/{chosen.get(group)}"
    parts = {part: chosen.get(f"{group}/{part}", first) for part, first in files.defaults(file).items()}
    return settings(file, files) | {part: settings(f"{group}/{part}/{one}", files) for part, one in parts.items()}


def settings(file: str, files: Tree) -> dict[str, Any]:
    return {
        name: value for name, value in files.read(file)[1].items() if name != "defaults" and not name.startswith("_")
    }
