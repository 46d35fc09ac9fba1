"""What experiments, sweeps and keys behind + may set."""

import pytest

from duogen.compose import compose
from duogen.conftree import options
from duogen.errors import UserError

GLOBAL = "# @package _global_\n"


def sweep_file(folder, text):
    (folder / "sweep").mkdir()
    (folder / "sweep" / "mine.yaml").write_text(text)
    return folder


def test_the_shipped_sweeps_were_found():
    assert len(options("sweep")) >= 5


@pytest.mark.parametrize("name", options("sweep"))
def test_every_shipped_sweep_sets_what_there_is(name):
    assert compose([f"sweep={name}"]).choices["sweep"] == name


def test_a_sweep_chooses_sets_and_adds_whole_nodes(tmp_path):
    text = GLOBAL + "defaults: [{override /data: ring}, {override /generator: mlp}, {override /discriminator: mlp}]\n"
    text += "generator: {width: 5}\nhydra: {sweeper: {params: {seed: 'range(3)'}}}\n"
    found = compose(["sweep=mine"], sweep_file(tmp_path, text))
    assert found.choices["data"] == "ring"
    assert found.config["generator"]["width"] == 5


@pytest.mark.parametrize(
    ("text", "given"),
    [
        (GLOBAL + "generator: {widht: 5}\n", "sweep/mine.yaml: there is no generator.widht"),
        (GLOBAL + "sede: 5\n", "sweep/mine.yaml: there is no sede"),
        ("generator: {width: 5}\n", "sweep/mine.yaml: its package is sweep"),
    ],
)
def test_a_mistake_in_a_sweep_names_the_file(tmp_path, text, given):
    with pytest.raises(UserError) as refused:
        compose(["sweep=mine"], sweep_file(tmp_path, text))
    assert refused.value.given == given


def test_a_sweep_may_stand_over_an_experiment(tmp_path):
    text = GLOBAL + "defaults: [{override /experiment: ring}]\nlatent_dim: 5\n"
    found = compose(["sweep=mine"], sweep_file(tmp_path, text))
    assert found.choices["experiment"] == "ring"
    assert found.config["latent_dim"] == 5
