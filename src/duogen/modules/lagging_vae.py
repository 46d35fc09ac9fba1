"""Variational autoencoders whose encoder catches up with its decoder before each of its steps (He et al. 2019)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor, nn

from duogen.errors import UserError
from duogen.modules.alternating import AlternatingModule, Learner
from duogen.modules.split_vae import SplitVAE
from duogen.modules.turns import Alternate, Simultaneous, Turn, Turns
from duogen.networks.decoder import Decoder
from duogen.networks.likelihoods.likelihood import Likelihood
from duogen.networks.posteriors.posterior import Posterior
from duogen.networks.priors.prior import Prior
from duogen.objectives.variational.variational import Variational
from duogen.records import Batch, Examples, Loss

TOLD = "mutual_information"


class Pursuit(nn.Module):
    """Whether the encoder goes on within a step, and whether the phase does, both in buffers.

    What belongs to a step begins anew with each batch and is not saved.

    Args:
        window: steps of the encoder over which its loss is averaged, >= 1.
        most: its steps before one of the decoder, >= 1, at which it stops whatever its loss does.
        patience: how often the mutual information may stay below its best, >= 1, before the phase ends for good.
    Raises `UserError` for numbers below 1.
    """

    aggressive: Tensor
    behind: Tensor
    seen: Tensor
    before: Tensor
    best: Tensor
    misses: Tensor

    def __init__(self, window: int, most: int, patience: int) -> None:
        super().__init__()
        if min(window, most, patience) < 1:
            given = f"LaggingVAE: window={window}, most={most}, patience={patience}"
            raise UserError(given, "whole numbers of at least 1", "e.g. window=10, most=99 and patience=5")
        self.window, self.most, self.patience = window, most, patience
        self.register_buffer("aggressive", torch.ones((), dtype=torch.bool))
        self.register_buffer("behind", torch.ones((), dtype=torch.bool), persistent=False)
        self.register_buffer("seen", torch.zeros(2), persistent=False)
        self.register_buffer("before", torch.full((), torch.inf), persistent=False)
        self.register_buffer("best", torch.zeros(()))
        self.register_buffer("misses", torch.zeros((), dtype=torch.int64))

    def begin(self) -> None:
        """A batch has come: in the aggressive phase the encoder is behind until its mean loss says otherwise."""
        self.behind.copy_(self.aggressive)
        self.before.fill_(torch.inf)
        self.seen.zero_()

    def add(self, total: Tensor, count: int | Tensor) -> None:
        """A loss of the encoder, summed over `count` examples."""
        self.seen[0] += total
        self.seen[1] += count

    def judge(self, sums: Tensor) -> None:
        """The encoder stays behind unless its mean, of sums (2,) over all ranks, is above that of the window before."""
        mean = sums[0] / sums[1]
        self.behind.logical_and_(mean <= self.before)
        self.before.copy_(mean)
        self.seen.zero_()

    def hear(self, information: float) -> None:
        """The mutual information of a validation, in nats: the phase ends when it is below its best too often."""
        missed = information < self.best
        self.misses += missed
        self.best.copy_(torch.where(missed, self.best, information))
        self.aggressive.logical_and_(self.misses < self.patience)

    def goes_on(self, acts: int) -> bool:
        """Whether the encoder acts again after so many acts, >= 1, on a batch; read off the device once per window."""
        decided = acts == 1 or acts % self.window == 0
        return acts < self.most and (not decided or bool(self.behind))


class LaggingVAE(SplitVAE):
    """A VAE whose encoder, while it lags, takes many steps on other batches before each step of the decoder.

    In the aggressive phase the encoder learns from the batch, then from extra ones, until the mean of its loss over
    `window` steps is above that over the `window` steps before, `most` steps at most; then the decoder takes one. The
    mutual information of code and example is measured at each validation, of which the paper has one an epoch: when it
    was below its best for the `patience`-th time in all, the phase is over, and both sides take one step a batch, at
    once where turns=lagging. Observed is `aggressive`, 1 or 0. The numbers are those of the authors' code for images;
    for text it has window 15 and, in effect, patience 1.

    Args:
        window, most, patience: those of `Pursuit`.
    The others are the VAE's. Raises `UserError` for objectives whose sides differ, since the encoder's loss must mean
    something, and, before training, where metrics lack mutual_information.
    Source: He et al. 2019, section 4.2, algorithm 1.
    """

    splits: ClassVar[bool] = False

    def __init__(
        self,
        posterior: Posterior,
        prior: Prior,
        decoder: Decoder,
        likelihood: Likelihood,
        variational: Variational,
        latent_dim: int,
        classes: int | None,
        window: int,
        most: int,
        patience: int,
    ) -> None:
        super().__init__(posterior, prior, decoder, likelihood, variational, latent_dim, classes)
        self.pursuit = Pursuit(window, most, patience)

    @property
    def changing_buffers(self) -> Sequence[str]:
        return (*super().changing_buffers, "pursuit.")

    def learn(self, turns: Turns, learners: Mapping[str, Learner], monitor: str | None) -> None:
        if not any(TOLD in measure.facts for measure in self.measures.values() if measure.validates):
            given = f"LaggingVAE with metrics=[{','.join(self.measures)}]: nothing says when the encoder stops lagging"
            raise UserError(given, f"metrics with {TOLD}", f"add it, e.g. metrics=[{TOLD}]")
        super().learn(turns, learners, monitor)

    def due(self, turn: Turn) -> bool:
        """The encoder acts again on a batch while it is behind."""
        acts = self.turns.acted
        return self.pursuit.goes_on(acts) if turn.player == "encoder" and acts else super().due(turn)

    def encoder_loss(self, batch: Examples) -> Loss:
        """The objective of the batch, or of an extra one where the encoder acts again; observed is `aggressive`."""
        loss = super().encoder_loss(self.extra_batch() if self.turns.acted else batch)
        return replace(loss, observed={**loss.observed, "aggressive": self.pursuit.aggressive.float()})

    @torch.no_grad()
    def after_turn(self, turn: Turn, loss: Loss) -> None:
        """The pursuit follows the encoder's weighted loss, equally on all ranks."""
        if turn.player != "encoder":
            return
        if self.turns.acted == 1:
            self.pursuit.begin()
        self.pursuit.add(loss.weighted(loss.sums()), loss.count)
        if self.turns.acted % self.pursuit.window == 0:
            self.pursuit.judge(self.agreed(self.pursuit.seen))

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        self.pursuit.hear(self.measured[f"validate/{self.owner}/{TOLD}"])


class Lagging(Alternate, Simultaneous):
    """While a `LaggingVAE`'s encoder lags, its turns alternate; then encoder and decoder step at once, as a VAE's do.

    Raises `UserError` for another module. Source: He et al. 2019, algorithm 1.
    """

    def play(self, module: AlternatingModule, batch: Batch) -> None:
        if not isinstance(module, LaggingVAE):
            given = f"turns=lagging with {type(module).__name__}, of which no player lags"
            raise UserError(given, "model=lagging_vae", "use turns=encoder_decoder or turns=alternate")
        strategy = Alternate if module.pursuit.aggressive else Simultaneous
        strategy.play(self, module, batch)
