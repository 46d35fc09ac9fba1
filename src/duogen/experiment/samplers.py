"""Samplers of codes: fitted to those of a checkpoint's training set, and kept beside the checkpoint."""

import inspect
import io
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from duogen.data.checksum import sha256_of
from duogen.data.examples import ExamplesData
from duogen.errors import UserError
from duogen.experiment.allowed import allowed
from duogen.experiment.build import build
from duogen.files import write_atomic
from duogen.modules.alternating import AlternatingModule
from duogen.modules.evaluated import seeded
from duogen.modules.resampled import Encoding, Resampled, encoding
from duogen.networks.samplers.sampler import Sampler
from duogen.seeds import derive

FORMAT = 1
FIELDS = {"format", "state", "said"}


@dataclass(frozen=True)
class Choice:
    """A sampler of codes by its name, the node that it is built from, and the nodes of all options by their names."""

    name: str
    node: Mapping[str, Any]
    options: Mapping[str, Mapping[str, Any]]

    @property
    def asked(self) -> str:
        return f"sampler={self.name}"

    def protocol(self, classes: int | None) -> dict[str, Any]:
        """What a value that was measured with it must state, and of how many classes it was told."""
        return {"sampler": {"name": self.name, **self.node, "classes": classes}}


@dataclass(frozen=True)
class Shelf:
    """Where the fitted samplers of a checkpoint lie: `samplers` in its run's folder."""

    checkpoint: Path

    @property
    def folder(self) -> Path:
        beside = self.checkpoint.absolute().parent
        return (beside.parent if beside.name == "checkpoints" else beside) / "samplers"

    def place(self, choice: Choice, kind: type, seed: int) -> Path:
        """The file of a sampler; another checkpoint, setting or seed has another, and so has other code."""
        code = inspect.getsource(sys.modules[kind.__module__])
        key = json.dumps([FORMAT, sha256_of(self.checkpoint), choice.node, code, seed], sort_keys=True)
        return self.folder / f"{choice.name}-{sha256(key.encode()).hexdigest()[:16]}.pt"


def resampled(
    module: AlternatingModule,
    config: Mapping[str, Any],
    data: Callable[[], ExamplesData],
    checkpoint: Path,
    choice: Choice,
    allow: Sequence[str],
) -> Resampled:
    """The module, already on its device, with its codes drawn by the sampler: the one on the shelf, else a new one.

    It is fitted once, from the config's seed, so that every command on the checkpoint draws from the same one.
    Raises `UserError` for a module without codes, a sampler of other codes, and codes that cannot be fitted.
    """
    given = config["data"].get("classes")
    fitted_to = encoding(module, choice.asked, given if isinstance(given, int) else None)
    refuse_other(fitted_to, choice, allow)
    generator = torch.Generator().manual_seed(derive(config["seed"], "sampler"))
    with seeded(generator, module.device):
        sampler: Sampler = build({"sampler": {**choice.node, **fitted_to.facts}}, allow)["sampler"].to(module.device)
    place = Shelf(checkpoint).place(choice, type(sampler), config["seed"])
    if not taken(sampler, place):
        said = fitted(sampler, fitted_to, data(), choice, generator)
        keep(sampler, said, place)
    built = Resampled(fitted_to, sampler.eval())
    built.to(module.device)
    built.seed = config["seed"]
    return built


def refuse_other(fitted_to: Encoding, choice: Choice, allow: Sequence[str]) -> None:
    """Refuses a class that is no sampler of such codes, and names those that are."""
    if issubclass(made(choice.node, allow), fitted_to.kind):
        return
    fit = [name for name, node in choice.options.items() if fits(node, fitted_to, allow)]
    given = (
        f"{choice.asked} with a checkpoint of {type(fitted_to.trained).__name__}, whose codes are {fitted_to.called}"
    )
    raise UserError(given, ", ".join(f"sampler={name}" for name in fit), "use one of these, or leave it out")


def fits(node: Mapping[str, Any], fitted_to: Encoding, allow: Sequence[str]) -> bool:
    try:
        return issubclass(made(node, allow), fitted_to.kind)
    except UserError:
        return False


def made(node: Mapping[str, Any], allow: Sequence[str]) -> type:
    """The class of a node; raises UserError for one that may not be built, before anything is imported."""
    listed = allowed(allow)
    for fault in listed.faults(node, "sampler."):
        raise fault
    if "_target_" not in node:
        raise UserError("sampler names no class", "_target_: a sampler's class", "begin its file with a _target_")
    return listed.find(node["_target_"], "sampler.")


def fitted(sampler: Sampler, to: Encoding, data: ExamplesData, choice: Choice, generator: torch.Generator) -> str:
    """Fits the sampler to the codes of the training set, and says so; returns how it went."""
    data.setup()
    train, begun = data.train_once, time.monotonic()
    starts = range(0, len(train), data.evaluation_batch)
    batches = (train.part(start, start + data.evaluation_batch).examples() for start in starts)
    print(f"fitting {choice.name} to {len(train):,} codes ... ", end="", flush=True)
    try:
        codes, labels = to.encode(batches, generator)
        with seeded(generator, to.trained.device):
            said = sampler.fit(codes, labels, generator)
    except BaseException:
        print("stopped")
        raise
    print(f"{time.monotonic() - begun:.1f} s, {said}")
    return said


def taken(sampler: Sampler, place: Path) -> bool:
    """Whether the sampler has taken the parameters that the file holds; one that is not whole leaves it as it was."""
    if not place.is_file():
        return False
    before = deepcopy(sampler.state_dict())
    try:
        content = torch.load(place, map_location="cpu", weights_only=True)
        if set(content) != FIELDS or content["format"] != FORMAT:
            raise ValueError("other fields")
        sampler.load_state_dict(content["state"])
    except Exception as error:
        # A broken file may make the reader fail in any way at all.
        sampler.load_state_dict(before)
        print(f"note: {place} cannot be read ({type(error).__name__}) and is written anew")
        return False
    print(f"sampler read from {place}: {content['said']}")
    return True


def keep(sampler: Sampler, said: str, place: Path) -> None:
    buffer = io.BytesIO()
    state = {name: value.cpu() for name, value in sampler.state_dict().items()}
    torch.save({"format": FORMAT, "state": state, "said": said}, buffer)
    try:
        write_atomic(place, buffer.getvalue())
    except OSError as error:
        print(f"note: the sampler is not kept, {place.parent} cannot be written ({type(error).__name__})")
