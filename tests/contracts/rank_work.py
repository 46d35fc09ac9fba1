"""What the ranks of a contract test do, in a module of its own so that a fresh process can import it."""

from pathlib import Path

import torch

from duogen.experiment import trial
from duogen.experiment.trial import Plan
from duogen.modules.gan import GAN


def train_and_keep_gradients(plan: Plan, out: Path) -> int:
    """Trains with the same noise for every example, and saves what each optimizer step is given."""
    rank = trial.rank_of(plan.config)
    kept = []
    step = torch.optim.SGD.step

    def keeping(optimizer, *arguments, **options):
        kept.append(torch.cat([p.grad.flatten() for group in optimizer.param_groups for p in group["params"]]))
        return step(optimizer, *arguments, **options)

    noise = GAN.noise
    torch.optim.SGD.step = keeping
    GAN.noise = lambda module, count: torch.ones(count, module.latent_dim).cumsum(1)
    try:
        code = trial.run(plan)
    finally:
        torch.optim.SGD.step, GAN.noise = step, noise
    torch.save(torch.nn.utils.rnn.pad_sequence(kept), out / f"gradients-{rank}.pt")
    return code


def train_and_keep_module(plan: Plan, out: Path) -> int:
    """Trains, and saves the weights and buffers as this rank has them at the end, and its noise.

    Before it is measured: then Lightning gives all ranks the module of one.
    """
    rank, measured = trial.rank_of(plan.config), trial.measured

    def keeping(trainer, module, *rest):
        torch.save({"module": module.state_dict(), "noise": torch.get_rng_state()}, out / f"module-{rank}.pt")
        return measured(trainer, module, *rest)

    trial.measured = keeping
    try:
        return trial.run(plan)
    finally:
        trial.measured = measured
