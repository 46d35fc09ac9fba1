"""An epoch of an MLP VAE beside a hand-written loop and beside pythae: 784-400-40-400-784, batches of 100, Adam.

All three train on the same 50,000 images of noise, in memory, in one process, in turn. Ours is `duogen train` with all
defaults on (rows, tracker, progress, record), from the start of training to the end of the last step; no validation and
no checkpoint is due within an epoch. The loop by hand stands twice: with Adam as torch makes it, and with `fused=True`,
which is our default. pythae's is its trainer's own epoch; it comes with the extra `bench`.
"""

import argparse
import json
import platform
import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from step import ALLOW, Cost, ours
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from duogen.compose import compose
from duogen.experiment import assemble
from duogen.experiment.resolve import resolve
from duogen.modules.vae import VAE

IMAGES, BATCH = 50_000, 100
STEPS = IMAGES // BATCH


def configured(logger: str) -> dict[str, Any]:
    settings = (f"trainer.max_steps={STEPS}", f"logger={logger}", "trainer=cpu", "metrics=[]")
    settings = (*settings, "validate_every=1000000", "checkpoint_every=1000000")
    config = compose(["experiment=pythae_vae", "scheduler=constant", *settings]).config
    config["data"] = {
        "_target_": "noise.Noise", "shape": [1, 28, 28], "batch_size": BATCH, "workers": 0, "seed": 0, "size": IMAGES,
    }  # fmt: skip
    return resolve(config, "benchmark", ALLOW)


def images(config: dict[str, Any]) -> Tensor:
    """The training images in [-1, 1], as ours sees them."""
    data = assemble.data(config, ALLOW)
    data.setup()
    return data.train_examples(IMAGES).values


def by_hand(config: dict[str, Any], fused: bool | None) -> Cost:
    """A plain loop, as one would write it with care, with Adam as torch makes it, or fused."""
    module = assemble.module(config, ALLOW)
    assert isinstance(module, VAE)
    posterior, decoder = module.autoencoder.posterior, module.autoencoder.generation.decoder
    recognise = nn.Sequential(posterior.encoder, posterior.get_submodule("head"))
    parameters = [*recognise.parameters(), *decoder.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-4, fused=fused)
    batches = (batch.values for batch in assemble.data(config, ALLOW).stream(0))
    next(batches)
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(STEPS):
        values = next(batches)
        mean, log_variance = recognise(values).chunk(2, 1)
        code = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        distortion = binary_cross_entropy_with_logits(decoder(code), (values + 1) / 2, reduction="sum")
        rate = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum()
        optimizer.zero_grad()
        ((distortion + rate) / len(values)).backward()
        optimizer.step()
    return Cost(time.process_time() - cpu, time.perf_counter() - wall)


class Peer:
    """pythae's trainer on the same images, networks of the same sizes and the same optimizer."""

    def __init__(self, values: Tensor, folder: str) -> None:
        from peers.pythae_vae import trainer

        self.trainer, self.epoch = trainer(values, BATCH, folder), 0

    def __call__(self) -> Cost:
        self.epoch += 1
        cpu, wall = time.process_time(), time.perf_counter()
        self.trainer.train_step(self.epoch)
        return Cost(time.process_time() - cpu, time.perf_counter() - wall)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--no-pythae", dest="pythae", action="store_false")
    options = parser.parse_args()
    place = {"torch": torch.__version__, "threads": torch.get_num_threads(), "machine": platform.machine()}
    print(json.dumps(place | vars(options)))
    config = configured("csv")
    with TemporaryDirectory() as scratch:
        count = iter(range(10**6))
        runs: dict[str, Any] = {
            "duogen": lambda: ours(config, Path(scratch) / str(next(count))),
            "by_hand": lambda: by_hand(config, None),
            "by_hand_fused": lambda: by_hand(config, True),
        }
        if options.pythae:
            runs["pythae"] = Peer((images(config) + 1) / 2, scratch)
        found: dict[str, list[Cost]] = {name: [] for name in runs}
        for turn in range(options.repeats + 1):  # the first round is not counted
            order = list(runs) if turn % 2 else list(runs)[::-1]
            for name in order:
                cost = runs[name]()
                if turn:
                    found[name].append(cost)
    for name, costs in found.items():
        print(f"  {name}: {statistics.median(cost.wall_s for cost in costs):.3f} s an epoch, median of {len(costs)}")
    for name in found:
        if name != "duogen":
            ratios = [a.cpu_s / b.cpu_s for a, b in zip(found["duogen"], found[name], strict=True)]
            print(f"vae/{name}: {statistics.median(ratios):.3f}")


if __name__ == "__main__":
    main()
