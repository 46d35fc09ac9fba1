"""The config tree on disk, read without Hydra: which groups there are, which options, what a file holds."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from duogen.errors import UserError, nearest

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
FLAGS = {
    "accumulate_grad_batches": "turns.<turn>.accumulate=N",
    "check_val_every_n_epoch": "validate_every=STEPS",
    "fast_dev_run": "budget=smoke",
    "gradient_clip_algorithm": "turns.<turn>.clip=NORM",
    "gradient_clip_val": "turns.<turn>.clip=NORM",
    "log_every_n_steps": "log_every=STEPS",
    "logger": "logger=NAME",
    "max_epochs": "budget.epochs=N",
    "num_nodes": "trainer=ddp under srun, which starts the ranks",
    "strategy": "trainer=ddp",
    "val_check_interval": "validate_every=STEPS",
}


@dataclass(frozen=True)
class Tree:
    """The config folders, the user's own first: its files win over those of the same name further back."""

    folders: tuple[Path, ...]

    def groups(self) -> list[str]:
        """Every group that has an option, in alphabetical order; Hydra's own are none of ours."""
        return self._groups

    @cached_property
    def _groups(self) -> list[str]:
        files = (file.relative_to(folder) for folder in self.folders for file in folder.rglob("*.yaml"))
        return sorted({file.parent.as_posix() for file in files if file.parts[0] != "hydra" and len(file.parts) > 1})

    def options(self, group: str) -> list[str]:
        """Every option of a group, in alphabetical order."""
        return sorted({file.stem for folder in self.folders for file in (folder / group).glob("*.yaml")})

    def read(self, name: str) -> tuple[str | None, dict[str, Any]]:
        """The `@package` of a file and what it holds, empty where there is none; UserError for one that is no YAML."""
        file = next((path for folder in self.folders if (path := folder / f"{name}.yaml").is_file()), None)
        try:
            text = file.read_text(encoding="utf-8") if file else ""
            content = yaml.load(text, LOADER)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise broken(error, str(file)) from error
        if not isinstance(content, dict | None):
            raise UserError(f"{file}: this holds no mapping", "key: value lines", "mend the file")
        package = re.search(r"^\s*#\s*@package\s+(\S+)", text, re.MULTILINE)
        return package and package[1], content or {}

    def defaults(self, name: str) -> dict[str, Any]:
        """The groups in a file's defaults list, each with its option."""
        entries = self.read(name)[1].get("defaults") or []
        pairs = [pair for entry in entries if isinstance(entry, dict) for pair in entry.items()]
        return {key.split()[-1].lstrip("/").partition("@")[0]: option for key, option in pairs}

    def no_option(self, where: str, group: str, option: str) -> UserError:
        """The refusal of an option that its group lacks."""
        near = nearest(option, self.options(group))
        return UserError(
            f"{where}: {group} has no option {option!r}", ", ".join(near), f"for example {group}={near[0]}"
        )

    def placed(self, package: str) -> list[str]:
        """The overrides that put an option at `package`, such as `penalty=[r1]` for `penalties.r1`."""
        header = re.compile(rf"^\s*#\s*@package\s+{re.escape(package)}\s*$", re.MULTILINE)
        files = (file for folder in self.folders for file in folder.rglob("*.yaml"))
        return [
            f"{file.parent.name}=[{file.stem}]" for file in files if header.search(file.read_text("utf-8", "replace"))
        ]

    def no_key(self, where: str, key: str, node: Any, otherwise: str = "take one of these") -> UserError:
        """The refusal of a key whose last part is lost in `node`, with the nearest full names there."""
        parent, dot, name = key.rpartition(".")
        if refusal := no_flag(where, key):
            return refusal
        if not isinstance(node, Mapping):
            return UserError(f"{where}: {parent} is one value and holds no {name}", parent, f"write {parent}=VALUE")
        names = [str(option) for option in node if option != "_target_"] + ([] if parent else self.groups())
        near = [f"{parent}{dot}{option}" for option in nearest(name, names)] or [f"no key below {parent}"]
        fixed = where.replace(key, near[0]) if where.lstrip("+~").startswith(key) else near[0]
        remedy = f"for example {fixed}" if get_close_matches(name, names, cutoff=0.6) else otherwise
        if chosen := self.placed(key):
            remedy = f"choose it first: {chosen[0]}"
        return UserError(f"{where}: there is no {key}", ", ".join(near), remedy)


def no_flag(where: str, key: str) -> UserError | None:
    """The refusal of a Lightning flag which here belongs to turns, budget or another group."""
    group, _, flag = key.partition(".")
    if group != "trainer" or flag not in FLAGS:
        return None
    return UserError(f"{where}: {flag} does not serve players who take turns", FLAGS[flag], f"write {FLAGS[flag]}")


def conf_dir() -> Path:
    """The shipped tree: `duogen/conf` in an installed wheel, else the repository's `conf/`."""
    shipped = Path(__file__).parent / "conf"
    return shipped if shipped.is_dir() else Path(__file__).parents[2] / "conf"


def tree(config_dir: Path | None = None) -> Tree:
    """The shipped tree under the user's own, if any; raises UserError for a `config_dir` that is not there."""
    if config_dir is None:
        return Tree((conf_dir(),))
    if not config_dir.is_dir():
        raise UserError(f"--config-dir {config_dir}: no such folder", "a folder of YAML files", "mend the path")
    return Tree((config_dir.resolve(), conf_dir()))


def groups(config_dir: Path | None = None) -> list[str]:
    """Every group of `tree(config_dir)`."""
    return tree(config_dir).groups()


def options(group: str, config_dir: Path | None = None) -> list[str]:
    """Every option of a group in `tree(config_dir)`."""
    return tree(config_dir).options(group)


def broken(error: Exception, file: str) -> UserError:
    """The refusal of a file that is no YAML, with the line where it is known."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
    named = mark is not None and not mark.name.startswith("<")
    place = f"{mark.name if named else file}, line {mark.line + 1}" if mark else file
    return UserError(f"{place}: {problem}", "YAML in UTF-8", "mend that line")


Takes = Callable[[Any, str, Any], bool]


def lost(content: Mapping[str, Any], node: Any, takes: Takes, at: str = "") -> tuple[str, Any] | None:
    """The full name of the first key in `content` that `node` neither has nor takes, and where in `node` it is lost."""
    node = {str(index): item for index, item in enumerate(node)} if isinstance(node, list) else node
    for key, value in content.items():
        if not isinstance(node, Mapping) or key not in node:
            if not takes(node, key, value):
                return f"{at}{key}", node
        elif isinstance(value, Mapping) and "_target_" in value and not isinstance(node[key], Mapping):
            continue  # a number gives way to what computes it
        elif isinstance(value, Mapping) and (found := lost(value, node[key], takes, f"{at}{key}.")):
            return found
    return None


def nothing_more(node: Any, key: str, value: Any) -> bool:
    """Takes only what is there."""
    return False


def new_parts(node: Any, key: str, value: Any) -> bool:
    """Takes arguments of a class, and one more named node among others; an empty mapping takes anything."""
    if not isinstance(node, Mapping):
        return node is None
    if not node or "_target_" in node:
        return True
    named = all(below is None or isinstance(below, Mapping) for below in node.values())
    return named and isinstance(value, Mapping) and "_target_" in value


def new_parts_but_typos(node: Any, key: str, value: Any) -> bool:
    """Takes new parts, but no argument spelt almost like one that is there."""
    alike = (
        isinstance(node, Mapping)
        and not isinstance(value, Mapping)
        and get_close_matches(str(key), map(str, node), cutoff=0.75)
    )
    return new_parts(node, key, value) and not alike
