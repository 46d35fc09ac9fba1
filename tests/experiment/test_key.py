"""Which settings make another run."""

from copy import deepcopy
from hashlib import sha256

import pytest

from contracts.cases import MLP, SMALL, composed_config
from duogen.experiment.key import behaviour, differences, run_key
from duogen.experiment.resolve import resolve

RING = (*SMALL, *MLP, "budget.steps=20")


def key(*overrides):
    return run_key(resolve(deepcopy(composed_config((*RING, *overrides))), "gan-ring", ()))


@pytest.mark.parametrize(
    "overrides",
    [
        ("logger=[csv,tensorboard,wandb]",),
        ("run_dir=/elsewhere",),
        ("name=other",),
        ("resume=last",),
        ("fresh=true",),
        ("data.workers=3",),
        ("keep=7",),
        ("log_every=3",),
        ("checkpoint_every=3",),
        ("compile=true",),
        ("optimizer.weight_decay=0",),
        ("discriminator.dropout=0",),
        ("budget=smoke", "budget.steps=20"),
        ("trainer.max_steps=20",),
        ("budget.samples=320",),
        ("budgets.paper.steps=7",),
        ("trainer=auto", "trainer.accelerator=cpu"),
    ],
    ids=" ".join,
)
def test_the_key_is_blind_to_habits_and_spellings(overrides):
    assert key(*overrides) == key()


@pytest.mark.parametrize(
    "overrides",
    [
        ("seed=1",),
        ("optimizer.lr=1e-3",),
        ("optimizers.generator.lr=1e-3",),
        ("optimizers.generator.ema.decay=0.9",),
        ("optimizer=sgd",),
        ("scheduler=linear",),
        ("trainer.precision=bf16-mixed",),
        ("trainer.devices=2",),
        ("budget.steps=21",),
        ("trainer.max_steps=21",),
        ("budget.samples=33",),
        ("adversarial=hinge",),
        ("penalty=[r1]",),
        ("turns=five_to_one",),
        ("turns=simultaneous",),
        ("validate_every=3",),
        ("monitor=modes_found",),
        ("latent_dim=3",),
        ("generator.width=9",),
        ("data.std=0.02",),
        ("data.batch_size=8",),
        ("data.points_seed=1",),
        ("metrics=[]",),
    ],
    ids=" ".join,
)
def test_the_key_sees_what_decides_results(overrides):
    assert key(*overrides) != key()


def test_the_key_is_the_digest_of_canonical_json():
    config = {"b": 2.0, "a": {"y": [1.0, 0.5], "x": None}, "seed": 0, "keep": 3, "data": {"workers": 4, "sha256": "s"}}
    canonical = '{"a":{"x":null,"y":[1,0.5]},"b":2,"data":{"sha256":"s"},"seed":0}'
    assert run_key(config) == sha256(canonical.encode()).hexdigest()[:16]


def test_the_data_is_known_by_its_checksums_and_not_by_where_it_lies():
    file = {"url": "https://one.test/x", "sha256": "a" * 64}
    config = {"data": {"folder": "mnist", "files": {"x-idx3.gz": file}}}
    moved = {"data": {"folder": "elsewhere", "files": {"x-idx3.gz": file | {"url": "https://two.test/x"}}}}
    other = {"data": {"folder": "mnist", "files": {"x-idx3.gz": file | {"sha256": "b" * 64}}}}
    assert run_key(moved) == run_key(config)
    assert differences(config, moved) == {}
    assert run_key(other) != run_key(config)
    assert differences(config, other) == {"data.files.x-idx3.gz.sha256": ("a" * 64, "b" * 64)}


def test_a_free_name_is_free_at_its_own_place_alone():
    assert behaviour({"name": "run", "metrics": {"name": "m", "keep": 2}}) == {"metrics": {"name": "m", "keep": 2}}
    assert behaviour({"workers": 2, "data": {"workers": 2}}) == {"workers": 2, "data": {}}


def test_lists_of_mappings_are_normalised_within():
    assert behaviour({"a": [{"x": 1.0, "name": 2.5}, 3.0]}) == {"a": [{"x": 1, "name": 2.5}, 3]}


def test_differences_are_named_by_path_and_absent_values_are_none():
    old = {"seed": 0, "penalties": {"r1": {"weight": 10.0}}, "keep": 1, "same": [1.0]}
    new = {"seed": 1, "penalties": {"r2": {"weight": 10}}, "keep": 2, "same": [1]}
    assert differences(old, new) == {
        "penalties.r1.weight": (10, None),
        "penalties.r2.weight": (None, 10),
        "seed": (0, 1),
    }
    assert differences(old, old) == {}
