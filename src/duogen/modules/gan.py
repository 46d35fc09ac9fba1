"""Generative adversarial networks: a generator and a discriminator in turns (Goodfellow et al. 2014)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from duogen.augmentations.augmentation import Augmentation
from duogen.errors import UserError
from duogen.modules.generative import GenerativeModule
from duogen.modules.penalising import of_discriminator, of_generator, penalised, watched
from duogen.modules.turns import Turn
from duogen.objectives.adversarial import Adversarial
from duogen.objectives.penalties import Penalty, Play
from duogen.ramp import Ramp, at
from duogen.records import Examples, Loss, Opinion


class GAN(GenerativeModule):
    """A generator G: (N, Z) -> (N, *shape) against a discriminator D: (M, m C, H, W) -> (M,) logits, M = N / m.

    The discriminator minimises mean L_D(D(T x), D(T G(z))) + sum_k weight_k penalty_k, the generator mean
    L_G(D(T G(z))) + its own penalties, with z ~ N(0, I), T the augmentation, and separate forwards for real and
    generated examples, as Radford et al. 2016 do.

    Args:
        generator: (N, latent_dim) -> (N, *shape).
        discriminator: packed examples (M, m C, H, W) or (M, m D) -> (M,) logits.
        adversarial: the pair of losses L_D and L_G.
        penalties: regularisers by name, of the discriminator's loss, the generator's, or both.
        augmentation: T, applied to real and generated examples alike in both turns, or null.
        latent_dim: dimension Z of the noise, >= 1.
        pack: m, how many examples the discriminator judges together, >= 1 (Lin et al. 2018); it divides the batch.
        top_k: the share of generated examples, those that look most real to the discriminator, that the generator
            learns from, in (0, 1], constant or a function of the step (Sinha et al. 2020, section 3).
        classes: how many classes both networks are told, those of the batch for generated examples too, or null.
        weight_clip: the discriminator's parameters are clamped to [-weight_clip, weight_clip] after its turns
            (Arjovsky et al. 2017, algorithm 1), or null.
    """

    observations = ("logits_held_out", "logits_generated")

    def __init__(
        self,
        generator: nn.Module,
        discriminator: nn.Module,
        adversarial: Adversarial,
        penalties: Mapping[str, Penalty],
        augmentation: Augmentation | None,
        latent_dim: int,
        pack: int,
        top_k: float | Ramp,
        classes: int | None,
        weight_clip: float | None,
    ) -> None:
        super().__init__(latent_dim, classes)
        if weight_clip is not None and not weight_clip > 0:
            raise UserError(f"weight_clip={weight_clip}", "more than 0, or null", "e.g. model.weight_clip=0.01")
        if pack < 1:
            raise UserError(f"pack={pack}", "whole numbers of at least 1", "e.g. pack=2, or pack=1 for none")
        if not isinstance(top_k, Ramp) and not 0 < top_k <= 1:
            raise UserError(f"top_k={top_k}", "a share: 0 < top_k <= 1, or a ramp", "e.g. model.top_k=0.5, or 1.0")
        self.generator, self.discriminator = generator, discriminator
        self.adversarial, self.augmentation = adversarial, augmentation
        self.penalties = nn.ModuleDict(dict(penalties))
        self.pack, self.top_k, self.weight_clip = pack, top_k, weight_clip
        self.regularisers = list(penalties.items())
        parts = [adversarial, augmentation, *penalties.values()]
        self.reacting = [part for part in parts if part is not None and part.reacts]

    @property
    def players(self) -> Mapping[str, nn.Module]:
        return {"generator": self.generator, "discriminator": self.discriminator}

    @property
    def objectives(self) -> Mapping[str, Callable[[Examples], Loss]]:
        return {
            "generator": self.generator_loss,
            "discriminator": self.discriminator_loss,
            "generator_penalties": self.generator_penalties,
            "discriminator_penalties": self.discriminator_penalties,
        }

    @property
    def lazy_objectives(self) -> Sequence[str]:
        return ("generator_penalties", "discriminator_penalties")

    @property
    def evaluated(self) -> Sequence[str]:
        return ("generator",)

    @property
    def changing_buffers(self) -> Sequence[str]:
        """Batch norm and spectral norm move in both networks' training forwards, whoever acts; feedback follows."""
        return ("generator.", "discriminator.", "adversarial.", "augmentation.", "penalties.")

    def logits(self, output: Tensor) -> Tensor:
        """The logits (M,) in what the discriminator says: all of it, or the first of its columns (M, 1 + K)."""
        return (output if output.ndim == 1 else output[:, 0]).float()

    def beside(self, loss: Loss, play: Play) -> Loss:
        """A player's loss with what a family adds to it; nothing here."""
        return loss

    def meet(self, batch: Examples) -> Play:
        """Real examples, generated ones, and how both are judged; `critic` and `features` leave compiled code aside."""
        labels, noise = self.labels(batch), self.noise(batch.count)
        told = () if labels is None else (labels,)
        generator: Any = self.generator
        discriminator: Any = self.discriminator

        def generate(noise: Tensor) -> Tensor:
            return self.packed(generator(noise, *told))

        return Play(
            real=self.packed(batch.values),
            fake=generate(noise),
            noise=noise,
            labels=labels,
            judge=lambda examples: discriminator(self.augmented(examples), *told),
            critic=lambda examples: self.logits(discriminator.forward(self.augmented(examples), *told)),
            features=lambda examples: discriminator.features(self.augmented(examples)).float(),
            generate=generate,
            styles=lambda noise: generator.styles(noise, *told),
            render=lambda styles: self.packed(generator.render(styles, *told)),
            step=self.step,
        )

    def packed(self, values: Tensor) -> Tensor:
        """(N, C, H, W) to (M, m C, H, W), or (N, D) to (M, m D): neighbours in the batch are judged together."""
        if self.pack == 1:
            return values
        if len(values) % self.pack:
            given = f"pack={self.pack} with a batch of {len(values)} examples"
            raise UserError(given, f"multiples of {self.pack}", "change data.batch_size, which ranks share, or pack")
        return values.unflatten(0, (-1, self.pack)).flatten(1, 2)

    def augmented(self, examples: Tensor) -> Tensor:
        """Each example in packed (M, *shape) augmented for itself."""
        if self.augmentation is None:
            return examples
        alone = examples.unflatten(1, (self.pack, -1)).flatten(0, 1)
        return self.packed(self.augmentation(alone, self.step))

    def discriminator_loss(self, batch: Examples) -> Loss:
        """Terms `adversarial` (M,) and one per penalty; observed are the logits (M,) of real and generated examples."""
        with torch.no_grad():
            play = self.meet(batch)
        real, fake = play.judge(play.real), play.judge(play.fake)
        real_logits, fake_logits = self.logits(real), self.logits(fake)
        loss = Loss(
            {"adversarial": self.adversarial.discriminator(real_logits, fake_logits)},
            count=len(real_logits),
            observed={
                "logits_real": real_logits.detach(),
                "logits_fake": fake_logits.detach(),
                **self.adversarial.observe(real_logits.detach(), fake_logits.detach()),
                **({} if self.augmentation is None else self.augmentation.observe()),
            },
        )
        outputs = {"real_output": real, "fake_output": fake}
        play = replace(play, real_logits=real_logits, fake_logits=fake_logits, **outputs)
        due = of_discriminator(self.prompt("discriminator_penalties"))
        return penalised(self.beside(loss, play), due, play, self.step)

    def generator_loss(self, batch: Examples) -> Loss:
        """Term `adversarial` (M,) and one per penalty; real logits are computed for paired objectives alone."""
        play = self.meet(batch)
        fake, real_logits = play.judge(play.fake), None
        fake_logits = self.logits(fake)
        if self.adversarial.paired:
            with torch.no_grad():
                real_logits = self.logits(play.judge(play.real))
        adversarial = self.adversarial.generator(fake_logits, real_logits)
        if self.top_k != 1:
            adversarial = adversarial * self.kept(fake_logits)
        play = replace(play, real_logits=real_logits, fake_logits=fake_logits, fake_output=fake)
        loss = self.beside(Loss({"adversarial": adversarial}, count=len(adversarial)), play)
        return penalised(loss, of_generator(self.prompt("generator_penalties")), play, self.step)

    def discriminator_penalties(self, batch: Examples) -> Loss:
        """The penalties that differentiate twice, alone: what a lazy turn of the discriminator minimises."""
        with torch.no_grad():
            play = self.meet(batch)
        return penalised(Loss({}, len(play.real)), of_discriminator(self.delayed), play, self.step)

    def generator_penalties(self, batch: Examples) -> Loss:
        """The penalties that differentiate twice, alone: what a lazy turn of the generator minimises."""
        play = self.meet(batch)
        return penalised(Loss({}, len(play.real)), of_generator(self.delayed), play, self.step)

    @property
    def delayed(self) -> list[tuple[str, Penalty]]:
        """The penalties that a lazy turn takes over: those that differentiate twice."""
        return [(name, penalty) for name, penalty in self.regularisers if penalty.twice]

    def prompt(self, objective: str) -> list[tuple[str, Penalty]]:
        """The penalties that stay beside the adversarial loss where `objective` may have a lazy turn."""
        lazy = any(turn.objective == objective for turn in self.turns.turns.values())
        return [(name, penalty) for name, penalty in self.regularisers if not (penalty.twice and lazy)]

    def kept(self, logits: Tensor) -> Tensor | float:
        """Weights (M,), of mean 1, that leave the share alone whose logits (M,), or energies, look most real."""
        count = max(1, round(at(self.step, self.top_k) * len(logits)))
        if count == len(logits):
            return 1.0
        chosen = logits.topk(count, largest=not self.adversarial.energies).indices
        best = torch.zeros_like(logits).index_fill_(0, chosen, 1.0)
        return best * (len(logits) / count)

    @torch.no_grad()
    def after_turn(self, turn: Turn, loss: Loss) -> None:
        """Feedback follows the discriminator's logits, equally on all ranks; then its weights are clipped."""
        for name, penalty in self.regularisers:
            if watched(name) in loss.observed:
                penalty.follow(self.agreed(loss.observed[watched(name)].mean()))
        if turn.player != "discriminator":
            return
        if "logits_real" in loss.observed and self.reacting:
            opinion = self.shared_opinion(loss.observed["logits_real"], loss.observed["logits_fake"])
            for part in self.reacting:
                part.react(opinion)
        if self.weight_clip is not None:
            for parameter in self.parameters_of("discriminator"):
                parameter.clamp_(-self.weight_clip, self.weight_clip)

    def shared_opinion(self, real: Tensor, fake: Tensor) -> Opinion:
        """The opinion in this rank's logits (M,) and all others', whose shares of the batch may differ in size."""
        sums = torch.stack([real.sum(), fake.sum(), real.sign().sum(), real.new_full((), len(real))])
        *totals, judged = self.agreed(sums) * self.ranks
        return Opinion(*(total / judged for total in totals), count=judged * self.pack)

    def observe(self, real: Examples, generated: Examples) -> Mapping[str, Tensor]:
        """The logits (M,) of held-out and of generated examples, raw: apart from training's they tell overfitting."""
        return {"logits_held_out": self.opinion(real), "logits_generated": self.opinion(generated)}

    def opinion(self, examples: Examples) -> Tensor:
        """The discriminator's logits (M,) of raw examples; a rest that fills no pack is left out."""
        whole = examples.count // self.pack * self.pack
        labels = self.labels(examples)
        told = () if labels is None else (labels[:whole],)
        return self.logits(self.discriminator(self.packed(examples.values[:whole]), *told))
