"""Four small modules of the shapes to come, to prove that they fit the turns without touching them."""

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duogen.modules.alternating import AlternatingModule
from duogen.modules.turns import Turn
from duogen.records import Examples, Loss


def mlp(first: int, last: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(first, 6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, last))


class TinyVAE(AlternatingModule):
    """One player, `autoencoder`, of an encoder and a decoder: two named terms in nats."""

    turns_needed: Mapping[str, Mapping] = {"autoencoder": {"player": "autoencoder"}}

    def __init__(self) -> None:
        super().__init__()
        self.autoencoder = nn.ModuleDict({"encoder": mlp(2, 6), "decoder": mlp(3, 2)})

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self.autoencoder}

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {"autoencoder": self.elbo}

    def elbo(self, batch: Examples) -> Loss:
        mean, log_std = self.autoencoder["encoder"](batch.values).chunk(2, dim=1)
        code = mean + log_std.exp() * torch.randn_like(mean)
        distortion = 0.5 * (self.autoencoder["decoder"](code) - batch.values).square().sum(1)
        rate = (0.5 * (mean.square() + (2 * log_std).exp() - 1) - log_std).sum(1)
        return Loss({"distortion": distortion, "rate": rate}, batch.count, {"rate": 0.5})

    def samples(self, count: int, generator: torch.Generator) -> Examples:
        with torch.no_grad():
            return Examples(
                self.averaged("autoencoder")["decoder"](torch.randn(count, 3, generator=generator).to(self.device))
            )


class TinyAAE(AlternatingModule):
    """Three players, two of which share the encoder (Makhzani et al. 2015)."""

    turns_needed: Mapping[str, Mapping] = {
        "autoencoder": {"player": "autoencoder"},
        "discriminator": {"player": "discriminator"},
        "generator": {"player": "generator", "every": 2},
    }

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder, self.critic = mlp(2, 3), mlp(3, 2), mlp(3, 1)
        self.autoencoder = nn.ModuleList([self.encoder, self.decoder])

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"autoencoder": self.autoencoder, "discriminator": self.critic, "generator": self.encoder}

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {"autoencoder": self.reconstruct, "discriminator": self.tell, "generator": self.fool}

    def reconstruct(self, batch: Examples) -> Loss:
        return Loss(
            {"distortion": (self.decoder(self.encoder(batch.values)) - batch.values).square().sum(1)}, batch.count
        )

    def tell(self, batch: Examples) -> Loss:
        with torch.no_grad():
            fake = self.encoder(batch.values)
        prior = self.critic(torch.randn_like(fake)).squeeze(1)
        return Loss({"adversarial": F.softplus(-prior) + F.softplus(self.critic(fake).squeeze(1))}, batch.count)

    def fool(self, batch: Examples) -> Loss:
        return Loss({"adversarial": F.softplus(-self.critic(self.encoder(batch.values)).squeeze(1))}, batch.count)

    def samples(self, count: int, generator: torch.Generator) -> Examples:
        with torch.no_grad():
            return Examples(self.decoder(torch.randn(count, 3, generator=generator).to(self.device)))


class TinySeqGAN(AlternatingModule):
    """Two players in three phases, the generator with another objective in the last; its baseline reacts to rewards."""

    turns_needed: Mapping[str, Mapping] = {
        "likelihood": {"player": "generator", "objective": "likelihood", "until": 7, "accumulate": 3},
        "discriminator": {"player": "discriminator", "start": 5},
        "adversarial": {"player": "generator", "objective": "adversarial", "start": 9, "every": 2},
    }
    baseline: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.generator, self.discriminator = mlp(3, 2), mlp(2, 1)
        self.register_buffer("baseline", torch.zeros(()))

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {"likelihood": self.likelihood, "discriminator": self.tell, "adversarial": self.reinforce}

    @property
    def changing_buffers(self) -> Sequence[str]:
        return ("baseline",)

    def propose(self, count: int) -> Tensor:
        return self.generator(torch.randn(count, 3, device=self.device))

    def likelihood(self, batch: Examples) -> Loss:
        return Loss({"nll": 0.5 * (self.propose(batch.count) - batch.values).square().sum(1)}, batch.count)

    def tell(self, batch: Examples) -> Loss:
        with torch.no_grad():
            fake = self.propose(batch.count)
        real, fake = self.discriminator(batch.values).squeeze(1), self.discriminator(fake).squeeze(1)
        return Loss({"adversarial": F.softplus(-real) + F.softplus(fake)}, batch.count)

    def reinforce(self, batch: Examples) -> Loss:
        mean = self.propose(batch.count)
        drawn = mean.detach() + torch.randn_like(mean)
        with torch.no_grad():
            reward = torch.sigmoid(self.discriminator(drawn)).squeeze(1)
        surprise = 0.5 * (mean - drawn).square().sum(1)
        return Loss({"policy": surprise * (reward - self.baseline), "reward": reward}, batch.count, {"reward": 0.0})

    @torch.no_grad()
    def after_turn(self, turn: Turn, loss: Loss) -> None:
        if "reward" in loss.terms:
            self.baseline.lerp_(self.agreed(loss.terms["reward"].mean()), 0.1)

    def samples(self, count: int, generator: torch.Generator) -> Examples:
        with torch.no_grad():
            return Examples(self.averaged("generator")(torch.randn(count, 3, generator=generator).to(self.device)))


class TinyLagging(AlternatingModule):
    """The encoder acts on extra batches until a running mean stops improving (He et al. 2019), then the decoder."""

    turns_needed: Mapping[str, Mapping] = {"encoder": {"player": "encoder"}, "decoder": {"player": "decoder"}}
    running: Tensor
    improving: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.decoder = mlp(2, 3), mlp(3, 2)
        self.register_buffer("running", torch.full((), 10.0))
        self.register_buffer("improving", torch.ones((), dtype=torch.bool))

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"encoder": self.encoder, "decoder": self.decoder}

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {"encoder": self.lag, "decoder": self.reconstruct}

    @property
    def changing_buffers(self) -> Sequence[str]:
        return ("running", "improving")

    def due(self, turn: Turn) -> bool:
        if turn.player == "decoder" or self.turns.acted == 0:
            return super().due(turn)
        return bool(self.improving) and self.turns.acted < 6

    def lag(self, batch: Examples) -> Loss:
        return self.reconstruct(batch if self.turns.acted == 0 else self.extra_batch())

    def reconstruct(self, batch: Examples) -> Loss:
        code = self.encoder(batch.values)
        noisy = code + 0.1 * torch.randn_like(code)
        return Loss({"distortion": (self.decoder(noisy) - batch.values).square().sum(1)}, batch.count)

    @torch.no_grad()
    def after_turn(self, turn: Turn, loss: Loss) -> None:
        if turn.player == "encoder":
            now = torch.lerp(self.running, self.agreed(loss.terms["distortion"].mean()), 0.5)
            self.improving.copy_(now < self.running)
            self.running.copy_(now)

    def samples(self, count: int, generator: torch.Generator) -> Examples:
        with torch.no_grad():
            return Examples(self.decoder(torch.randn(count, 3, generator=generator).to(self.device)))
