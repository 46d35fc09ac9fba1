"""Images in the idx format of MNIST, read from the original files."""

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from duogen.data.checksum import gunzipped
from duogen.data.declared import DeclaredFiles
from duogen.data.examples import ExamplesData
from duogen.data.splits import Split
from duogen.data.transforms import Transform
from duogen.errors import UserError


def parse_idx(content: bytes, what: str, dimensions: int) -> Tensor:
    """The uint8 tensor of a gzip'd idx file.

    Unpacked it is the bytes 0, 0, 8 (unsigned bytes) and the number of dimensions, each size as a big-endian 32-bit
    integer, and the values, the last dimension fastest.

    Raises:
        UserError: no gzip, another magic number, or values missing or left over; it names `what` was read.
    """
    raw = gunzipped(content, what)
    if raw[:4] != bytes([0, 0, 8, dimensions]):
        raise UserError(
            f"{what} begins with the magic number {int.from_bytes(raw[:4])}",
            f"{0x800 + dimensions}: unsigned bytes in {dimensions} dimension(s)",
            f"fetch {what} again",
        )
    start = 4 + 4 * dimensions
    sizes = [int.from_bytes(raw[at : at + 4]) for at in range(4, start, 4)]
    if len(raw) != start + math.prod(sizes):
        raise UserError(
            f"{what} holds {max(len(raw) - start, 0)} values",
            f"{math.prod(sizes)}, for the sizes {sizes} that it declares",
            f"fetch {what} again",
        )
    return torch.frombuffer(bytearray(raw[start:]), dtype=torch.uint8).view(sizes)


def idx_split(files: DeclaredFiles, stem: str) -> Split:
    """The images (N, 1, H, W) as bytes and the labels (N,) of the two files of `stem`, such as train or t10k.

    Raises:
        UserError: a file is missing or not the declared one, or there is not one label for each image.
    """
    images_name, labels_name = f"{stem}-images-idx3-ubyte.gz", f"{stem}-labels-idx1-ubyte.gz"
    images = parse_idx(files.read(images_name), images_name, 3).unsqueeze(1)
    labels = parse_idx(files.read(labels_name), labels_name, 1).long()
    if len(images) != len(labels):
        raise UserError(
            f"{stem} has {len(images)} images and {len(labels)} labels in {files.folder}",
            "one label for each image",
            files.remedy,
        )
    return Split(images, labels)


class IdxImages(ExamplesData):
    """Grey images (1, H, W), stored as uint8, in batches in [-1, 1]; the end of the training file is for validation.

    Args:
        pad: black pixels added on each side, so that 28x28 becomes 32x32 with 2.
        validate_size: examples at the end of the training file that are for validation.
        folder: of the files, below the data folder.
        files: public `url` and `sha256` of each file by name.

    References: LeCun, Bottou, Bengio & Haffner 1998 (MNIST); Xiao, Rasul & Vollgraf 2017 (Fashion-MNIST).
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
        pad: int,
        validate_size: int,
        folder: str,
        files: Mapping[str, Mapping[str, str]],
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed, transforms, evaluation_size)
        if pad < 0:
            raise UserError(f"data.pad={pad}", "0 or more", "data.pad=2 makes 32x32 of 28x28")
        self.pad, self.validate_size = pad, validate_size
        self.declared = DeclaredFiles(folder, files)

    def load(self) -> Mapping[str, Split]:
        train, test = self._padded("train"), self._padded("t10k")
        kept = len(train) - self.validate_size
        return {"train": train.part(0, kept), "validate": train.part(kept, len(train)), "test": test}

    def _padded(self, stem: str) -> Split:
        split = idx_split(self.declared, stem)
        return Split(functional.pad(split.values, [self.pad] * 4), split.labels)
