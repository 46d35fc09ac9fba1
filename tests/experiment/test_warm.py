"""The template: what a trial needs is there before the trial is, and the template has started nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SETTINGS = ("data=ring", "generator=mlp", "discriminator=mlp", "latent_dim=2", "trainer=cpu", "trainer.max_steps=2")
TRIAL = """
import json, os, sys, threading
import torch
import duogen.experiment.warm
assert threading.active_count() == 1
assert not torch.cuda.is_initialized()
from duogen.compose import compose
from duogen.experiment import trial
from duogen.experiment.resolve import resolve
config = resolve(compose(sys.argv[2:]).config, "warm", [])
before = set(sys.modules)
child = os.fork()
if not child:
    code = trial.run(trial.Plan(config, trial.Path(sys.argv[1]) / "run"))
    new = sorted(name for name in set(sys.modules) - before)
    (trial.Path(sys.argv[1]) / "new.json").write_text(json.dumps([code, new]))
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_forked_trial_imports_next_to_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    subprocess.run([sys.executable, "-c", TRIAL, tmp_path, *SETTINGS, "logger=[wandb,csv]"], check=True, timeout=300)
    code, new = json.loads((tmp_path / "new.json").read_text())
    assert code == 0
    strange = [
        name for name in new if name.startswith(("duogen", "matplotlib", "pydantic", "pytorch_lightning", "PIL"))
    ]
    assert strange == []
    assert len(new) < 10, new
