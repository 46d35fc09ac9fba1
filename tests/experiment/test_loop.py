from pytorch_lightning import Callback

from contracts.cases import ALLOW, found
from duogen.experiment import assemble, trial
from duogen.experiment.folder import RunFolder
from duogen.experiment.loop import overriding
from duogen.experiment.trial import Plan

GAN_CASE = next(case for case in found() if case.name == "gan")


class Starts(Callback):
    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        pass


class Both(Starts):
    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        pass


def test_callbacks_are_called_for_what_they_override():
    callbacks = [Callback(), Starts(), Both()]
    assert overriding(callbacks, "on_train_batch_start") == callbacks[1:]
    assert overriding(callbacks, "on_train_batch_end") == callbacks[2:]


class Noted(Callback):
    """What a callback of a user's sees of each batch."""

    def __init__(self):
        self.seen = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        self.seen.append(("start", batch_idx, trainer.global_step, batch.count))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(("end", batch_idx, trainer.global_step, trainer.fit_loop.total_batch_idx))

    def on_validation_start(self, trainer, pl_module):
        self.seen.append(("validation", trainer.global_step))


def test_hooks_come_in_lightnings_order_and_count_as_its_loop_does(tmp_path, monkeypatch):
    noted, build = Noted(), assemble.trainer
    monkeypatch.setattr(assemble, "trainer", lambda config, callbacks: build(config, [*callbacks, noted]))
    config = GAN_CASE.config("budget.steps=3", "validate_every=2")
    assert trial.run(Plan(config, tmp_path / "run", allow=ALLOW)) == 0
    training = [entry for entry in noted.seen if entry[0] != "validation"]
    expected = [entry for i in range(3) for entry in (("start", i, i, 16), ("end", i, i + 1, i))]
    assert training == expected
    assert noted.seen.index(("validation", 2)) == noted.seen.index(("start", 2, 2, 16)) - 1
    assert RunFolder(tmp_path / "run").record().steps == 3
