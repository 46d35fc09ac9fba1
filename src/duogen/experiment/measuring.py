"""The values of a trained module on a split, each with its protocol, and the floor that real data sets."""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pytorch_lightning import Trainer

from duogen.data.examples import ExamplesData
from duogen.metrics.measure import Measure
from duogen.modules.alternating import AlternatingModule
from duogen.records import MetricValue


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
    """Real against real: training examples in the place of generated ones, in equal number."""
    split = data.splits["test"]
    count = min(len(split), len(data.splits["train"]))
    real = split.part(0, count).to(data.device).examples()
    found: list[MetricValue] = []
    for measure in module.measures.values():
        alone = deepcopy(measure).to(real.values.device)
        alone.reset()
        alone.distributed_available_fn = lambda: False
        alone.update(data.train_examples(count), real)
        found += values(alone, {name: float(value) for name, value in alone.compute().items()}, "real", seed)
    return found


def values(measure: Measure, found: Mapping[str, float], weights: str, seed: int) -> list[MetricValue]:
    protocol: dict[str, Any] = measure.protocol() | {"seed": seed, "split": "test"}
    return [
        MetricValue(name, found[name], fact.unit, fact.higher_is_better, "test", weights, protocol)
        for name, fact in measure.facts.items()
    ]
