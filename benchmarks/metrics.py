"""The time and memory of metrics on features, beside torchmetrics on the same features in the same run.

Every line at the end is `name: ratio`, our seconds by theirs: below 1 is faster. Both sides start from what their
update collected: features, but sums for torchmetrics' Frechet distance. So `frechet` starts from our moments of the
generated side, and `frechet with moments` takes them too. `cached` is a real side whose statistics are known. The
kernel's lines compare different work: theirs is 100 subsets of 1,000 in float32, ours all pairs in float64.
torchmetrics has no precision and recall: `neighbours/frechet` is beside its Frechet distance. Memory is what a compute
adds to the features.
"""

import argparse
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from duogen.metrics.frechet import between, moments
from duogen.metrics.kernel import discrepancy, sums_between, sums_within
from duogen.metrics.neighbours import proportions, radii
from duogen.metrics.side import Side

NEIGHBOURS = 5
SUBSET = 1000


class Given(nn.Module):
    """Features pass through: a metric of images becomes one of features."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.num_features = dimension

    def forward(self, features: Tensor) -> Tensor:
        return features


def features(count: int, dimension: int, seed: int) -> Tensor:
    """Correlated features (N, F), >= 0 as after a ReLU, of which the two seeds differ a little in law."""
    generator = torch.Generator().manual_seed(0)
    mix = torch.randn(dimension, dimension, generator=generator) / dimension**0.5
    drawn = torch.randn(count, dimension, generator=generator.manual_seed(1 + seed))
    return (drawn @ mix * (1 + 0.05 * seed) + 0.2).relu()


def side(values: Tensor) -> Side:
    return Side(values, None, None, None, "")


def kernel(generated: Side, real: Side) -> float:
    own1, own2 = (shown.derived("kernel_rows", sums_within)["rows"] for shown in (generated, real))
    return float(discrepancy(own1, own2, *sums_between(generated.features, real.features))[0])


def neighbours(generated: Side, real: Side) -> float:
    first, second = (shown.derived("radii", lambda x: radii(x, NEIGHBOURS))["squared"] for shown in (generated, real))
    return float(proportions(generated.features, real.features, first, second, NEIGHBOURS)[0])


def frechet(generated: Side, real: Side) -> float:
    return float(between(generated, real))


def with_moments(values: Tensor) -> Side:
    """A side whose moments are known."""
    known = side(values)
    known.derived("moments", moments)
    return known


def theirs(metric: nn.Module, generated: Tensor, real: Tensor) -> Callable[[], float]:
    """The compute of one of torchmetrics', after it was given the features in batches."""
    for values, is_real in ((generated, False), (real, True)):
        for batch in values.split(SUBSET):
            metric.update(batch, real=is_real)  # pyright: ignore[reportCallIssue]

    def compute() -> float:
        metric._computed = None  # pyright: ignore[reportArgumentType]
        found = metric.compute()  # pyright: ignore[reportCallIssue]
        return float(found[0] if isinstance(found, tuple) else found)

    return compute


def resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@contextmanager
def watched(peaks: list[int]) -> Iterator[None]:
    """Notes how far this process's memory rises above where it began, every 5 ms."""
    start, done = resident(), threading.Event()
    found = [start]

    def watch() -> None:
        while not done.wait(0.005):
            found.append(resident())

    thread = threading.Thread(target=watch)
    thread.start()
    yield
    done.set()
    thread.join()
    peaks.append(max([*found, resident()]) - start)


def timed(name: str, work: Callable[[], float], rounds: int) -> float:
    """The least seconds of some rounds, printed beside the value and the memory that the work took."""
    seconds, value, peaks = [], 0.0, []
    for _ in range(rounds):
        with watched(peaks):
            began = time.perf_counter()
            value = work()
            seconds.append(time.perf_counter() - began)
    print(f"{name:28} {min(seconds):8.2f} s  {max(peaks) / 2**20:8.0f} MiB  value {value:.6g}", flush=True)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="examples on each side")
    parser.add_argument("--dimension", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=2)
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="torchmetrics")
    generated, real = (features(options.count, options.dimension, seed) for seed in (1, 0))
    known = side(real)
    for work in (frechet, kernel, neighbours):
        work(side(generated[: SUBSET + 1]), known)
    size = min(SUBSET, options.count)
    other_frechet = FrechetInceptionDistance(Given(options.dimension), input_img_size=(1, 1, options.dimension))
    other_kernel = KernelInceptionDistance(Given(options.dimension), subset_size=size)
    references = {
        "frechet": timed("torchmetrics frechet", theirs(other_frechet, generated, real), options.rounds),
        "kernel": timed("torchmetrics kernel", theirs(other_kernel, generated, real), options.rounds),
    }
    summed = with_moments(generated)
    cases = (
        ("frechet", "frechet", frechet, lambda: summed),
        ("frechet with moments", "frechet", frechet, lambda: side(generated)),
        ("kernel", "kernel", kernel, lambda: side(generated)),
        ("neighbours/frechet", "frechet", neighbours, lambda: side(generated)),
    )
    lines = []
    for name, reference, work, shown in cases:
        for state, other in (("cached", lambda: known), ("uncached", lambda: side(real))):
            seconds = timed(f"{name} {state}", lambda w=work, s=shown, o=other: w(s(), o()), options.rounds)
            lines.append(f"{name}/{state}: {seconds / references[reference]:.2f}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
