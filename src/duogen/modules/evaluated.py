"""The half of a module that is evaluated: measures, the real examples they see, and what else is worth a look."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, ClassVar, TypeVar
from weakref import WeakKeyDictionary

import torch
from pytorch_lightning import LightningModule
from torch import Tensor, nn

from duogen.errors import UserError
from duogen.metrics.latent import Inference, LatentMeasure
from duogen.metrics.measure import Measure, collectors
from duogen.metrics.side import RealSet
from duogen.modules.ranks import summed
from duogen.seeds import derive

Network = TypeVar("Network", bound=nn.Module)


class EvaluatedModule(LightningModule):
    """Validation and test: new examples beside held-out ones, on each rank its share of the batches."""

    observations: ClassVar[Sequence[str]] = ()

    def __init__(self) -> None:
        super().__init__()
        self.measures: Mapping[str, Measure] = {}
        self.collectors: Sequence[Any] = ()
        self.seed = 0
        self.measured: dict[str, float] = {}
        self.seen: dict[str, Tensor] = {}
        self.remarks: Sequence[str] = ()
        self._remarked: set[str] = set()
        self._checksums: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    @property
    def owner(self) -> str:
        """Whose values they are, in a row's names."""
        return type(self).__name__.lower()

    def samples(self, count: int, generator: torch.Generator) -> Any:
        """A batch of `count` new examples from the evaluated networks; its randomness is `generator`'s, on the CPU."""
        raise NotImplementedError(f"{type(self).__name__} cannot be sampled")

    def counterparts(self, batch: Any, generator: torch.Generator) -> Any:
        """As many new examples as the batch holds real ones, of the same classes where there are classes."""
        return self.samples(batch.count, generator)

    def observe(self, real: Any, generated: Any) -> Mapping[str, Tensor]:
        """By the names in `observations`, values (N,) of held-out or of generated examples whose means are logged."""
        return {}

    def inference(self) -> AbstractContextManager[Inference] | None:
        """What a model with codes can be asked while this is entered; None for a model without."""
        return None

    def measure(self, batch: Any, generator: torch.Generator) -> None:
        """Updates the measures: with as many generated examples as the batch holds real ones, and with its codes."""
        if self.collectors or self.observations:
            generated = self.counterparts(batch, generator)
            for collector in self.collectors:
                collector.update(generated, batch)
            for name, values in self.observe(batch, generated).items():
                self.seen[name] += torch.stack([values.double().sum(), values.new_tensor(len(values)).double()]).cpu()
        asked = [measure for measure in self.measuring.values() if isinstance(measure, LatentMeasure)]
        if asked and (entered := self.inference()) is not None:
            with entered as model, seeded(generator, self.device):
                for measure in asked:
                    measure.ask(model, batch)

    def evaluate_with(self, measures: Mapping[str, Measure], seed: int) -> None:
        """Takes on the measures.

        Raises:
            UserError: a measure of codes, and a model that has none.
        """
        self.measures, self.seed = measures, seed
        latent = [measure for measure in measures.values() if isinstance(measure, LatentMeasure)]
        if latent and self.inference() is None:
            given = f"metrics=[{latent[0].name}] with {type(self).__name__}"
            raise UserError(given, "metrics of generated examples", "leave it out, or take model=vae, which has codes")
        self.collectors = collectors(measure for measure in measures.values() if not isinstance(measure, LatentMeasure))

    @property
    def measuring(self) -> Mapping[str, Measure]:
        """The measures of this evaluation: those that cost too much for every validation see the test split alone."""
        fit = self.trainer.state.fn == "fit"
        return {name: measure for name, measure in self.measures.items() if measure.validates or not fit}

    def held_out(self) -> RealSet:
        """The real examples that this evaluation sees."""
        split = "validate" if self.trainer.state.fn == "fit" else "test"
        datamodule: Any = self.trainer.datamodule  # pyright: ignore[reportAttributeAccessIssue]
        if datamodule not in self._checksums:
            self._checksums[datamodule] = datamodule.checksum()
        return RealSet(self._checksums[datamodule], split, len(datamodule.splits[split]))

    def remark(self) -> None:
        """Keeps what a reader of the values must know; at validations the first rank says it, once for each measure."""
        found = {name: remarks for name, measure in self.measuring.items() if (remarks := measure.remarks())}
        self.remarks = [remark for remarks in found.values() for remark in remarks]
        if self.trainer.is_global_zero and self.trainer.state.fn == "fit":
            new = [remark for name, remarks in found.items() if name not in self._remarked for remark in remarks]
            self._remarked |= set(found)
            print(*(f"note: {remark}\n" for remark in new), sep="", end="", file=sys.stderr, flush=True)

    def on_validation_epoch_start(self) -> None:
        self.seen = {name: torch.zeros(2, dtype=torch.float64) for name in self.observations}
        for measure in self.measuring.values():
            measure.to(self.device).begin(self.held_out)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measures this rank's share of the batches; noise belongs to the batch, so the ranks do not change a value."""
        if batch_idx % self.trainer.world_size == self.trainer.global_rank:
            purpose = ("validate", self.global_step) if self.trainer.state.fn == "fit" else ("test",)
            self.measure(batch, torch.Generator().manual_seed(derive(self.seed, *purpose, batch_idx)))

    def on_validation_epoch_end(self) -> None:
        """Collects the values under `<split>/<module>/<value>`."""
        split = "validate" if self.trainer.state.fn == "fit" else "test"
        self.measured = {
            f"{split}/{self.owner}/{name}": float(value)
            for measure in self.measuring.values()
            for name, value in measure.compute().items()
        }
        self.remark()
        for name, sums in self.seen.items():
            total, count = summed(sums.to(self.device)).tolist()
            self.measured[f"{split}/{self.owner}/{name}"] = total / max(count, 1)

    on_test_epoch_start, test_step, on_test_epoch_end = (
        on_validation_epoch_start,
        validation_step,
        on_validation_epoch_end,
    )


@contextmanager
def at_rest(network: Network) -> Iterator[Network]:
    """The network in evaluation mode, without gradients; afterwards each of its parts is as it was."""
    modes = [(part, part.training) for part in network.modules()]
    try:
        with torch.no_grad():
            yield network.eval()
    finally:
        for part, training in modes:
            part.training = training


@contextmanager
def seeded(generator: torch.Generator, device: torch.device) -> Iterator[None]:
    """Draws of the default generators inside are a function of `generator`, and leave no trace."""
    seed = int(torch.randint(2**62, (), generator=generator))
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        torch.manual_seed(seed)
        yield
