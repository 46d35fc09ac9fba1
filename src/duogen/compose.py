"""Composing the config tree with Hydra: overrides in, one plain resolved config out, every mistake named."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import InterpolationResolutionError, MissingMandatoryValue, OmegaConfBaseException

from duogen import conftree, resolvers
from duogen.conftree import Tree, conf_dir, groups, options
from duogen.errors import UserError, nearest

__all__ = ["Composed", "compose", "conf_dir", "groups", "options"]

resolvers.register()
REFUSALS = (HydraException, OmegaConfBaseException, ValueError, AssertionError, OSError, RecursionError)

PATHS = ("resume", "run_dir", "checkpoint", "out", "input")


@dataclass(frozen=True)
class Composed:
    """A resolved config of plain dicts, lists and scalars, the option chosen in each group, and the overrides as given.

    Groups that take a list of options (`penalty=[r1,r2]`) have no entry in `choices`.
    """

    config: dict[str, Any]
    choices: dict[str, str | None]
    overrides: tuple[str, ...]


@dataclass(frozen=True)
class Override:
    """One override: `line` as Hydra reads it, taken apart into prefix (nothing, +, ++ or ~), key and value."""

    line: str
    prefix: str
    key: str
    value: Any

    @property
    def group(self) -> str:
        return self.key.partition("@")[0]

    @property
    def content(self) -> dict[str, Any]:
        """What the override sets, nested as in a file."""
        nested = self.value
        for part in reversed(self.key.split(".")):
            nested = {part: nested}
        return nested


def compose(overrides: Sequence[str], config_dir: Path | None = None) -> Composed:
    """The config that `train.yaml` and the overrides make, with the files of `config_dir` before the shipped ones.

    Raises UserError for every mistake in an override or in a file: bad syntax, an unknown group, option or key, a role
    that the model lacks, a value that is missing, an interpolation that leads nowhere.
    """
    files = conftree.tree(config_dir)
    given = [_parse(text, files) for text in overrides]
    config = _load(given, files)
    choices = {str(key): value for key, value in config.hydra.runtime.choices.items() if not key.startswith("hydra/")}
    _check_additions(given, choices.get("experiment"), files)
    _check_options(choices, files)
    return Composed(_resolve(config), choices, tuple(overrides))


def _parse(text: str, files: Tree) -> Override:
    line = _quote(text)
    try:
        parsed = OverridesParser.create().parse_override(line)
    except (HydraException, ValueError) as error:
        raise _unreadable(text) from error
    if not parsed.key_or_group:
        raise _unreadable(text)
    _refuse(text, parsed.key_or_group, sweeps=parsed.is_sweep_override())
    element = parsed.get_key_element()
    key = element.lstrip("+~")
    return _choose(Override(line, element.removesuffix(key), key, parsed.value()), files)


def _quote(text: str) -> str:
    """A path may hold what Hydra's grammar takes for its own, such as an equals sign or a comma."""
    key, equals, value = text.partition("=")
    if key.lstrip("+") not in PATHS or value in ("", "null") or value[0] in "'\"":
        return text
    return key + equals + QuotedString(value, Quote.single).with_quotes()


def _unreadable(text: str) -> UserError:
    key, equals, value = text.partition("=")
    remedy = f"""quote the value, and once more for the shell: '{key}="{value}"'""" if key and equals else "key=value"
    return UserError(f"{text}: this is no override", "key=value, group=option, key=[a,b], ~key", remedy)


def _refuse(text: str, key: str, sweeps: bool) -> None:
    if key == "hydra" or key.startswith(("hydra.", "hydra/")):
        raise UserError(f"{text}: Hydra is set up for sweeps alone", "the keys of a run", f"duogen train -m {text}")
    if sweeps:
        raise UserError(f"{text}: several values are a sweep", "one value, or a list [a,b]", f"duogen train -m {text}")
    if refusal := conftree.no_flag(text, key):
        raise refusal


def _choose(override: Override, files: Tree) -> Override:
    """A group's override with its options checked, as Hydra takes it: without +, and null as a deletion."""
    if override.group not in files.groups() and override.prefix == "~" and "." not in override.key:
        raise UserError(f"{override.line}: keys at the top stay", "~group, ~key.below", f"{override.key}=VALUE")
    if override.group not in files.groups() or override.prefix == "~" or isinstance(override.value, dict):
        return override
    if override.value is None:
        return replace(override, line=f"~{override.key}", prefix="~")
    for option in override.value if isinstance(override.value, list) else [override.value]:
        if str(option) not in files.options(override.group):
            raise files.no_option(f"{override.group}={option}", override.group, str(option))
    return replace(override, line=override.line.lstrip("+"), prefix="")


def _load(given: Sequence[Override], files: Tree) -> DictConfig:
    try:
        return _hydra(given, files.folders)
    except yaml.YAMLError as error:
        raise conftree.broken(error, "a config file") from error
    except REFUSALS as error:
        raise _explain(error, given, files) from error


def _hydra(given: Sequence[Override], folders: Sequence[Path]) -> DictConfig:
    # Hydra looks for train.yaml in the main folder alone, and appends what it is given after that.
    main = next(index for index, folder in enumerate(folders) if (folder / "train.yaml").is_file())
    rest = ",".join(QuotedString(f"file://{folder}", Quote.single).with_quotes() for folder in folders[main + 1 :])
    lines = [f"hydra.searchpath=[{rest}]", *(override.line for override in given)]
    with initialize_config_dir(str(folders[main]), job_name="duogen", version_base="1.3"):
        search_path = GlobalHydra.instance().config_loader().get_search_path()
        for folder in reversed(folders[:main]):
            search_path.prepend("user", f"file://{folder}")
        return hydra_compose("train", lines, return_hydra_config=True)


def _plain(config: DictConfig) -> dict[str, Any]:
    container: Any = OmegaConf.to_container(config)
    return {key: value for key, value in container.items() if key != "hydra"}


def _explain(error: Exception, given: Sequence[Override], files: Tree) -> UserError:
    for override in _choices(given, files):
        files.read(f"{override.group}/{override.value}")
    message = str(error) or str(error.__cause__)
    file = match[1] if (match := re.match(r"In '([^']+)'", message)) else "train"
    group, _, option = (getattr(error, "missing_cfg_file", None) or "").rpartition("/")
    if group in files.groups():
        experiment = next((f"experiment/{o.value}" for o in given if o.key == "experiment"), file)
        source = experiment if files.defaults(experiment).get(group) == option else file
        return files.no_option(f"{source}.yaml asks for {group}={option}", group, option)
    if refusal := _no_key(given, files):
        return refusal
    match = re.search(r"Could not (?:override|delete) '([^']+)", message)
    if match and match[1] in files.groups():
        return _no_role(match[1], file, given, files)
    if isinstance(error, RecursionError):
        message = "a defaults list leads back to its own file"
    near = nearest(match[1], files.groups()) if match else ["what the files in conf/ show"]
    return UserError(" ".join(message.splitlines()[:2]), ", ".join(near), "mend what the first line names")


def _no_role(group: str, file: str, given: Sequence[Override], files: Tree) -> UserError:
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


def _no_key(given: Sequence[Override], files: Tree) -> UserError | None:
    """The refusal of the first override that the config made by the chosen options cannot take."""
    choices = _choices(given, files)
    try:
        config = _hydra(choices, files.folders)
    except REFUSALS:
        return None
    for override in (o for o in given if o not in choices):
        before = _plain(config)
        try:
            OmegaConf.update(config, override.key, override.value, merge=True, force_add="+" in override.prefix)
        except OmegaConfBaseException:
            return _no_such(override, before, files)
    return None


def _no_such(override: Override, base: dict[str, Any], files: Tree) -> UserError | None:
    if not (stray := conftree.lost(override.content, base, conftree.nothing_more)):
        return None
    addable = not conftree.lost(override.content, _merged(base), conftree.new_parts)
    otherwise = f"take one of these, or pass one more argument: +{override.line}" if addable else "take one of these"
    return files.no_key(override.line, *stray, otherwise)


def _merged(base: dict[str, Any]) -> dict[str, Any]:
    """The settings of each player under `optimizers` are laid over `optimizer`, whose arguments they may repeat."""
    players = {player: base.get("optimizer", {}) | own for player, own in base.get("optimizers", {}).items()}
    return base | {"optimizers": players} if players else base


def _choices(given: Sequence[Override], files: Tree) -> list[Override]:
    return [override for override in given if override.group in files.groups() and not isinstance(override.value, dict)]


def _check_options(choices: Mapping[str, str | None], files: Tree) -> None:
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


def _check_additions(given: Sequence[Override], experiment: str | None, files: Tree) -> None:
    """An experiment, or a key behind +, sets what other files define; new are whole nodes and arguments of classes."""
    added = [override for override in given if "+" in override.prefix]
    if not added and not experiment:
        return
    package, content = files.read(f"experiment/{experiment}")
    if experiment and package != "_global_":
        raise UserError(
            f"experiment/{experiment}.yaml: its package is {package or 'experiment'}",
            "_global_",
            "begin it with # @package _global_",
        )
    base = _defined(_choices(given, files), experiment, content.pop("defaults", []), files)
    sources = [(override.line, override.content, conftree.new_parts) for override in added]
    for where, keys, takes in [*sources, (f"experiment/{experiment}.yaml", content, conftree.new_parts_but_typos)]:
        if stray := conftree.lost(keys, base, takes):
            raise files.no_key(where, *stray)


def _defined(given: Sequence[Override], experiment: str | None, defaults: Any, files: Tree) -> dict[str, Any]:
    """The config as it would be if the experiment chose its options and set no value."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "experiment", f"{experiment}.yaml")
        file.parent.mkdir()
        file.write_text(f"# @package _global_\n{yaml.safe_dump({'defaults': defaults})}", encoding="utf-8")
        return _merged(_plain(_hydra(given, (Path(folder), *files.folders))))


def _resolve(config: DictConfig) -> dict[str, Any]:
    try:
        return {str(key): _value(config[key]) for key in config if key != "hydra"}
    except MissingMandatoryValue as error:
        key = error.full_key
        raise UserError(f"{key} has no value yet (???)", "any value of its kind", f"{key}=VALUE") from error
    except InterpolationResolutionError as error:
        raise _dangling(error, config) from error


def _value(node: Any) -> Any:
    return OmegaConf.to_container(node, resolve=True, throw_on_missing=True) if OmegaConf.is_config(node) else node


def _dangling(error: InterpolationResolutionError, config: DictConfig) -> UserError:
    """The refusal of an interpolation, with the nearest names where it names a key that is not there."""
    where = f"{error.full_key}: {error.child_node}"
    path = re.search(r"\$\{([\w.]+)\}", str(error.child_node))
    stray = path and conftree.lost(Override("", "", path[1], None).content, _plain(config), conftree.nothing_more)
    if stray and isinstance(stray[1], Mapping):
        parent, dot, name = stray[0].rpartition(".")
        near = [f"{parent}{dot}{option}" for option in nearest(name, stray[1])]
        return UserError(f"{where} leads nowhere", ", ".join(near), f"for example ${{{near[0]}}}")
    return UserError(f"{where}: {str(error).splitlines()[0]}", "an interpolation that resolves", "mend it")
