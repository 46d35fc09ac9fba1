"""What a config may name: our own layers, single torch classes, and what the command line adds; classes alone.

A target is on the list before anything is imported. What stands under its name must be a class whose own name is on the
list too, so that a module on the list does not let through what it imports.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from reprlib import repr as shown
from types import ModuleType
from typing import Any

from duogen.errors import UserError, nearest

LAYERS = (
    "duogen.networks.",
    "duogen.objectives.",
    "duogen.augmentations.",
    "duogen.ramp.",
    "duogen.decoding.",
    "duogen.metrics.",
    "duogen.data.",
    "duogen.modules.",
    "duogen.callbacks.",
)

CLASSES = {
    "torch.nn.ReLU": "torch.nn.modules.activation.ReLU",
    "torch.nn.LeakyReLU": "torch.nn.modules.activation.LeakyReLU",
    "torch.nn.ELU": "torch.nn.modules.activation.ELU",
    "torch.nn.SiLU": "torch.nn.modules.activation.SiLU",
    "torch.nn.Softplus": "torch.nn.modules.activation.Softplus",
    "torch.nn.Tanh": "torch.nn.modules.activation.Tanh",
    "torch.optim.Adam": "torch.optim.adam.Adam",
    "torch.optim.AdamW": "torch.optim.adamw.AdamW",
    "torch.optim.SGD": "torch.optim.sgd.SGD",
    "torch.optim.RMSprop": "torch.optim.rmsprop.RMSprop",
    "torch.optim.lr_scheduler.LinearLR": "torch.optim.lr_scheduler.LinearLR",
    "torch.optim.lr_scheduler.CosineAnnealingLR": "torch.optim.lr_scheduler.CosineAnnealingLR",
    "torch.optim.lr_scheduler.MultiStepLR": "torch.optim.lr_scheduler.MultiStepLR",
    "torch.optim.lr_scheduler.ExponentialLR": "torch.optim.lr_scheduler.ExponentialLR",
    "torch.optim.lr_scheduler.ConstantLR": "torch.optim.lr_scheduler.ConstantLR",
    "torch.optim.lr_scheduler.ReduceLROnPlateau": "torch.optim.lr_scheduler.ReduceLROnPlateau",
}


@dataclass(frozen=True)
class Allowed:
    """Prefixes, which end in a dot, and single classes: the name in a config, and the class's own name."""

    prefixes: tuple[str, ...]
    classes: Mapping[str, str]

    def __contains__(self, name: str) -> bool:
        return name in self.classes or name in self.classes.values() or name.startswith(self.prefixes)

    def faults(self, node: Mapping[Any, Any], place: str) -> Iterator[UserError]:
        """Why a mapping, by its words alone, is refused; imports nothing."""
        for key in node:
            if str(key).startswith("_") and key != "_target_":
                yield UserError(f"{place}{key} is no key of ours", "_target_ and arguments", "leave it out")
        if "_target_" not in node:
            return
        target = node["_target_"]
        if not isinstance(target, str) or target not in self or not dotted(target):
            where = f"{place}_target_={target if isinstance(target, str) else shown(target)} may not be built"
            near = nearest(str(target), [*self.classes, *(f"{prefix}*" for prefix in self.prefixes)])
            remedy = "take one of these; for classes of your own, --allow my_package. on the command line"
            yield UserError(where, ", ".join(near), remedy)

    def find(self, target: str, place: str) -> type:
        """The class of a target on the list; raises UserError if there is none, or one that is not on the list."""
        where = f"{place}_target_={target}"
        module_name, _, name = self.classes.get(target, target).rpartition(".")
        module = _module(module_name, where)
        found = vars(module).get(name)
        if isinstance(found, type) and _own_name(found) in self and not inspect.isabstract(found):
            return found
        classes = [value for value in vars(module).values() if isinstance(value, type) and _own_name(value) in self]
        near = nearest(target, [_own_name(value) for value in classes if not inspect.isabstract(value)])
        raise UserError(f"{where} {_kind(found)}", ", ".join(near) or f"nothing in {module_name}", "name one of these")


def allowed(more: Sequence[str]) -> Allowed:
    """The list with the prefixes and class names of the command line; raises UserError for one that is neither."""
    for name in more:
        if "." not in name or not dotted(name.removesuffix(".")):
            raise UserError(
                f"--allow {name!r}", "a prefix ending in a dot, or a full class name", "--allow my_package."
            )
    prefixes = tuple(name for name in more if name.endswith("."))
    return Allowed(LAYERS + prefixes, CLASSES | {name: name for name in more if not name.endswith(".")})


def dotted(name: str) -> bool:
    """Whether a name is identifiers of ASCII letters joined by dots."""
    return name.isascii() and all(part.isidentifier() for part in name.split("."))


def _own_name(found: type) -> str:
    return f"{found.__module__}.{found.__qualname__}"


def _kind(found: object) -> str:
    if not isinstance(found, type):
        return "is not there" if found is None else "is no class"
    return "is abstract" if inspect.isabstract(found) else f"is {_own_name(found)}, which may not be built"


def _module(name: str, where: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise UserError(f"{where}: there is no module {name}", _beside(name), "mend the name") from error
        raise UserError(f"{where}: importing {name} failed: {error}", "modules that import", "mend that") from error


def _beside(name: str) -> str:
    """The modules next to where a module should be, whose package the attempt to import it has imported."""
    parent = name.rpartition(".")[0]
    try:
        path = importlib.import_module(parent).__path__
    except (ImportError, ValueError, AttributeError):
        return f"nothing below {parent or name}"
    return ", ".join(nearest(name, [f"{parent}.{found.name}" for found in pkgutil.iter_modules(path)]))
