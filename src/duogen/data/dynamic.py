"""Grey images read as probabilities: black or white is drawn anew at each use in training."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from math import prod

import torch

from duogen.data.idx import IdxImages
from duogen.data.order import seeded
from duogen.data.splits import Split
from duogen.data.transforms import Binarise, Transform


class DynamicImages(IdxImages):
    """Images (1, H, W) of -1 and 1, drawn from grey images: x = 1 with probability v / 255 for a stored byte v.

    Each training image is drawn anew whenever it is used, after all other transforms; each image for validation and for
    testing once, a function of `split_seed` alone, so that a likelihood is always that of the same images.

    Args:
        pad: black pixels added on each side.
        validate_size: examples at the end of the training file that are for validation; 400 in IWAE's protocol.
        split_seed: of the images for validation and testing.
        folder: of the files, below the data folder.
        files: public `url` and `sha256` of each file by name.

    References: Salakhutdinov & Murray 2008, section 4; Burda, Grosse & Salakhutdinov 2016 (IWAE), section 5.
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
        split_seed: int,
        folder: str,
        files: Mapping[str, Mapping[str, str]],
    ) -> None:
        self.binarise, self.split_seed = Binarise(shape), split_seed
        chain = [*transforms, self.binarise]
        super().__init__(
            shape, classes, batch_size, workers, seed, chain, evaluation_size, pad, validate_size, folder, files
        )

    def load(self) -> Mapping[str, Split]:
        grey = super().load()
        return {"train": grey["train"]} | {name: self._once(name, grey[name]) for name in ("validate", "test")}

    @property
    def train_once(self) -> Split:
        return self._train_once

    @cached_property
    def _train_once(self) -> Split:
        return self._once("train", self.splits["train"])

    def _once(self, name: str, grey: Split) -> Split:
        generator = seeded(self.split_seed, f"{name} binarised")
        uniform = torch.rand(len(grey), prod(grey.shape), generator=generator).to(grey.values.device)
        return Split(self.binarise(grey.values, uniform), grey.labels)
