"""Reading a checkpoint: tensors and plain containers only, of our own format, or a refusal in one sentence."""

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from duogen.callbacks.checkpoints import FORMAT
from duogen.errors import UserError

FIELDS = {
    "format", "config", "key", "step", "rows", "best", "ranks", "module", "optimizers", "schedulers", "scaler",
    "updates", "extras",
}  # fmt: skip


def load(path: Path) -> dict[str, Any]:
    """The checkpoint's dictionary on the CPU; nothing in the file is executed.

    Raises:
        UserError: there is no such file, or it is not a whole checkpoint of duogen.
    """
    allowed, remedy = "a file that duogen wrote, e.g. checkpoints/last.ckpt of a run", "give checkpoint=PATH of one"
    if not path.is_file():
        raise UserError(f"checkpoint {path} does not exist", allowed, remedy)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (
        pickle.UnpicklingError,
        RuntimeError,
        EOFError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        OSError,
    ) as e:
        reason = (
            "holds more than tensors and plain containers"
            if "weights_only" in str(e).lower()
            else "is no whole checkpoint"
        )
        raise UserError(f"checkpoint {path} {reason} and was not read", allowed, remedy) from None
    if not isinstance(content, Mapping) or set(content) != FIELDS:
        odd = sorted(map(str, set(content) ^ FIELDS))[:3] if isinstance(content, Mapping) else [type(content).__name__]
        raise UserError(f"checkpoint {path} has other fields ({', '.join(odd)}) and was not used", allowed, remedy)
    if content["format"] != FORMAT:
        raise UserError(
            f"checkpoint {path} has format {content['format']}", f"format {FORMAT}", "use the duogen that wrote it"
        )
    return dict(content)
