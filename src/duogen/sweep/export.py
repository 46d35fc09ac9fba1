"""A sweep's file as one of W&B: the same space, and a command whose trials lie where the sweep's own would."""

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from duogen.compose import compose, load
from duogen.conftree import Tree, tree
from duogen.errors import UserError, nearest
from duogen.files import write_atomic
from duogen.loading import plain
from duogen.overrides import parse
from duogen.sweep.search.goals import goals, validated
from duogen.sweep.search.space import choices, read

BARE = re.compile(r"(?!(?:null|true|false|nan|inf)$)[a-z_][\w.]*|[-+]?\d+e[-+]?\d+", re.IGNORECASE)
LACKING = ("settings", "compare", "phases")
DRAWN = {"random": "random", "qmc": "random"}
SWEEPER = "hydra/sweeper"


def export(name: str, config_dir: Path | None, out: Path | None) -> int:
    """Writes conf/sweep/NAME.yaml as a sweep file of W&B to `out`, or prints it; returns the exit code.

    W&B knows no repetitions, so that a seed becomes one more parameter; its agents prune nothing.

    Raises:
        UserError: there is no such sweep, it does not compose, or it has parts that W&B lacks.
    """
    text = yaml.safe_dump(exported(name, config_dir), sort_keys=False)
    if out is None:
        print(text, end="")
        return 0
    if out.is_dir():
        raise UserError(f"out={out} is a folder", "a file", f"use out={out / f'{name}.yaml'}")
    try:
        write_atomic(out, text.encode())
    except OSError as error:
        raise UserError(f"out={out}: {error.strerror}", "a file that can be written", "choose another path") from error
    print(f"wrote {out}; wandb sweep {shlex.quote(str(out))} registers it and says how to start an agent")
    return 0


def exported(name: str, config_dir: Path | None) -> dict[str, Any]:
    """The content of W&B's sweep file for a search space of ours."""
    files = tree(config_dir)
    if name not in (known := files.options("sweep")):
        near = nearest(name, known)
        raise UserError(
            f"there is no sweep {name!r}", ", ".join(near), f"for example duogen sweep export-wandb {near[0]}"
        )
    content, chosen = files.read(f"sweep/{name}")[1], files.defaults(f"sweep/{name}")
    kind = chosen.get(SWEEPER, "grid")
    sweeper = files.read(f"{SWEEPER}/{kind}")[1] | content.get("hydra", {}).get("sweeper", {})
    refuse_lacking(name, sweeper)
    fixed = command({group: option for group, option in chosen.items() if "/" not in group}, content, files)
    config = compose(fixed, config_dir).config
    found = parameters(sweeper["params"], kind, files)
    seeds = len(found.get("seed", {"values": [0]})["values"])
    search = {} if kind == "grid" else searched(sweeper, sampler(chosen, kind, files), seeds, config)
    return {
        "name": name,
        "project": config["loggers"].get("wandb", {}).get("project", "duogen"),
        "program": "duogen",
        "method": "grid",
        **search,
        "parameters": found,
        "command": ["${env}", "duogen", "train", f"name={name}", *fixed, "${args_no_hyphens}"],
    }


def refuse_lacking(name: str, sweeper: Mapping[str, Any]) -> None:
    lacking = [part for part in LACKING if sweeper.get(part)]
    if lacking or not sweeper.get("params"):
        given = f"has {', '.join(lacking)}" if lacking else "has no params"
        raise UserError(
            f"sweep {name} {given}", "hydra.sweeper.params alone", f"run it here: duogen train -m sweep={name}"
        )


def sampler(chosen: Mapping[str, Any], kind: str, files: Tree) -> str:
    return str(chosen.get(f"{SWEEPER}/sampler", files.defaults(f"{SWEEPER}/{kind}").get("sampler")))


def searched(sweeper: Mapping[str, Any], sampler: str, seeds: int, config: Mapping[str, Any]) -> dict[str, Any]:
    """How W&B is to search: it knows one objective, by the name that rows have, after the class of the module."""
    cap = {"run_cap": sweeper["n_trials"] * seeds}
    known = validated([config], ()) if sweeper["direction"] is None else {}
    found = goals(sweeper["metric"], sweeper["direction"], known)
    if len(found.metrics) != 1:
        return {"method": "random", **cap}
    owner = config["model"]["_target_"].rpartition(".")[2].lower()
    metric = {"name": f"validate/{owner}/{found.metrics[0]}", "goal": found.directions[0]}
    return {"method": DRAWN.get(sampler, "bayes"), "metric": metric, **cap}


def command(parts: Mapping[str, Any], content: Mapping[str, Any], files: Tree) -> list[str]:
    """The overrides that set what a sweep's file sets: options of groups, then values, with + before a new key."""
    options = [f"{group}={spelled(option)}" for group, option in parts.items()]
    values = {key: value for key, value in content.items() if key not in ("defaults", "hydra")}
    known = plain(load([parse(option, files) for option in options], files, None))
    return [*options, *settings(values, known)]


def settings(node: Mapping[str, Any], known: Any, at: str = "") -> Iterator[str]:
    for key, value in node.items():
        new = not isinstance(known, Mapping) or key not in known
        if isinstance(value, Mapping) and value and "_target_" not in value:
            yield from settings(value, None if new else known[key], f"{at}{key}.")
        else:
            yield f"{'+' if new else ''}{at}{key}={spelled(value)}"


def spelled(value: Any) -> str:
    """A value from a YAML file as an override writes it."""
    match value:
        case Mapping():
            return "{" + ",".join(f"{key}:{spelled(item)}" for key, item in value.items()) + "}"
        case list():
            return "[" + ",".join(map(spelled, value)) + "]"
        case str():
            return value if BARE.fullmatch(value) else QuotedString(value, Quote.single).with_quotes()
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
    return repr(value)


def parameters(params: Mapping[str, Any], kind: str, files: Tree) -> dict[str, dict[str, Any]]:
    """Each key's values, or the distribution that a search draws it from; a seed is always listed."""
    listed = [key for key in params if kind == "grid" or key == "seed"]
    drawn = read({key: spelling for key, spelling in params.items() if key not in listed}, files.options)
    return {
        key: parameter(drawn[key]) if key in drawn else values(choices(key, params[key], files.options))
        for key in params
    }


def parameter(distribution: BaseDistribution) -> dict[str, Any]:
    """A distribution in W&B's words, where a step counts from 0: steps from elsewhere are listed."""
    match distribution:
        case CategoricalDistribution(choices=found):
            return values([str(choice) for choice in found])
        case FloatDistribution(log=True) | IntDistribution(log=True):
            whole = {"q": 1} if isinstance(distribution, IntDistribution) else {}
            kind = "q_log_uniform_values" if whole else "log_uniform_values"
            return {"distribution": kind, **ends(distribution), **whole}
        case FloatDistribution(step=None):
            return {"distribution": "uniform", **ends(distribution)}
        case IntDistribution(step=1):
            return {"distribution": "int_uniform", **ends(distribution)}
        case FloatDistribution(low=low, high=high, step=step) | IntDistribution(low=low, high=high, step=step) if step:
            if (low / step).is_integer():
                return {"distribution": "q_uniform", **ends(distribution), "q": step}
            return {"values": [low + step * i for i in range(round((high - low) / step) + 1)]}
    raise TypeError(distribution)


def ends(distribution: FloatDistribution | IntDistribution) -> dict[str, float]:
    return {"min": distribution.low, "max": distribution.high}


def values(spellings: Sequence[str]) -> dict[str, Any]:
    """Override strings as W&B's values: numbers and booleans as such, all else as an agent is to hand it back."""
    parsed = [OverridesParser.create().parse_override(f"value={text}").value() for text in spellings]
    pairs = zip(parsed, spellings, strict=True)
    return {"values": [value if isinstance(value, int | float) else text for value, text in pairs]}
