"""Generative adversarial networks: a generator and a discriminator in turns (Goodfellow et al. 2014)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from duogen.errors import UserError
from duogen.modules.alternating import AlternatingModule
from duogen.modules.turns import Turn
from duogen.objectives.adversarial import Adversarial
from duogen.objectives.penalties import Penalty
from duogen.objectives.ramp import Ramp
from duogen.records import Examples, Loss


class GAN(AlternatingModule):
    """A generator G: (N, Z) -> (N, *shape) against a discriminator D: (N, *shape) -> (N,) logits.

    The discriminator minimises mean L_D(D(x), D(G(z))) + sum_k weight_k penalty_k, the generator mean L_G(D(G(z))),
    with z ~ N(0, I) and separate forwards for real and generated examples, as Radford et al. 2016 do.

    Args:
        generator: (N, latent_dim) -> (N, *shape).
        discriminator: (N, *shape) -> (N,) logits.
        adversarial: the pair of losses L_D and L_G.
        penalties: regularisers of the discriminator by name, each (N,) per example, taken in full precision.
        latent_dim: dimension Z of the noise, >= 1.
        weight_clip: the discriminator's parameters are clamped to [-weight_clip, weight_clip] after its turns
            (Arjovsky et al. 2017, algorithm 1), or null.
    """

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        adversarial: Adversarial,
        penalties: Mapping[str, Penalty],
        latent_dim: int,
        weight_clip: float | None,
    ) -> None:
        super().__init__()
        if weight_clip is not None and not weight_clip > 0:
            raise UserError(f"weight_clip={weight_clip}", "more than 0, or null", "e.g. model.weight_clip=0.01")
        self.generator, self.discriminator = generator, discriminator
        self.adversarial, self.penalties = adversarial, penalties
        self.latent_dim, self.weight_clip = latent_dim, weight_clip

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {"generator": self.generator_loss, "discriminator": self.discriminator_loss}

    @property
    def evaluated(self) -> tuple[str, ...]:
        return ("generator",)

    @property
    def changing_buffers(self) -> tuple[str, ...]:
        """Batch norm and spectral norm move in both networks' training forwards, whoever's turn it is."""
        return ("generator.", "discriminator.")

    def noise(self, count: int) -> Tensor:
        """z ~ N(0, I) of shape (count, Z), from the device's default generator."""
        return torch.randn(count, self.latent_dim, device=self.device)

    def discriminator_loss(self, batch: Examples) -> Loss:
        """Terms `adversarial` and one per penalty, (N,) each."""
        with torch.no_grad():
            fake = self.generator(self.noise(batch.count))
        real_logits, fake_logits = self.discriminator(batch.values), self.discriminator(fake)
        terms = {"adversarial": self.adversarial.discriminator(real_logits.float(), fake_logits.float())}
        if self.penalties:
            with full_precision(batch.values.device):
                for name, penalty in self.penalties.items():
                    terms[name] = penalty(self.discriminator.forward, batch.values.float(), fake.float())
        return Loss(terms, batch.count, {name: self.weight(penalty) for name, penalty in self.penalties.items()})

    def generator_loss(self, batch: Examples) -> Loss:
        """Term `adversarial` (N,); the real logits are computed for paired objectives alone."""
        fake_logits = self.discriminator(self.generator(self.noise(batch.count))).float()
        real_logits = self.discriminator(batch.values).float() if self.adversarial.paired else None
        return Loss({"adversarial": self.adversarial.generator(fake_logits, real_logits)}, batch.count)

    def weight(self, penalty: Penalty) -> float:
        return penalty.weight(self.step) if isinstance(penalty.weight, Ramp) else penalty.weight

    @torch.no_grad()
    def after_turn(self, turn: Turn, loss: Loss) -> None:
        if self.weight_clip is not None and turn.player == "discriminator":
            for parameter in self.parameters_of("discriminator"):
                parameter.clamp_(-self.weight_clip, self.weight_clip)

    def samples(self, count: int, generator: torch.Generator) -> Tensor:
        return self.generate(torch.randn(count, self.latent_dim, generator=generator))

    def generate(self, noise: Tensor) -> Tensor:
        """Examples (N, *shape) from noise (N, Z) by the evaluated generator: its average once that has begun."""
        network = self.averaged("generator")
        training = network.training
        with torch.no_grad():
            values = network.eval()(noise.to(self.device)).float()
        network.train(training)
        return values


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Penalties differentiate twice: float32, the eager network, and attention as plain mathematics."""
    known = torch.amp.is_autocast_available(device.type)
    outside = torch.autocast(device.type, enabled=False) if known else nullcontext()
    with outside, sdpa_kernel(SDPBackend.MATH):
        yield
