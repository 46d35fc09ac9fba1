"""The part of Lightning's loop that runs at every batch, with what a module of turns needs of it and no more."""

from collections.abc import Sequence
from typing import Any

from pytorch_lightning import Callback
from pytorch_lightning.loops.fetchers import _DataFetcher
from pytorch_lightning.loops.training_epoch_loop import _TrainingEpochLoop

from duogen.modules.alternating import AlternatingModule


class TurnLoop(_TrainingEpochLoop):
    """Lightning's epoch loop with a short way from one batch to the next.

    Lightning's own way serves automatic optimization, `self.log`, loggers, profilers and every hook of every callback,
    at a fifth of a millisecond of Python per batch. Here batches move themselves, nothing is logged by hooks, and only
    callbacks that override a hook are called. Validation, the limit of steps and the counters stay Lightning's.
    """

    starting: Sequence[Callback] | None = None
    ending: Sequence[Callback] = ()

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """One batch: the hooks at its start, the turns, the hooks at its end.

        Raises:
            StopIteration: the module asked for a stop between two steps.
        """
        trainer: Any = self.trainer
        module = trainer.lightning_module
        assert isinstance(module, AlternatingModule)
        if self.starting is None:
            self.starting = overriding(trainer.callbacks, "on_train_batch_start")
            self.ending = overriding(trainer.callbacks, "on_train_batch_end")
        batch: Any = next(data_fetcher)[0].to(module.device)
        index, progress = self.batch_idx + 1, self.batch_progress
        progress.increment_ready()
        for callback in self.starting:
            callback.on_train_batch_start(trainer, module, batch, index)
        if module.stopping:
            raise StopIteration
        progress.increment_started()
        with trainer.precision_plugin.train_step_context():
            module.training_step(batch, index)
        progress.increment_processed()
        for callback in self.ending:
            callback.on_train_batch_end(trainer, module, None, batch, index)
        progress.increment_completed()

    def on_advance_end(self, data_fetcher: _DataFetcher) -> None:
        """Lightning's own way where a validation is due or an end is near; elsewhere it does nothing of use."""
        trainer: Any = self.trainer
        near = self._skip_next_val or trainer.should_stop or trainer.received_sigterm
        if near or self.batch_progress.total.ready % trainer.val_check_batch == 0:
            super().on_advance_end(data_fetcher)


def overriding(callbacks: Sequence[Callback], hook: str) -> list[Callback]:
    """The callbacks that do something at `hook`."""
    return [callback for callback in callbacks if getattr(type(callback), hook) is not getattr(Callback, hook)]
