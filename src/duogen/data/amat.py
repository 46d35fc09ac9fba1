"""MNIST binarised once and for all, from the text files that the likelihoods of the literature are measured on."""

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import torch
from torch import Tensor

from duogen.data.declared import DeclaredFiles
from duogen.data.examples import ExamplesData
from duogen.data.splits import Split
from duogen.data.transforms import Transform
from duogen.errors import UserError

FILES = {
    "train": "binarized_mnist_train.amat",
    "validate": "binarized_mnist_valid.amat",
    "test": "binarized_mnist_test.amat",
}


class BinarizedMnist(ExamplesData):
    """70,000 images (1, 28, 28) of 0 and 255 as bytes, -1 and 1 in batches; no labels.

    One draw of white with probability v / 255 from MNIST, the same for everybody: 50,000 for training, 10,000 for
    validation and 10,000 for testing, each in a file of its own. Other draws, such as `DynamicImages`, are another
    protocol, whose likelihoods do not compare with these.

    Args:
        folder: of the files, below the data folder; each may lie there packed, as `<name>.gz`.
        files: public `url` and `sha256` of each file by name, unpacked.

    References: Salakhutdinov & Murray 2008; Larochelle & Murray 2011 (NADE), section 6.
    """

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        batch_size: int,
        workers: int,
        seed: int,
        transforms: Sequence[Transform],
        evaluation_size: int | None,
        folder: str,
        files: Mapping[str, Mapping[str, str]],
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed, transforms, evaluation_size)
        self.declared = DeclaredFiles(folder, files)

    def load(self) -> Mapping[str, Split]:
        return {name: self._split(file) for name, file in FILES.items()}

    def _split(self, file: str) -> Split:
        values = parse_amat(self.declared.read(file), file, prod(self.shape))
        return Split(values.view(-1, *self.shape), None)


def parse_amat(content: bytes, what: str, pixels: int) -> Tensor:
    """The images (N, pixels) as bytes 0 and 255 of a text file: a line for each, the digits 0 and 1 between blanks.

    Raises:
        UserError: anything else; it names `what` was read.
    """
    blank = np.frombuffer(b" ".join([b"0"] * pixels) + b"\n", np.uint8)
    raw = np.frombuffer(content, np.uint8)
    lines = raw[: len(raw) // len(blank) * len(blank)].reshape(-1, len(blank))
    # The digits differ in their last bit alone.
    if not len(raw) == lines.size > 0 or ((lines & ~(blank == ord("0")).astype(np.uint8)) != blank).any():
        allowed = f"lines of {pixels} digits, each 0 or 1, with one blank between two"
        raise UserError(f"{what} holds other text", allowed, f"fetch {what} again")
    return torch.from_numpy((lines[:, ::2] & 1) * np.uint8(255))
