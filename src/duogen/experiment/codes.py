"""What `duogen sample` can show of a model with codes: reconstructions, traversals, and a plane."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Normal

from duogen.callbacks.pictures import Layout
from duogen.data.order import permutation
from duogen.data.splits import Split
from duogen.errors import UserError
from duogen.experiment.show import LIMIT, MOST_STEPS, Scene, Sheet, Show, within
from duogen.metrics.latent import means
from duogen.modules.vae import VAE
from duogen.modules.vq_vae import VQVAE
from duogen.records import Examples

WIDTH = 2.0
INNER = 0.95
COMPARED = 500  # examples whose codes say which dimensions spread


def held_out(test: Split, count: int) -> Examples:
    """`count` examples of the test split, the same for every model of the data."""
    return test.rows(permutation(0, "shown", 0, len(test))[:count].to(test.values.device)).examples()


def coded(vae: VAE, examples: Examples) -> Tensor:
    """The posterior means (N, Z) of examples."""
    with vae.inference() as model:
        return means(model.recognised(examples.to(vae.device))).cpu()


@dataclass(frozen=True)
class Reconstructions(Show):
    """`n` test examples, each before the mean of p(x | z) at its posterior mean, or of p(x | c) at its codes."""

    n: int = 32

    def __post_init__(self) -> None:
        within("n", self.n, 1, LIMIT)

    def sheet(self, scene: Scene) -> Sheet:
        model = scene.module if isinstance(scene.module, VQVAE) else scene.vae("reconstructions")
        test = scene.data().splits["test"]
        within("n", self.n, 1, len(test))
        examples = held_out(test, self.n)
        labels = None if model.classes is None else examples.labels
        codes = coded(model, examples) if isinstance(model, VAE) else model.encode(examples.to(model.device))
        made = model.generate(codes, labels).cpu()
        pairs = torch.stack([examples.values.cpu().to(made), made], 1).flatten(0, 1)
        kept = None if labels is None else labels.cpu().repeat_interleave(2)
        columns = 2 * max(1, round((self.n / 2) ** 0.5))
        return Sheet(pairs, kept, Layout(columns), f"{self.n} test examples, each before its reconstruction", self.n)


@dataclass(frozen=True)
class Traversals(Show):
    """`n` dimensions of the code, one a row, each moved from -2 to 2 in `steps` steps while the others stay.

    The others are those of one test example; the dimensions are those with the largest spread of posterior means.
    """

    n: int = 10
    steps: int = 9

    def __post_init__(self) -> None:
        within("n", self.n, 1, LIMIT)
        within("steps", self.steps, 2, MOST_STEPS)

    def sheet(self, scene: Scene) -> Sheet:
        vae = scene.vae("traversals")
        rows = min(self.n, vae.latent_dim)
        test = scene.data().splits["test"]
        examples = held_out(test, min(COMPARED, len(test)))
        codes = coded(vae, examples)
        widest = codes.var(0).argsort(descending=True)[:rows]
        moved = codes[0].repeat(rows, self.steps, 1)
        for row, dimension in enumerate(widest.tolist()):
            moved[row, :, dimension] = torch.linspace(-WIDTH, WIDTH, self.steps)
        labels = None
        if vae.classes is not None and examples.labels is not None:
            labels = examples.labels[:1].cpu().repeat(rows * self.steps)
        values = vae.generate(moved.flatten(0, 1), labels).cpu()
        layout = Layout(self.steps, [f"z{dimension}" for dimension in widest.tolist()])
        sentence = f"{rows} dimensions, each from {-WIDTH:g} to {WIDTH:g}"
        return Sheet(values, labels, layout, sentence, rows, extra={"dimensions": widest})


@dataclass(frozen=True)
class Plane(Show):
    """The plane of a code of two dimensions: `n` by `n` examples at equal steps of probability (Kingma and Welling
    2014, figure 4)."""

    n: int = 20

    def __post_init__(self) -> None:
        within("n", self.n, 2, MOST_STEPS)

    def sheet(self, scene: Scene) -> Sheet:
        vae = scene.vae("plane")
        if vae.latent_dim != 2:
            raise UserError(f"show=plane with latent_dim={vae.latent_dim}", "latent_dim=2", "take show=traversals")
        places = Normal(0.0, 1.0).icdf(torch.linspace((1 - INNER) / 2, (1 + INNER) / 2, self.n))
        grid = torch.stack(torch.meshgrid(-places, places, indexing="ij")[::-1], -1).flatten(0, 1)
        labels = None if vae.classes is None else torch.zeros(len(grid), dtype=torch.long)
        return Sheet(
            vae.generate(grid, labels).cpu(),
            labels,
            Layout(self.n),
            f"{self.n} x {self.n} samples of the plane",
            self.n,
        )
