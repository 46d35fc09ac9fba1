"""What a sweep goes by: values that its trials validate, and which way each of them is better."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from duogen.errors import UserError, nearest
from duogen.experiment.allowed import allowed
from duogen.experiment.assemble import directions
from duogen.experiment.build import build

DIRECTIONS = ("minimize", "maximize")
Known = Mapping[str, str | None]


@dataclass(frozen=True)
class Goals:
    """Validated values by their short names, and for each its direction, minimize or maximize."""

    metrics: Sequence[str]
    directions: Sequence[str]


def goals(metric: Any, direction: Any, known: Known, needed: bool = False) -> Goals:
    """What hydra.sweeper's metric and direction say, one or a list of each; without a direction it is the metric's own.

    `known` are the values that trials validate, empty where nobody could tell.

    Raises:
        UserError: no value where one is `needed`, one that is not validated, or directions that do not fit.
    """
    metrics = [metric] if isinstance(metric, str) else list(metric or ())
    if needed and not metrics:
        allowed = ", ".join(known) or "the short name of a validated value"
        raise UserError("a search without a metric", allowed, f"add hydra.sweeper.metric={next(iter(known), 'NAME')}")
    for name in metrics:
        if known and name not in known:
            near = nearest(name, known)
            remedy = f"say hydra.sweeper.metric={near[0]}, or add the metric that measures it, with metrics=[...]"
            raise UserError(f"hydra.sweeper.metric: {name} is not validated", ", ".join(near), remedy)
    return Goals(metrics, said(metrics, direction) if direction is not None else [own(name, known) for name in metrics])


def said(metrics: Sequence[str], direction: Any) -> list[str]:
    found = [direction] if isinstance(direction, str) else list(direction)
    for one in found:
        if one not in DIRECTIONS:
            near = nearest(str(one), DIRECTIONS)
            raise UserError(f"hydra.sweeper.direction: {one}", ", ".join(near), f"say {near[0]}, or leave it out")
    if metrics and len(found) != len(metrics):
        told = f"{', '.join(metrics)} with direction {', '.join(found)}"
        raise UserError(f"hydra.sweeper.metric: {told}", "one direction for each metric", "or leave direction out")
    return found


def own(name: str, known: Known) -> str:
    """The direction that a value has by itself."""
    if (found := known.get(name)) is None:
        remedy = "add hydra.sweeper.direction=minimize, or maximize"
        raise UserError(f"hydra.sweeper.metric: {name} has no better way of its own", ", ".join(DIRECTIONS), remedy)
    return found


def validated(configs: Iterable[Mapping[str, Any]], allow: Sequence[str]) -> dict[str, str | None]:
    """Every value that these runs validate, with its direction, or None where it has none.

    A run whose metrics cannot be built here, such as for a file that only a cluster has, adds nothing.
    """
    found: dict[str, str | None] = {}
    for told in dict.fromkeys(json.dumps([c["metrics"], c["model"]["_target_"]]) for c in configs):
        metrics, model = json.loads(told)
        try:
            with torch.device("meta"):
                better = directions({name: build(node, allow) for name, node in metrics.items()})
            observed = getattr(allowed(allow).find(model, "model._target_"), "observations", ())
        except (UserError, RuntimeError):
            continue
        found |= {name: DIRECTIONS[higher] for name, higher in better.items()} | dict.fromkeys(observed)
    return found
