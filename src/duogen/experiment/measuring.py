"""The values of a trained module on a split, each with its protocol, and the floor that real data sets."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from typing import Any

import torch
from pytorch_lightning import Trainer

from duogen.data.examples import ExamplesData
from duogen.metrics.latent import LatentMeasure
from duogen.metrics.measure import Measure, collectors
from duogen.metrics.side import RealSet
from duogen.modules.alternating import AlternatingModule
from duogen.records import Examples, MetricValue


def measured(trainer: Trainer, module: AlternatingModule, data: ExamplesData, seed: int) -> list[MetricValue]:
    """The module's values on the test split, then those of as many real training examples: the floor."""
    trainer.test(module, datamodule=data, verbose=False)
    averaged = any(module.averaged(player) is not module.players[player] for player in module.evaluated)
    weights = "ema" if averaged else "raw"
    found: list[MetricValue] = []
    for measure in module.measures.values():
        found += values(measure, {name.rsplit("/", 1)[-1]: v for name, v in module.measured.items()}, weights, seed)
    return found + (floor(module, data, seed) if trainer.is_global_zero else [])


def floor(module: AlternatingModule, data: ExamplesData, seed: int) -> list[MetricValue]:
    """Real against real: training examples in the place of generated ones, in equal number.

    They bear labels where the module's own examples do, so that the floor is measured in the same way.
    """
    train, test = data.train_once, data.splits["test"]
    count = min(len(test), len(train))
    known = RealSet(data.checksum(), "test", count)
    compared = {name: measure for name, measure in module.measures.items() if not isinstance(measure, LatentMeasure)}
    measures, told = alone(compared, lambda: known), labelled(module, test.part(0, 1).to(data.device).examples())
    for start in range(0, count, data.evaluation_batch):
        rows = start, min(start + data.evaluation_batch, count)
        shown, real = (split.part(*rows).to(data.device).examples() for split in (train, test))
        for collector in collectors(measures.values()):
            collector.update(shown if told else Examples(shown.values), real)
    found: list[MetricValue] = []
    for measure in measures.values():
        found += values(measure, {name: float(value) for name, value in measure.compute().items()}, "real", seed)
    return found


def labelled(module: AlternatingModule, real: Examples) -> bool:
    """Whether the module knows the classes of what it generates."""
    return module.counterparts(real, torch.Generator().manual_seed(0)).labels is not None


def alone(measures: Mapping[str, Measure], real: Callable[[], RealSet]) -> dict[str, Measure]:
    """Copies of the measures that share what the measures share, begun anew on one process."""
    copies = deepcopy(dict(measures))
    for part in [*copies.values(), *collectors(copies.values())]:
        part.distributed_available_fn = lambda: False
    for copied in copies.values():
        copied.begin(real)
    return copies


def values(measure: Measure, found: Mapping[str, float], weights: str, seed: int) -> list[MetricValue]:
    protocol: dict[str, Any] = measure.protocol() | {"seed": seed, "split": "test"}
    return [
        MetricValue(name, found[name], fact.unit, fact.higher_is_better, "test", weights, protocol)
        for name, fact in measure.facts.items()
    ]
