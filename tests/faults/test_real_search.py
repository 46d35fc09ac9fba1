"""Real searches: what is worse is pruned at the first word, on one and on two ranks; a killed one has n trials."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from duogen.sweep.shown import results
from duogen.sweep.shown.reading import plan
from faults.sweeps import HERE, environment
from faults.test_kill import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

SEARCH = [
    "data=ring",
    "generator=shifted",
    "discriminator=mlp",
    "discriminator.width=8",
    "discriminator.depth=1",
    "latent_dim=3",
    "metrics=[frechet_pixels]",
    "data.train_size=200",
    "data.evaluation_size=50",
    "data.batch_size=16",
    "trainer=cpu",
    "logger=none",
    "budget.steps=12",
    "log_every=2",
    "validate_every=4",
    "checkpoint_every=4",
    "hydra/sweeper=optuna",
    "hydra.sweeper.metric=frechet_pixels",
    "hydra.launcher.slots=[a]",
]
DRAWN = "optimizer.lr=tag(log,interval(1e-5,1e-2))"


def command(folder: Path, *more: str) -> list[str]:
    where = [f"hydra.sweep.dir={folder}", "--allow", "faults.shifted.", "--config-dir", str(HERE / "conf")]
    return [sys.executable, "-m", "duogen", "train", "-m", *SEARCH, *more, *where]


def search(folder: Path, *more: str) -> None:
    done = subprocess.run(command(folder, *more), cwd=HERE.parent, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stdout + done.stderr


def drawn(folder: Path) -> list[dict[str, str]]:
    return plan(folder)["asked"]["search"]


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_setting_known_to_be_worse_is_pruned_at_its_first_validation(ranks, tmp_path):
    several = ["trainer=ddp_cpu", "trainer.devices=2", "hydra.launcher.slots=[a,b]"] if ranks == 2 else []
    search(
        tmp_path / "sweep", *several, "generator.shift=0.0,9.0", "hydra/sweeper/sampler=qmc", "seed=0,1",
        "hydra/sweeper/pruner=median", "hydra.sweeper.pruner.n_startup_trials=1", "hydra.sweeper.n_trials=6",
    )  # fmt: skip
    rows = results.trials(tmp_path / "sweep")
    settings = [one.setting["generator.shift"] for one in rows]
    assert settings.index("0.0") < settings.index("9.0"), "the first draw must be the good one for this to say anything"
    assert {(one.setting["generator.shift"], one.status, one.steps) for one in rows if one.status != "waiting"} == {
        ("0.0", "done", 12), ("9.0", "pruned", 4),
    }  # fmt: skip


def test_a_killed_search_has_exactly_its_trials_and_draws_the_same(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    search(whole, DRAWN, "hydra.sweeper.n_trials=5")
    mark = f"DUOGEN_KILLED={killed}"
    process = subprocess.Popen(
        command(killed, DRAWN, "hydra.sweeper.n_trials=5"), cwd=HERE.parent, stdout=subprocess.DEVNULL,
        env=os.environ | {"DUOGEN_KILLED": str(killed)}, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: len(list(killed.glob("*/record.json"))) >= 3, "the third trial")
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until(lambda: not any(mark.encode() in environment(p) for p in Path("/proc").glob("[0-9]*")), "all gone")
    assert 3 <= len(drawn(killed)) < 5
    search(killed, DRAWN, "hydra.sweeper.n_trials=5")
    assert len(drawn(killed)) == 5
    assert drawn(killed) == drawn(whole)
    assert results.lines(killed) == results.lines(whole)


def test_two_objectives_give_a_front(tmp_path):
    search(
        tmp_path / "sweep", "generator.shift=0.0,9.0", DRAWN, "metrics=[frechet_pixels,mixture_modes]",
        "hydra.sweeper.metric=[frechet_pixels,modes_found]", "hydra.sweeper.direction=[minimize,maximize]",
        "hydra.sweeper.n_trials=4",
    )  # fmt: skip
    front = results.best(tmp_path / "sweep")
    assert 1 <= len(front) <= 4
    assert all(len(one.values) == 2 for one in front)
    told = [[estimate.mean for estimate in one.values] for one in front]
    assert not any(a[0] < b[0] and a[1] >= b[1] for a in told for b in told)
    assert any("front" in line for line in results.lines(tmp_path / "sweep"))
