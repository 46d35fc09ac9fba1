"""The first trial of a sweep, before the sweep is planned: what can be refused of it is refused at once."""

from collections.abc import Mapping
from typing import Any

from hydra.core.override_parser.types import Glob, IntervalSweep, Override

from duogen.conftree import Tree
from duogen.sweep.axes import by_key, parsed, spelled


def first(given: Mapping[str, Override], files: Tree) -> list[str]:
    """The overrides of a run, every axis of the command and of the sweep's file at its first value.

    An axis that has none is left out.
    """
    option = given["sweep"].value() if "sweep" in given else None
    sweeper = (files.read(f"sweep/{option}")[1].get("hydra") or {}).get("sweeper") or {}
    file = by_key(parsed(f"{key}={spelled(value)}", None) for key, value in (sweeper.get("params") or {}).items())
    bundle: Any = next(iter((sweeper.get("settings") or {}).values()), {})
    run = {key: one for key, one in given.items() if not one.is_hydra_override()}
    bundled = [f"{key}={spelled(value)}" for key, value in bundle.items()] if isinstance(bundle, Mapping) else []
    return [*bundled, *(line for one in (file | run).values() if (line := at_first(one, files)) is not None)]


def at_first(override: Override, files: Tree) -> str | None:
    """One override, at the first of its values where it has several."""
    if not override.is_sweep_override():
        return override.input_line
    key, value = override.get_key_element(), override.value()
    if isinstance(value, Glob):
        names = [str(name) for name in value.filter(files.options(override.key_or_group))]
        return f"{key}={names[0]}" if names else None
    if isinstance(value, IntervalSweep):
        return f"{key}={value.start}"
    return next((f"{key}={one}" for one in override.sweep_string_iterator()), None)
