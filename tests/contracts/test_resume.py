"""Law 6: from any step a resumed run equals the uninterrupted one, bit for bit."""

import json
import shutil
from collections.abc import Mapping

import pytest
import torch

from contracts.cases import ALLOW, Case, found, run
from duogen.experiment import trial
from duogen.experiment.checkpoint import load
from duogen.experiment.folder import RunFolder
from duogen.experiment.trial import Plan

STEPS = 30
EVERYTHING = (
    f"budget.steps={STEPS}", "checkpoint_every=1", f"keep={STEPS}", "log_every=4", "validate_every=5",
    "scheduler=linear",
    "optimizers.generator.ema.decay=0.9", "turns.discriminator.accumulate=3", "turns.generator.accumulate=4",
)  # fmt: skip
NETWORK = ("discriminator.spectral_norm=true", "discriminator.dropout=0.3")
GAN = next(case for case in found() if case.name == "gan")


def assert_equal(a, b, path=""):
    """Bitwise equality of nested containers, with the place of the first difference."""
    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), path
    elif isinstance(a, Mapping):
        assert list(a) == list(b), path
        for key in a:
            assert_equal(a[key], b[key], f"{path}.{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), path
        for index, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_equal(x, y, f"{path}[{index}]")
    else:
        assert a == b, path


def rows(folder):
    return [{k: v for k, v in json.loads(line).items() if k != "time"} for line in folder.rows.read_text().splitlines()]


def final(folder):
    content = load(folder.last)
    content.pop("rows")
    return content


def interrupted(whole: RunFolder, step: int, target) -> RunFolder:
    """The folder as a kill right after the save of `step` would have left it, with a torn row behind."""
    shutil.copytree(whole.path, target, ignore=shutil.ignore_patterns("samples", "step-*", "last.ckpt", "lock"))
    folder = RunFolder(target)
    shutil.copy(whole.checkpoints / f"step-{step}.ckpt", folder.last)
    with folder.rows.open("a") as file:
        file.write('{"step": 999, "torn')
    return folder


def check_every_save_point(config, tmp_path, steps):
    whole = run(config, tmp_path / "whole")
    expected, expected_rows, metrics = final(whole), rows(whole), whole.record().metrics
    assert [row["step"] for row in expected_rows] == sorted({*range(4, STEPS + 1, 4), *range(5, STEPS + 1, 5), STEPS})
    for step in steps:
        folder = interrupted(whole, step, tmp_path / f"from-{step}")
        assert trial.run(Plan(config, folder.path, allow=ALLOW)) == 0
        assert_equal(expected, final(folder), f"resumed at {step}: ")
        assert rows(folder) == expected_rows
        assert folder.record().metrics == metrics
        shutil.rmtree(folder.path)


@pytest.mark.parametrize("case", [case for case in found() if case.tiny], ids=lambda case: case.name)
def test_every_module_resumes_exactly(case, tmp_path):
    config = case.config(
        f"budget.steps={STEPS}", "checkpoint_every=1", f"keep={STEPS}", "log_every=4", "validate_every=5"
    )
    check_every_save_point(config, tmp_path, [1, 3, 6, 8, 11, 16, 25, 29])


@pytest.mark.parametrize("workers", [0, 2])
def test_every_save_point_is_a_resume_point(workers, tmp_path):
    """EMA, schedule, dropout, spectral norm, validation, open windows of both players: all 29 points."""
    config = GAN.config(*EVERYTHING, f"data.workers={workers}", *NETWORK)
    check_every_save_point(config, tmp_path, range(1, STEPS))


def test_batch_norm_and_penalty_state_resume(tmp_path):
    small = (
        "data=digits",
        "data.batch_size=8",
        "logger=none",
        "trainer=cpu",
        "generator.width=4",
        "discriminator.width=4",
    )
    config = Case("dcgan", small).config(*EVERYTHING[:5], "scheduler=plateau", "monitor=frechet_pixels")
    check_every_save_point(config, tmp_path, [4, 5, 17])


def test_mixed_precision_with_a_scaler_resumes(tmp_path):
    config = GAN.config(f"budget.steps={STEPS}", "checkpoint_every=1", "keep=30", "log_every=4", "validate_every=5",
                        "trainer.precision=16-mixed")  # fmt: skip
    check_every_save_point(config, tmp_path, [7, 20])
