"""What `duogen sample` can show of a trained generator; each show's settings are its fields."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields

import torch
from rich.table import Table

from duogen.callbacks.pictures import Layout, by_class
from duogen.data.order import permutation
from duogen.errors import UserError, nearest
from duogen.experiment.charted import Codes, Rates
from duogen.experiment.codes import Plane, Reconstructions, Traversals
from duogen.experiment.nearest import Nearest, at, closest
from duogen.experiment.show import LIMIT, MOST_STEPS, Scene, Sheet, Show, within
from duogen.modules.sampling import paths

COMPARED, BENEATH = 500, 1000  # examples behind a median distance; real points under a scatter plot


@dataclass(frozen=True)
class Samples(Show):
    """`n` samples; of a conditional generator, one class after the other."""

    n: int = 64

    def __post_init__(self) -> None:
        within("n", self.n, 1, LIMIT)

    def sheet(self, scene: Scene) -> Sheet:
        drawn = scene.module.samples(self.n, scene.generator)
        labels = None if drawn.labels is None else drawn.labels.cpu()
        return Sheet(drawn.values.cpu(), labels, by_class(drawn), f"{self.n} samples")


@dataclass(frozen=True)
class Interpolation(Show):
    """`n` spherical paths of `steps` samples between two draws of noise, one path a row, one class a row."""

    n: int = 8
    steps: int = 9

    def __post_init__(self) -> None:
        within("n", self.n, 1, LIMIT)
        within("steps", self.steps, 2, MOST_STEPS)
        within("n * steps", self.n * self.steps, 2, LIMIT)

    def sheet(self, scene: Scene) -> Sheet:
        model = scene.generative("interpolation")
        noise = model.drawn(2 * self.n, scene.generator)
        if not noise.is_floating_point():
            given = f"show=interpolation with a checkpoint of {type(model).__name__}, whose codes are integers"
            raise UserError(given, "checkpoints of a GAN or of a VAE", "use show=samples, or show=reconstructions")
        ways = paths(model, noise[: self.n], noise[self.n :], self.steps).flatten(0, 1)
        rows = None if model.classes is None else torch.arange(self.n) % model.classes
        labels = None if rows is None else rows.repeat_interleave(self.steps)
        layout = Layout(self.steps, () if rows is None else [str(row) for row in rows.tolist()])
        values = model.generate(ways, labels).cpu()
        return Sheet(values, labels, layout, f"{self.n} paths of {self.steps} samples", self.n)


@dataclass(frozen=True)
class Classes(Show):
    """`n` samples of every class, one class a row, with the same noise down each column."""

    n: int = 8

    def __post_init__(self) -> None:
        within("n", self.n, 1, LIMIT)

    def sheet(self, scene: Scene) -> Sheet:
        model = scene.generative("classes")
        if model.classes is None:
            raise UserError(
                "show=classes: the generator of this checkpoint is told no classes",
                "show=samples, show=interpolation, show=neighbours; show=classes for a conditional model",
                "use one of these, or train a conditional model",
            )
        within("n * classes", self.n * model.classes, 1, LIMIT)
        noise = torch.cat([model.drawn(self.n, scene.generator)] * model.classes)
        labels = torch.arange(model.classes).repeat_interleave(self.n)
        layout = Layout(self.n, [str(label) for label in range(model.classes)])
        values = model.generate(noise, labels).cpu()
        sentence = f"{self.n} samples of each of {model.classes} classes"
        return Sheet(values, labels, layout, sentence, model.classes)


@dataclass(frozen=True)
class Neighbours(Show):
    """`n` samples, each beside its `k` nearest training examples, and the distances of samples and of test examples.

    A generator that copies its training set lies much nearer to it than unseen real examples do.
    """

    n: int = 8
    k: int = 5

    def __post_init__(self) -> None:
        within("n", self.n, 1, LIMIT)
        within("k", self.k, 1, MOST_STEPS)

    def sheet(self, scene: Scene) -> Sheet:
        data = scene.data()
        train, test = data.train_once, data.splits["test"]
        within("k", self.k, 1, len(train))
        count = min(COMPARED, len(test))
        unseen = test.rows(permutation(0, "neighbours", 0, len(test))[:count].to(test.values.device))
        drawn = scene.module.samples(max(self.n, count), scene.generator).values.cpu()
        near = closest(drawn, train, self.k)
        places = near.places[: self.n]
        beside = at(train, places.flatten()).examples().values.cpu().unflatten(0, places.shape)
        return Sheet(
            values=torch.cat([drawn[: self.n, None], beside.to(drawn)], 1).flatten(0, 1),
            labels=None,
            layout=Layout(1 + self.k, lead=1),
            sentence=f"{self.n} samples, each with its {self.k} nearest training examples",
            rows=self.n,
            reference=train.part(0, BENEATH).examples().values.cpu(),
            extra={"distances": near.distances[: self.n], "places": near.places[: self.n]},
            table=distances(near, closest(unseen.examples().values, train, 1), len(train)),
        )


def distances(samples: Nearest, test: Nearest, train: int) -> Table:
    """How far samples and test examples lie from the nearest training example."""
    table = Table(title=f"distance to the nearest of {train:,} training examples", title_justify="left")
    table.add_column("of")
    for header in ("examples", "median", "smallest"):
        table.add_column(header, justify="right")
    for name, found in (("samples", samples), ("test examples", test)):
        first = found.distances[:, 0]
        table.add_row(name, f"{len(first):,}", f"{first.quantile(0.5):.4g}", f"{first.min():.4g}")
    return table


SHOWS = {
    "samples": Samples, "interpolation": Interpolation, "classes": Classes, "neighbours": Neighbours,
    "reconstructions": Reconstructions, "traversals": Traversals, "plane": Plane, "rates": Rates,
    "codes": Codes,
}  # fmt: skip


def chosen(name: str, settings: Mapping[str, int]) -> Show:
    """The show of that name with its settings; refuses a name that is none, and settings of another show."""
    if name not in SHOWS:
        options = ", ".join(f"show={option}" for option in nearest(name, SHOWS))
        raise UserError(f"show={name}", options, "choose one of them")
    known = settings_of(SHOWS[name])
    for setting, value in settings.items():
        if setting not in known:
            elsewhere = ", ".join(f"show={other}" for other, kind in SHOWS.items() if setting in settings_of(kind))
            allowed = ", ".join(f"{option}=..." for option in known)
            raise UserError(f"{setting}={value} with show={name}", allowed, f"leave it out, or use {elsewhere}")
    return SHOWS[name](**settings)


def settings_of(kind: type) -> Sequence[str]:
    return [field.name for field in fields(kind)]
