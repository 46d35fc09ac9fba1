"""`duogen train -m`: composes what concerns the sweep with Hydra, and lets its sweeper work."""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from duogen.compose import compose
from duogen.conftree import Tree, tree
from duogen.errors import UserError, nearest
from duogen.experiment import crew
from duogen.loading import searching
from duogen.sweep.axes import SEED, by_key, parsed, refuse_unknown, text
from duogen.sweep.call import CALL, Call
from duogen.sweep.first import first

QUIET = ("hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.sweep.subdir=.")
OURS = {"hydra/sweeper": "grid", "hydra/launcher": "pool"}
KINDS = ("sweeper", "launcher")
ALONE = ("run_dir", "resume")
AGENT = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")  # one run of W&B, which trials would all share


def sweep(arguments: Sequence[str], config_dir: Path | None, allow: Sequence[str], detach: bool) -> int:
    """Runs or continues a sweep; returns its exit code.

    Raises:
        UserError: a mistake in the command or in the sweep's file; nothing was started.
    """
    files = tree(config_dir)
    given = by_key(parsed(text) for text in arguments)
    refuse_hydra(given)
    for name in ALONE:
        if name in given:
            raise UserError(f"{name} with -m", "name=NAME or hydra.sweep.dir=PATH", f"leave {name} out")
    for name in AGENT:
        os.environ.pop(name, None)
    name = named(given, files)
    for one in given.values():
        refuse_unknown(one, files)
    begun = first(given, files)
    choices = compose(begun, config_dir).choices
    crew.warm_up(owned(allow, arguments, config_dir))
    call = Call(tuple(arguments), config_dir, tuple(allow), *place(given, name, choices), fresh(given))
    hydra = [text for text in arguments if parsed(text).is_hydra_override()]
    task_overrides = [text for text in arguments if text not in hydra]
    ours = [*chosen(given, files), *hydra]
    told = begun if sweeps(given, files) else task_overrides
    overrides = [*QUIET, *ours, f"hydra.sweep.dir={quoted(call.folder)}", *told]
    if detach and "hydra/launcher=pool" in overrides:
        raise UserError(
            "--detach with the slots of this machine", "--detach with hydra/launcher=slurm",
            "drop --detach, or start the sweep with nohup or in tmux",
        )  # fmt: skip
    overrides += ["hydra.launcher.detach=true"] if detach else []
    token = CALL.set(call)
    try:
        return multirun(overrides, files)
    finally:
        CALL.reset(token)


def refuse_hydra(given: Mapping[str, Override]) -> None:
    """Refuses a value in the place of a whole sweeper or launcher, and several values for one of their settings."""
    for key, one in given.items():
        if key in ("hydra.sweeper", "hydra.launcher"):
            allowed = f"{key.replace('.', '/')}=NAME, {key}.KEY=VALUE"
            raise UserError(f"{one.input_line}", allowed, "choose it by its name, or set one key")
        if one.is_hydra_override() and one.is_sweep_override():
            axis = key.removeprefix("hydra.sweeper.params.")
            remedy = "write [a,b] for a list" if axis == key else f"write {axis}={text(one)}, without hydra"
            raise UserError(f"{one.input_line}: a setting of the sweep itself does not vary", "one value", remedy)


def owned(allow: Sequence[str], arguments: Sequence[str], config_dir: Path | None) -> list[str]:
    """The user's own modules that the command or its files name: the template imports them as they are now."""
    files = sorted(config_dir.rglob("*.yaml")) if config_dir is not None else []
    text = "\n".join([*arguments, *(file.read_text("utf-8", "replace") for file in files)])
    named = [name for prefix in allow for name in re.findall(rf"(?<![\w.]){re.escape(prefix)}[\w.]*", text)]
    return list(dict.fromkeys([prefix.rstrip(".") for prefix in allow] + [name.rpartition(".")[0] for name in named]))


def multirun(overrides: Sequence[str], files: Tree) -> int:
    """Hydra's own way through a sweep, with our config tree."""
    from duogen.sweep.job import task

    with searching(files.folders) as lines:
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        try:
            found = hydra.multirun("train", task, [*lines, *overrides], with_log_configuration=False)
        except (HydraException, OmegaConfBaseException) as error:
            raise explained(error, overrides, files) from error
    return found if isinstance(found, int) else 0  # a sweeper that is not ours returns its jobs


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
            searches = files.read("hydra/sweeper/optuna")[1] if parts[1] == "sweeper" else {}
            hint = "add hydra/sweeper=optuna" if part in searches else "take one of these"
            return files.no_key(given, ".".join(parts[:depth]), node, hint)
        node = node[part]
    return UserError(f"{given} adds to what is there", f"+{given}", "write it so, or in a file in conf/sweep")


def takes(group: str, overrides: Sequence[str], files: Tree) -> dict[str, Any]:
    """What the chosen sweeper or launcher takes, its parts such as a sampler too."""
    option = next((line.partition("=")[2] for line in overrides if line.startswith("sweep=")), "")
    told = dict(line.split("=", 1) for line in overrides if line.startswith("hydra/"))
    chosen = files.defaults(f"sweep/{option}") | told
    file = f"{group}/{chosen.get(group)}"
    parts = {part: chosen.get(f"{group}/{part}", first) for part, first in files.defaults(file).items()}
    return settings(file, files) | {part: settings(f"{group}/{part}/{one}", files) for part, one in parts.items()}


def settings(file: str, files: Tree) -> dict[str, Any]:
    return {
        name: value for name, value in files.read(file)[1].items() if name != "defaults" and not name.startswith("_")
    }


def chosen(given: dict[str, Override], files: Tree) -> list[str]:
    """Our own sweeper and launcher, where neither the command nor the sweep's file chooses another."""
    option = given["sweep"].value() if "sweep" in given else None
    defaults = files.defaults(f"sweep/{option}") if option else {}
    return [f"{group}={ours}" for group, ours in OURS.items() if group not in given and group not in defaults]


def sweeps(given: dict[str, Override], files: Tree) -> bool:
    """Whether the sweeper is one of ours, which reads the command itself; Hydra then composes the first trial."""
    return "hydra/sweeper" not in given or str(given["hydra/sweeper"].value()) in files.options("hydra/sweeper")


def named(given: dict[str, Override], files: Tree) -> str | None:
    """The sweep's name as it is given, or that of its file or its folder; None where nothing says one."""
    name = one_name(given["name"]) if "name" in given else None
    if "sweep" in given:
        if given["sweep"].is_sweep_override():
            raise UserError(f"{given['sweep'].input_line}", "one sweep for a command", "give a command to each of them")
        option = str(given["sweep"].value())
        if option not in files.options("sweep"):
            raise files.no_option(f"sweep={option}", "sweep", option)
        name = name or option
    if name is None and "hydra.sweep.dir" in given:
        name = Path(str(given["hydra.sweep.dir"].value())).name
    return name


def place(given: dict[str, Override], name: str | None, choices: Mapping[str, Any]) -> tuple[Path, str]:
    """Where the sweep lies, and its name, which is that of what it varies where there is no other."""
    directory = given.get("hydra.sweep.dir")
    if name is None:
        swept = [key.rpartition(".")[2] for key, one in given.items() if one.is_sweep_override()]
        varied = [key for key in swept if key != SEED] or swept
        same = [str(choices[role]) for role in ("model", "data") if role not in swept]
        name = "-".join([*same, *(["by", *varied] if varied else [])])
    folder = Path(str(directory.value())) if directory is not None else Path("runs") / str(name)
    return folder.expanduser().absolute(), str(name)


def one_name(override: Override) -> str | None:
    """The name that an override gives, which must be that of one folder."""
    value = override.value()
    if value is None:
        return None
    one = not override.is_sweep_override() and not isinstance(value, list | dict)
    if not one or str(value) in ("", "..") or Path(str(value)).name != str(value):
        raise UserError(
            f"{override.input_line}",
            "the name of one folder",
            "leave slashes and commas out, or say hydra.sweep.dir=PATH",
        )
    return str(value)


def fresh(given: dict[str, Override]) -> bool:
    return "fresh" in given and given["fresh"].value() is True


def quoted(path: Path) -> str:
    return QuotedString(str(path), Quote.single).with_quotes()
