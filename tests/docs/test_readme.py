"""The README stays the truth: its commands run (long ones in a few steps), its example works, its links lead on."""

import os
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from duogen.cli import main
from duogen.conftree import conf_dir, options, tree

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)
COMMANDS = [shlex.split(line, comments=True) for block in BLOCKS for line in block.splitlines() if line.strip()]
SHORT = ("trainer.max_steps=3", "generator.width=4", "discriminator.width=4")
CODED = ("trainer.max_steps=3", "data.validate_size=100", "data.test_size=100", "latent_dim=4")


def test_the_commands_were_found():
    assert len(BLOCKS) >= 6
    assert [command for command in COMMANDS if command[0] == "make"] == [["make", "demo"], ["make", "test"]]
    assert sum(command[0] == "duogen" for command in COMMANDS) >= 12
    assert {command[0] for command in COMMANDS} == {"make", "duogen"}


def shortened(command: list[str], run: Path | None) -> list[str]:
    """The command with a smoke budget, and the placeholder KEY filled in."""
    words = [re.sub(r"runs/(gan|vae)-digits/KEY", str(run), word) for word in command[1:]]
    if words[0] != "train":
        return words
    if "-m" in words:
        return short_sweep(words)
    resumed = any(word.startswith("resume=") for word in words)
    coded = any(word.startswith("model=") and "gan" not in word for word in words) or "experiment=beta_tcvae" in words
    words += ["trainer.max_steps=5"] if resumed else CODED if coded else SHORT
    words += [] if any(word.startswith("logger=") for word in words) else ["logger=none"]
    return words + ([] if any(word.startswith("trainer=") for word in words) else ["trainer=cpu"])


def short_sweep(words: list[str]) -> list[str]:
    """One seed, the smoke budget, and two draws of a search."""
    words = ["seed=0" if word.startswith("seed=") else word for word in words if "n_trials" not in word]
    searched = "sweep=wgan_lr" in words or "hydra/sweeper=optuna" in words
    words += ["hydra.sweeper.n_trials=2"] if searched else []
    return [*words, "budget=smoke", "validate_every=10", "logger=none", "trainer=cpu", "data.batch_size=8"]


def write_example(folder: Path) -> None:
    """The loss that the README shows, as a user's own file with its own YAML."""
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)
    line = re.search(r"`(_target_: duogen\.objectives\.adversarial\.Softplus)`", README)
    assert code
    assert line
    heads = "from torch import Tensor\nfrom torch.nn.functional import softplus\n"
    heads += "from duogen.objectives.adversarial import Adversarial\n\n\n"
    (folder / "my_losses.py").write_text(heads + code[1])
    (folder / "my_conf" / "adversarial").mkdir(parents=True)
    target = line[1].replace("duogen.objectives.adversarial", "my_losses")
    (folder / "my_conf" / "adversarial" / "softplus.yaml").write_text(target + "\n")


def draw_pictures(folder: Path) -> None:
    """A user's own images: two classes, odd sizes, grey and colour."""
    for index in range(24):
        path = folder / f"class {index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        values = np.random.default_rng(index).integers(0, 256, (30 + index, 33, 3), dtype=np.uint8)
        Image.fromarray(values if index % 3 else values[..., 0]).save(path)


def test_every_command_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.syspath_prepend(tmp_path)
    write_example(tmp_path)
    draw_pictures(tmp_path / "images")
    here = Path(os.environ.get("DUOGEN_DATA", "/nonexistent"), "mnist").is_dir()
    skipped, newest = [], None
    for command in COMMANDS:
        if command[0] == "make" or "trainer=ddp_cpu" in command:
            continue
        if "mnist" in " ".join(command) and not here:
            skipped.append(command)
            continue
        code = main(shortened(command, newest))
        printed = capsys.readouterr()
        assert code == 0, f"{' '.join(command)}\n{printed.err}"
        runs = list(tmp_path.glob("runs/*-digits/*/record.json"))
        newest = max(runs, key=lambda path: path.stat().st_mtime).parent if runs else None
    assert (tmp_path / "samples.png").stat().st_size > 0
    if skipped:
        pytest.skip(f"DUOGEN_DATA has no folder mnist: {len(skipped)} commands were not run")


def test_the_command_for_ranks_runs(tmp_path, monkeypatch):
    command = next(command for command in COMMANDS if "trainer=ddp_cpu" in command)
    monkeypatch.chdir(tmp_path)
    assert main(shortened(command, None)) == 0
    assert len(list(tmp_path.glob("runs/*/*/record.json"))) == 1


ROLES = (
    "model", "adversarial", "penalty", "augmentation", "generator", "discriminator", "conditioning", "turns", "data",
    "metrics", "extractor", "optimizer", "scheduler", "trainer", "budget", "logger",
)  # fmt: skip


@pytest.mark.parametrize("role", ROLES)
def test_the_table_of_options_names_all_of_them(role):
    table = README[README.index("| role | options |") :]
    rows = [line for line in table.splitlines() if line.startswith("|")]
    row = next(line for line in rows if f"`{role}`" in line.split("|")[1])
    models = [tree(None).defaults(f"model/{model}") for model in options("model")]
    other = {files["turns"] for files in models} - {"alternate"}  # schedules that their model brings
    assert [option for option in options(role) if f"`{option}`" not in row and option not in other] == []


def test_every_experiment_is_named():
    assert [
        name for name in options("experiment") if f"`{name}`" not in README and f"experiment={name}" not in README
    ] == []


def test_links_and_pictures_exist():
    local = re.findall(r'(?:\]\(|src=")([^)"#:]+)[)"]', README)
    assert len(local) >= 4
    assert [path for path in local if not (ROOT / path).exists()] == []


def test_the_tree_in_the_readme_is_the_tree():
    for name in re.findall(r"^([a-z]+/)", README, re.MULTILINE):
        assert (ROOT / name).is_dir(), name
    assert conf_dir() == ROOT / "conf"
