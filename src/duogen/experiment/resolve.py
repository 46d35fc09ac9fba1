"""From a composed config to one that says all that a run depends on: device, ranks, steps, the data's own facts."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from duogen.errors import UserError, nearest
from duogen.experiment.build import build, check
from duogen.experiment.crew import world_size
from duogen.modules.turns import Turns

UNCOUNTED = 2**20
NO_GPU = {True: "cpu: no GPU is visible here", False: "cpu: hydra.launcher asks for no GPU"}
PARTS = ("data", "turns", "optimizers", "trainer", "budget", "loggers", "trial")
LEAST = {
    "seed": 0,
    "log_every": 1,
    "validate_every": 1,
    "checkpoint_every": 1,
    "keep": 1,
    "data.batch_size": 1,
    "data.workers": 0,
    "trial.attempts": 1,
}


def resolve(config: Mapping[str, Any], name: str, allow: Sequence[str], elsewhere: str | None = None) -> dict[str, Any]:
    """The config with its open ends closed; nothing is written and no network is built.

    `elsewhere` is the kind of device, cpu or cuda, of the machines where it will run, if not on this one.

    Raises:
        UserError: a number of the run out of its range, no such device, a budget without a limit, or turns that leave
            a batch without a player.
    """
    config = {"metrics": {}} | dict(config) | {"name": run_name(config["name"], name)}
    refuse_odd(config)
    check(config, allow)
    turns = build(config["turns"], allow)
    data = dict(config["data"]) | facts(config, allow)
    resolved = config | {"data": data, "trainer": device(config["trainer"], elsewhere)}
    refuse_idle(resolved)
    resolved["trainer"]["max_steps"] = steps = max_steps(resolved, turns, allow)
    gap = turns.gaps(steps)
    if gap is not None:
        raise UserError(
            f"no turn is due at step {gap} of {steps}",
            "at least one turn on every batch",
            "let one turn act every 1, or change start and until under turns",
        )
    return resolved


def facts(config: Mapping[str, Any], allow: Sequence[str]) -> dict[str, Any]:
    """What only the data's own files know: settings of `data` that the config leaves open."""
    check(config["data"], allow)
    return dict(build(config["data"], allow).facts())


def limit(config: Mapping[str, Any], allow: Sequence[str]) -> int:
    """The steps after which the composed config's run ends, whichever limit of its budget that is."""
    refuse_odd(config)
    check(config, allow)
    return max_steps(config, build(config["turns"], allow), allow)


def run_name(given: Any, otherwise: str) -> str:
    """The run's name: as given, which must be that of one folder, else `otherwise`."""
    if given is None:
        return otherwise
    name = str(given)
    if isinstance(given, list | dict) or name in ("", "..") or Path(name).name != name:
        raise UserError(f"name={written(given)}", "the name of one folder", "leave slashes out, or say run_dir=PATH")
    return name


def refuse_odd(config: Mapping[str, Any]) -> None:
    """Refuses what is no constructor's argument, and so has no signature to be checked against."""
    for part in PARTS:
        if not isinstance(config.get(part), Mapping):
            raise UserError(f"{part}={written(config.get(part))}", f"the settings of {part}", f"leave {part} as it is")
    for path, least in LEAST.items():
        group, _, name = path.rpartition(".")
        whole(path, (config[group] if group else config)[name], least)
    for name in ("timeout", "grace"):
        refuse_time(f"trial.{name}", config["trial"][name])
    if not isinstance(config["fresh"], bool):
        raise UserError(f"fresh={written(config['fresh'])}", "true, false", "use fresh=true to start over")
    if not isinstance(config["monitor"], str | None):
        raise UserError(
            f"monitor={written(config['monitor'])}", "the name of a measured value, or null", "leave monitor out"
        )
    for part, entries in (("turns", config["turns"]), ("optimizers", config["optimizers"])):
        for name, entry in entries.items():
            if name != "_target_" and not isinstance(entry, Mapping):
                raise UserError(
                    f"{part}.{name}={written(entry)}", "the settings of one", f"leave {part}.{name} as it is"
                )
    for player, own in config["optimizers"].items():
        refuse_average(f"optimizers.{player}.ema", own["ema"])
        if own["scheduler"] is None:
            raise UserError(f"optimizers.{player}.scheduler=null", "a schedule", "use scheduler=constant for none")
    refuse_backend(config["compile"])


def whole(path: str, value: Any, least: int) -> int:
    """The value at a config's path as a whole number of at least `least`, or a refusal that names the path."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise UserError(f"{path}={written(value)}", f"whole numbers, {least} or more", f"give {path} such a number")
    return value


def refuse_time(path: str, seconds: Any) -> None:
    given = seconds is not None or path == "trial.grace"
    if given and (isinstance(seconds, bool) or not isinstance(seconds, int | float) or not seconds > 0):
        raise UserError(f"{path}={written(seconds)}", "seconds, more than 0", f"e.g. {path}=3600")


def written(value: Any) -> str:
    """A value as its override writes it."""
    return value if isinstance(value, str) else json.dumps(value)


def refuse_average(path: str, average: Any) -> None:
    if not isinstance(average, Mapping):
        raise UserError(f"{path}={written(average)}", "decay and start", f"use {path}.decay=null for no average")
    decay = average["decay"]
    if decay is not None and (isinstance(decay, bool) or not isinstance(decay, int | float) or not 0 <= decay < 1):
        raise UserError(f"{path}.decay={written(decay)}", "0 or more, less than 1, or null", f"e.g. {path}.decay=0.999")
    whole(f"{path}.start", average["start"], 0)


def refuse_backend(given: Any) -> None:
    """`compile` is true, false, or the name of a backend; torch's list of them is read only for a name."""
    known = [] if isinstance(given, bool) else torch.compiler.list_backends(exclude_tags=())
    if not isinstance(given, bool) and given not in known:
        options = ", ".join(["true", "false", *nearest(str(given), known)])
        raise UserError(f"compile={written(given)}", options, "use compile=true for torch's default")


def refuse_idle(config: Mapping[str, Any]) -> None:
    size, ranks = config["data"]["batch_size"], world_size(config["trainer"])
    if size < ranks:
        raise UserError(
            f"data.batch_size={size} on trainer.devices={ranks}", "at least one example for each rank",
            f"set data.batch_size={ranks} or more, or trainer.devices={size} or less",
        )  # fmt: skip


def device(trainer: Mapping[str, Any], elsewhere: str | None = None) -> dict[str, Any]:
    """The trainer's node with `accelerator` cpu or cuda, and `devices` a number."""
    accelerator, devices = trainer["accelerator"], trainer["devices"]
    gpus = torch.cuda.device_count() if elsewhere is None else {"cpu": 0, "cuda": UNCOUNTED}[elsewhere]
    if devices == "auto" and gpus == UNCOUNTED:
        raise UserError(
            "trainer.devices=auto on machines that are not this one", "a number", "e.g. trainer.devices=4"
        )  # fmt: skip
    if accelerator in ("gpu", "cuda") and gpus == 0:
        raise UserError("trainer.accelerator=gpu", NO_GPU[elsewhere is None], "use trainer=cpu or trainer=ddp_cpu")
    if accelerator not in ("auto", "cpu", "gpu", "cuda"):
        raise UserError(f"trainer.accelerator={accelerator}", "auto, cpu, gpu", "use trainer=auto")
    kind = "cuda" if accelerator in ("gpu", "cuda") or (accelerator == "auto" and gpus) else "cpu"
    devices = (gpus if kind == "cuda" else 1) if devices == "auto" else devices
    if isinstance(devices, bool) or not isinstance(devices, int) or devices < 1 or (kind == "cuda" and devices > gpus):
        available = f"1 to {gpus}, the visible GPUs" if kind == "cuda" else "a number of processes, 1 or more"
        raise UserError(f"trainer.devices={written(devices)}", available, "change trainer.devices")
    if str(trainer["precision"]) not in ("32", "bf16-mixed", "16-mixed"):
        raise UserError(
            f"trainer.precision={trainer['precision']}", "32, bf16-mixed, 16-mixed", "use trainer.precision=32"
        )
    return dict(trainer) | {"accelerator": kind, "devices": devices, "precision": str(trainer["precision"])}


def max_steps(config: Mapping[str, Any], turns: Turns, allow: Sequence[str]) -> int:
    """The smallest number of steps at which a limit of the budget is reached."""
    budget, batch_size = config["budget"], config["data"]["batch_size"]
    at_least_one("budget.steps", budget.get("steps"))
    steps = at_least_one("trainer.max_steps", config["trainer"]["max_steps"])
    samples = at_least_one("budget.samples", budget.get("samples"))
    epochs = at_least_one("budget.epochs", budget.get("epochs"))
    updates = {
        player: at_least_one(f"budget.updates.{player}", number)
        for player, number in (budget.get("updates") or {}).items()
    }
    limits = [
        steps,
        samples and -(-samples // batch_size),
        epochs and epochs * build(config["data"], allow).batches_per_epoch,
        *(number and steps_for(turns, player, number) for player, number in updates.items()),
    ]
    given = [limit for limit in limits if limit is not None]
    if not given:
        raise UserError("the budget has no limit", "steps, samples, epochs or updates", "give budget.steps=N")
    return min(given)


def at_least_one(path: str, value: Any) -> int | None:
    return None if value is None else whole(path, value, 1)


def steps_for(turns: Turns, player: str, updates: int) -> int:
    """The smallest number of steps after which `player` has been updated `updates` times."""
    high = 1
    while turns.updates(high).get(player, 0) < updates:
        high *= 2
        if high > 2**40:
            raise UserError(
                f"budget.updates.{player}={updates}",
                f"at most {turns.updates(high).get(player, 0)}, which its turns allow",
                "change budget.updates or the turns' start and until",
            )
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if turns.updates(middle).get(player, 0) < updates else (low, middle)
    return high
