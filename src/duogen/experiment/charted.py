"""What `duogen sample` can show of codes as charts: what each dimension carries, and where examples lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from duogen.callbacks.pictures import Layout
from duogen.errors import UserError
from duogen.experiment.codes import COMPARED, coded, held_out
from duogen.experiment.show import LIMIT, MOST_STEPS, Scene, Sheet, Show, within
from duogen.metrics.rates import rates

if TYPE_CHECKING:
    from matplotlib.figure import Figure

USED = 0.01  # nats
NAMED = 64  # bars that have room for a name
COLOURED = 10  # classes that have a colour each


@dataclass(frozen=True)
class Rates(Show):
    """A bar for each of the `n` dimensions of the code that carry most, the largest first: KL(q(z_d | x) || p(z_d)).

    It is the mean over up to 500 test examples, in nats. An array holds the picture (1, 3, H, W); an archive also has
    the `rates` (Z,) of all dimensions and the `dimensions` (Z,) in their order.
    """

    n: int = 128

    def __post_init__(self) -> None:
        within("n", self.n, 1, MOST_STEPS)

    def sheet(self, scene: Scene) -> Sheet:
        vae = scene.vae("rates")
        test = scene.data().splits["test"]
        examples = held_out(test, min(COMPARED, len(test)))
        with vae.inference() as model:
            found = rates(model, examples.to(vae.device)).double().mean(0).cpu()
        order = found.argsort(descending=True)
        used = int((found > USED).sum())
        sentence = (
            f"{found.sum():.4g} nats of {examples.count} test examples in {len(found)} dimensions, "
            f"{used} of which carry more than {USED:g}"
        )
        shown = order[: self.n]
        picture = bars(found[shown], [f"z{dimension}" for dimension in shown.tolist()])
        return Sheet(picture, None, Layout(1), sentence, extra={"rates": found, "dimensions": order})


@dataclass(frozen=True)
class Codes(Show):
    """Where up to `n` test examples lie: their posterior means in the two dimensions that spread most, by class.

    An array holds the picture (1, 3, H, W); an archive also has the `codes` (n, Z) and the `dimensions` (2,) shown.
    """

    n: int = 5000

    def __post_init__(self) -> None:
        within("n", self.n, 2, LIMIT)

    def sheet(self, scene: Scene) -> Sheet:
        vae, test = scene.vae("codes"), scene.data().splits["test"]
        examples = held_out(test, min(self.n, len(test)))
        codes = coded(vae, examples)
        shown = codes.var(0).argsort(descending=True)[:2].sort().values
        if len(shown) < 2:
            raise UserError("show=codes with latent_dim=1", "2 dimensions or more", "take show=traversals")
        labels = None if examples.labels is None else examples.labels.cpu()
        picture = plane(codes[:, shown], labels, [f"z{dimension}" for dimension in shown.tolist()])
        sentence = f"{examples.count:,} test examples by their codes"
        return Sheet(picture, None, Layout(1), sentence, extra={"codes": codes, "dimensions": shown})


def bars(rates: Tensor, names: Sequence[str]) -> Tensor:
    """A picture (1, 3, H, W) in [-1, 1] of rates (D,) in nats as bars, named where there is room."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4.0), dpi=100, layout="constrained")
    axes = figure.add_subplot(ylabel="KL of a dimension from its prior, nats")
    axes.bar(range(len(names)), rates.numpy(), color="#1f5fa8")
    axes.set(xlim=(-0.7, len(names) - 0.3), ylim=(0, None), xlabel="dimension of the code, the largest first")
    axes.set_xticks([])
    if len(names) <= NAMED:
        axes.set_xticks(range(len(names)), names, rotation=90, fontsize=min(9, 400 // len(names)))
    axes.spines[["top", "right"]].set_visible(False)
    return rendered(figure)


def plane(places: Tensor, labels: Tensor | None, names: Sequence[str]) -> Tensor:
    """A picture (1, 3, H, W) in [-1, 1] of places (N, 2), coloured by labels (N,) of up to 10 classes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 5.4), dpi=100, layout="constrained")
    axes = figure.add_subplot(xlabel=names[0], ylabel=names[1])
    classes = [] if labels is None else labels.unique().tolist()
    if labels is None or not 2 <= len(classes) <= COLOURED:
        axes.scatter(*places.T.numpy(), s=4, color="#1f5fa8")
    else:
        for colour, one in enumerate(classes):
            axes.scatter(*places[labels == one].T.numpy(), s=4, color=f"C{colour}", label=str(one))
        axes.legend(fontsize=8, markerscale=3, loc="center left", bbox_to_anchor=(1.0, 0.5))
    axes.set_aspect("equal", adjustable="datalim")
    return rendered(figure)


def rendered(figure: "Figure") -> Tensor:
    """A figure's pixels, (1, 3, H, W) in [-1, 1]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    pixels = torch.from_numpy(np.array(canvas.buffer_rgba())[..., :3])
    return pixels.permute(2, 0, 1)[None] / 127.5 - 1
