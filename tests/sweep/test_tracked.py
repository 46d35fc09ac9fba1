"""A sweep shown on W&B: offline, without a login, on the command line that users have."""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from wandb.proto import wandb_internal_pb2

LOSSES = """\
from duogen.objectives.adversarial import NonSaturating


class First(NonSaturating):
    pass


class Broken(NonSaturating):
    def discriminator(self, real, fake):
        if not fake.is_meta:
            raise RuntimeError("planted")
        return super().discriminator(real, fake)


class Third(NonSaturating):
    pass
"""
BLOCK = 32768


def records(path: Path) -> Iterator[Any]:
    """The records of a .wandb file: a header of 7 bytes, then LevelDB's log, chunk by chunk in blocks of 32 KiB."""
    content, at, parts = path.read_bytes(), 7, []
    while at + 7 <= len(content):
        if BLOCK - at % BLOCK < 7:
            at += BLOCK - at % BLOCK
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        parts.append(content[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in (1, 4):  # a whole record, or its last chunk
            record: Any = wandb_internal_pb2.Record()  # pyright: ignore[reportAttributeAccessIssue]
            record.ParseFromString(b"".join(parts))
            parts = []
            yield record


def outliving(marker: Path) -> list[int]:
    """The processes whose environment names a path, and which are still there half a minute later."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if str(marker).encode() in (process / "environ").read_bytes():
                handle = os.pidfd_open(int(process.name))
                found += [] if select.select([handle], [], [], 30)[0] else [int(process.name)]
                os.close(handle)
    return found


@dataclass
class Swept:
    """The folder of a sweep of three trials whose second raises, how its command ended, and what outlived it."""

    folder: Path
    ended: subprocess.CompletedProcess[str]
    left: list[int]


@pytest.fixture(scope="module")
def swept(tmp_path_factory) -> Swept:
    home = tmp_path_factory.mktemp("swept")
    (home / "losses.py").write_text(LOSSES)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("WANDB_")}
    environ |= {"NETRC": str(home / "netrc"), "WANDB_CONFIG_DIR": str(home), "OMP_NUM_THREADS": "1"}
    words = [
        "data=ring", "generator=mlp", "discriminator=mlp", "generator.width=8", "discriminator.width=8", "name=three",
        "adversarial._target_=losses.First,losses.Broken,losses.Third", "budget=smoke", "validate_every=10",
        "logger=wandb", "trial.attempts=1", f"hydra.sweep.dir={home / 'runs'}", "--allow", "losses.",
    ]  # fmt: skip
    command = [sys.executable, "-m", "duogen", "train", "-m", *words]
    ended = subprocess.run(command, cwd=home, env=environ, capture_output=True, text=True, timeout=300, check=False)
    return Swept(home / "runs", ended, outliving(home / "netrc"))


@pytest.fixture(scope="module")
def runs(swept) -> dict[str, list[Any]]:
    """What W&B holds of each loss's run."""
    found = {}
    for file in swept.folder.glob("*/wandb/offline-run-*/run-*.wandb"):
        plan = json.loads((swept.folder / "trials" / f"{file.parents[2].name}.json").read_text())
        loss = plan["config"]["adversarial"]["_target_"].removeprefix("losses.")
        assert loss not in found, "one run for each trial"
        found[loss] = list(records(file))
    return found


def test_three_trials_are_three_runs_which_end_as_they_ended(swept, runs):
    assert swept.ended.returncode == 1, swept.ended.stdout + swept.ended.stderr
    codes = {loss: [record.exit.exit_code for record in held if record.HasField("exit")] for loss, held in runs.items()}
    assert codes == {"First": [0], "Broken": [1], "Third": [0]}


def test_no_two_runs_share_an_id_and_each_is_its_trials(swept, runs):
    began = [record.run for held in runs.values() for record in held if record.HasField("run")]
    assert len({run.run_id for run in began}) == 3
    recorded = {json.loads(path.read_text())["tracker"]["id"] for path in swept.folder.glob("*/record.json")}
    assert {run.run_id for run in began} == recorded


def test_group_label_and_phase_are_the_sweeps(runs):
    (began,) = [record.run for record in runs["Third"] if record.HasField("run")]
    assert (began.project, began.run_group, began.job_type) == ("duogen", "three", "grid")
    assert "losses.Third" in began.display_name
    assert "data=ring" in began.tags


def test_a_row_stands_once_in_each_finished_run(runs):
    for loss in ("First", "Third"):
        items = [record.history.item for record in runs[loss] if record.HasField("history")]
        keys = [{".".join(item.nested_key) or item.key for item in row} for row in items]
        assert any("validate/gan/modes_found" in row for row in keys)
        steps = [int(item.value_json) for row in items for item in row if (item.key or item.nested_key[0]) == "_step"]
        assert steps == sorted(set(steps))


def test_nothing_is_left_open(swept):
    assert swept.left == []
