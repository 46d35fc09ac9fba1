"""Small classifiers whose features metrics compare: each is trained once on a training split, and kept."""

import fcntl
import hashlib
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from itertools import count, islice
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn import functional as F

from duogen.data.examples import ExamplesData
from duogen.data.folder import cache_folder
from duogen.data.order import Order, seeded
from duogen.data.splits import Split
from duogen.errors import UserError
from duogen.experiment.build import build
from duogen.files import write_atomic
from duogen.metrics.lenet import AUTO, SHIPPED, LenetClassifier
from duogen.seeds import derive

TARGET = "duogen.metrics.lenet.Lenet"


@dataclass(frozen=True)
class Recipe:
    """How a classifier is trained: Adam under a one-cycle schedule, on batches shifted at random.

    `epochs` over the training split, but at least `least_steps` steps, of `batch_size` examples or of all where there
    are fewer; `peak` is the schedule's highest learning rate; a shift is up to side // `shifts` pixels each way.
    """

    batch_size: int = 128
    epochs: int = 10
    least_steps: int = 1500
    peak: float = 0.01
    shifts: int = 14
    seed: int = 0


RECIPE = Recipe()


def fill(config: Mapping[str, Any], data: ExamplesData, recipe: Recipe = RECIPE) -> dict[str, Any]:
    """The config whose metrics find, for every `lenet` extractor with weights `auto`, the path of weights for the data.

    Raises:
        UserError: the data has no labels.
    """
    path = cache(lambda: str(ensure(config, data, recipe)))

    def filled(node: Any) -> Any:
        if isinstance(node, list):
            return [filled(below) for below in node]
        if not isinstance(node, Mapping):
            return node
        if node.get("_target_") == TARGET and node.get("weights") == AUTO:
            return dict(node) | {"weights": path()}
        return {name: filled(below) for name, below in node.items()}

    return dict(config) | {"metrics": filled(config["metrics"])}


def ensure(config: Mapping[str, Any], data: ExamplesData, recipe: Recipe = RECIPE) -> Path:
    """The weights file of a classifier of the data: shipped, kept from an earlier run, or trained now.

    A shipped file serves the very training split that it was trained on, told by its checksum. Otherwise the file is
    `classifiers/<checksum>.pt` in the cache folder; of several processes one trains, on the device of the config's
    trainer, and the others wait.

    Raises:
        UserError: the data has no labels.
    """
    if data.classes is None:
        raise UserError("extractor=lenet for data without classes", "data with classes", "use extractor=pixels")
    labels_of(data.splits["train"])
    checksum = fingerprint(data.splits["train"])
    for path in sorted(SHIPPED.glob("*.pt")):
        if _facts(path).get("data_sha256") == checksum:
            return path
    path = cache_folder() / "classifiers" / f"{checksum[:16]}.pt"
    with _alone(path.with_suffix(".lock")):
        facts = _facts(path)
        if (facts.get("data_sha256"), facts.get("recipe")) != (checksum, asdict(recipe)):
            device = torch.device(config["trainer"]["accelerator"])
            print(f"a classifier of the data is trained once, for the metrics: {path}", flush=True)
            write(path, data, recipe, device)
    return path


def ship(config: Mapping[str, Any], out: Path, recipe: Recipe = RECIPE) -> dict[str, Any]:
    """Trains the classifier of a composed config's data on the CPU, writes its weights to `out`, returns their facts.

    So the files in metrics/weights were made:

        from duogen.compose import compose
        ship(compose(["data=mnist"]).config, Path("mnist.pt"))
    """
    return write(out, build(config["data"]), recipe, torch.device("cpu"))


def write(path: Path, data: ExamplesData, recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """Trains a classifier and writes its weights in float16, with what must be known of them; returns the latter.

    `accuracy` is that of the rounded weights on the test split, in [0, 1].

    Raises:
        UserError: the data has no labels.
    """
    network = trained(data, recipe, device)
    state = {name: value.half() if value.is_floating_point() else value for name, value in network.state_dict().items()}
    network.load_state_dict(state)
    facts = {
        "shape": list(data.shape),
        "classes": data.classes,
        "accuracy": accuracy(network, data.splits["test"], device),
        "data_sha256": fingerprint(data.splits["train"]),
        "recipe": asdict(recipe),
    }
    buffer = io.BytesIO()
    torch.save(facts | {"state": {name: value.cpu() for name, value in state.items()}}, buffer)
    write_atomic(path, buffer.getvalue())
    return facts


def trained(data: ExamplesData, recipe: Recipe, device: torch.device) -> LenetClassifier:
    """A classifier trained on the training split alone, a pure function of data, recipe and kind of device."""
    split = data.splits["train"].to(device)
    labels = labels_of(split)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(recipe.seed, "classifier"))
        network = LenetClassifier(data.shape, data.classes or 0).to(device).train()
    order = Order(recipe.seed, "classifier", len(split), min(recipe.batch_size, len(split)))
    steps = max(recipe.epochs * order.batches_per_epoch, recipe.least_steps)
    optimizer = torch.optim.Adam(network.parameters(), lr=recipe.peak)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=recipe.peak, total_steps=steps)
    generator = seeded(recipe.seed, "classifier shifts")
    most = min(data.shape[1:]) // recipe.shifts
    for index in islice(_indices(order, device), steps):
        logits = network(shifted(split.select(index).values, most, generator)).logits
        optimizer.zero_grad()
        F.cross_entropy(logits, labels[index]).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


def fingerprint(split: Split) -> str:
    """The sha256 of a split as it is stored: shapes, types, values and labels."""
    digest = hashlib.sha256()
    for tensor in split.stored:
        digest.update(f"{tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.cpu().contiguous().numpy().data)
    return digest.hexdigest()


def shifted(values: Tensor, most: int, generator: Generator) -> Tensor:
    """Images (N, C, H, W), each moved by up to `most` pixels both ways; what enters repeats the border."""
    size, channels, height, width = values.shape
    padded = F.pad(values, [most] * 4, mode="replicate")
    top, left = torch.randint(2 * most + 1, (2, size, 1), generator=generator).to(values.device)
    rows, columns = top + torch.arange(height, device=top.device), left + torch.arange(width, device=left.device)
    each = torch.arange(size, device=values.device)[:, None, None, None]
    every = torch.arange(channels, device=values.device)[:, None, None]
    return padded[each, every, rows[:, None, :, None], columns[:, None, None, :]]


def labels_of(split: Split) -> Tensor:
    """The split's labels (N,); raises UserError where it has none."""
    if split.labels is None:
        raise UserError("extractor=lenet for data without labels", "data with classes", "use extractor=pixels")
    return split.labels


def accuracy(network: LenetClassifier, split: Split, device: torch.device) -> float:
    """The share of a split's examples whose label has the highest logit, in [0, 1]."""
    parts = (split.part(start, start + 500).examples().values for start in range(0, len(split), 500))
    with torch.no_grad():
        classes = torch.cat([network(values.to(device)).logits.argmax(1).cpu() for values in parts])
    return float((classes == labels_of(split).cpu()).double().mean())


def _indices(order: Order, device: torch.device) -> Iterator[Tensor]:
    return (index for epoch in count() for index in order.epoch(epoch).to(device))


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Waits until no other process is inside."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _facts(path: Path) -> dict[str, Any]:
    """What a weights file says of itself; nothing where there is none, or one that cannot be read."""
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception:
        return {}
