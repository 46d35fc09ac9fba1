"""Law 5: schedules are functions of the step; what reacts to training is a buffer that only `after_turn` moves."""

import json
import math

import pytest
import torch

from contracts.cases import found, run
from duogen.cli import main
from duogen.conftree import conf_dir
from duogen.modules.alternating import AlternatingModule
from duogen.modules.turns import Turns

CASES = found()
GAN_CASE = next(case for case in CASES if case.name == "gan")
STEPS = 12
CLOSED_FORMS = {
    "constant": lambda step: 1.0,
    "linear": lambda step: 1 - step / STEPS,
    "cosine": lambda step: (1 + math.cos(math.pi * step / STEPS)) / 2,
    "multistep": lambda step: 1.0 if step < STEPS / 2 else 0.1,
    "plateau": None,
    "ramped": lambda step: 0.25 + 0.375 * (1 + math.cos(math.pi * step / STEPS)),
    "warmup_cosine": lambda step: (1 + math.cos(math.pi * step / STEPS)) / 2,
}


def rates(folder):
    rows = [json.loads(line) for line in folder.rows.read_text().splitlines()]
    return [[row[f"train/{player}/lr"] for row in rows] for player in ("generator", "discriminator")]


def test_every_schedule_on_disk_has_a_closed_form_here():
    assert sorted(path.stem for path in (conf_dir() / "scheduler").glob("*.yaml")) == sorted(CLOSED_FORMS)


@pytest.mark.parametrize("name", [name for name, form in CLOSED_FORMS.items() if form])
def test_rates_follow_the_step_for_both_players_also_where_one_acts_rarely(name, tmp_path):
    settings = (f"scheduler={name}", f"budget.steps={STEPS}", "log_every=1", "optimizer.lr=0.5")
    folder = run(GAN_CASE.config(*settings, "optimizers.generator.lr=0.25", "turns=five_to_one"), tmp_path / "run")
    expected = [CLOSED_FORMS[name](step) for step in range(1, STEPS + 1)]
    generator, discriminator = rates(folder)
    assert discriminator == pytest.approx([0.5 * factor for factor in expected], abs=1e-8)
    assert generator == pytest.approx([0.25 * factor for factor in expected], abs=1e-8)


def test_plateau_falls_after_validations_that_bring_nothing(tmp_path):
    settings = (
        "scheduler=plateau",
        "scheduler.mode=max",
        "scheduler.patience=1",
        "monitor=modes_found",
        "optimizer.lr=0.1",
    )
    settings += (
        f"budget.steps={STEPS}",
        "log_every=1",
        "validate_every=2",
        "optimizer=sgd",
        "optimizers.generator.lr=0",
    )
    folder = run(GAN_CASE.config(*settings), tmp_path / "run")
    assert rates(folder)[1] == pytest.approx([0.1] * 5 + [0.05] * 4 + [0.025] * 3)


@pytest.mark.parametrize("case", [case for case in CASES if case.tiny], ids=lambda case: case.name)
def test_feedback_moves_in_after_turn_and_nowhere_else(case, tmp_path, monkeypatch):
    moved_inside = []
    act, after = Turns.act, case.tiny.after_turn
    taken = {}

    def buffers(module):
        return {name: buffer.clone() for name, buffer in module.named_buffers() if not name.startswith("averages.")}

    def watched_after(module, turn, loss):
        before = taken.pop("before")
        moved_inside.extend(name for name, value in buffers(module).items() if not torch.equal(value, before[name]))
        after(module, turn, loss)

    def watched_act(turns, module, name, batch):
        taken["before"] = buffers(module)
        return act(turns, module, name, batch)

    monkeypatch.setattr(case.tiny, "after_turn", watched_after)
    monkeypatch.setattr(Turns, "act", watched_act)
    run(case.config("budget.steps=12"), tmp_path / "run")
    assert moved_inside == []
    assert isinstance(case.tiny, type)
    assert issubclass(case.tiny, AlternatingModule)


def test_what_depends_on_the_length_follows_the_limit_that_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["data=ring", "generator=mlp", "discriminator=mlp", "generator.width=4", "discriminator.width=4"]
    settings = [*small, "logger=none", "trainer=cpu", "scheduler=linear", "data.batch_size=10", "log_every=1"]
    assert main(["train", *settings, "budget.samples=60", "run_dir=run", "data.evaluation_size=50"]) == 0
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
    assert rows[-1]["train/generator/lr"] == pytest.approx(0.0, abs=1e-12)
