"""A training step beside a hand-written loop: same networks, optimizers and batches, interleaved in one process.

Ours is `duogen train` with every default on (rows, tracker, progress, record, checkpoints), from the start of training
to the end of the last step; validation, which the loop by hand has none of, is not due. CPU time is the process's.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from pytorch_lightning import Callback
from torch import Tensor, nn
from torch.nn.functional import softplus

from duogen.compose import compose
from duogen.experiment import assemble, trial
from duogen.experiment.resolve import resolve
from duogen.experiment.trial import Plan
from duogen.modules.gan import GAN

ALLOW = ["noise."]
RING = ("data=ring", "generator=mlp", "discriminator=mlp", "latent_dim=2", "data.batch_size=256")
WIDE = ("generator.width=128", "discriminator.width=128", "generator.depth=3", "discriminator.depth=3")


@dataclass(frozen=True)
class Cost:
    cpu_s: float
    wall_s: float


class Clock(Callback):
    """Process CPU time and wall time from the start of training to the end of its last step."""

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        synchronize(pl_module.device)
        self.started = (time.process_time(), time.perf_counter())

    def on_train_batch_end(self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == trainer.max_steps:
            synchronize(pl_module.device)
            cpu, wall = self.started
            self.cost = Cost(time.process_time() - cpu, time.perf_counter() - wall)


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def ours(config: dict[str, Any], folder: Path) -> Cost:
    """The time of our own loop, which is told nothing but to carry a clock."""
    clock, build = Clock(), assemble.trainer
    assemble.trainer = lambda config, callbacks: build(config, [*callbacks, clock])
    try:
        with redirect_stdout(StringIO()):
            assert trial.run(Plan(config, folder, {"data": "benchmark"}, allow=ALLOW)) == 0
    finally:
        assemble.trainer = build
    return clock.cost


def by_hand(config: dict[str, Any], steps: int) -> Cost:
    """A plain loop, as one would write it with care: the discriminator frozen while the generator learns."""
    device = torch.device(config["trainer"]["accelerator"])
    module = assemble.module(config, ALLOW).to(device)
    assert isinstance(module, GAN)
    generator, discriminator = module.generator, module.discriminator
    learners = {player: assemble.learner(config, player, 1.0, ALLOW, {}) for player in ("generator", "discriminator")}
    optimizers = [learners["generator"].optimizer(generator.parameters()),
                  learners["discriminator"].optimizer(discriminator.parameters())]  # fmt: skip
    data = assemble.data(config, ALLOW)
    data.splits["train"] = data.splits["train"].to(device)
    batches = (batch.values for batch in data.stream(0))
    dtype = torch.bfloat16 if config["trainer"]["precision"] == "bf16-mixed" else None
    synchronize(device)
    cpu, wall = time.process_time(), time.perf_counter()
    with torch.autocast(device.type, dtype=dtype, enabled=dtype is not None):
        loop(generator, discriminator, optimizers, batches, steps, module.latent_dim)
    synchronize(device)
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def loop(
    generator: nn.Module,
    discriminator: nn.Module,
    optimizers: list[torch.optim.Optimizer],
    batches: Iterator[Tensor],
    steps: int,
    latent_dim: int,
) -> None:
    of_generator, of_discriminator = optimizers
    for _ in range(steps):
        real = next(batches)
        count, device = real.shape[0], real.device
        with torch.no_grad():
            fake = generator(torch.randn(count, latent_dim, device=device))
        loss = softplus(-discriminator(real).float()).mean() + softplus(discriminator(fake).float()).mean()
        of_discriminator.zero_grad()
        loss.backward()
        of_discriminator.step()
        discriminator.requires_grad_(False)
        loss = softplus(-discriminator(generator(torch.randn(count, latent_dim, device=device))).float()).mean()
        of_generator.zero_grad()
        loss.backward()
        of_generator.step()
        discriminator.requires_grad_(True)


def configured(overrides: tuple[str, ...], steps: int, logger: str, device: str, precision: str) -> dict[str, Any]:
    settings = (f"trainer.max_steps={steps}", f"logger={logger}", "validate_every=1000000", f"trainer={device}")
    composed = compose([*overrides, *settings, f"trainer.precision={precision}"])
    config = composed.config
    if overrides[0] != "data=ring":
        config["data"] = {
            "_target_": "noise.Noise",
            "shape": [1, 28, 28],
            "batch_size": 64,
            "workers": 0,
            "seed": 0,
            "size": 10000,
        }
        config["generator"]["shape"] = config["discriminator"]["shape"] = [1, 28, 28]
        config["model"]["generator"]["shape"] = config["model"]["discriminator"]["shape"] = [1, 28, 28]
        config["metrics"] = {}
    return resolve(config, "benchmark", ALLOW)


def interleaved(first: Callable[[], Cost], second: Callable[[], Cost], repeats: int) -> list[tuple[Cost, Cost]]:
    """Pairs measured in turn, after one unmeasured pair; the order swaps from pair to pair."""
    first()
    second()
    pairs = []
    for index in range(repeats):
        if index % 2:
            b, a = second(), first()
        else:
            a, b = first(), second()
        pairs.append((a, b))
    return pairs


def measure(name: str, overrides: tuple[str, ...], steps: int, options: argparse.Namespace) -> list[str]:
    logged: dict[str, list[tuple[Cost, Cost]]] = {}
    with TemporaryDirectory() as scratch:
        count = iter(range(10**6))
        for logger in ["csv", "wandb"] if name == "mlp" and options.wandb else ["csv"]:
            config = configured(overrides, steps, logger, options.device, options.precision)
            logged[logger] = interleaved(
                lambda config=config: ours(config, Path(scratch) / str(next(count))),
                lambda config=config: by_hand(config, steps),
                options.repeats,
            )
    on_gpu = options.device == "gpu"
    lines = [f"step/{name}: {ratio(logged['csv'], 'wall_s' if on_gpu else 'cpu_s'):.3f}"]
    for logger, pairs in logged.items():
        for kind in ("cpu_s", "wall_s"):
            ms = [statistics.median(getattr(pair[side], kind) for pair in pairs) / steps * 1000 for side in (0, 1)]
            print(f"  {name} {logger} {kind}: {ms[0]:.3f} ms a step, by hand {ms[1]:.3f} ms, median of {len(pairs)}")
    if "wandb" in logged:
        lines.append(f"step/{name}/wandb: {ratio(logged['wandb'], 'wall_s'):.3f}")
    return lines


def ratio(pairs: list[tuple[Cost, Cost]], kind: str) -> float:
    """Median of the ratios of neighbours, ours over by hand: the machine's speed drifts from pair to pair."""
    return statistics.median(getattr(a, kind) / getattr(b, kind) for a, b in pairs)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--steps", type=int, default=1000, help="of the MLP; the DCGAN takes a tenth")
    parser.add_argument("--device", default="cpu", choices=["cpu", "gpu"])
    parser.add_argument("--precision", default="32", choices=["32", "bf16-mixed"])
    parser.add_argument("--no-wandb", dest="wandb", action="store_false")
    options = parser.parse_args()
    place = {"torch": torch.__version__, "threads": torch.get_num_threads(), "machine": platform.machine()}
    print(json.dumps(place | vars(options)))
    lines = measure("mlp", (*RING, *WIDE), options.steps, options)
    share = 1 if options.device == "gpu" else 10
    lines += measure("dcgan", ("data=digits", "latent_dim=100"), max(1, options.steps // share), options)
    print("\n".join(lines))


if __name__ == "__main__":
    main()
