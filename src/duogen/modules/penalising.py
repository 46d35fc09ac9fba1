"""From penalties to the terms of a player's loss: at which weight, and in which precision."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from duogen.objectives.penalties import Penalty, Play, Watched
from duogen.ramp import Ramp, at
from duogen.records import Loss

Named = Iterable[tuple[str, Penalty]]


@dataclass(frozen=True)
class Due:
    """One player's side of a penalty."""

    name: str
    term: Callable[[Play], Tensor | Watched | None]
    weight: float | Ramp
    twice: bool


def of_discriminator(penalties: Named) -> list[Due]:
    return [Due(name, penalty.discriminator, penalty.weight, penalty.twice) for name, penalty in penalties]


def of_generator(penalties: Named) -> list[Due]:
    return [Due(name, penalty.generator, penalty.generator_weight, penalty.twice) for name, penalty in penalties]


def penalised(loss: Loss, dues: Iterable[Due], play: Play, step: int) -> Loss:
    """The loss with the terms of all that is due; what differentiates twice is taken in full precision."""
    if not (dues := list(dues)):
        return loss
    precise = replace(play, real=play.real.float(), fake=play.fake.float())
    for due in dues:
        with full_precision(play.real.device) if due.twice else nullcontext():
            term = due.term(precise)
        if isinstance(term, Watched):
            loss = replace(loss, observed={**loss.observed, watched(due.name): term.value.float()})
            term = term.term
        if term is not None:
            loss = with_terms(loss, {due.name: term.float()}, at(step, due.weight))
    return loss


def watched(name: str) -> str:
    """Under which name a loss observes what a penalty watches."""
    return f"{name}_watched"


def with_terms(loss: Loss, terms: Mapping[str, Tensor], weight: float) -> Loss:
    """The loss with more terms of one weight."""
    return replace(loss, terms={**loss.terms, **terms}, weights={**loss.weights, **dict.fromkeys(terms, weight)})


@contextmanager
def full_precision(device: torch.device) -> Iterator[None]:
    """Penalties differentiate twice: float32, the eager network, and attention as plain mathematics."""
    known = torch.amp.is_autocast_available(device.type)
    outside = torch.autocast(device.type, enabled=False) if known else nullcontext()
    with outside, sdpa_kernel(SDPBackend.MATH):
        yield
