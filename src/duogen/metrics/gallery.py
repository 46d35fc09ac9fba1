"""Features of generated and of real examples, collected once for all the metrics that look at them."""

import json
from abc import ABC
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict
from hashlib import sha256
from math import nan, prod
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.utilities.distributed import gather_all_tensors

from duogen.errors import UserError
from duogen.metrics.cache import TensorCache
from duogen.metrics.extractor import Extractor
from duogen.metrics.measure import Measure
from duogen.metrics.side import RealSet, Side
from duogen.records import Examples

FORMAT = 1
SIDES = ("generated", "real")


class Collected:
    """What a gallery holds of both sides, over all batches and ranks."""

    def __init__(self, generated: Side, real: Side) -> None:
        self.generated, self.real = generated, real


class Gallery(Metric):
    """The features, logits and labels of generated and of real examples, on the CPU, gathered over the ranks.

    Memory is 4 (F + K) bytes per example and side, on every rank, and twice that while a side is put together. A real
    side that is known by its `RealSet`, from an earlier validation or from the disk, is not extracted again.
    """

    is_differentiable = False
    full_state_update = False

    n_generated: Tensor
    n_real: Tensor

    def __init__(self, extractor: Extractor) -> None:
        super().__init__(dist_sync_fn=gathered)
        # In a tuple the network is no part of this module: no checkpoint holds it, no cast changes it.
        self._network = (extractor,)
        self.cache: TensorCache | None = None
        self.shape: tuple[int, ...] = ()
        self.expected: RealSet | None = None
        self.known: Side | None = None
        self._remembered: dict[RealSet, Side] = {}
        for side in SIDES:
            self.add_state(f"n_{side}", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
            for part in self._empty():
                self.add_state(f"{side}_{part}", [], dist_reduce_fx="cat")
        self.reset()

    @property
    def extractor(self) -> Extractor:
        return self._network[0]

    def reset(self) -> None:
        """Forgets the examples, and which real set was expected, but not what known real sets looked like."""
        super().reset()
        self.expected = self.known = None
        # Ranks without examples gather too, and must know the shapes.
        for side in SIDES:
            for part, empty in self._empty().items():
                getattr(self, f"{side}_{part}").append(empty)

    def begin(self, real: RealSet) -> None:
        """Starts anew on all of the real set `real`, whose features are not extracted if all ranks know them."""
        self.reset()
        self.expected = real
        if real not in self._remembered and self.cache is not None:
            stored = self._stored(real, self.cache)
            if self._on_all_ranks(stored is not None) and stored is not None:
                self._remembered[real] = stored
        self.known = self._remembered.get(real)

    def update(self, generated: Examples, real: Examples) -> None:
        """Extracts `generated` (N, *shape) and, unless it is known, `real` (M, *shape), in [-1, 1], on any device."""
        self._collect("generated", generated)
        if self.known is None:
            self._collect("real", real)
        self.shape = tuple(generated.values.shape[1:])
        self.n_generated += generated.count
        self.n_real += real.count

    def compute(self) -> Collected:
        """Both sides; raises UserError where fewer real examples were seen than the real set holds."""
        real = self.known or self._remember(self._side("real"))
        if real.count != int(self.n_real):
            given = f"{int(self.n_real)} real examples were seen of a real set whose {real.count} are known"
            raise UserError(given, f"all {real.count}", "evaluate on the whole split")
        return Collected(self._side("generated"), real)

    def _collect(self, side: str, examples: Examples) -> None:
        if not examples.count:
            return
        device = examples.values.device
        with torch.no_grad(), torch.autocast(device.type, enabled=False):
            seen = self.extractor.to(device).eval()(examples.values.float())
        getattr(self, f"{side}_features").append(seen.features.float().cpu())
        if seen.logits is not None:
            getattr(self, f"{side}_logits").append(seen.logits.float().cpu())
        if examples.labels is not None:
            getattr(self, f"{side}_labels").append(examples.labels.cpu())

    def _side(self, side: str) -> Side:
        features, logits, labels = (joined(getattr(self, f"{side}_{part}")) for part in self._empty())
        count = len(features)
        whole = [part if count and len(part) == count else None for part in (logits, labels)]
        return Side(features, whole[0], whole[1], None, "")

    def _remember(self, side: Side) -> Side:
        """The real side under its key, kept for the next validation, and on the disk where that saves time."""
        real = self.expected
        if real is None or side.count != real.count:
            return side
        side.cache, side.key = self.cache, self._key(real)
        self._remembered[real] = side
        # Features no smaller than the examples take as long to read as to compute.
        if self.cache is not None and side.features.shape[1] < prod(self.shape):
            parts = {"features": side.features, "logits": side.logits, "labels": side.labels}
            self.cache.save(side.key, {name: part for name, part in parts.items() if part is not None})
        return side

    def _stored(self, real: RealSet, cache: TensorCache) -> Side | None:
        found = cache.load(self._key(real))
        if found is None or found["features"].shape != (real.count, self.extractor.feature_dim):
            return None
        return Side(found["features"], found.get("logits"), found.get("labels"), cache, self._key(real))

    def _key(self, real: RealSet) -> str:
        facts = {"format": FORMAT, "extractor": self.extractor.protocol(), **asdict(real)}
        return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    def _on_all_ranks(self, condition: bool) -> bool:
        if self.distributed_available_fn is None or not self.distributed_available_fn():
            return condition
        return all(bool(answer) for answer in gathered(torch.tensor(int(condition))))

    def _empty(self) -> Mapping[str, Tensor]:
        return {
            "features": torch.zeros(0, self.extractor.feature_dim),
            "logits": torch.zeros(0, self.extractor.classes or 0),
            "labels": torch.zeros(0, dtype=torch.int64),
        }

    def _apply(self, fn: Callable[[Tensor], Tensor], exclude_state: Any = "") -> nn.Module:
        """Stays on the CPU in its own types, wherever the module goes."""
        return self


def gathered(tensor: Tensor, group: Any = None) -> list[Tensor]:
    """The tensors (N_rank, ...) of all ranks on the CPU, through the accelerator where ranks can talk only there."""
    device = torch.device("cuda", torch.cuda.current_device()) if dist.get_backend(group) == "nccl" else tensor.device
    return [part.cpu() for part in gather_all_tensors(tensor.to(device), group)]


def joined(state: Tensor | list[Tensor]) -> Tensor:
    return state if isinstance(state, Tensor) else torch.cat(state)


class FeatureMeasure(Measure, ABC):
    """A measure of features; those whose extractors have an equal protocol may share one gallery.

    A subclass gives `facts`, and `values` from `self.collected`. Its `collector` is the gallery: whoever updates
    several measures updates each collector once. Where a generated feature is no number, every value is NaN.
    """

    gallery: Gallery

    def __init__(self, extractor: Extractor) -> None:
        super().__init__((), sync_on_compute=False, compute_with_cache=False)
        self.gallery = Gallery(extractor)

    @property
    def extractor(self) -> Extractor:
        return self.gallery.extractor

    @property
    def collector(self) -> Gallery:
        return self.gallery

    @property
    def update_called(self) -> bool:
        return self.gallery.update_called

    @property
    def collected(self) -> Collected:
        return self.gallery.compute()

    def begin(self, real: Callable[[], RealSet]) -> None:
        super().begin(real)
        self.gallery.begin(real())

    def reset(self) -> None:
        super().reset()
        self.gallery.reset()

    def accumulate(self, generated: Examples, real: Examples) -> None:
        self.gallery.update(generated, real)

    def compute(self) -> dict[str, Tensor]:
        if self.collected.generated.finite:
            return super().compute()
        self._counted = self.counts()
        return {name: torch.tensor(nan, dtype=torch.float64) for name in self.facts}

    def counts(self) -> dict[str, int]:
        collected = self.collected
        return {"n_generated": collected.generated.count, "n_real": collected.real.count}

    def protocol(self) -> dict[str, Any]:
        seen = self.extractor.protocol()
        return super().protocol() | {"shape": list(self.gallery.shape), "space": seen["space"], "extractor": seen}

    def titled(self, stem: str, of: Mapping[str, str]) -> str:
        """A value's name: the one that `of` has for the extractor, else the stem and the extractor's name."""
        return of.get(self.extractor.name, f"{stem}_{self.extractor.name}")

    def labelled(self) -> tuple[Tensor, Tensor]:
        """The labels (N,) and (M,) of both sides; raises UserError where a side has none."""
        found = [self.collected.generated.labels, self.collected.real.labels]
        for side, labels in zip(SIDES, found, strict=True):
            if labels is None:
                raise UserError(
                    f"{self.name} was given {side} examples without labels",
                    "labelled data, and a model that is told the classes",
                    f"use a class-conditional model, or leave {self.name} out of metrics",
                )
        generated, real = found
        assert generated is not None
        assert real is not None
        return generated, real


def share(measures: Iterable[Measure], folder: Path | None) -> None:
    """Gives all feature measures whose extractors have an equal protocol one gallery, cached below `folder`.

    Raises UserError where two measures give a value of one name.
    """
    galleries: dict[str, Gallery] = {}
    names: set[str] = set()
    for measure in measures:
        if twice := names & set(measure.facts):
            given = f"two metrics give the value {', '.join(sorted(twice))}"
            raise UserError(given, "each value once", f"leave one {measure.name} out of metrics")
        names |= set(measure.facts)
        if isinstance(measure, FeatureMeasure):
            protocol = json.dumps(measure.extractor.protocol(), sort_keys=True)
            measure.gallery = galleries.setdefault(protocol, measure.gallery)
            measure.gallery.cache = None if folder is None else TensorCache(folder)
