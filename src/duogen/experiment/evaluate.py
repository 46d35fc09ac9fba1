"""A checkpoint alone gives its metrics and its samples: no other file of the run is needed."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from duogen.callbacks.pictures import picture, save_atomic
from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.experiment.build import check
from duogen.experiment.checkpoint import load
from duogen.experiment.measuring import measured
from duogen.experiment.resolve import device
from duogen.experiment.summary import table
from duogen.files import write_atomic
from duogen.modules.alternating import AlternatingModule
from duogen.seeds import derive

LIMIT = 1_000_000


def restored(checkpoint: Path, allow: Sequence[str]) -> tuple[AlternatingModule, dict[str, Any]]:
    """The module of a checkpoint as it was, and the config that it was built from, on this machine's device."""
    content = load(checkpoint)
    check(content["config"], allow)
    try:
        config = content["config"] | {"compile": False}
        config["trainer"] = device(config["trainer"] | {"accelerator": "auto", "devices": 1})
        module = assemble.module(config, allow)
        assemble.teach(module, config, allow)
        module.load_state_dict(content["module"])
    except (RuntimeError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"checkpoint {checkpoint} does not fit its own config ({type(error).__name__}: {first_line(error)})",
            "a config, and weights of the networks that it names",
            "use a checkpoint that duogen wrote",
        ) from None
    return module, config


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def evaluate(checkpoint: Path, out: Path | None, allow: Sequence[str]) -> int:
    """Prints the metrics of a checkpoint on the test split; `out` takes them as JSON."""
    if out is not None and out.is_dir():
        raise UserError(f"out={out} is a folder", "a file", f"use out={out / 'metrics.json'}")
    module, config = restored(checkpoint, allow)
    data = assemble.data(config, allow)
    data.setup()
    found = measured(assemble.trainer(config, []), module, data, config["seed"])
    Console(soft_wrap=True, highlight=False).print(table(found, str(checkpoint)))
    if out is not None:
        write_atomic(out, (json.dumps([asdict(value) for value in found], indent=1) + "\n").encode())
        print(f"written to {out}")
    return 0


def sample(checkpoint: Path, count: int, out: Path, seed: int, allow: Sequence[str]) -> int:
    """Writes `count` samples of a checkpoint as a picture (.png) or an array (.npy); the same seed gives the same."""
    if out.suffix not in (".png", ".npy") or out.is_dir():
        raise UserError(f"out={out}", "a file whose name ends in .png or .npy", "e.g. out=samples.png")
    if not 1 <= count <= LIMIT:
        raise UserError(f"n={count}", f"1 to {LIMIT}", "change n")
    module, config = restored(checkpoint, allow)
    module.to(config["trainer"]["accelerator"]).eval()
    values = module.samples(count, torch.Generator().manual_seed(derive(seed, "samples"))).values.cpu()
    if out.suffix == ".png":
        save_atomic(picture(values), out)
    else:
        write_array(out, values)
    print(f"{count} samples in {out}")
    return 0


def write_array(out: Path, values: torch.Tensor) -> None:
    import io

    import numpy as np

    buffer = io.BytesIO()
    np.save(buffer, values.numpy())
    write_atomic(out, buffer.getvalue())
