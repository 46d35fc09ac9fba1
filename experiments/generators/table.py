"""The tables and the pictures of the generator runs, from their folders alone, into docs/gallery/."""

from pathlib import Path
from typing import Any

import torch
import yaml
from experiments.records import folders, interval, record, value
from PIL import Image
from torch.utils.flop_counter import FlopCounterMode

from duogen.experiment.check import imagined
from duogen.files import write_atomic

RUNS = Path("runs/generators_mnist")
DATA = ("mnist", "fashion_mnist")
GENERATORS = ("mlp", "dcgan", "resnet", "attention", "style", "transformer", "recurrent")
GALLERY = Path("docs/gallery")
VALUES = ("frechet_lenet", "density_lenet", "coverage_lenet", "precision_lenet", "recall_lenet")
KEPT = 0.5  # the size of a grid in the gallery


def cost(folder: Path) -> tuple[int, int]:
    """Parameters of the generator, and operations of its forward pass for one example, by torch's count."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    network: Any = imagined(config, ()).players["generator"]
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(8, config["latent_dim"], device="meta"))
    return sum(p.numel() for p in network.parameters()), counter.get_total_flops() // 8


def rows(data: str) -> list[str]:
    """One row per generator, then the floor: training images in the place of generated ones."""
    found = [
        f"| generator | n | steps | parameters | MFLOPs | {' | '.join(VALUES)} |",
        "|---" * (5 + len(VALUES)) + "|",
    ]
    floor: list[dict[str, Any]] = []
    for generator in GENERATORS:
        done = {run: one for run in folders(RUNS, setting=generator, data=data) if (one := record(run))}
        if not done:
            found.append(f"| `{generator}` | 0 | | | | {' | '.join(['not run'] * len(VALUES))} |")
            continue
        floor = list(done.values())
        parameters, operations = cost(next(iter(done)))
        steps = ", ".join(str(number) for number in sorted({one["steps"] for one in floor}))
        cells = " | ".join(interval([value(one, name) for one in floor]) for name in VALUES)
        found.append(f"| `{generator}` | {len(done)} | {steps} | {parameters:,} | {operations / 1e6:.1f} | {cells} |")
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
    text = (GALLERY / "README.md").read_text(encoding="utf-8")
    for data in DATA:
        before, _, rest = text.partition(f"<!-- {data} -->\n")
        after = rest.partition(f"<!-- /{data} -->")[2]
        body = "\n".join([*rows(data), "", *pictures(data)])
        text = f"{before}<!-- {data} -->\n{body}\n<!-- /{data} -->{after}"
    write_atomic(GALLERY / "README.md", text.encode())


if __name__ == "__main__":
    main()
