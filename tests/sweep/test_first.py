"""The first trial of a sweep."""

import pytest

from duogen.compose import compose
from duogen.conftree import options, tree
from duogen.sweep.axes import by_key, parsed
from duogen.sweep.first import first


def of(*overrides):
    return first(by_key(parsed(text) for text in overrides), tree())


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("seed=range(3,5)", ["seed=3"]),
        ("generator=mlp,dcgan", ["generator=mlp"]),
        ("adversarial=glob(w*)", ["adversarial=wasserstein"]),
        ("adversarial=glob(nothing)", []),
        ("penalty=[r1],[r1,r2]", ["penalty=[r1]"]),
        ("optimizer.lr=tag(log,interval(1e-5,1e-2))", ["optimizer.lr=1e-05"]),
        ("+optimizer.amsgrad=true,false", ["+optimizer.amsgrad=True"]),
        ("~optimizer.betas", ["~optimizer.betas"]),
        ("data=ring", ["data=ring"]),
        ("hydra.sweeper.n_trials=3", []),
    ],
)
def test_an_axis_stands_at_its_first_value(override, expected):
    assert of(override) == expected


def test_the_files_axes_and_bundles_stand_below_the_commands():
    found = of("sweep=generators_mnist", "seed=7,8")
    assert found[:3] == ["generator=mlp", "generator.width=800", "generator.batch_norm=true"]
    assert found[-2:] == ["seed=7", "sweep=generators_mnist"] or found[-2:] == ["sweep=generators_mnist", "seed=7"]


@pytest.mark.parametrize("name", options("sweep"))
def test_the_first_trial_of_every_shipped_sweep_composes(name):
    assert compose(of(f"sweep={name}")).choices["sweep"] == name
