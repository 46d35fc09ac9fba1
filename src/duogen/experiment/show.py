"""What a show of a trained model is, and what it draws from."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from rich.table import Table
from torch import Tensor

from duogen.callbacks.pictures import Layout
from duogen.data.examples import ExamplesData
from duogen.errors import UserError
from duogen.modules.alternating import AlternatingModule
from duogen.modules.generative import GenerativeModule
from duogen.modules.vae import VAE

LIMIT, MOST_STEPS = 1_000_000, 1000


@dataclass(frozen=True)
class Scene:
    """What a show may draw from: the module, the data that it was trained on, read when asked for, and randomness."""

    module: AlternatingModule
    data: Callable[[], ExamplesData]
    generator: torch.Generator

    def generative(self, show: str) -> GenerativeModule:
        """The module, if it maps noise or codes to examples."""
        if not isinstance(self.module, GenerativeModule):
            given = f"show={show} with a checkpoint of {type(self.module).__name__}"
            raise UserError(given, "checkpoints of a GAN or of a VAE", "use duogen sample without it")
        return self.module

    def vae(self, show: str) -> VAE:
        """The module, if it has an encoder and a decoder."""
        if not isinstance(self.module, VAE):
            given = f"show={show} with a checkpoint of {type(self.module).__name__}"
            raise UserError(given, "checkpoints of a VAE, whose codes are numbers", "use show=samples")
        return self.module


@dataclass(frozen=True)
class Sheet:
    """What a show found: `values` (N, *shape) and `labels` (N,), how a picture lays them out, and more to tell.

    `rows` divides N where an array has rows; `reference` (M, *shape) lies beneath a scatter plot; `extra` arrays join
    an archive; `table` is printed.
    """

    values: Tensor
    labels: Tensor | None
    layout: Layout | None
    sentence: str
    rows: int | None = None
    reference: Tensor | None = None
    extra: Mapping[str, Tensor] = field(default_factory=dict)
    table: Table | None = None


class Show(ABC):
    """A way to look at a generator."""

    @abstractmethod
    def sheet(self, scene: Scene) -> Sheet:
        """Draws it; raises `UserError` where the module or the data cannot serve."""


def within(name: str, value: int, least: int, most: int) -> None:
    if not least <= value <= most:
        raise UserError(f"{name}={value}", f"{least} to {most}", f"change {name}")
