"""Many runs, each in a process of its own on one thread; interrupted, the same call goes on where they were."""

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path


def many(runs: Mapping[Path, Sequence[str]], processes: int) -> int:
    """Trains the runs, overrides by folder, `processes` at a time; returns the worst exit code."""
    with ThreadPoolExecutor(processes) as pool:
        return max(pool.map(train, runs, runs.values()))


def train(folder: Path, overrides: Sequence[str]) -> int:
    """`duogen train` with a log beside the folder."""
    command = [sys.executable, "-m", "duogen", "train", *overrides, f"run_dir={folder}", "trainer=cpu", "logger=none"]
    folder.parent.mkdir(parents=True, exist_ok=True)
    with folder.with_name(f"{folder.name}.log").open("a") as log:
        code = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stdout=log, stderr=log).returncode
    print(f"{folder}: exit code {code}", flush=True)
    return code
