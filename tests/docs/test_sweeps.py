"""docs/sweeps.md: its commands run, and its table names every status."""

import re
import shlex

from docs.test_readme import ROOT, short_sweep
from duogen.cli import main
from duogen.conftree import options
from duogen.records import EXIT

PAGE = (ROOT / "docs" / "sweeps.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
COMMANDS = [shlex.split(line, comments=True) for block in BLOCKS for line in block.splitlines() if line.strip()]


def test_every_command_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert len(COMMANDS) >= 6
    for command in COMMANDS:
        words = short_sweep(command[1:]) if command[1] == "train" else command[1:]
        code = main(words)
        assert code == 0, f"{' '.join(words)}\n{capsys.readouterr().err}"


def test_every_status_has_its_row_and_its_exit_code():
    rows = dict(re.findall(r"^\| `(\w+)` \|.*\| (\d+) \|[^|]*\|$", PAGE, re.MULTILINE))
    assert {status: int(code) for status, code in rows.items()} == EXIT


def test_samplers_and_pruners_are_named():
    for group in ("sampler", "pruner"):
        found = options(f"hydra/sweeper/{group}")
        assert len(found) >= 4
        assert [one for one in found if f"`{one}`" not in PAGE and f"={one}`" not in PAGE] == []


def test_the_table_of_modules_names_all_of_them():
    modules = [path.stem for path in (ROOT / "src" / "duogen" / "sweep").rglob("*.py") if path.stem != "__init__"]
    assert len(modules) >= 40
    assert [name for name in modules if f"`{name}`" not in PAGE[PAGE.index("## The code") :]] == []
