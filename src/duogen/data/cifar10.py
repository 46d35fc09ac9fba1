"""CIFAR-10 from the authors' archive for Python, whose pickles are read as data."""

import io
import tarfile
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeGuard

import numpy as np
import torch

from duogen.data.declared import DeclaredFiles
from duogen.data.examples import ExamplesData
from duogen.data.pickled import read_pickle
from duogen.data.splits import Split
from duogen.data.transforms import Transform
from duogen.errors import UserError

ARCHIVE = "cifar-10-python.tar.gz"
TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
TEST = ("test_batch",)
PIXELS = 3 * 32 * 32


class Cifar10(ExamplesData):
    """60,000 colour images (3, 32, 32) of ten classes, stored as uint8, in batches in [-1, 1].

    The end of the fifth training batch is for validation, the test batch for testing.

    Args:
        validate_size: examples at the end of the training batches that are for validation.
        folder: of the archive, below the data folder.
        files: public `url` and `sha256` of the archive by its name.

    Reference: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.
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
        validate_size: int,
        folder: str,
        files: Mapping[str, Mapping[str, str]],
    ) -> None:
        super().__init__(shape, classes, batch_size, workers, seed, transforms, evaluation_size)
        self.validate_size, self.declared = validate_size, DeclaredFiles(folder, files)

    def load(self) -> Mapping[str, Split]:
        members = members_of(self.declared.read(ARCHIVE), [*TRAIN, *TEST])
        train = joined([batch(members[name], name) for name in TRAIN])
        test = joined([batch(members[name], name) for name in TEST])
        kept = len(train) - self.validate_size
        return {"train": train.part(0, kept), "validate": train.part(kept, len(train)), "test": test}


def members_of(archive: bytes, names: Sequence[str]) -> dict[str, bytes]:
    """The bytes of the named files of a .tar.gz, whatever folder they lie in; nothing is unpacked to the disk.

    Raises:
        UserError: the archive is damaged, or lacks one of them.
    """
    remedy = f"fetch {ARCHIVE} again"
    found: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as tar:
            for member in tar:
                file = tar.extractfile(member) if member.isfile() else None
                if file is not None and member.name.rpartition("/")[2] in names:
                    found[member.name.rpartition("/")[2]] = file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise UserError(f"{ARCHIVE} cannot be unpacked: {error}", "a whole .tar.gz file", remedy) from error
    if missing := [name for name in names if name not in found]:
        raise UserError(f"{ARCHIVE} lacks {', '.join(missing)}", f"all of {', '.join(names)}", remedy)
    return found


def batch(content: bytes, name: str) -> Split:
    """The images (N, 3, 32, 32) and labels (N,) of one pickled batch: `data` (N, 3072), red, green, blue, and `labels`.

    Raises:
        UserError: the pickle is not what the authors published.
    """
    held: Any = read_pickle(content, f"{name} of {ARCHIVE}")
    data, labels = (held.get("data"), held.get("labels")) if isinstance(held, dict) else (None, None)
    if not isinstance(data, np.ndarray) or not are_classes(labels) or data.shape != (len(labels), PIXELS):
        raise UserError(
            f"{name} of {ARCHIVE} holds other values",
            f"`data`, an array (N, {PIXELS}) of bytes, and `labels`, a list of N classes",
            f"fetch {ARCHIVE} again",
        )
    return Split(torch.from_numpy(data.copy()).view(-1, 3, 32, 32), torch.tensor(labels))


def are_classes(labels: Any) -> TypeGuard[list[int]]:
    return isinstance(labels, list) and all(type(label) is int and label >= 0 for label in labels)


def joined(batches: Sequence[Split]) -> Split:
    """The examples of several batches, in order."""
    labels = [each.labels for each in batches if each.labels is not None]
    return Split(torch.cat([each.values for each in batches]), torch.cat(labels))
