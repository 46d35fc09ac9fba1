"""Weights files of extractors: checked where an extractor is built, loaded where it is first used."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from duogen.errors import UserError
from duogen.metrics.extractor import Extracted, Extractor


@dataclass(frozen=True)
class Weights:
    """A weights file as it was found: its path, and the sha256 of its bytes in hexadecimal."""

    path: Path
    sha256: str

    def content(self) -> Any:
        """What the file holds, on the CPU: tensors and plain containers, nothing that could run."""
        return torch.load(self.path, map_location="cpu", weights_only=True)


def found(weights: str | None, sha256: str | None, wanted: str, remedy: str) -> Weights:
    """The file at the path `weights`, whose sha256 begins with the declared one where one is declared.

    Raises:
        UserError: no path, no such file, or other bytes; it says which file is `wanted`, and the remedy.
    """
    path = Path(weights).expanduser().absolute() if weights else None
    if path is None or not path.is_file():
        given = "extractor.weights=null" if path is None else f"extractor.weights={path}: there is no such file"
        raise UserError(given, wanted, remedy)
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if not digest.startswith((sha256 or "").lower()):
        raise UserError(f"extractor.weights={path} has the sha256 {digest}", f"{wanted}, sha256 {sha256}", remedy)
    return Weights(path, digest)


@contextmanager
def full_precision() -> Iterator[None]:
    """Float32 convolutions and products that a GPU does not round to TF32, whatever the run allows."""
    backends: Any = torch.backends
    kinds = backends.cudnn.conv, backends.cuda.matmul
    before = [kind.fp32_precision for kind in kinds]
    try:
        for kind in kinds:
            kind.fp32_precision = "ieee"
        yield
    finally:
        for kind, precision in zip(kinds, before, strict=True):
            kind.fp32_precision = precision


class Pretrained(Extractor):
    """An extractor whose network is read from a weights file at the first batch.

    The network stands outside the module tree: checkpoints hold no copy of it, casts leave it in float32, and it
    follows the examples to their device. Copies of an extractor share it. It runs in full float32 whatever the run's
    precision, in parts of `chunk` examples, so that memory is bounded; building and loading it draws no random number.
    """

    chunk: ClassVar[int]

    def __init__(self) -> None:
        super().__init__()
        self.eval()
        self._loaded: list[nn.Module] = []

    @abstractmethod
    def blank(self) -> nn.Module:
        """The network before its weights are read, from prepared examples to `Extracted`."""

    @abstractmethod
    def state(self) -> Mapping[str, Tensor]:
        """The network's weights by name, from the file.

        Raises:
            UserError: there is no file, or it cannot be read.
        """

    @abstractmethod
    def prepare(self, values: Tensor) -> Tensor:
        """Examples (N, *shape) in [-1, 1] as the network takes them."""

    def load(self) -> nn.Module:
        """The network with its weights, read once.

        Raises:
            UserError: the file's names or shapes are not those of the network.
        """
        if not self._loaded:
            with torch.device("meta"):
                network = self.blank()
            network.load_state_dict(self._fitting(network), assign=True)
            self._loaded.append(network.eval().requires_grad_(False))
        return self._loaded[0]

    def forward(self, values: Tensor) -> Extracted:
        network = self.load().to(values.device)
        with torch.no_grad(), torch.autocast(values.device.type, enabled=False), full_precision():
            parts = [network(self.prepare(part)) for part in values.float().split(self.chunk)]
        logits = [part.logits for part in parts if part.logits is not None]
        return Extracted(torch.cat([part.features for part in parts]), torch.cat(logits) if logits else None)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def _fitting(self, network: nn.Module) -> dict[str, Tensor]:
        """The file's weights as `load_state_dict` takes them, in float32; counters of batches may be missing."""
        expected = network.state_dict()
        counter = torch.zeros((), dtype=torch.int64, device="cpu")
        state = {name: counter for name in expected if name.endswith("num_batches_tracked")} | dict(self.state())
        odd = sorted(expected.keys() ^ state.keys())
        odd += [name for name in sorted(expected.keys() & state.keys()) if expected[name].shape != state[name].shape]
        if odd:
            given = f"the weights of extractor={self.name} differ at {len(odd)} names, such as {', '.join(odd[:3])}"
            raise UserError(given, f"the {len(expected)} names and shapes of its network", "give the file it names")
        return {name: value.to(expected[name].dtype) for name, value in state.items()}


def refuse_other_than_images(extractor: str, shape: Sequence[int]) -> None:
    """Raises UserError for a shape that is not (1|3, H, W)."""
    if len(shape) != 3 or shape[0] not in (1, 3):
        given = f"extractor={extractor} for examples of shape {list(shape)}"
        raise UserError(given, "grey or RGB images, (1, H, W) or (3, H, W)", "use extractor=pixels")


def as_rgb_bytes(values: Tensor) -> Tensor:
    """Images (N, 1|3, H, W) in [-1, 1] as (N, 3, H, W), rounded to the integers 0 to 255, grey repeated; float32."""
    return (values * 127.5 + 127.5).round().clamp(0, 255).expand(-1, 3, -1, -1)
