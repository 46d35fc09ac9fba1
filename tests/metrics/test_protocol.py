"""What holds for every metric on disk, built from its YAML."""

import json
import pkgutil
from importlib import import_module
from inspect import isabstract
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import duogen.metrics
from duogen.metrics.measure import Measure
from duogen.records import Fact

FILES = sorted((Path(__file__).parents[2] / "conf" / "metrics").glob("*.yaml"))
DATA = {"shape": [2], "means": [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], "std": 0.5}


def on_disk() -> set[type[Measure]]:
    modules = [
        import_module(f"duogen.metrics.{module.name}") for module in pkgutil.iter_modules(duogen.metrics.__path__)
    ]
    classes = {item for module in modules for item in vars(module).values() if isinstance(item, type)}
    return {item for item in classes if issubclass(item, Measure) and not isabstract(item)}


def built(path: Path) -> Measure:
    node = OmegaConf.load(path)
    config = OmegaConf.to_container(OmegaConf.create({"data": DATA, "metric": node}), resolve=True)
    module, _, name = config["metric"].pop("_target_").rpartition(".")
    return getattr(import_module(module), name)(**config["metric"])


def filled(path: Path) -> Measure:
    generator, metric = torch.Generator().manual_seed(0), built(path)
    metric.update(torch.randn(6, 2, generator=generator), torch.randn(5, 2, generator=generator))
    return metric


every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_every_metric_has_a_file_and_every_file_a_metric():
    assert len(FILES) >= 2
    assert {type(built(path)) for path in FILES} == on_disk()


@every_file
def test_the_file_stands_where_its_name_says(path):
    assert path.read_text().splitlines()[0] == f"# @package metrics.{path.stem}"
    assert built(path).name == path.stem


@every_file
def test_facts_are_declared_for_exactly_the_values(path):
    metric = filled(path)
    values = metric.compute()
    assert values.keys() == metric.facts.keys()
    assert all(isinstance(fact, Fact) and fact.unit for fact in metric.facts.values())
    assert all(value.ndim == 0 and value.isfinite() for value in values.values())


@every_file
def test_the_protocol_is_plain_and_counts_both_sides(path):
    metric = filled(path)
    metric.compute()
    protocol = metric.protocol()
    assert json.loads(json.dumps(protocol)) == protocol
    assert protocol["n_generated"] == 6
    assert protocol["n_real"] == 5
    assert {"name", "shape", "space", "extractor", "estimator"} <= protocol.keys()


@every_file
def test_every_state_is_a_sum_that_no_checkpoint_holds(path):
    metric = filled(path)
    assert {state.dtype for state in metric.metric_state.values()} <= {torch.float64, torch.int64}
    assert metric.state_dict() == {}
    once = metric.compute()
    metric.merge_state({name: state.clone() for name, state in metric.metric_state.items()})
    assert metric.n_generated.item() == 12
    assert metric.compute().keys() == once.keys()


@every_file
def test_autocast_does_not_change_a_value(path):
    expected = filled(path).compute()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert filled(path).compute() == expected
