"""The values at the end of a run, against numpy: generated test examples, and real ones in their place."""

from math import log

import numpy as np
import pytest
import torch

from contracts.cases import MLP, SMALL, Case
from duogen.experiment import assemble
from duogen.experiment.measuring import measured
from duogen.seeds import derive

CASE = Case("gan-ring", (*SMALL, *MLP, "latent_dim=3", "data.std=0.2", "seed=5"))
NAMES = ["modes_found", "high_quality", "mode_entropy_gap"]


def modes(points, means, std):
    """Srivastava et al. 2017 in numpy: modes found, share within three standard deviations, KL from uniform."""
    distances = np.linalg.norm(points[:, None] - means[None], axis=2)
    near = distances.min(axis=1) <= 3 * std
    counts = np.bincount(distances.argmin(axis=1)[near], minlength=len(means))
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return [(counts > 0).sum(), near.mean(), log(len(means)) + (shares * np.log(shares)).sum()]


def prepared(*overrides):
    config = CASE.config(*overrides)
    module, data = assemble.module(config, ()), assemble.data(config, ())
    assemble.teach(module, config, ())
    data.setup()
    return config, module, data


def found(config, module, data):
    return measured(assemble.trainer(config, []), module, data, config["seed"])


@pytest.mark.parametrize(("evaluation_size", "floor"), [(50, 50), (620, 620), (1500, 1000)])
def test_generated_and_real_values_are_those_of_numpy(evaluation_size, floor):
    config, module, data = prepared(f"data.evaluation_size={evaluation_size}")
    with torch.no_grad():
        for parameter in module.generator.parameters():
            parameter.mul_(3)
    values = found(config, module, data)
    assert [(value.name, value.weights, value.split) for value in values] == [
        (name, weights, "test") for weights in ("raw", "real") for name in NAMES
    ]
    sizes = [min(500, evaluation_size - start) for start in range(0, evaluation_size, 500)]
    noises = [torch.Generator().manual_seed(derive(5, "test", batch)) for batch in range(len(sizes))]
    points = [module.samples(size, noise) for size, noise in zip(sizes, noises, strict=True)]
    means, real = np.array(config["data"]["means"]), data.splits["train"].values[:floor].double().numpy()
    expected = modes(torch.cat(points).double().numpy(), means, 0.2) + modes(real, means, 0.2)
    np.testing.assert_allclose([value.value for value in values], expected, rtol=1e-9)
    assert [value.higher_is_better for value in values[:3]] == [True, True, False]


def test_every_value_carries_its_protocol():
    values = found(*prepared())
    for value in values:
        protocol = value.protocol
        assert (protocol["name"], protocol["seed"], protocol["split"]) == ("mixture_modes", 5, "test")
        assert (protocol["n_generated"], protocol["n_real"]) == (50, 50)


def test_two_measurements_agree_and_leave_the_default_generator_alone():
    config, module, data = prepared()
    before = torch.get_rng_state()
    assert found(config, module, data) == found(config, module, data)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_average_is_named_once_it_has_begun():
    config, module, data = prepared("optimizers.generator.ema.decay=0.9", "optimizers.generator.ema.start=2")
    weights = []
    for update in range(1, 5):
        module.averages["generator"].update(module.generator, update)
        weights.append(found(config, module, data)[0].weights)
    assert weights == ["raw", "raw", "ema", "ema"]


def test_without_metrics_nothing_is_measured():
    assert found(*prepared("metrics=[]")) == []
