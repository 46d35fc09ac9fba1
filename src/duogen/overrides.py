"""One override taken apart, its option checked against the files, as Hydra is to read it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.errors import HydraException

from duogen import conftree
from duogen.conftree import Tree
from duogen.errors import UserError

PATHS = ("resume", "run_dir", "checkpoint", "out", "input")


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


def parse(text: str, files: Tree) -> Override:
    line = quoted(text)
    try:
        parsed = OverridesParser.create().parse_override(line)
    except (HydraException, ValueError) as error:
        raise unreadable(text) from error
    if not parsed.key_or_group:
        raise unreadable(text)
    refuse(text, parsed.key_or_group, sweeps=parsed.is_sweep_override())
    element = parsed.get_key_element()
    key = element.lstrip("+~")
    return choose(Override(line, element.removesuffix(key), key, parsed.value()), files)


def quoted(text: str) -> str:
    """A path may hold what Hydra's grammar takes for its own, such as an equals sign or a comma."""
    key, equals, value = text.partition("=")
    if key.lstrip("+") not in PATHS or value in ("", "null") or value[0] in "'\"":
        return text
    return key + equals + QuotedString(value, Quote.single).with_quotes()


def unreadable(text: str) -> UserError:
    key, equals, value = text.partition("=")
    remedy = f"""quote the value, and once more for the shell: '{key}="{value}"'""" if key and equals else "key=value"
    return UserError(f"{text}: this is no override", "key=value, group=option, key=[a,b], ~key", remedy)


def refuse(text: str, key: str, sweeps: bool) -> None:
    if key == "hydra" or key.startswith(("hydra.", "hydra/")):
        raise UserError(f"{text}: Hydra is set up for sweeps alone", "the keys of a run", f"duogen train -m {text}")
    if sweeps:
        raise UserError(f"{text}: several values are a sweep", "one value, or a list [a,b]", f"duogen train -m {text}")
    if refusal := conftree.no_flag(text, key):
        raise refusal


def choose(override: Override, files: Tree) -> Override:
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


def chosen(given: Sequence[Override], files: Tree) -> list[Override]:
    return [override for override in given if override.group in files.groups() and not isinstance(override.value, dict)]
