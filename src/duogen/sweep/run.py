"""`duogen train -m`: composes what concerns the sweep with Hydra, and lets its sweeper work."""

import os
import re
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.types import Override, Quote, QuotedString
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from duogen.compose import compose
from duogen.conftree import Tree, tree
from duogen.errors import UserError
from duogen.experiment import crew
from duogen.loading import searching
from duogen.records import EXIT
from duogen.signals import owning_signals
from duogen.sweep.axes import SEED, by_key, parsed, refuse_unknown
from duogen.sweep.call import CALL, Call
from duogen.sweep.first import first
from duogen.sweep.refusals import OURS, explained, refuse_file, refuse_hydra

QUIET = ("hydra.output_subdir=null", "hydra/job_logging=none", "hydra/hydra_logging=none", "hydra.sweep.subdir=.")
ALONE = ("run_dir", "resume")
AGENT = ("WANDB_SWEEP_ID", "WANDB_RUN_ID", "WANDB_SWEEP_PARAM_PATH")  # one run of W&B, which trials would all share


def sweep(arguments: Sequence[str], config_dir: Path | None, allow: Sequence[str], detach: bool) -> int:
    """Runs or continues a sweep; returns its exit code.

    Raises:
        UserError: a mistake in the command or in the sweep's file; nothing was started.
    """
    with owning_signals(end):
        return planned(arguments, config_dir, allow, detach)


def end(number: int, frame: Any) -> None:
    """Ends a command that runs no trial yet: it may be begun again."""
    raise SystemExit(EXIT["interrupted" if number == signal.SIGINT else "preempted"])


def planned(arguments: Sequence[str], config_dir: Path | None, allow: Sequence[str], detach: bool) -> int:
    """The command with all that it leaves unsaid, handed to Hydra."""
    files = tree(config_dir)
    given = by_key(parsed(text) for text in arguments)
    refuse_hydra(given, files)
    for name in ALONE:
        if name in given:
            raise UserError(f"{name} with -m", "name=NAME or hydra.sweep.dir=PATH", f"leave {name} out")
    for name in AGENT:
        os.environ.pop(name, None)
    name = named(given, files)
    refuse_file(given, files)
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


def owned(allow: Sequence[str], arguments: Sequence[str], config_dir: Path | None) -> list[str]:
    """The user's own modules that the command or its files name: the template imports them as they are now."""
    files = sorted(config_dir.rglob("*.yaml")) if config_dir is not None else []
    text = "\n".join([*arguments, *(file.read_text("utf-8", "replace") for file in files)])
    named = [name for prefix in allow for name in re.findall(rf"(?<![\w.]){re.escape(prefix)}[\w.]*", text)]
    return list(dict.fromkeys([prefix.rstrip(".") for prefix in allow] + [name.rpartition(".")[0] for name in named]))


def multirun(overrides: Sequence[str], files: Tree) -> int:
    """Hydra's own way through a sweep, with our config tree."""
    from duogen.sweep.cluster.job import task

    with searching(files.folders) as lines:
        hydra = GlobalHydra.instance().hydra
        assert hydra is not None
        try:
            found = hydra.multirun("train", task, [*lines, *overrides], with_log_configuration=False)
        except (HydraException, OmegaConfBaseException) as error:
            raise explained(error, overrides, files) from error
    return found if isinstance(found, int) else 0  # a sweeper that is not ours returns its jobs


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
