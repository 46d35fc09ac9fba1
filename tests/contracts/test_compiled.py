"""Laws 8 and 9: compiled networks keep their keys and their results; a step never waits for the device."""

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from contracts.cases import found, run
from duogen.experiment.checkpoint import load
from duogen.modules.turns import Alternate

CASES = found()
GAN_CASE = next(case for case in CASES if case.name == "gan")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_compiled_networks_change_neither_keys_nor_weights(case, tmp_path):
    eager = load(run(case.config("budget.steps=4"), tmp_path / "eager").last)["module"]
    compiled = load(run(case.config("budget.steps=4", "compile=aot_eager"), tmp_path / "compiled").last)["module"]
    assert list(eager) == list(compiled)
    for name, value in eager.items():
        torch.testing.assert_close(compiled[name], value, rtol=1e-4, atol=1e-6)


def test_penalties_differentiate_the_eager_network_twice(tmp_path):
    config = GAN_CASE.config("budget.steps=3", "compile=aot_eager", "penalty=[r1,r2,gradient_penalty]")
    run(config, tmp_path / "run")


class Syncs(TorchDispatchMode):
    """Counts the operations by which the host reads a value of the device."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, function, types, arguments=(), options=None):
        self.count += function.overloadpacket in (torch.ops.aten._local_scalar_dense, torch.ops.aten.is_nonzero)
        return function(*arguments, **(options or {}))


@pytest.mark.parametrize(
    "overrides",
    [
        ("optimizer=sgd",),
        ("optimizer=sgd", "penalty=[r1,gradient_penalty]", "turns=five_to_one"),
        (
            "optimizer=sgd",
            "optimizers.generator.ema.decay=0.9",
            "turns.generator.clip=1.0",
            "turns.generator.accumulate=2",
        ),
        ("adversarial=wasserstein", "model.weight_clip=0.01", "optimizer=rmsprop"),
    ],
)
def test_a_step_between_two_rows_has_no_host_sync(overrides, tmp_path, monkeypatch):
    """With SGD and RMSprop: torch's own Adam reads its step counter, which lies on the CPU."""
    syncs = Syncs()
    play = Alternate.play

    def watched(turns, module, batch):
        with syncs:
            play(turns, module, batch)

    monkeypatch.setattr(Alternate, "play", watched)
    folder = run(GAN_CASE.config("budget.steps=9", "log_every=100", *overrides), tmp_path / "run")
    assert folder.record().steps == 9
    assert syncs.count == 0


def test_the_counter_of_syncs_counts():
    with Syncs() as syncs:
        torch.ones(()).item()
    assert syncs.count == 1
