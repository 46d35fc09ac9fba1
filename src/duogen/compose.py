"""Composing the config tree with Hydra: overrides in, one plain resolved config out, every mistake named."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException

from duogen import conftree
from duogen.additions import check_additions, check_options, merged, refuse_several
from duogen.conftree import Tree, conf_dir, groups, options
from duogen.errors import UserError, nearest
from duogen.loading import Known, loaded, plain
from duogen.overrides import Override, chosen, parse

__all__ = ["Composed", "compose", "conf_dir", "groups", "options"]

REFUSALS = (HydraException, OmegaConfBaseException, ValueError, AssertionError, OSError, RecursionError)


@dataclass(frozen=True)
class Composed:
    """A resolved config of plain dicts, lists and scalars, the option chosen in each group, and the overrides as given.

    Groups that take a list of options (`penalty=[r1,r2]`) have no entry in `choices`.
    """

    config: dict[str, Any]
    choices: dict[str, str | None]
    overrides: tuple[str, ...]


def compose(overrides: Sequence[str], config_dir: Path | None = None, known: Known | None = None) -> Composed:
    """The config that `train.yaml` and the overrides make, with the files of `config_dir` before the shipped ones.

    Who composes many keeps a dict and gives it as `known`: files are then read once for each choice of options.

    Raises UserError for every mistake in an override or in a file: bad syntax, an unknown group, option or key, a role
    that the model lacks, a value that is missing, an interpolation that leads nowhere.
    """
    files = conftree.tree(config_dir)
    given = [parse(text, files) for text in overrides]
    for override in given:
        if override.group in files.groups():
            refuse_several(override.group, override.value, files)
    config = load(given, files, known)
    choices = {str(key): value for key, value in config.hydra.runtime.choices.items() if not key.startswith("hydra/")}
    check_additions(given, choices, files, known)
    check_options(choices, files)
    return Composed(resolved(config), choices, tuple(overrides))


def load(given: Sequence[Override], files: Tree, known: Known | None) -> DictConfig:
    try:
        return loaded(given, files, known)
    except yaml.YAMLError as error:
        raise conftree.broken(error, "a config file") from error
    except REFUSALS as error:
        raise explained(error, given, files) from error


def explained(error: Exception, given: Sequence[Override], files: Tree) -> UserError:
    for override in chosen(given, files):
        files.read(f"{override.group}/{override.value}")
    message = str(error) or str(error.__cause__)
    file = match[1] if (match := re.match(r"In '([^']+)'", message)) else "train"
    group, _, option = (getattr(error, "missing_cfg_file", None) or "").rpartition("/")
    if group in files.groups():
        experiment = next((f"experiment/{o.value}" for o in given if o.key == "experiment"), file)
        source = experiment if files.defaults(experiment).get(group) == option else file
        return files.no_option(f"{source}.yaml asks for {group}={option}", group, option)
    if refusal := no_key(given, files):
        return refusal
    match = re.search(r"Could not (?:override|delete) '([^']+)", message)
    if match and match[1] in files.groups():
        return no_role(match[1], file, given, files)
    if isinstance(error, RecursionError):
        message = "a defaults list leads back to its own file"
    near = nearest(match[1], files.groups()) if match else ["what the files in conf/ show"]
    return UserError(" ".join(message.splitlines()[:2]), ", ".join(near), "mend what the first line names")


def no_role(group: str, file: str, given: Sequence[Override], files: Tree) -> UserError:
    """The refusal of a group that is on disk but not in this run, naming the models that have it."""
    where = next((o.line for o in given if o.group == group), f"{file}.yaml overrides {group}")
    owners = [option for option in files.options("model") if group in files.defaults(f"model/{option}")]
    if not owners:
        return UserError(f"{where}: {group} is no part of a run", ", ".join(files.defaults("train")), "leave it out")
    chosen = {override.key: override.value for override in given}
    model = (files.defaults("train") | files.defaults(f"experiment/{chosen.get('experiment')}") | chosen).get("model")
    roles = nearest(group, files.defaults(f"model/{model}"))
    remedy = f"leave it out, or take model={' or model='.join(owners)}"
    return UserError(f"{where}: model={model} has no {group}", ", ".join(roles), remedy)


def no_key(given: Sequence[Override], files: Tree) -> UserError | None:
    """The refusal of the first override that the config made by the chosen options cannot take."""
    choices = chosen(given, files)
    try:
        config = loaded(choices, files)
    except REFUSALS:
        return None
    for override in (o for o in given if o not in choices):
        before = plain(config)
        try:
            OmegaConf.update(config, override.key, override.value, merge=True, force_add="+" in override.prefix)
        except OmegaConfBaseException:
            return no_such(override, before, files)
    return None


def no_such(override: Override, base: dict[str, Any], files: Tree) -> UserError | None:
    if not (stray := conftree.lost(override.content, base, conftree.nothing_more)):
        return None
    addable = not conftree.lost(override.content, merged(base), conftree.new_parts)
    otherwise = f"take one of these, or pass one more argument: +{override.line}" if addable else "take one of these"
    return files.no_key(override.line, *stray, otherwise)


def resolved(config: DictConfig) -> dict[str, Any]:
    try:
        return {str(key): value_of(config[key]) for key in config if key != "hydra"}
    except MissingMandatoryValue as error:
        key = error.full_key
        raise UserError(f"{key} has no value yet (???)", "any value of its kind", f"{key}=VALUE") from error
    except InterpolationResolutionError as error:
        raise dangling(error, config) from error


def value_of(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if OmegaConf.is_config(node) else node


def dangling(error: InterpolationResolutionError, config: DictConfig) -> UserError:
    """The refusal of an interpolation, with the nearest names where it names a key that is not there."""
    where = f"{error.full_key}: {error.child_node}"
    path = re.search(r"\$\{([\w.]+)\}", str(error.child_node))
    stray = path and conftree.lost(Override("", "", path[1], None).content, plain(config), conftree.nothing_more)
    if stray and isinstance(stray[1], Mapping):
        parent, dot, name = stray[0].rpartition(".")
        near = [f"{parent}{dot}{option}" for option in nearest(name, stray[1])]
        return UserError(f"{where} leads nowhere", ", ".join(near), f"for example ${{{near[0]}}}")
    return UserError(f"{where}: {str(error).splitlines()[0]}", "an interpolation that resolves", "mend it")
