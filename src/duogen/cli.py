"""`duogen COMMAND`: joins the stages; nothing heavy is imported before a command needs it."""

import argparse
import os
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

from duogen.errors import UserError, nearest

DESCRIBED = (
    (
        "train",
        "One run: compose, train, measure, record.",
        "duogen train data=ring generator=mlp discriminator=mlp adversarial=hinge",
        "[overrides]",
    ),
    (
        "evaluate",
        "The metrics of a checkpoint alone.",
        "duogen evaluate checkpoint=runs/gan-digits/KEY/checkpoints/last.ckpt",
        "checkpoint=PATH [out=FILE.json] [sampler=NAME] [truncation=T] [psi=P] [standing=B]",
    ),
    (
        "sample",
        "Samples of a checkpoint, as a picture (.png), an array (.npy) or an archive (.npz).",
        "duogen sample checkpoint=last.ckpt n=64 out=samples.png",
        "checkpoint=PATH [out=samples.png] [seed=0] [n=N] [steps=S] [k=K] [sampler=NAME] [truncation=T] [psi=P] "
        "[standing=B] [show=samples|interpolation|classes|neighbours|reconstructions|traversals|plane|rates|codes]",
    ),
    (
        "check",
        "Compose, validate, build on the meta device, count; starts nothing.",
        "duogen check generator=mlp",
        "[overrides]",
    ),
    ("data", "What data there is, and how to get it.", "duogen data fetch mnist", "list | fetch NAME"),
    (
        "sweep",
        "What a sweep has done, and its search space as a W&B sweep file.",
        "duogen sweep status runs/generators",
        "status DIR | export-wandb NAME [out=FILE.yaml]",
    ),
    ("doctor", "Versions, devices, data and login, against what is tested.", "duogen doctor", ""),
)


FLAGS = ("--allow", "--config-dir", "--multirun", "--detach", "--help", "--version")
WHERE = ("resume", "fresh", "run_dir", "name", "model", "data", "experiment")


class Parser(argparse.ArgumentParser):
    """Leaves the telling of mistakes to `main`."""

    def error(self, message: str) -> NoReturn:
        usage = " ".join(self.format_usage().split()).removeprefix("usage: ")
        raise UserError(message, usage, "see duogen --help; settings are written name=value")


def parser() -> argparse.ArgumentParser:
    """The command line: every command has one sentence and one example."""
    top = Parser(prog="duogen", description="Train, evaluate and sample pairs of networks that learn in turns.")
    top.add_argument("--version", action="store_true", help="print the version")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    for name, text, example, shape in DESCRIBED:
        command = commands.add_parser(
            name, help=text, description=text, epilog=f"example: {example}", usage=f"duogen {name} {shape}"
        )
        command.add_argument("arguments", nargs="*", help=argparse.SUPPRESS)
        command.add_argument(
            "--allow", action="append", default=[], metavar="PREFIX.", help="also build classes below this module"
        )
        command.add_argument(
            "--config-dir", type=Path, metavar="DIR", help="a folder of your own YAML files beside ours"
        )
        if name == "train":
            command.add_argument("-m", "--multirun", action="store_true", help="a sweep: many runs")
            command.add_argument("--detach", action="store_true", help="leave a sweep to the cluster's queue")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; a user's mistake is printed in three parts and gives exit code 2."""
    try:
        options = parsed(sys.argv[1:] if argv is None else argv)
        if options.command is None:
            print(version()) if options.version else parser().print_help()
            return 0
        if options.allow:
            sys.path.append(str(Path.cwd()))
        return COMMANDS[options.command](options)
    except UserError as error:
        from duogen.experiment.slurm import speaks

        if speaks(os.environ):
            print(f"duogen: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130


def parsed(argv: Sequence[str]) -> argparse.Namespace:
    """The command and what it is given; options may stand between the settings."""
    if argv and not argv[0].startswith("-") and argv[0] not in COMMANDS:
        raise UserError(f"duogen {argv[0]}", ", ".join(nearest(argv[0], COMMANDS)), "see duogen --help")
    top = parser()
    options, rest = top.parse_known_args(argv)
    if strange := [argument for argument in rest if argument.startswith("-")]:
        raise UserError(
            f"{strange[0]} is not understood", ", ".join(nearest(strange[0], FLAGS)),
            "see duogen --help; settings are written name=value",
        )  # fmt: skip
    options.arguments = [*getattr(options, "arguments", ()), *rest]
    return options


def version() -> str:
    from importlib.metadata import version

    return f"duogen {version('duogen')}"


def train(options: argparse.Namespace) -> int:
    if options.multirun:
        from duogen.sweep.run import sweep

        return sweep(options.arguments, options.config_dir, options.allow, options.detach)
    if options.detach:
        raise UserError("--detach without -m", "duogen train -m ... --detach", "add -m, or drop --detach")
    if named := [given for given in options.arguments if given.partition("=")[0] == "sweep"]:
        raise UserError(
            f"{named[0]} without -m", "a sweep has many runs", f"duogen train -m {shlex.join(options.arguments)}"
        )
    overrides, place = continued(list(options.arguments), options.config_dir)
    from duogen.complete import complete

    composed = complete(overrides, options.config_dir, options.allow)
    from duogen.experiment import begin

    return begin.train(composed.config | place, composed.choices, overrides, options.allow)


def continued(overrides: list[str], config_dir: Path | None) -> tuple[list[str], dict[str, str]]:
    """With resume, the overrides that the run was begun with before those given, and where it lies."""
    if not any(given.startswith("resume=") for given in overrides):
        return overrides, {}
    from duogen.compose import compose

    named = compose([given for given in overrides if given.partition("=")[0] in WHERE], config_dir)
    config = named.config
    if not config["resume"]:
        return overrides, {}
    for name in ("fresh", "run_dir"):
        if config[name]:
            given = next(given for given in overrides if given.startswith(f"{name}="))
            raise UserError(f"resume={config['resume']} with {given}", "one of them", f"drop resume or {name}")
    from duogen.experiment.begin import resumed

    name = config["name"] or f"{named.choices['model']}-{named.choices['data']}"
    folder, before = resumed(str(config["resume"]), str(name))
    rest = [given for given in overrides if not given.startswith("resume=")]
    return [*before, *rest], {"run_dir": str(folder.path), "resume": str(folder.path)}


def check(options: argparse.Namespace) -> int:
    from duogen.complete import complete

    composed = complete(options.arguments, options.config_dir, options.allow)
    from duogen.experiment.check import check

    return check(composed.config, composed.choices, options.allow)


def evaluate(options: argparse.Namespace) -> int:
    accepted = {"checkpoint": None, "out": "", "sampler": "null", **dict.fromkeys(MANNER, "null")}
    given = settings(options.arguments, accepted)
    how, choice = manner(given), sampler(given["sampler"], options)
    from duogen.experiment.evaluate import evaluate
    from duogen.modules.sampling import Manner

    out = path(given, "out") if given["out"] else None
    return evaluate(path(given, "checkpoint"), out, Manner(**how), choice, options.allow)


def sample(options: argparse.Namespace) -> int:
    accepted = {"checkpoint": None, "out": "samples.png", "seed": "0", "show": "samples", "sampler": "null"}
    given = settings(options.arguments, accepted | dict.fromkeys((*SHOWN, *MANNER), "null"))
    how, seed, choice = manner(given), whole(given, "seed"), sampler(given["sampler"], options)
    from duogen.experiment.sample import sample
    from duogen.experiment.shows import chosen
    from duogen.modules.sampling import Manner

    show = chosen(given["show"], {name: whole(given, name) for name in SHOWN if given[name] != "null"})
    return sample(path(given, "checkpoint"), path(given, "out"), show, Manner(**how), choice, seed, options.allow)


def sampler(name: str, options: argparse.Namespace) -> Any:
    """The sampler of that name, with the settings below it, or None where none was asked for."""
    inner = [argument for argument in options.arguments if argument.startswith("sampler.")]
    if name == "null" and not inner:
        return None
    from duogen.complete import sampler

    return sampler(name, inner, options.config_dir)


def manner(given: Mapping[str, str]) -> dict[str, Any]:
    """The settings, of those that say how a generator draws, which were given."""
    return {name: read(given, name) for name, read in MANNER.items() if given[name] != "null"}


def data(options: argparse.Namespace) -> int:
    from duogen.conftree import conf_dir
    from duogen.data.shelf import fetch_set, list_sets

    match options.arguments:
        case ["list"] | []:
            return list_sets(conf_dir())
        case ["fetch", name]:
            return fetch_set(conf_dir(), name)
    raise UserError(f"data {' '.join(options.arguments)}", "data list, data fetch NAME", "e.g. duogen data fetch mnist")


def sweep(options: argparse.Namespace) -> int:
    match options.arguments:
        case ["status", folder]:
            from duogen.sweep.shown.results import status

            return status(Path(folder).expanduser())
        case ["export-wandb", name, *rest]:
            given = settings(rest, {"out": ""})
            from duogen.sweep.export import export

            return export(name, options.config_dir, path(given, "out") if given["out"] else None)
    raise UserError(
        f"sweep {' '.join(options.arguments)}", "sweep status DIR, sweep export-wandb NAME",
        "e.g. duogen sweep status runs/generators",
    )  # fmt: skip


def doctor(options: argparse.Namespace) -> int:
    from duogen.experiment.doctor import doctor

    return doctor()


COMMANDS = {
    "train": train,
    "evaluate": evaluate,
    "sample": sample,
    "check": check,
    "data": data,
    "sweep": sweep,
    "doctor": doctor,
}


def settings(arguments: Sequence[str], known: Mapping[str, str | None]) -> dict[str, str]:
    """`name=value` arguments over the defaults; a name whose default is None must be given. A sampler's are its own."""
    found = dict(known)
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if "sampler" in known and name.startswith("sampler."):
            continue
        if not equals or name not in known:
            options = ", ".join(f"{option}=..." for option in nearest(name, known))
            raise UserError(f"{argument} is not understood", options, "give name=value pairs")
        found[name] = value
    for name, value in found.items():
        if value is None:
            raise UserError(f"{name} is missing", ", ".join(f"{option}=..." for option in known), f"give {name}=PATH")
    return {name: str(value) for name, value in found.items()}


def path(given: Mapping[str, str], name: str) -> Path:
    return Path(given[name]).expanduser()


def whole(given: Mapping[str, str], name: str) -> int:
    try:
        return int(given[name])
    except ValueError:
        raise UserError(f"{name}={given[name]}", "a whole number", f"e.g. {name}=8") from None


def number(given: Mapping[str, str], name: str) -> float:
    try:
        return float(given[name])
    except ValueError:
        raise UserError(f"{name}={given[name]}", "a number", f"e.g. {name}=0.7") from None


SHOWN = ("n", "steps", "k")
MANNER = {"truncation": number, "psi": number, "standing": whole}


if __name__ == "__main__":
    sys.exit(main())
