"""Sample pictures from fixed noise, as the evaluated networks draw them; of few classes, one a column."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer

from duogen.callbacks.pictures import by_class, picture, save_atomic
from duogen.callbacks.trackers import Tracker
from duogen.seeds import derive


class Samples(Callback):
    """Writes samples/step-N.png after each validation and at the end, and shows it to the trackers.

    Args:
        folder: where the pictures go; null on ranks other than 0, which draw nothing.
        count: examples per picture, >= 1.
        seed: the run's seed; the noise is a function of it alone.
        reference: real examples (N, *shape) that a scatter plot shows beneath, or None.
    """

    def __init__(
        self, folder: Path | None, trackers: Sequence[Tracker], count: int, seed: int, reference: torch.Tensor | None
    ) -> None:
        self.folder, self.trackers, self.count, self.seed, self.reference = folder, trackers, count, seed, reference
        self.drawn = -1

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.global_step == trainer.max_steps:
            self.draw(trainer, pl_module)

    def draw(self, trainer: Trainer, module: Any) -> None:
        step = trainer.global_step
        if self.folder is None or self.drawn == step:
            return
        self.drawn = step
        drawn = module.samples(self.count, torch.Generator().manual_seed(derive(self.seed, "samples")))
        path = self.folder / f"step-{step}.png"
        save_atomic(picture(drawn.values.cpu(), self.reference, by_class(drawn)), path)
        for tracker in self.trackers:
            tracker.picture(step, "samples", path)
