"""The tables and the pictures of the generator runs, from their folders alone, into docs/gallery/."""

from pathlib import Path
from typing import Any

import torch
from experiments.records import config, done, folders, interval, place, steps, value, values
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from duogen.experiment.check import imagined

RUNS = Path("runs/generators_mnist")
DATA = ("mnist", "fashion_mnist")
GENERATORS = ("mlp", "dcgan", "resnet", "attention", "style", "transformer", "recurrent")
GALLERY = Path("docs/gallery")
VALUES = ("frechet_lenet", "density_lenet", "coverage_lenet", "precision_lenet", "recall_lenet")
KEPT = 0.5  # the size of a grid in the gallery


def cost(folder: Path) -> tuple[int, int]:
    """Parameters of the generator, and operations of its forward pass for one example, by torch's count."""
    said = config(folder)
    network: Any = imagined(said, ()).players["generator"]
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(8, said["latent_dim"], device="meta"))
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 8


def rows(data: str) -> list[str]:
    """One row per generator, then the floor: training images in the place of generated ones."""
    found = [
        f"| generator | n | steps | parameters | MFLOPs | {' | '.join(VALUES)} |",
        "|---" * (5 + len(VALUES)) + "|",
    ]
    floor: list[dict[str, Any]] = []
    for generator in GENERATORS:
        runs = done(RUNS, setting=generator, data=data)
        if not runs:
            found.append(f"| `{generator}` | 0 | | | | {' | '.join(['not run'] * len(VALUES))} |")
            continue
        floor = list(runs.values())
        parameters, operations = cost(next(iter(runs)))
        cells = " | ".join(interval(values(runs, name)) for name in VALUES)
        told = f"{len(runs)} | {steps(runs)} | {parameters:,} | {operations / 1e6:.1f}"
        found.append(f"| `{generator}` | {told} | {cells} |")
    if floor:
        cells = " | ".join(f"{value(floor[0], name, real=True):.3g}" for name in VALUES)
        found.append(f"| real training images | | | | | {cells} |")
    return found


def pictures(data: str) -> list[str]:
    """The last grid of the first seed of each generator, made small."""
    shown = []
    for generator in GENERATORS:
        first = next(iter(folders(RUNS, setting=generator, data=data)), RUNS)
        grids = sorted((first / "samples").glob("*.png"), key=lambda path: path.stat().st_mtime)
        if grids:
            image = Image.open(grids[-1]).convert("L")
            size = (round(image.width * KEPT), round(image.height * KEPT))
            image.resize(size, Image.Resampling.LANCZOS).save(GALLERY / f"{data}-{generator}.png", optimize=True)
            shown.append(f'<img src="{data}-{generator}.png" width="260" alt="{generator}" title="{generator}">')
    return shown


def main() -> None:
    GALLERY.mkdir(parents=True, exist_ok=True)
    for data in DATA:
        place(GALLERY / "README.md", data, [*rows(data), "", *pictures(data)])


if __name__ == "__main__":
    main()
