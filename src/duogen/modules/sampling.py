"""How a trained generator is sampled: truncated noise, styles near their mean, standing statistics, latent paths."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from duogen.errors import UserError
from duogen.modules.alternating import AlternatingModule
from duogen.modules.gan import GAN
from duogen.modules.generative import GenerativeModule
from duogen.networks.generator import Generator
from duogen.seeds import derive

NORMALISING = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)
MOST_PSI, MOST_BATCHES = 1.5, 10_000


@dataclass(frozen=True)
class Manner:
    """How the evaluated generator is sampled, where that differs from how it was trained; null leaves it as it is.

    Args:
        truncation: T > 0, noise components are of N(0, 1) within [-T, T] (Brock et al. 2019, section 3.1).
        psi: in [0, 1.5], how far styles stay from their mean, 1 as they are (Karras et al. 2019, appendix B).
        standing: batches, 1 to 10,000, over which batch norm's statistics are estimated anew (Brock et al. 2019,
            appendix on standing statistics), after truncation and psi have taken effect.

    Raises:
        UserError: a value out of its range.
    """

    truncation: float | None = None
    psi: float | None = None
    standing: int | None = None

    def __post_init__(self) -> None:
        if self.truncation is not None and not 0 < self.truncation < math.inf:
            given, allowed = f"truncation={self.truncation}", "a finite number of more than 0"
            raise UserError(given, allowed, "e.g. truncation=0.7, or leave it out")
        if self.psi is not None and not 0 <= self.psi <= MOST_PSI:
            raise UserError(f"psi={self.psi}", f"0 to {MOST_PSI}", "e.g. psi=0.7, or leave it out")
        if self.standing is not None and not 1 <= self.standing <= MOST_BATCHES:
            given, allowed = f"standing={self.standing}", f"1 to {MOST_BATCHES} batches"
            raise UserError(given, allowed, "e.g. standing=16, or leave it out")

    @property
    def protocol(self) -> dict[str, float]:
        """What was asked for, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def assume(self, module: AlternatingModule, batch_size: int, seed: int) -> None:
        """Lets the module's evaluated generator draw in this manner from now on; no file changes.

        The standing statistics are those of batches of `batch_size` examples, of all classes in equal parts where there
        are classes, from noise of (seed, standing).
        Raises `UserError` where the generator lacks what the manner needs.
        """
        if not self.protocol:
            return
        gan = with_noise(module, ", ".join(f"{name}={value}" for name, value in self.protocol.items()))
        network = gan.averaged("generator")
        if self.psi is not None:
            network = Centred(with_styles(network, self.psi), self.psi)
        if self.truncation is not None:
            network = Truncated(network, gan.gaussian, self.truncation)
        put(gan, network)
        if self.standing is not None:
            restate(network, noisy(gan, batch_size, self.standing, seed), self.standing)


def noisy(gan: GAN, size: int, batches: int, seed: int) -> Iterator[Tensor]:
    """Batches of `size` examples, each generated when it is asked for; classes go on from batch to batch."""
    generator = torch.Generator().manual_seed(derive(seed, "standing"))
    for start in range(0, batches * size, size):
        labels = None if gan.classes is None else torch.arange(start, start + size) % gan.classes
        yield gan.generate(gan.drawn(size, generator), labels)


def with_noise(module: AlternatingModule, asked: str) -> GAN:
    """The module, if it maps Gaussian noise to examples."""
    if not isinstance(module, GAN):
        given = f"{asked} with a checkpoint of {type(module).__name__}"
        raise UserError(given, "checkpoints of a GAN", "use duogen sample without it")
    return module


def put(module: GAN, network: nn.Module) -> None:
    """Puts a network in the place of the evaluated generator, be that the trained one or its average."""
    if module.averaged("generator") is module.generator:
        module.generator = network
    else:
        module.averages["generator"].network = network


def truncated(noise: Tensor, limit: float) -> Tensor:
    """Standard normal numbers to those of the normal distribution within [-limit, limit], one to one and in order.

    z' = Phi^-1(Phi(-T) + Phi(z) (1 - 2 Phi(-T))): exactly the law of redrawing whatever lies beyond +-T, but each
    number stays the image of its own, so that a seed shows the same examples at every T. Any shape, in float64 within.
    Source: Brock et al. 2019, section 3.1 (the truncation trick); inversion is exact, no approximation.
    """
    values = noise.cpu().double()
    beyond = math.erfc(limit / math.sqrt(2)) / 2
    # Both tails as the lower one, by erfc: torch's ndtr rounds far out, where Phi is next to 0 or to 1.
    below = beyond + torch.erfc(values.abs() / math.sqrt(2)) / 2 * (1 - 2 * beyond)
    return torch.copysign(torch.special.ndtri(below).clamp(-limit, 0), values).to(noise)


def slerp(first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Paths (N, steps, Z) on great circles from `first` (N, Z) to `last` (N, Z), both included; steps >= 2.

    x_t = sin((1 - t) w) / sin(w) x_0 + sin(t w) / sin(w) x_1, cos(w) = x_0 . x_1 / (|x_0| |x_1|), t from 0 to 1. Where
    the two lie on one line, as always with Z = 1, the path is that line. Source: Shoemake 1985; White 2016, section 2.
    """
    start, end = first.double().unsqueeze(1), last.double().unsqueeze(1)
    t = torch.linspace(0, 1, steps, dtype=torch.float64, device=first.device).view(1, -1, 1)
    angle = nn.functional.cosine_similarity(start, end, dim=2).clamp(-1, 1).acos().unsqueeze(2)
    sine = angle.sin()
    flat = sine < 1e-6
    weights = [torch.where(flat, share, (share * angle).sin() / sine.where(~flat, 1)) for share in (1 - t, t)]
    return (weights[0] * start + weights[1] * end).to(first)


def paths(model: GenerativeModule, first: Tensor, last: Tensor, steps: int) -> Tensor:
    """Paths (N, steps, Z) from `first` (N, Z) to `last` (N, Z): spherical for the noise, while a code stays."""
    size = model.gaussian
    code = first[:, None, size:].expand(-1, steps, -1)
    return torch.cat([slerp(first[:, :size], last[:, :size], steps), code], 2)


class Truncated(Generator):
    """A generator whose Gaussian noise, the first `gaussian` of its inputs, is truncated to [-limit, limit]."""

    def __init__(self, network: nn.Module, gaussian: int, limit: float) -> None:
        super().__init__()
        self.network, self.gaussian, self.limit = network, gaussian, limit

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, Z), and labels (N,) where the network knows classes, to (N, *shape)."""
        noise, code = latent[:, : self.gaussian], latent[:, self.gaussian :]
        told = () if labels is None else (labels,)
        return self.network(torch.cat([truncated(noise, self.limit), code], 1), *told)


@runtime_checkable
class Styled(Protocol):
    """What a generator with a mapping network offers, for styles (N, S)."""

    def styles(self, latent: Tensor, labels: Tensor | None = None) -> Tensor: ...

    def truncated(self, styles: Tensor, psi: float) -> Tensor: ...

    def render(self, styles: Tensor, labels: Tensor | None = None) -> Tensor: ...


def with_styles(network: nn.Module, psi: float) -> Styled:
    if not isinstance(network, Styled):
        raise UserError(
            f"psi={psi}: {type(network).__name__} maps no noise to styles",
            "generators with a mapping network, e.g. generator=style",
            "use truncation=T, which truncates the noise of any generator",
        )
    return network


class Centred(Generator):
    """A generator whose styles are pulled towards their mean: render(mean + psi (style - mean))."""

    def __init__(self, network: Styled, psi: float) -> None:
        super().__init__()
        self.network, self.psi = network, psi

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, Z), and labels (N,) where the network knows classes, to (N, *shape)."""
        return self.network.render(self.network.truncated(self.network.styles(latent, labels), self.psi), labels)


class Moments:
    """The mean and variance (C,) of all that passes a layer, (N, C, ...), in float64."""

    def __init__(self) -> None:
        self.count, self.total, self.squares = 0, torch.zeros(()), torch.zeros(())

    def __call__(self, layer: nn.Module, inputs: tuple[Tensor]) -> None:
        channels = inputs[0].detach().cpu().double().transpose(0, 1).flatten(1)
        self.count += channels.shape[1]
        self.total, self.squares = self.total + channels.sum(1), self.squares + channels.square().sum(1)

    @property
    def mean(self) -> Tensor:
        return self.total / self.count

    @property
    def variance(self) -> Tensor:
        """The unbiased one, as batch norm keeps it."""
        return (self.squares - self.count * self.mean.square()).clamp(min=0) / (self.count - 1)


def restate(network: nn.Module, draws: Iterator[object], batches: int) -> None:
    """Replaces batch norm's running statistics by those over `batches` draws, each of which runs the network once.

    Meanwhile every batch is normalised by its own statistics, as in training, and everything else stays in the mode
    that the draw chooses. A layer's new statistics are the pooled mean and unbiased variance of all its inputs.
    Raises `UserError` where the network has no batch norm.
    Source: Brock et al. 2019, appendix on standing statistics.
    """
    layers = [layer for layer in network.modules() if isinstance(layer, NORMALISING) and layer.track_running_stats]
    if not layers:
        given = f"standing={batches}: the generator has no batch norm, so it has no statistics to estimate"
        raise UserError(given, "generators with batch norm, e.g. generator=dcgan", "leave standing= out")
    old = [(layer.running_mean, layer.running_var) for layer in layers]
    moments = [Moments() for _ in layers]
    hooks = [layer.register_forward_pre_hook(seen) for layer, seen in zip(layers, moments, strict=True)]
    for layer in layers:
        layer.running_mean = layer.running_var = None
    for _ in draws:
        pass
    for hook in hooks:
        hook.remove()
    for layer, seen, (mean, variance) in zip(layers, moments, old, strict=True):
        assert mean is not None
        layer.running_mean = seen.mean.to(mean) if seen.count else mean
        layer.running_var = seen.variance.to(mean) if seen.count else variance
