import json
import math
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from duogen.errors import UserError
from duogen.experiment.build import build
from duogen.metrics.alignment import Dci, Irs, Mig, ModularityExplicitness, Sap
from duogen.metrics.factors import FactorMeasure
from metrics.coding import FACTORS, asked, batches, grid

CONF = Path(__file__).parents[2] / "conf" / "metrics"
STEMS = ["mig", "sap", "dci", "modularity_explicitness", "irs", "factor_vae_score", "beta_vae_score"]
SMALL = {"points": 300, "train": 300, "test": 150}


def built(stem, factors=FACTORS, **changed) -> FactorMeasure:
    node = OmegaConf.load(CONF / f"{stem}.yaml")
    fitted = {name: size for name, size in SMALL.items() if name in node}
    config = OmegaConf.create({"data": {"factors": factors}, "metric": OmegaConf.merge(node, fitted, changed)})
    return build(OmegaConf.to_container(config, resolve=True)["metric"], [])


every = pytest.mark.parametrize("stem", STEMS)


@every
def test_the_file_gives_the_defaults_of_the_locatello_study(stem):
    node = OmegaConf.load(CONF / f"{stem}.yaml")
    expected = {"points": 10000, "train": 10000, "test": 5000, "bins": 20, "size": 64, "quantile": 0.99}
    assert {name: node[name] for name in expected if name in node} == {n: v for n, v in expected.items() if n in node}
    assert (CONF / f"{stem}.yaml").read_text().startswith(f"# @package metrics.{stem}\n")
    assert built(stem).name == stem


@every
def test_values_are_those_of_the_facts(stem):
    measure = built(stem)
    found = asked(measure, *batches(grid(450, noise=0.4, dimensions=5), 100))
    assert found.keys() == measure.facts.keys()
    assert all(0 <= value <= 1 for value in found.values())
    assert all(fact.higher_is_better for fact in measure.facts.values())
    protocol = measure.protocol()
    assert json.loads(json.dumps(protocol)) == protocol
    assert {"name", "shape", "space", "extractor", "estimator"} <= protocol.keys()
    assert protocol["n_real"] == 450


@every
@pytest.mark.parametrize("dimensions", [1, 6])
def test_dead_dimensions_and_few_examples_give_no_nan(stem, dimensions):
    """Three factors vary, so that five codes leave some values untaught."""
    for examples in (grid(9, dimensions=dimensions), grid(60, dimensions=dimensions)):
        examples.values[:, -1] = 0.1
        found = asked(built(stem), examples)
        assert all(math.isfinite(value) for value in found.values())


@every
def test_rare_values_give_no_nan(stem):
    examples = grid(40, factors={"shape": 2, "place": 5}, dimensions=2)
    examples.labels[1:] %= 5
    examples.labels[0] = 5
    found = asked(built(stem, {"shape": 2, "place": 5}), examples)
    assert all(math.isfinite(value) for value in found.values())


@every
def test_settings_out_of_range_are_refused(stem):
    node = OmegaConf.load(CONF / f"{stem}.yaml")
    for name in {"points", "train", "test", "bins", "trees", "size"} & set(node):
        with pytest.raises(UserError, match=f"{name}=0"):
            built(stem, **{name: 0})


@pytest.mark.parametrize(
    ("measure", "title"),
    [
        (Mig(FACTORS, 20, 1000, 0), "mig"),
        (Sap(FACTORS, ["shape", "scale", "place"], 1000, 500, 0), "sap"),
        (Dci(FACTORS, 10, 1, 1000, 500, 0), "dci_disentanglement"),
        (Dci(FACTORS, 10, 1, 1000, 500, 0), "dci_completeness"),
        (Dci(FACTORS, 10, 1, 1000, 500, 0), "dci_informativeness"),
        (ModularityExplicitness(FACTORS, 20, 1000, 500, 0), "modularity"),
        (Irs(FACTORS, 0.99, 20, 1000, 0), "irs"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_perfect_code_is_worth_more_than_one_of_all_factors_together(measure, title):
    perfect = grid(1500)
    assert 0.9 <= asked(measure, *batches(perfect, 400))[title] <= 1.0
    measure.reset()
    mixing = torch.tensor([[1.0, 0.7, 0.4], [-0.6, 1.0, 0.5], [0.5, -0.4, 1.0]])
    noise = torch.randn(1500, 3, generator=torch.Generator().manual_seed(1))
    entangled = type(perfect)(perfect.values @ mixing + noise, perfect.labels)
    assert asked(measure, entangled)[title] < 0.85


def test_continuous_factors_must_be_factors():
    with pytest.raises(UserError, match=r"continuous=places\n  allowed: place, "):
        Sap(FACTORS, ["places"], 10, 10, 0)


def test_quantile_and_depth_out_of_range_are_refused():
    for quantile in (0.0, 1.5, math.nan):
        with pytest.raises(UserError, match="quantile="):
            Irs(FACTORS, quantile, 20, 10, 0)
    with pytest.raises(UserError, match="spare_depth=-1"):
        Dci(FACTORS, 10, -1, 10, 10, 0)
