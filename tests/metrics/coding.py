"""A model whose codes are its examples, for the tests of measures of factors."""

import torch
from torch.distributions import Independent, Normal

from duogen.records import Examples

FACTORS = {"shape": 3, "scale": 4, "colour": 1, "place": 5}


class Identity:
    """Codes are the examples (N, Z) themselves, of deviation 1."""

    latent_dim = 3
    level = None

    def recognised(self, examples):
        return Independent(Normal(examples.values, 1.0, validate_args=False), 1)


def grid(count, dimensions=3, noise=0.0, seed=0, factors=FACTORS):
    """Examples whose values are the varying factors, then noise; the colour is always the same."""
    generator = torch.Generator().manual_seed(seed)
    sizes = list(factors.values())
    columns = [torch.randint(size, (count,), generator=generator) for size in sizes]
    labels = torch.zeros(count, dtype=torch.int64)
    for column, size in zip(columns, sizes, strict=True):
        labels = labels * size + column
    told = torch.stack([column for column, size in zip(columns, sizes, strict=True) if size > 1], 1).float()
    values = torch.cat([told, torch.zeros(count, max(0, dimensions - told.shape[1]))], 1)[:, :dimensions]
    return Examples(values + noise * torch.randn(values.shape, generator=generator), labels)


def batches(examples, size):
    return [
        Examples(examples.values[start : start + size], examples.labels[start : start + size])
        for start in range(0, examples.count, size)
    ]


def asked(measure, *examples):
    """The values of a measure from batches, as numbers."""
    for batch in examples:
        measure.ask(Identity(), batch)
    return {name: value.item() for name, value in measure.compute().items()}
