"""A run continued from one of its checkpoints beside the run that was never interrupted."""

import json
import shutil

from contracts.cases import run
from duogen.experiment.checkpoint import load
from duogen.experiment.folder import RunFolder
from modules.games import assert_equal

STEPS = 12
EVERY = (f"budget.steps={STEPS}", "checkpoint_every=1", f"keep={STEPS}", "log_every=3", "validate_every=5",
         "metrics=[]")  # fmt: skip


def rows(folder):
    return [{k: v for k, v in json.loads(line).items() if k != "time"} for line in folder.rows.read_text().splitlines()]


def check_resume(config, tmp_path, steps):
    """From each of the steps: the checkpoint and the rows of the whole run, bit for bit."""
    whole = run(config, tmp_path / "whole")
    expected = load(whole.last)
    assert [row["step"] for row in rows(whole)] == [3, 5, 6, 9, 10, 12]
    for step in steps:
        folder = RunFolder(tmp_path / f"from-{step}")
        shutil.copytree(
            whole.path, folder.path, ignore=shutil.ignore_patterns("samples", "step-*", "last.ckpt", "lock")
        )
        shutil.copy(whole.checkpoints / f"step-{step}.ckpt", folder.last)
        run(config, folder.path)
        assert_equal(expected, load(folder.last) | {"rows": expected["rows"]})
        assert rows(folder) == rows(whole)
