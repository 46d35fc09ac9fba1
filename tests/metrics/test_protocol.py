"""What holds for every metric on disk, built from its YAML."""

import json
import math
import pkgutil
from importlib import import_module
from inspect import isabstract
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

import duogen.metrics
from duogen.experiment.build import build
from duogen.metrics.latent import LatentMeasure
from duogen.metrics.measure import Measure
from duogen.records import Examples, Fact
from metrics.fakes import labelled, part

ALL_FILES = sorted((Path(__file__).parents[2] / "conf" / "metrics").glob("*.yaml"))
EXTRACTOR = {"_target_": "metrics.fakes.Fake", "feature_dim": 4, "classes": 3}
FACTORS = {"shape": 3, "scale": 4, "colour": 1, "place": 5}
POINTS = {"shape": [2], "means": [[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]], "std": 0.5}
IMAGES = {"shape": [1, 8, 9], "factors": FACTORS}


def on_disk() -> set[type[Measure]]:
    modules = [
        import_module(f"duogen.metrics.{module.name}")
        for module in pkgutil.iter_modules(duogen.metrics.__path__)
        if not module.ispkg
    ]
    classes = {item for module in modules for item in vars(module).values() if isinstance(item, type)}
    return {item for item in classes if issubclass(item, Measure) and not isabstract(item)}


def of_codes(path: Path) -> bool:
    """Whether the file is of a measure of codes, of which test_latent.py tells."""
    return issubclass(type(built(path)), LatentMeasure)


def data_of(path: Path) -> dict:
    return POINTS if path.stem.startswith("mixture") else IMAGES


def built(path: Path) -> Measure:
    composed = {"data": data_of(path), "extractor": EXTRACTOR, "latent_dim": 3, "budget": {"tier": "demo"}}
    config = composed | {"metric": OmegaConf.load(path)}
    resolved = OmegaConf.to_container(OmegaConf.create(config), resolve=True)
    return build(resolved["metric"], ["metrics.fakes."])


def filled(path: Path) -> Measure:
    """The metric after two batches of 24 generated and 21 real examples of three classes."""
    metric, shape = built(path), tuple(data_of(path)["shape"])
    generated, real = labelled(24, 1, shape=shape), labelled(21, 2, shape=shape)
    for rows in (slice(0, 10), slice(10, 24)):
        metric.update(part(generated, rows), part(real, rows))
    return metric


FILES = [path for path in ALL_FILES if not of_codes(path)]
every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def test_every_metric_has_a_file_and_every_file_a_metric():
    assert len(FILES) >= 10
    assert {type(built(path)) for path in ALL_FILES} == on_disk()


@every_file
def test_the_file_stands_where_its_name_says(path):
    assert path.read_text().splitlines()[0] == f"# @package metrics.{path.stem}"
    assert path.stem.startswith(built(path).name)


@every_file
def test_facts_are_declared_for_exactly_the_values(path):
    metric = filled(path)
    values = metric.compute()
    assert values.keys() == metric.facts.keys()
    assert all(isinstance(fact, Fact) and fact.unit for fact in metric.facts.values())
    assert all(value.ndim == 0 and value.dtype == torch.float64 and value.isfinite() for value in values.values())


@every_file
def test_the_protocol_is_plain_and_counts_both_sides(path):
    metric = filled(path)
    metric.compute()
    protocol = metric.protocol()
    assert json.loads(json.dumps(protocol)) == protocol
    assert (protocol["n_generated"], protocol["n_real"]) == (24, 21)
    assert protocol["shape"] == data_of(path)["shape"]
    assert {"name", "shape", "space", "extractor", "estimator"} <= protocol.keys()


@every_file
def test_the_protocol_can_be_had_before_any_example(path):
    protocol = built(path).protocol()
    assert (protocol["n_generated"], protocol["n_real"]) == (0, 0)


@every_file
def test_no_checkpoint_holds_a_state(path):
    assert torch.nn.Sequential(filled(path)).state_dict() == {}


@every_file
def test_a_second_compute_and_a_second_round_give_the_same(path):
    metric = filled(path)
    first = metric.compute()
    assert metric.compute() == first
    metric.reset()
    shape = tuple(data_of(path)["shape"])
    metric.update(labelled(24, 1, shape=shape), labelled(21, 2, shape=shape))
    again = metric.compute()
    assert {name: value.item() for name, value in again.items()} == pytest.approx(
        {name: value.item() for name, value in first.items()}, rel=1e-9, abs=1e-9
    )


@every_file
def test_no_examples_are_a_users_mistake(path):
    metric = built(path)
    nothing = Examples(torch.zeros(0, *data_of(path)["shape"]))
    metric.update(nothing, nothing)
    with pytest.raises(ValueError, match=r"allowed: "):
        metric.compute()


@every_file
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_a_broken_generator_measures_nan(path, bad):
    """But points that are nowhere are of no mode, and so the modes of a mixture can be counted."""
    metric, shape = built(path), tuple(data_of(path)["shape"])
    generated = labelled(24, 1, shape=shape)
    generated.values[7].fill_(bad)
    metric.update(generated, labelled(21, 2, shape=shape))
    values = [value.item() for value in metric.compute().values()]
    assert all(math.isnan(value) != path.stem.startswith("mixture") for value in values)
    assert metric.protocol()["n_generated"] == 24


@every_file
def test_autocast_does_not_change_a_value(path):
    expected = filled(path).compute()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert filled(path).compute() == expected
