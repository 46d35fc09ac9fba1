"""The data module of every set of images or vectors."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from pytorch_lightning import LightningDataModule

from duogen.data.order import Order, permutation
from duogen.data.splits import Split
from duogen.data.stream import Batches, EvaluationBatches, Restartable, loaded
from duogen.data.transforms import Transform
from duogen.errors import UserError
from duogen.records import Examples


class ExamplesData(LightningDataModule, ABC):
    """Images (C, H, W) in [-1, 1] or vectors (D,), with labels or without, in three splits: train, validate, test.

    Without workers each split lies on the trainer's device as one tensor; with workers it stays on the CPU. Either way
    the batches are the same. Without a trainer: on the CPU, from step 0, one rank.

    Args:
        shape: of one example, (C, H, W) or (D,).
        classes: how many classes the labels index, or None without labels.
        batch_size: of a training batch, all ranks together.
        workers: processes that prepare training batches; 0 for data that fits on the device.
        seed: of the order of the training batches, and of what the transforms draw.
        transforms: done anew to each training image, in this order.
        evaluation_size: at most so many examples of validate and of test are used, a fixed random choice; None: all.
    """

    evaluation_batch: ClassVar[int] = 500

    def __init__(
        self,
        shape: Sequence[int],
        classes: int | None,
        batch_size: int,
        workers: int,
        seed: int,
        transforms: Sequence[Transform] = (),
        evaluation_size: int | None = None,
    ) -> None:
        super().__init__()
        self.shape, self.classes = tuple(shape), classes
        self.batch_size, self.workers, self.seed = batch_size, workers, seed
        self.transforms, self.evaluation_size = transforms, evaluation_size

    @abstractmethod
    def load(self) -> Mapping[str, Split]:
        """The splits `train`, `validate` and `test` on the CPU; called once.

        Raises:
            UserError: files are missing or not those declared.
        """

    @property
    def label_count(self) -> int:
        """How many values the labels may take."""
        return self.classes or 0

    @property
    def resident(self) -> bool:
        """Whether the splits lie on the device as a whole."""
        return self.workers == 0

    @cached_property
    def splits(self) -> dict[str, Split]:
        splits = dict(self.load())
        for name, split in splits.items():
            self._check(name, split)
        held_out = {name: splits[name] for name in ("validate", "test")}
        most = max(len(split) for split in held_out.values())
        if self.evaluation_size is not None and not 1 <= self.evaluation_size <= most:
            given, allowed = f"data.evaluation_size={self.evaluation_size}", f"1 to {most}, or null for all"
            raise UserError(given, f"{allowed}; of a split with fewer, all", "change it")
        return splits | {name: self._chosen(name, split) for name, split in held_out.items()}

    def setup(self, stage: str | None = None) -> None:
        """Reads the data; a second call does nothing."""
        _ = self.splits

    def stream(self, start: int, purpose: str = "train") -> Iterator[Examples]:
        """This rank's training batches from number `start` on, without end; another `purpose` is an independent stream.

        Raises:
            UserError: a batch size that the split or the ranks cannot serve.
        """
        order = Order(self.seed, purpose, len(self.splits["train"]), self.batch_size, *self._place)
        batches = Batches(self._resident("train"), order, self.transforms)
        return batches.since(start) if self.resident else loaded(batches, start, self.workers, self.device)

    def train_dataloader(self) -> Restartable:
        """The stream from the trainer's global step on."""
        return Restartable(lambda: self.stream(self.trainer.global_step if self.trainer else 0))

    def val_dataloader(self) -> EvaluationBatches:
        return EvaluationBatches(self._resident("validate"), self.evaluation_batch, self.device)

    def test_dataloader(self) -> EvaluationBatches:
        return EvaluationBatches(self._resident("test"), self.evaluation_batch, self.device)

    @property
    def train_once(self) -> Split:
        """The training split as a network sees it but for its augmentation: what other examples are compared with."""
        return self._resident("train")

    def train_examples(self, n: int) -> Examples:
        """The first `n` training examples as a network sees them, for a real-against-real floor.

        Raises:
            UserError: the split holds fewer.
        """
        if n > len(self.splits["train"]):
            limit = len(self.splits["train"])
            raise UserError(f"{n} training examples were asked for", f"at most {limit}", "ask for fewer")
        return self.train_once.part(0, n).to(self.device).examples()

    @property
    def batches_per_epoch(self) -> int:
        return Order(self.seed, "train", len(self.splits["train"]), self.batch_size).batches_per_epoch

    def facts(self) -> Mapping[str, Any]:
        """What only a user's own files know, to be filled into the config; nothing for a known data set."""
        return {}

    def checksum(self) -> str:
        """The sha256 of all splits as they are stored: names, shapes, values and labels."""
        digest = hashlib.sha256()
        for name, split in sorted(self.splits.items()):
            for tensor in split.stored:
                digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
                digest.update(tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    @property
    def device(self) -> torch.device:
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    @property
    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _resident(self, name: str) -> Split:
        if self.resident:
            self.splits[name] = self.splits[name].to(self.device)
        return self.splits[name]

    def _chosen(self, name: str, split: Split) -> Split:
        """So many examples of a split for evaluation as are asked for, the same in every run."""
        size = self.evaluation_size
        if size is None or size >= len(split):
            return split
        return split.rows(permutation(0, f"{name} subset", 0, len(split))[:size])

    def _check(self, name: str, split: Split) -> None:
        if not len(split):
            raise UserError(f"the {name} split is empty", "at least one example", "change the sizes under data")
        if split.shape != self.shape:
            raise UserError(
                f"data.shape={list(self.shape)}",
                f"{list(split.shape)}, the shape of the {name} split",
                "correct data.shape",
            )
        if split.labels is not None and len(split) and int(split.labels.max()) >= self.label_count:
            raise UserError(
                f"data.classes={self.classes}",
                f"{int(split.labels.max()) + 1} or more, for the labels of the {name} split",
                "correct data.classes",
            )
