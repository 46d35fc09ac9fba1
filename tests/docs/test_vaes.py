"""The page on VAEs names every option, its commands run, and its example works."""

import re
import shlex
from pathlib import Path

import pytest

from duogen.cli import main
from duogen.conftree import options

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "vaes.md").read_text(encoding="utf-8")
COMMANDS = [
    shlex.split(line) for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
ROLES = ("encoder", "decoder", "posterior", "prior", "likelihood", "variational", "quantizer")
SHORT = ("trainer.max_steps=3", "trainer=cpu", "logger=none")


@pytest.mark.parametrize("role", ROLES)
def test_the_table_of_options_names_all_of_them(role):
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{role}` |"))
    assert len(options(role)) >= 5
    assert [option for option in options(role) if f"`{option}`" not in row] == []


def test_models_with_an_encoder_are_named():
    row = next(line for line in PAGE.splitlines() if line.startswith("| `model` |"))
    gans = {"gan", "conditional_gan", "infogan"}
    assert [option for option in options("model") if f"`{option}`" not in row and option not in gans] == []


def test_every_command_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(COMMANDS) >= 4
    for command in COMMANDS:
        runs = list(tmp_path.glob("runs/vae-digits/*"))
        words = [word.replace("runs/vae-digits/KEY", str(runs[0])) if runs else word for word in command[1:]]
        code = main([*words, *(SHORT if words[0] == "train" else ())])
        assert code == 0, f"{command}\n{capsys.readouterr().err}"
    assert len(list(tmp_path.glob("*.png"))) == 6


def test_the_example_of_an_objective_trains(tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert code
    imports = (
        "from duogen.objectives.variational.evidence import Evidence",
        "from duogen.objectives.variational.variational import Variational",
        "from duogen.records import Loss",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "my_objectives.py").write_text("\n".join(imports) + "\n\n\n" + code[1])
    (tmp_path / "my_conf" / "variational").mkdir(parents=True)
    (tmp_path / "my_conf" / "variational" / "squared.yaml").write_text("_target_: my_objectives.Squared\n")
    chosen = ["--config-dir", "my_conf", "--allow", "my_objectives.", "model=vae", "variational=squared"]
    assert main(["train", *chosen, "data=digits", *SHORT]) == 0
