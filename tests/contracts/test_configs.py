"""Every YAML on disk composes, binds to its constructors and trains two batches; none is left out."""

import os
from pathlib import Path

import pytest

from contracts.cases import ALLOW, found, run
from duogen.compose import compose
from duogen.conftree import conf_dir
from duogen.experiment import pairs
from duogen.experiment.build import check
from duogen.experiment.resolve import resolve

OPTIONS = sorted(path.relative_to(conf_dir()).with_suffix("").as_posix() for path in conf_dir().glob("*/*.yaml"))
SMALL = (
    "trainer=cpu", "logger=none", "trainer.max_steps=2", "data.batch_size=8", "log_every=1", "validate_every=2",
)  # fmt: skip
NARROW = ("generator.width=4", "discriminator.width=4")
MLP = ("generator=mlp", "discriminator=mlp")
COMPANIONS = {
    "adversarial/wasserstein": ("penalty=[gradient_penalty]", "discriminator.batch_norm=false"),
    "data/ring": MLP,
    "data/grid": MLP,
    "metrics/mixture_modes": ("data=ring", *MLP),
    "scheduler/plateau": ("monitor=frechet_pixels",),
    "penalty/gradient_penalty": ("discriminator.batch_norm=false",),
    "penalty/r1": ("discriminator.batch_norm=false",),
    "penalty/r2": ("discriminator.batch_norm=false",),
}
ABSENT_HARDWARE = {"trainer/gpu", "trainer/ddp"}
RANKS = {"trainer/ddp_cpu"}
FILES = {"data/mnist": "mnist", "data/fashion_mnist": "fashion-mnist"}
LISTS = {"penalty", "logger", "metrics"}


def overrides(option):
    group, _, name = option.partition("/")
    chosen = f"{group}=[{name}]" if group in LISTS and name != "none" else f"{group}={name}"
    small = [s for s in SMALL if not s.startswith(f"{group}=")]
    return [*small, *COMPANIONS.get(option, ()), chosen, *NARROW]


def test_the_options_were_found():
    groups = {option.split("/")[0] for option in OPTIONS}
    assert len(OPTIONS) >= 40
    assert {"generator", "discriminator", "adversarial", "penalty", "turns", "data", "metrics", "trainer"} <= groups
    assert set(COMPANIONS) | ABSENT_HARDWARE | RANKS | set(FILES) <= set(OPTIONS)


@pytest.mark.parametrize("option", [option for option in OPTIONS if option not in {"turns/solo"}])
def test_an_option_composes_binds_and_trains_two_batches(option, tmp_path):
    config = compose(overrides(option)).config
    pairs.refuse(config)
    check(config)
    if option in ABSENT_HARDWARE | RANKS:
        return
    if option in FILES and not Path(os.environ.get("DUOGEN_DATA", "/nonexistent"), FILES[option]).is_dir():
        pytest.skip(f"DUOGEN_DATA has no folder {FILES[option]}")
    if option in FILES:
        config["data"]["validate_size"] = 200
        config["metrics"] = {}
    folder = run(resolve(config, option, ()), tmp_path / "run")
    assert folder.record().steps == 2


def test_the_solo_schedule_trains_a_module_of_one_player(tmp_path):
    case = next(case for case in found() if case.name == "TinyVAE")
    turns = compose(["turns=solo"]).config["turns"]
    config = case.config("budget.steps=2") | {"turns": turns}
    check(config, ALLOW)
    assert run(config, tmp_path / "run").record().updates == {"autoencoder": 2}


@pytest.mark.parametrize("generator", ["mlp", "dcgan"])
@pytest.mark.parametrize("discriminator", ["mlp", "dcgan"])
@pytest.mark.parametrize("penalty", ["[]", "[r1,r2]", "[gradient_penalty]"])
def test_pairs_of_deviations_train(generator, discriminator, penalty, tmp_path):
    chosen = [f"generator={generator}", f"discriminator={discriminator}", f"penalty={penalty}", "adversarial=hinge"]
    norm = ["discriminator.batch_norm=false"] if discriminator == "dcgan" else []
    config = compose([*SMALL, *chosen, *norm, *NARROW, "turns=simultaneous"]).config
    pairs.refuse(config)
    assert run(resolve(config, "pair", ()), tmp_path / "run").record().steps == 2
