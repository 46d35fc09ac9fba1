"""Tensors that are computed once and kept on the disk."""

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from pickle import UnpicklingError

import torch
import torch.distributed as dist
from torch import Tensor

from duogen.files import write_atomic

DIGEST = sha256().digest_size


class TensorCache:
    """Named tensors by key, one file each below `folder`; a file that is not whole counts as none.

    A file is the sha256 of its content, then the content. Of several ranks the first one writes; a folder that cannot
    be written costs the time to compute again, never the run.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, key: str) -> dict[str, Tensor] | None:
        """The tensors of `key` on the CPU, or None where there are none or the file is damaged."""
        with suppress(OSError, UnpicklingError, RuntimeError, EOFError):
            content = memoryview(self._path(key).read_bytes())
            if sha256(content[DIGEST:]).digest() == content[:DIGEST]:
                return torch.load(BytesIO(content[DIGEST:]), map_location="cpu", weights_only=True)
        return None

    def save(self, key: str, tensors: Mapping[str, Tensor]) -> None:
        """Writes the tensors whole or not at all."""
        if dist.is_available() and dist.is_initialized() and dist.get_rank() > 0:
            return
        buffer = BytesIO()
        torch.save({name: tensor.clone() for name, tensor in tensors.items()}, buffer)
        content = buffer.getvalue()
        with suppress(OSError):
            write_atomic(self._path(key), sha256(content).digest() + content)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}.pt"
