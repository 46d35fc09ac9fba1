"""What a sweep's command asks for: what all trials share, what varies, and the seeds, in Hydra's own spelling."""

import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from itertools import product
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, Quote, QuotedString, ValueType
from hydra.errors import HydraException

from duogen.additions import refuse_several
from duogen.conftree import Tree
from duogen.errors import UserError

SEED = "seed"
FUNCTIONS = ("choice", "range", "interval", "glob", "tag", "sort", "shuffle", "int", "float", "str", "bool")


@dataclass(frozen=True)
class Setting:
    """One point of a grid or of a search: what it is called by, key to value, and the overrides that it stands for."""

    names: Mapping[str, str]
    overrides: Sequence[str]


@dataclass(frozen=True)
class Axes:
    """A sweep's command and its file, taken apart.

    Args:
        fixed: overrides that all trials share.
        varied: key to the expression that it varies over, as written; the seed is not among them.
        seeds: those that repeat every setting.
        bundles: named bundles of overrides that vary together, name to key to value.
    """

    fixed: Sequence[str]
    varied: Mapping[str, str]
    seeds: Sequence[int]
    bundles: Mapping[str, Mapping[str, Any]]

    @property
    def space(self) -> dict[str, Any]:
        """The space in the words of the command, for the plan."""
        return {**self.varied, **({"settings": dict(self.bundles)} if self.bundles else {})}

    def grid(self, parser: OverridesParser) -> list[Setting]:
        """Every combination, the first axis the slowest; bundles come before it."""
        axes = [[Setting({"setting": name}, [f"{k}={spelled(v)}" for k, v in bundle.items()])
                 for name, bundle in self.bundles.items()]] if self.bundles else []  # fmt: skip
        axes += [[Setting({key: value}, [f"{key}={value}"]) for value in values(key, text, parser)]
                 for key, text in self.varied.items()]  # fmt: skip
        return [joined(parts) for parts in product(*axes)]


def joined(parts: Sequence[Setting]) -> Setting:
    names = {key: value for part in parts for key, value in part.names.items()}
    return Setting(names, [override for part in parts for override in part.overrides])


def read(
    task: Sequence[str], params: Mapping[str, Any], bundles: Mapping[str, Any], parser: OverridesParser, files: Tree
) -> Axes:
    """The axes of a command: `task` are its overrides of a run, `params` and `bundles` those of the sweep's file.

    What the command says of a key takes the place of what the file says.
    """
    if strange := [name for name, bundle in bundles.items() if not isinstance(bundle, Mapping)]:
        raise UserError(
            f"hydra.sweeper.settings.{strange[0]}={bundles[strange[0]]}", "a name with overrides, key to value",
            f"e.g. {strange[0]}: {{generator: mlp, generator.width: 64}}",
        )  # fmt: skip
    file = by_key(parsed(f"{key}={spelled(value)}", parser) for key, value in params.items())
    given = by_key(parsed(text, parser) for text in task)
    every = file | given
    for override in every.values():
        refuse_unknown(override, files)
    seeds = seeds_of(every.pop(SEED, None))
    varied = {o.get_key_element(): text(o) for o in every.values() if o.is_sweep_override()}
    fixed = [o.input_line or key for key, o in every.items() if not o.is_sweep_override()]
    return Axes(fixed, varied, seeds, bundles)


def by_key(overrides: Iterable[Override]) -> dict[str, Override]:
    """The last override of each key, whatever its prefix."""
    return {override.get_key_element().lstrip("+~"): override for override in overrides}


def spelled(value: Any) -> str:
    """A value of a YAML file as an override writes it; text stands as it is."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case Mapping():
            return f"{{{','.join(f'{key}:{spelled(one)}' for key, one in value.items())}}}"
        case list() | tuple():
            return f"[{','.join(spelled(one) for one in value)}]"
    return str(value)


def parsed(text: str, parser: OverridesParser | None = None) -> Override:
    """One override of a sweep; without a parser of Hydra's config loader a glob stays a glob."""
    try:
        (override,) = (parser or OverridesParser.create()).parse_overrides([text])
        if override.key_or_group:
            return override
    except (HydraException, ValueError):
        pass
    spellings = "key=value, key=a,b, key=range(3), key=glob(*), key=interval(0,1)"
    raise UserError(f"{text}: this is no override", spellings, mended(text))


def mended(text: str) -> str:
    """What to do about text that is no override."""
    key, equals, value = text.partition("=")
    if not equals:
        return f"write {key}=VALUE, and quote spaces"
    for name in re.findall(r"([a-z_]+)\(", value):
        if name not in FUNCTIONS and (near := get_close_matches(name, FUNCTIONS, n=1)):
            return f"for example {shlex.quote(text.replace(f'{name}(', f'{near[0]}('))}"
    quoted = QuotedString(value, Quote.single).with_quotes()
    return f"mend the value, or quote it where it is text: {shlex.quote(f'{key}={quoted}')}"


def text(override: Override) -> str:
    """What stands behind the equals sign, as it was written."""
    return (override.input_line or "").partition("=")[2]


def seeds_of(override: Override | None) -> tuple[int, ...]:
    if override is None:
        return (0,)
    given = text(override)
    try:
        found = list(override.sweep_iterator()) if override.is_sweep_override() else override.value()
    except HydraException:
        found = [None]
    found = found if isinstance(found, list) else [found]
    seeds = [seed for seed in found if isinstance(seed, int) and not isinstance(seed, bool) and seed >= 0]
    if not seeds or len(seeds) < len(found):
        raise UserError(f"seed={given}", "whole numbers, 0 or more", "e.g. seed=range(5), or seed=0,1,2")
    return tuple(dict.fromkeys(seeds))


def values(key: str, expression: str, parser: OverridesParser) -> list[str]:
    """The values of one axis as overrides write them."""
    override = parsed(f"{key}={expression}", parser)
    if not override.is_discrete_sweep():
        raise UserError(
            f"{key}={expression} has no end of values", "a,b, choice(a,b), range(1,9), glob(*)",
            "let a search draw from it: hydra/sweeper=optuna",
        )  # fmt: skip
    try:
        found = [str(value) for value in override.sweep_string_iterator()]
    except HydraException as error:
        raise UserError(f"{key}={expression}: {error}", "glob(*) for a role's options", "mend it") from error
    if not found:
        raise UserError(f"{key}={expression} matches nothing", "at least one value", "see the options in conf/")
    return list(dict.fromkeys(found))


def refuse_unknown(override: Override, files: Tree) -> None:
    """Refuses an option that its group lacks, before anything is composed."""
    group = override.key_or_group
    if group in files.groups() and not override.is_sweep_override():
        refuse_several(group, override.value(), files)
    if (
        group not in files.groups()
        or not override.is_discrete_sweep()
        or override.value_type == ValueType.GLOB_CHOICE_SWEEP
    ):
        return
    for option in plain(override):
        if option not in ("null", *files.options(group)) and not option.startswith("["):
            raise files.no_option(f"{group}={text(override)}", group, option)


def plain(override: Override) -> Iterator[str]:
    return (str(value).strip("'\"") for value in override.sweep_string_iterator())
