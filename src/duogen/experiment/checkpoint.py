"""Reading a checkpoint: tensors and plain containers only, of our own format, or a refusal in one sentence."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from duogen.callbacks.checkpoints import FORMAT
from duogen.errors import UserError

FIELDS = {
    "format", "config", "key", "step", "rows", "best", "ranks", "module", "optimizers", "schedulers", "scaler",
    "updates", "extras",
}  # fmt: skip
NEEDED = {
    "seed", "model", "data", "metrics", "turns", "optimizer", "optimizers", "monitor", "trainer", "validate_every",
}  # fmt: skip


def load(path: Path) -> dict[str, Any]:
    """The checkpoint's dictionary on the CPU; nothing in the file is executed.

    Raises:
        UserError: there is no such file, or it is not a whole checkpoint of duogen.
    """
    allowed, remedy = "a file that duogen wrote, e.g. checkpoints/last.ckpt of a run", "give checkpoint=PATH of one"
    if not path.is_file():
        raise UserError(f"checkpoint {path} is {'a folder' if path.is_dir() else 'not there'}", allowed, remedy)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        # A broken file may make the reader fail in any way at all.
        unsafe = isinstance(error, UnpicklingError) and "unsupported global" in str(error).lower()
        reason = "holds more than tensors and plain containers" if unsafe else "is no whole checkpoint"
        raise UserError(f"checkpoint {path} {reason} and was not read", allowed, remedy) from None
    if not isinstance(content, Mapping) or set(content) != FIELDS:
        odd = sorted(map(str, set(content) ^ FIELDS))[:3] if isinstance(content, Mapping) else [type(content).__name__]
        raise UserError(f"checkpoint {path} has other fields ({', '.join(odd)}) and was not used", allowed, remedy)
    config = content["config"]
    if not isinstance(config, dict) or NEEDED - config.keys():
        raise UserError(f"checkpoint {path} holds no config of a run and was not used", allowed, remedy)
    if content["format"] != FORMAT:
        raise UserError(
            f"checkpoint {path} has format {content['format']}", f"format {FORMAT}", "use the duogen that wrote it"
        )
    return dict(content)
