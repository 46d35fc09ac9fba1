"""PacGAN's ring and grid: its plain GAN and PacGAN2, ten seeds each (Lin et al. 2018, section 4.1 and table 1).

    python -m experiments.pacgan.run [--epochs 50] [--processes 2]
    python -m experiments.pacgan.table

An epoch is 1,000 steps of 100 points. Called with more epochs, finished runs are continued to them.
"""

import argparse
import sys
from itertools import product
from pathlib import Path

from experiments.many import many

RUNS = Path("runs/pacgan")
DATA = ("ring", "grid")
PACKS = (1, 2)
SEEDS = range(10)
STEPS_PER_EPOCH = 1000


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=50)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    runs = {}
    for seed, data, pack in product(SEEDS, DATA, PACKS):
        folder = RUNS / f"{data}-{pack}-{seed}"
        more = (f"resume={folder}",) if (folder / "record.json").is_file() else ()
        chosen = (f"experiment=pacgan_{data}", f"pack={pack}", f"seed={seed}", "keep=1")
        runs[folder] = (*chosen, f"budget.steps={given.epochs * STEPS_PER_EPOCH}", *more)
    return many(runs, given.processes)


if __name__ == "__main__":
    sys.exit(main())
