"""A sweep beside Hydra's launchers: the same 16 trials of about 2 s, on two cores, each command a whole process.

All train with `duogen.experiment.trial.run` on the same configs, one thread and one run folder each; ours plays every
trial on the meta device first, the peers (peers/sweep_app.py) do not. basic runs them one after another in one process;
joblib keeps two processes; submitit_local starts a cold process for each, in batches of two (max_batch_size), since of
its own accord it would start all at once (submitit_at_once).

A warm start is the time from the pool's decision to start a trial (`Pool.start`) to the end of its first training step,
as the trial's first row says (log_every=1); the template is warm by then. Its cold counterpart is `duogen train`.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from duogen.sweep import run
from duogen.sweep.local.pool import Pool

TINY = ("data=ring", "generator=mlp", "discriminator=mlp", "latent_dim=2", "data.batch_size=64", "trainer=cpu")
TRIAL = (*TINY, "generator.width=64", "discriminator.width=64")
APP = [sys.executable, str(Path(__file__).parent / "peers" / "sweep_app.py"), "-m"]
OURS = [sys.executable, "-m", "duogen", "train"]
COMMANDS = {
    "duogen": [*OURS, "-m"],
    "basic": [*APP, "hydra/launcher=basic"],
    "joblib": [*APP, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"],
    "submitit_local": [*APP, "hydra/launcher=submitit_local", "hydra.sweeper.max_batch_size=2"],
    "submitit_at_once": [*APP, "hydra/launcher=submitit_local"],
}
LONG = tuple(name for name in COMMANDS if name.startswith("submitit"))
ONE_THREAD = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def whole(command: Sequence[str], trials: int, steps: int) -> float:
    """Wall time of a whole sweep, in seconds; every trial must be done."""
    with TemporaryDirectory() as scratch:
        sweep = [f"seed=range({trials})", f"trainer.max_steps={steps}", "logger=none", f"hydra.sweep.dir={scratch}"]
        started = time.perf_counter()
        done = subprocess.run([*command, *TRIAL, *sweep], capture_output=True, text=True, env=ONE_THREAD)
        wall = time.perf_counter() - started
        states = [json.loads(path.read_text())["status"] for path in Path(scratch).glob("*/record.json")]
    assert states == ["done"] * trials, f"{states}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return wall


def rounds(names: list[str], count: int, trials: int, steps: int) -> dict[str, list[float]]:
    """Every command in turn, `count` times, in another order each time; the long ones in the first round only."""
    times: dict[str, list[float]] = {name: [] for name in names}
    for index in range(count):
        for name in names[index:] + names[:index]:
            if index == 0 or name not in LONG:
                wall = whole(COMMANDS[name], trials, steps)
                times[name].append(wall)
                print(f"  round {index + 1}, {name}: {wall:.1f} s, load {os.getloadavg()[0]:.1f}", flush=True)
    return times


@contextmanager
def noting_starts() -> Iterator[dict[Path, float]]:
    """The time at which the pool decides to start each trial, by its run folder."""
    times: dict[Path, float] = {}
    start = Pool.start

    def noted(self: Pool, desk: Any, trial: Any, slots: Any) -> None:
        times[trial.plan.folder] = time.time()
        start(self, desk, trial, slots)

    Pool.start = noted
    try:
        yield times
    finally:
        Pool.start = start


def warm(slots: str, trials: int, logger: str = "none") -> list[float]:
    """Seconds from the decision to start to the end of the first step, of every trial of a sweep in this process."""
    with TemporaryDirectory() as scratch, noting_starts() as times, redirect_stdout(StringIO()) as said:
        settings = (f"seed=range({trials})", "trainer.max_steps=20", "log_every=1", f"logger={logger}")
        places = (f"hydra.launcher.slots={slots}", f"hydra.sweep.dir={scratch}")
        code = run.sweep([*TRIAL, *settings, *places], None, [], detach=False)
        assert (code, len(times)) == (0, trials), said.getvalue()
        return [first_step(folder) - started for folder, started in times.items()]


def cold() -> float:
    """The same seconds of a `duogen train` of its own."""
    with TemporaryDirectory() as scratch:
        settings = ("trainer.max_steps=20", "log_every=1", "logger=none", f"run_dir={scratch}/run")
        started = time.time()
        subprocess.run([*OURS, *TRIAL, *settings], capture_output=True, check=True, env=ONE_THREAD)
        return first_step(Path(scratch) / "run") - started


def first_step(folder: Path) -> float:
    """When a run's first step had ended, by the clock of this machine."""
    with (folder / "metrics.jsonl").open() as rows:
        row = json.loads(next(rows))
    assert row["step"] == 1
    return row["time"]


def starts(trials: int) -> list[str]:
    """Warm starts on one slot and on two, of W&B offline beside none, and cold ones."""
    os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    warm("[a]", 1)
    found = {"one_slot": warm("[a]", trials), "two_slots": warm("[a,b]", 2 * trials),
             "wandb": warm("[a]", trials, "wandb"), "cold": [cold() for _ in range(3)]}  # fmt: skip
    for name, times in found.items():
        print(f"  start, {name}: {min(times):.3f} to {max(times):.3f} s, {len(times)} trials")
    middle = {name: statistics.median(times) for name, times in found.items()}
    lines = [f"sweep/start/{name}: {middle[name]:.3f}" for name in ("one_slot", "two_slots", "cold")]
    return [*lines, f"sweep/start/wandb_adds: {middle['wandb'] - middle['one_slot']:.3f}"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--trials", type=int, default=16)
    parser.add_argument("--steps", type=int, default=750, help="of a trial")
    parser.add_argument(
        "--peers", default="basic,joblib,submitit_local", help=f"some of {', '.join(list(COMMANDS)[1:])}"
    )
    options = parser.parse_args()
    print(json.dumps({"torch": torch.__version__, "cores": len(os.sched_getaffinity(0))} | vars(options)), flush=True)
    lines = starts(8)
    names = ["duogen", *options.peers.split(",")]
    times = {name: statistics.median(each) for name, each in
             rounds(names, options.rounds, options.trials, options.steps).items()}  # fmt: skip
    lines += [f"sweep/{name}: {times['duogen'] / times[name]:.3f}" for name in names[1:]]
    print("\n".join(lines))


if __name__ == "__main__":
    main()
