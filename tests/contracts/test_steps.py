"""Law 1, one batch is one step; law 2, turns count `every`; and what a row of the log holds."""

import json

import pytest

from contracts.cases import found, run

CASES = found()
NAMES = [case.name for case in CASES]


@pytest.mark.parametrize("case", CASES, ids=NAMES)
def test_one_batch_is_one_step_whatever_the_turns_did(case, tmp_path):
    config = case.config("budget.steps=12", "log_every=3", "validate_every=4", "checkpoint_every=5", "keep=9")
    folder = run(config, tmp_path / "run")
    record = folder.record()
    rows = [json.loads(line) for line in folder.rows.read_text().splitlines()]
    assert record.steps == 12
    assert [row["step"] for row in rows] == [3, 4, 6, 8, 9, 12]
    assert sorted(path.name for path in folder.checkpoints.iterdir()) == [
        "last.ckpt", "step-10.ckpt", "step-12.ckpt", "step-5.ckpt",
    ]  # fmt: skip
    assert rows[-1]["samples"] >= 12 * config["data"]["batch_size"]
    validated = {row["step"] for row in rows if any(name.startswith("validate/") for name in row)}
    means = {row["step"] for row in rows if any(name.startswith("train/") and "/lr" not in name for name in row)}
    assert validated == {4, 8, 12}
    assert means == {3, 6, 9, 12}


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.name not in ("TinyLagging", "lagging_vae")], ids=lambda case: case.name
)
def test_updates_are_those_of_the_arithmetic(case, tmp_path):
    config = case.config("budget.steps=13", "log_every=13", "validate_every=100")
    folder = run(config, tmp_path / "run")
    row = json.loads(folder.rows.read_text().splitlines()[-1])
    from duogen.experiment.build import build

    expected = build(config["turns"]).updates(13)
    assert folder.record().updates == expected
    assert {
        name.removeprefix("updates/"): value for name, value in row.items() if name.startswith("updates/")
    } == expected


@pytest.mark.parametrize("turns", ["alternate", "simultaneous"])
def test_a_window_that_its_phase_cuts_steps_once_and_at_its_last_act(turns, tmp_path):
    cut = ("every=3", "accumulate=4", "until=10")
    settings = [f"turns.generator.{setting}" for setting in cut]
    case = next(case for case in CASES if case.name == "gan")
    folder = run(case.config("budget.steps=13", f"turns={turns}", *settings), tmp_path / "run")
    assert folder.record().updates == {"generator": 1, "discriminator": 13}


def test_lagging_encoder_acts_on_extra_batches_until_its_mean_stops_improving(tmp_path):
    case = next(case for case in CASES if case.name == "TinyLagging")
    folder = run(case.config("budget.steps=8", "log_every=8"), tmp_path / "run")
    updates = folder.record().updates
    assert updates["decoder"] == 8
    assert 8 < updates["encoder"] <= 48
    row = json.loads(folder.rows.read_text().splitlines()[-1])
    assert row["samples"] == 16 * updates["encoder"]
