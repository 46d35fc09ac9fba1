"""Images in the idx format of MNIST, read from the original files."""

import gzip
import math
import zlib
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from duogen.data.checksum import verify
from duogen.data.examples import ExamplesData
from duogen.data.folder import data_folder
from duogen.data.splits import Split
from duogen.errors import UserError


def parse_idx(content: bytes, what: str, dimensions: int) -> Tensor:
    """The uint8 tensor of a gzip'd idx file.

    Unpacked it is the bytes 0, 0, 8 (unsigned bytes) and the number of dimensions, each size as a big-endian 32-bit
    integer, and the values, the last dimension fastest.

    Raises:
        UserError: no gzip, another magic number, or values missing or left over; it names `what` was read.
    """
    try:
        raw = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{what} cannot be unpacked: {error}", "a whole .gz file", f"fetch {what} again") from error
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


class IdxImages(ExamplesData):
    """Grey images (1, H, W), stored as uint8, in batches in [-1, 1]; the end of the training file is for validation.

    Args:
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
        validate_size: int,
        folder: str,
        files: Mapping[str, Mapping[str, str]],
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed)
        self.validate_size, self.folder, self.files = validate_size, folder, files

    def load(self) -> Mapping[str, Split]:
        train, test = self._split("train"), self._split("t10k")
        kept = len(train) - self.validate_size
        return {"train": train.part(0, kept), "validate": train.part(kept, len(train)), "test": test}

    def _split(self, stem: str) -> Split:
        images = self._read(f"{stem}-images-idx3-ubyte.gz", 3).unsqueeze(1)
        labels = self._read(f"{stem}-labels-idx1-ubyte.gz", 1).long()
        if len(images) != len(labels):
            raise UserError(
                f"{stem} has {len(images)} images and {len(labels)} labels in {data_folder() / self.folder}",
                "one label for each image",
                self._remedy,
            )
        return Split(images, labels)

    def _read(self, name: str, dimensions: int) -> Tensor:
        path = data_folder() / self.folder / name
        if not path.is_file():
            raise UserError(f"the file {name} is not in {path.parent}", f"all of {', '.join(self.files)}", self._remedy)
        content = path.read_bytes()
        verify(str(path), content, self.files[name]["sha256"], f"delete {path}; {self._remedy}")
        return parse_idx(content, str(path), dimensions)

    @property
    def _remedy(self) -> str:
        fetch = f"duogen data fetch {self.folder.replace('-', '_')}"
        return f"run `{fetch}`, or put the files there, or set DUOGEN_DATA to the folder that holds {self.folder}/"
