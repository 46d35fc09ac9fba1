"""What a running trial tells the sweep that started it, and the one word it may hear back: stop."""

from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import Callback, Trainer

from duogen.callbacks.guards import Stop
from duogen.modules.ranks import summed

VALIDATED = "validate/"


class Reports(Callback):
    """Sends each row as it is closed; at a validation asks whether to go on, and stops all ranks at that very step.

    At the last step there is nothing left to prune: the run is measured. Stands after Records, whose rows it passes on.
    Only rank 0 has a line; where a trial may be pruned, every rank takes part in the answer.

    Args:
        line: to the sweep: takes (step, row, whether an answer is awaited) and gives a bool; null where there is none.
        stop: the trial's own stop.
        prunable: whether the sweep may end this trial early.
        wish: a file whose existence asks for the same, for sweeps that reach their trials over a file system.
    """

    def __init__(self, line: Connection | None, stop: Stop, prunable: bool, wish: Path | None = None) -> None:
        self.line, self.stop, self.prunable, self.wish = line, stop, prunable, wish
        self.sent: Any = None

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        self.tell(pl_module.last_row, answer=False)

    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        prunable = self.prunable and trainer.global_step < trainer.max_steps
        asked = self.tell(pl_module.last_row, answer=prunable)
        if not prunable:
            return
        wished = trainer.is_global_zero and (asked or (self.wish is not None and self.wish.exists()))
        if trainer.world_size > 1:
            wished = bool(summed(torch.tensor([float(wished)], device=pl_module.device)).item())
        if wished:
            self.stop.pruned = pl_module.stopping = True

    def tell(self, row: dict[str, float], answer: bool) -> bool:
        """Sends a row that was not sent yet; whether the answer is to stop. A sweep that is gone asks for nothing."""
        if self.line is None or row is self.sent or not row:
            return False
        self.sent = row
        try:
            self.line.send((row["step"], row, answer))
            return bool(self.line.recv()) if answer else False
        except (OSError, EOFError):
            self.line = None
            return False
