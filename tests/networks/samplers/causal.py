"""What samplers that go through a grid must satisfy, whatever network they are."""

import torch

from duogen.networks.samplers.descent import Descent

FITTING = Descent(2e-2, 32, 150, 50, 3)


def dependences(sampler, shape, labels=None):
    """(P, P): whether what place i sees is changed by the code of place j, for the places of a grid row by row."""
    rows, columns, sizes = shape
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(sizes, (1, rows, columns, 1), generator=generator)
    sampler.eval()
    with torch.no_grad():
        before = sampler.logits(codes, labels)[0][0].flatten(0, 1)
        changed = []
        for place in range(rows * columns):
            other = codes.clone()
            other.view(-1)[place] = (other.view(-1)[place] + 1) % sizes
            after = sampler.logits(other, labels)[0][0].flatten(0, 1)
            changed.append((after != before).any(1))
    return torch.stack(changed, 1)


def pattern(classes):
    """Grids (N, 2, 3) of four codes: the first code starts a count, in steps of one, two, ... by the class (N,)."""
    start, labels = torch.arange(480) % 4, torch.arange(480) // 4 % classes
    return (start[:, None] + torch.arange(6) * (1 + labels[:, None])).remainder(4).view(-1, 2, 3), labels


def learnt(sampler):
    """The nats by which a sampler misses the entropy of `pattern`, and the share of its draws that follow it."""
    codes, labels = pattern(sampler.classes or 1)
    told = None if sampler.classes is None else labels
    sampler.fit(codes, told, torch.Generator().manual_seed(0))
    with torch.no_grad():
        missed = -sampler.log_prob(codes, told).mean() - torch.tensor(4.0).log()
    drawn = sampler(torch.randn(480, 6, generator=torch.Generator().manual_seed(1)), told)
    starts = drawn[:, 0, 0]
    right = (starts[:, None] + torch.arange(6) * (1 + labels[:, None])).remainder(4).view(-1, 2, 3)
    assert starts.bincount(minlength=4).min() > 80
    return missed.item(), (drawn == right).flatten(1).all(1).float().mean().item()
