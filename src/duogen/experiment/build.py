"""Building objects from `_target_` nodes, the whole tree checked first; a constructor is the schema of its node."""

import inspect
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from difflib import get_close_matches
from reprlib import repr as shown
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import SchemaError
from torch import nn

from duogen.errors import UserError, nearest
from duogen.experiment.allowed import Allowed, allowed

LATER = ("params", "optimizer")

STRICT = ConfigDict(arbitrary_types_allowed=True, strict=True)

Place = tuple[object, ...]


@dataclass(frozen=True)
class Plan:
    """A node whose target was found: its place in the config, its class, the signature of the constructor."""

    place: Place
    target: str
    made: type
    signature: inspect.Signature

    @property
    def names(self) -> list[str]:
        named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
        return [name for name, found in self.signature.parameters.items() if found.kind in named]

    @property
    def others(self) -> inspect.Parameter | None:
        """The parameter that takes all other names."""
        parameters = self.signature.parameters.values()
        return next((found for found in parameters if found.kind is found.VAR_KEYWORD), None)

    def annotation(self, name: str) -> Any:
        found = self.signature.parameters.get(name, self.others)
        return Any if found is None or found.annotation is found.empty else found.annotation


def build(node: Any, allow: Sequence[str] = (), **runtime: Any) -> Any:
    """The objects that a tree of nodes describes, built depth first; `runtime` are more arguments of the top node.

    Mappings and lists without `_target_` stay what they are, with the nodes in them built. Raises UserError as `check`
    does, and for a built object that does not fit the argument which it is given for.
    """
    for name in runtime:
        if isinstance(node, Mapping) and name in node:
            raise UserError(f"{name}={shown(node[name])}", "what the run does not give itself", f"leave {name} out")
    plans = _plans(node, allow, lambda place: () if place else tuple(runtime))
    return _made(node, (), plans, runtime)


def check(config: Any, allow: Sequence[str] = ()) -> None:
    """Checks every node in a config and builds nothing; faults of one kind are reported together.

    `allow` are prefixes ending in a dot, or full names of classes, beside our own. `params` and `optimizer` are not
    missed: the run gives them.

    Raises UserError for a target that is not on the list, before anything is imported, for one that is no class, for
    unknown and missing arguments, and for values that do not fit their annotation.
    """
    _plans(config, allow, lambda place: LATER)


def _plans(config: Any, allow: Sequence[str], later: Callable[[Place], Collection[str]]) -> dict[Place, Plan]:
    listed = allowed(allow)
    mappings = dict(_mappings(config))
    places = _distinct(mappings)
    _refuse(fault for place in places for fault in listed.faults(mappings[place], _dots(*place, "")))
    plans, faults = _found({place: node for place, node in mappings.items() if "_target_" in node}, listed)
    _refuse(fault for place, fault in faults.items() if place in places)
    planned = [place for place in places if place in plans]
    _refuse(fault for place in planned for fault in _argument_faults(plans[place], mappings[place], later(place)))
    return plans


def _found(
    nodes: Mapping[Place, Mapping[str, Any]], listed: Allowed
) -> tuple[dict[Place, Plan], dict[Place, UserError]]:
    plans: dict[Place, Plan] = {}
    faults: dict[Place, UserError] = {}
    for place, node in nodes.items():
        try:
            made = listed.find(node["_target_"], _dots(*place, ""))
            plans[place] = Plan(place, node["_target_"], made, _signature(made))
        except UserError as fault:
            faults[place] = fault
    return plans, faults


def _mappings(value: Any, place: Place = ()) -> Iterator[tuple[Place, Mapping[Any, Any]]]:
    if isinstance(value, Mapping):
        yield place, value
    items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        yield from _mappings(below, (*place, key))


def _dots(*place: object) -> str:
    return ".".join(str(part) for part in place)


def _distinct(mappings: Mapping[Place, Mapping[Any, Any]]) -> list[Place]:
    """The first place of each mapping: an interpolation repeats one, and so its faults, elsewhere in the config."""
    first: dict[str, Place] = {}
    for place, node in mappings.items():
        first.setdefault(repr(node), place)
    return list(first.values())


def _signature(made: type) -> inspect.Signature:
    """The constructor's signature; torch's Module names no argument and takes none, whatever its signature says."""
    if made.__init__ is nn.Module.__init__:
        return inspect.Signature()
    try:
        return inspect.signature(made, eval_str=True)
    except (NameError, TypeError, AttributeError):
        return inspect.signature(made)


def _argument_faults(plan: Plan, node: Mapping[str, Any], later: Collection[str]) -> Iterator[UserError]:
    for name, value in node.items():
        if name != "_target_" and name not in plan.names and (plan.others is None or not isinstance(name, str)):
            yield _unknown(plan, str(name))
        elif name != "_target_" and not any("_target_" in below for _, below in _mappings(value)):
            yield from _misfits(plan, {name: value})
    for name in plan.names:
        if plan.signature.parameters[name].default is inspect.Parameter.empty and name not in (*node, *later):
            place = _dots(*plan.place, name)
            yield UserError(f"{place} is missing for {plan.target}", _kind(plan.annotation(name)), f"{place}=VALUE")


def _unknown(plan: Plan, name: str) -> UserError:
    near = nearest(name, plan.names)
    remedy = f"for example {_dots(*plan.place, near[0])}" if get_close_matches(name, near) else "leave it out"
    return UserError(
        f"{_dots(*plan.place, name)}: {plan.target} has no {name}", ", ".join(near) or "no argument", remedy
    )


def _misfits(plan: Plan, arguments: Mapping[str, Any]) -> Iterator[UserError]:
    for name, value in arguments.items():
        if not _fit(value, plan.annotation(name))[0]:
            where = f"{_dots(*plan.place, name)}={shown(value)} does not fit {plan.target}"
            yield UserError(where, _kind(plan.annotation(name)), f"give {name} such a value")


def _kind(annotation: Any) -> str:
    return re.sub(r"\b(?:\w+\.)+", "", inspect.formatannotation(annotation))


def _fit(value: Any, annotation: Any) -> tuple[bool, Any]:
    """Whether a value fits an annotation, strictly, and the value as the constructor gets it.

    Converted is only what YAML cannot say, such as a list into a tuple. An annotation that nothing can be checked
    against, such as a protocol or a name that does not resolve, fits everything.
    """
    if is_dataclass(annotation):
        return isinstance(value, annotation if isinstance(annotation, type) else type(annotation)), value
    try:
        adapter = TypeAdapter(annotation, config=STRICT)
    except (PydanticUserError, SchemaError, NameError, TypeError):
        return True, value
    try:
        adapter.validate_python(value)
    except (PydanticUserError, TypeError):
        return True, value
    except ValidationError:
        try:
            return True, adapter.validate_json(json.dumps(value))
        except (ValueError, TypeError):
            return False, value
    return True, value


def _made(value: Any, place: Place, plans: Mapping[Place, Plan], runtime: Mapping[str, Any]) -> Any:
    if isinstance(value, list):
        return [_made(below, (*place, index), plans, {}) for index, below in enumerate(value)]
    if not isinstance(value, Mapping):
        return value
    parts = {key: _made(below, (*place, key), plans, {}) for key, below in value.items() if key != "_target_"}
    return _constructed(plans[place], parts, runtime) if "_target_" in value else parts


def _constructed(plan: Plan, arguments: Mapping[str, Any], runtime: Mapping[str, Any]) -> Any:
    _refuse(_misfits(plan, arguments))
    fitted = {name: _fit(value, plan.annotation(name))[1] for name, value in arguments.items()}
    try:
        return plan.made(**fitted, **runtime)
    except UserError:
        raise
    except ValueError as error:
        place = _dots(*plan.place) or plan.target
        raise UserError(f"{place}: {error}", f"what {plan.target} takes", "change the value") from error


def _refuse(faults: Iterable[UserError]) -> None:
    """Raises the fault, or one that says them all; does nothing if there is none."""
    found = list(faults)
    if len(found) == 1:
        raise found[0]
    if found:
        parts = [dict.fromkeys(texts) for texts in zip(*(fault.args for fault in found), strict=True)]
        raise UserError("\n".join(parts[0]), "; ".join(parts[1]), "; ".join(parts[2]))
