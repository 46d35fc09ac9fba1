"""The parts of a protocol as YAML spells them: phases, and the options that are compared."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from duogen.errors import UserError, nearest
from duogen.sweep.search.space import Options, choices


@dataclass(frozen=True)
class Phase:
    """A part of a protocol: a search of `n_trials`, or without them the best setting so far once for each of its seeds.

    `shrink` searches around the best setting so far: its intervals cut to that fraction, everything else fixed.
    Without `seeds` a search takes the sweep's.
    """

    name: str
    n_trials: int | None = None
    shrink: float | None = None
    seeds: Sequence[int] | None = None

    def __post_init__(self) -> None:
        """Raises UserError for a number of trials, or a shrink, that is none."""
        draws, shrink = self.n_trials, self.shrink
        if draws is not None and (isinstance(draws, bool) or not isinstance(draws, int) or draws < 1):
            raise UserError(f"phase {self.name}: n_trials={draws}", "whole numbers, 1 or more", "e.g. n_trials=20")
        if shrink is not None and (
            isinstance(shrink, bool) or not isinstance(shrink, int | float) or not 0 < shrink <= 1
        ):
            raise UserError(f"phase {self.name}: shrink={shrink}", "0 < shrink <= 1", "set shrink, for example to 0.25")


def read_phases(nodes: Sequence[Mapping[str, Any]], options: Options) -> list[Phase]:
    """The phases that YAML spells, such as `{name: narrow, n_trials: 10, shrink: 0.25}`; seeds as in a sweep.

    Raises UserError for an unknown or missing key, a name given twice, a shrink outside of (0, 1], a protocol that does
    not begin with a search of the whole space, and a repetition that is not the last phase or names no seeds.
    """
    phases = [_phase(node, options) for node in nodes]
    names = [phase.name for phase in phases]
    if len(set(names)) < len(names):
        raise UserError(f"phases: {', '.join(names)}", "a name for each", "rename the second one")
    if not phases or phases[0].n_trials is None or phases[0].shrink is not None:
        allowed = "a first phase with n_trials and without shrink"
        raise UserError(
            "phases with nothing to start from", allowed, "begin with a search, such as {name: wide, n_trials: 20}"
        )
    for phase in phases:
        if phase.n_trials is None and (phase.seeds is None or phase is not phases[-1]):
            allowed = "n_trials, or for the last phase seeds alone"
            raise UserError(f"phase {phase.name} without n_trials", allowed, "say how many settings it draws")
    return phases


def read_compared(nodes: Mapping[str, Any], options: Options) -> list[dict[str, str]]:
    """Every combination of the compared options: `{adversarial: "minimax,hinge"}` is two, and no key is one, empty."""
    values = [choices(key, spelling, options) for key, spelling in nodes.items()]
    return [dict(zip(nodes, combination, strict=True)) for combination in itertools.product(*values)]


def _phase(node: Mapping[str, Any], options: Options) -> Phase:
    known = [field.name for field in fields(Phase)]
    for key in node:
        if key not in known:
            raise UserError(f"phases: {key}", ", ".join(nearest(key, known)), "use one of these or leave it out")
    if "name" not in node:
        raise UserError(f"phases: {dict(node)}", "a phase with a name", "add name, for example name: wide")
    seeds = node.get("seeds")
    return Phase(**{**node, "seeds": None if seeds is None else _seeds(seeds, options)})


def _seeds(spelling: Any, options: Options) -> list[int]:
    listed = spelling if isinstance(spelling, Sequence) and not isinstance(spelling, str) else None
    try:
        return [int(seed) for seed in (choices("seeds", spelling, options) if listed is None else listed)]
    except ValueError:
        raise UserError(f"seeds: {spelling}", "whole numbers, such as 0,1 or range(5)", "correct the seeds") from None
