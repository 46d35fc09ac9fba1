"""Extractors and examples for the tests of metrics, and what two ranks do with them."""

from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn

from duogen.metrics.classifier import ClassifierAccuracy, ClassifierModes, ClassifierScore
from duogen.metrics.extractor import Extracted, Extractor
from duogen.metrics.frechet import Frechet
from duogen.metrics.gallery import share
from duogen.metrics.intra_class import IntraClassFrechet
from duogen.metrics.kernel import KernelDistance
from duogen.metrics.measure import collectors
from duogen.metrics.neighbours import Neighbours
from duogen.metrics.side import RealSet
from duogen.metrics.similarity import MultiScaleSimilarity
from duogen.metrics.sliced import SlicedWasserstein
from duogen.records import Examples

SHAPE = (2, 8, 9)


class Fake(Extractor):
    """The first `feature_dim` of the flattened values, doubled, as features, and the first `classes` as logits."""

    def __init__(self, feature_dim, classes=None, name="fake"):
        super().__init__()
        self.feature_dim, self.classes, self.name = feature_dim, classes, name
        self.double_it = nn.Linear(1, 1, bias=False)
        nn.init.constant_(self.double_it.weight, 2.0)
        self.seen = 0

    def forward(self, values):
        assert not self.training
        self.seen += len(values)
        flat = values.flatten(1)
        features = self.double_it(flat[:, : self.feature_dim, None]).squeeze(2)
        return Extracted(features, None if self.classes is None else flat[:, : self.classes])

    def protocol(self):
        return {"name": self.name, "space": f"{self.feature_dim} values", "classes": self.classes}


def normal(*shape, seed=0, scale=1.0, shift=0.0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * scale + shift


def labelled(count, seed, classes=3, shape=SHAPE):
    """Examples whose mean depends on their label."""
    labels = torch.arange(count) % classes
    return Examples(normal(count, *shape, seed=seed) + labels.view(-1, *[1] * len(shape)) / 2, labels)


def part(examples, rows):
    return Examples(examples.values[rows], None if examples.labels is None else examples.labels[rows])


def computed(measure, generated, real):
    """The values of a measure on two sets of values, or of examples, as numbers."""
    both = [side if isinstance(side, Examples) else Examples(side) for side in (generated, real)]
    measure.update(*both)
    return {name: value.item() for name, value in measure.compute().items()}


def every_measure():
    """One of each feature measure, on an extractor of its own."""
    made = [
        Frechet(Fake(4, 3)),
        KernelDistance(Fake(4, 3)),
        Neighbours(Fake(4, 3), k=2),
        SlicedWasserstein(Fake(4, 3), projections=70, seed=0),
        ClassifierScore(Fake(4, 3)),
        ClassifierModes(Fake(4, 3), SHAPE, channels=False),
        ClassifierAccuracy(Fake(4, 3), regularisation=1.0),
        IntraClassFrechet(Fake(4, 3)),
        MultiScaleSimilarity(SHAPE, scales=None, window=5, pairs=60, seed=0),
    ]
    return {measure.name: measure for measure in made}


def values_on(rank, ranks, begun, folder):
    """All values twice, of measures that share galleries, from batches of 7 of which rank r takes r, r + n, ..."""
    measures = every_measure()
    share(measures.values(), folder)
    generated, real = labelled(40, 1), labelled(33, 2)
    for _ in range(2):
        for measure in measures.values():
            measure.begin(lambda: RealSet("data", "test", 33)) if begun else measure.reset()
        for batch in range(rank, 6, ranks):
            rows = slice(7 * batch, 7 * batch + 7)
            for collector in collectors(measures.values()):
                collector.update(part(generated, rows), part(real, rows))
        found = {name: value.item() for measure in measures.values() for name, value in measure.compute().items()}
    counts = {name: (m.protocol()["n_generated"], m.protocol()["n_real"]) for name, m in measures.items()}
    return found, counts, measures["frechet"].extractor.seen


def work(rank, ranks, folder, out):
    """What one rank measures alone, of a known real set, and of one that only the first rank finds on its disk."""
    dist.init_process_group("gloo", init_method=f"file://{out}/meeting", rank=rank, world_size=ranks)
    own = folder / str(rank)
    cases = [values_on(rank, ranks, *case) for case in ((False, None), (True, None), (True, own), (True, own))]
    torch.save(cases, Path(out) / f"{rank}.pt")
    dist.destroy_process_group()
