"""A checkpoint alone gives samples, as a picture, an array or an archive; only their neighbours need the data."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from torch import Tensor

from duogen.callbacks.pictures import picture, save_atomic
from duogen.data.examples import ExamplesData
from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.experiment.evaluate import assume, restored
from duogen.experiment.samplers import Choice, resampled
from duogen.experiment.show import Scene, Sheet, Show
from duogen.experiment.shows import Classes, Interpolation, Neighbours, Samples
from duogen.files import write_atomic
from duogen.modules.sampling import Manner
from duogen.seeds import derive

ENDINGS = (".png", ".npy", ".npz")
DRAWING = (Samples, Interpolation, Classes, Neighbours)


def sample(
    checkpoint: Path,
    out: Path,
    show: Show,
    manner: Manner,
    choice: Choice | None,
    seed: int,
    allow: Sequence[str],
) -> int:
    """Writes what `show` makes of a checkpoint, and of the sampler of its codes if any, to `out`; the same seed gives
    the same.

    A .png is the picture; a .npy holds the values, (n, *shape) or (rows, columns, *shape); a .npz holds them as
    `values`, with `labels` where there are classes and whatever else the show has found.
    """
    if out.suffix not in ENDINGS or out.is_dir():
        raise UserError(f"out={out}", f"a file whose name ends in {', '.join(ENDINGS)}", "e.g. out=samples.png")
    if choice is not None:
        refuse_undrawn(show, choice)
    module, config = restored(checkpoint, allow)

    def data() -> ExamplesData:
        built = assemble.data(config, allow)
        built.setup()
        return built

    assume(manner, module, config, seed)
    if choice is not None:
        module = resampled(module, config, data, checkpoint, choice, allow)
    generator = torch.Generator().manual_seed(derive(seed, "samples"))
    sheet = show.sheet(Scene(module, data, generator))
    if out.suffix == ".png":
        save_atomic(picture(sheet.values, sheet.reference, sheet.layout), out)
    else:
        write_arrays(out, arrays(sheet))
    if sheet.table is not None:
        Console(soft_wrap=True, highlight=False).print(sheet.table)
    print(f"{sheet.sentence} in {out}")
    return 0


def refuse_undrawn(show: Show, choice: Choice) -> None:
    """Refuses a sampler with a show that looks at given codes, and draws none."""
    if isinstance(show, DRAWING):
        return
    drawing = ", ".join(f"show={kind.__name__.lower()}" for kind in DRAWING)
    given = f"{choice.asked} with show={type(show).__name__.lower()}, which draws no codes"
    raise UserError(given, drawing, "use one of these, or leave the sampler out")


def arrays(sheet: Sheet) -> dict[str, Tensor]:
    """What the sheet holds by name; values and labels by row and column where the show has rows."""
    found = {"values": sheet.values} | ({} if sheet.labels is None else {"labels": sheet.labels})
    if sheet.rows is not None:
        found = {name: tensor.unflatten(0, (sheet.rows, -1)) for name, tensor in found.items()}
    return found | dict(sheet.extra)


def write_arrays(out: Path, found: Mapping[str, Tensor]) -> None:
    buffer = io.BytesIO()
    if out.suffix == ".npy":
        np.save(buffer, found["values"].numpy())
    else:
        np.savez(buffer, allow_pickle=False, **{name: tensor.numpy() for name, tensor in found.items()})
    write_atomic(out, buffer.getvalue())
