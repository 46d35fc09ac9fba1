"""Seven generators by one recipe, on two data sets, with three seeds.

    python -m experiments.generators.run [--steps 1000] [--processes 2]
    python -m experiments.generators.table

Widths are such that a forward pass of each costs about as much as the DCGAN's of width 32, 3.5 to 4.8 million
operations at 28 x 28.
"""

import argparse
import sys
from itertools import product
from pathlib import Path

from experiments.many import many

RUNS = Path("runs/generators")
DATA = ("mnist", "fashion_mnist")
SEEDS = (0, 1, 2)
GENERATORS = {
    "mlp": ("generator.width=800", "generator.batch_norm=true"),
    "dcgan": ("generator.width=32",),
    "resnet": ("generator.width=10",),
    "attention": ("generator.width=10",),
    "style": ("generator.width=8", "generator.style_dim=64"),
    "transformer": ("generator.width=32", "generator.depth=3"),
    "recurrent": ("generator.width=64",),
}


def overrides(data: str, generator: str, seed: int) -> tuple[str, ...]:
    return ("experiment=generators", f"data={data}", f"generator={generator}", *GENERATORS[generator], f"seed={seed}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=1000)
    parser.add_argument("--processes", type=int, default=2)
    given = parser.parse_args()
    wanted = product(SEEDS, DATA, GENERATORS)
    runs = {
        RUNS / f"{data}-{generator}-{seed}": (*overrides(data, generator, seed), f"budget.steps={given.steps}")
        for seed, data, generator in wanted
    }
    return many(runs, given.processes)


if __name__ == "__main__":
    sys.exit(main())
