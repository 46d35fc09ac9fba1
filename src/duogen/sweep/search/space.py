"""What a search may draw, read from the spelling of Hydra's sweeps, and drawn values spelt as overrides again."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, RangeSweep, Transformer
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from duogen.errors import UserError, nearest

Space = dict[str, BaseDistribution]
Options = Callable[[str], Sequence[str]]

SPELLINGS = "interval(a,b), int(interval(a,b)), tag(log,interval(a,b)), choice(x,y), x,y, range(a,b,step) or glob(*)"
NUMBERS = {"low", "high", "step", "log"}
FORMS = {"float": NUMBERS, "int": NUMBERS, "categorical": {"choices"}}
TAGS = {"log", "int"}


def read(params: Mapping[str, Any], options: Options) -> Space:
    """The distribution of every key, from Hydra's spelling or from a mapping with type, low, high, step, log, choices.

    `interval(a,b)` holds both ends; `range(a,b,step)` leaves out b, as it does in a grid. A choice is drawn by its
    override string, lists too (`[r1],[r1,r2]`), and a plain value is a choice of one. `options` lists what a group
    offers to a `glob`. Raises UserError for every other spelling, and for bounds that leave nothing to draw.
    """
    return {key: _distribution(key, spelling, options) for key, spelling in params.items()}


def choices(key: str, spelling: Any, options: Options) -> list[str]:
    """The override strings that a choice, a range or a glob holds, in its order: `1,2` or `range(1,3)` is 1 and 2.

    Raises UserError for a spelling that cannot be counted out.
    """
    override = _parse(key, spelling)
    match override.value():
        case IntervalSweep():
            raise UserError(f"{key}={spelling}", "choice(x,y), x,y, range(a,b,step) or glob(*)", "list the values")
        case Glob() as glob:
            found = [str(name) for name in glob.filter(list(options(key)))]
        case ChoiceSweep(list=values):
            found = [_text(value) for value in values]
        case RangeSweep() as sweep:
            found = [_text(value) for value in sweep.range()]
        case _:
            found = [_text(override._value)]
    if not found:
        raise UserError(f"{key}={spelling} holds nothing", "at least one value", "widen it")
    return list(dict.fromkeys(found))


def spell(values: Mapping[str, Any]) -> dict[str, str]:
    """Drawn values as override strings; a float by its shortest exact decimal."""
    return {key: value if isinstance(value, str) else repr(value) for key, value in values.items()}


def unspell(space: Space, setting: Mapping[str, str]) -> dict[str, Any]:
    """The drawn values that `spell` wrote. Raises UserError where the keys or a value are not those of the space."""
    if setting.keys() != space.keys():
        raise UserError(
            f"a recorded setting of {', '.join(setting)}",
            f"the keys of this search space: {', '.join(space)}",
            "continue with the same space, or search in another sweep folder",
        )
    return {key: _value(key, space[key], text) for key, text in setting.items()}


def fits(space: Space, setting: Mapping[str, str]) -> bool:
    """Whether the space can hold a setting."""
    with suppress(UserError):
        return bool(unspell(space, setting))
    return False


def shrink(space: Space, best: Mapping[str, str], fraction: float) -> Space:
    """The space around one setting: intervals cut to a fraction of their width, everything else fixed.

    An interval [a, b] becomes one of width w = fraction (b - a) with the best value in its middle, moved inwards where
    it would reach over an end; all of it in the logarithm where the interval is logarithmic.
    """
    values = unspell(space, best)
    return {key: _around(distribution, values[key], fraction) for key, distribution in space.items()}


def _distribution(key: str, spelling: Any, options: Options) -> BaseDistribution:
    if isinstance(spelling, Mapping):
        return _from_mapping(key, spelling)
    override = _parse(key, spelling)
    match override.value():
        case IntervalSweep(tags=tags, start=low, end=high):
            _refuse_unknown(f"{key}={spelling}: the tag", tags, TAGS)
            whole = "int" in tags or isinstance(low, int)
            return _numbers(key, spelling, whole, low=low, high=high, log="log" in tags)
        case RangeSweep() as sweep:
            counted = list(sweep.range())
            if not counted:
                raise UserError(f"{key}={spelling} holds nothing", "at least one value", "widen it")
            whole = all(isinstance(value, int) for value in counted)
            return _numbers(key, spelling, whole, low=min(counted), high=max(counted), step=abs(sweep.step))
    return CategoricalDistribution(choices(key, spelling, options))


def _parse(key: str, spelling: Any) -> Override:
    text = spelling if isinstance(spelling, str) else _text(spelling)
    try:
        return OverridesParser.create().parse_override(f"{key}={text}")
    except (HydraException, OmegaConfBaseException) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{key}={spelling}: {reason}", SPELLINGS, "spell it in one of these ways") from None


def _text(value: Any) -> str:
    text = Transformer.str(value)
    return text.lower() if isinstance(value, bool) else text


def _from_mapping(key: str, node: Mapping[str, Any]) -> BaseDistribution:
    kind = str(node.get("type"))
    if kind not in FORMS:
        raise UserError(f"{key}: type: {kind}", ", ".join(nearest(kind, FORMS)), "name the kind of values to draw")
    given = {name: value for name, value in node.items() if name != "type" and value is not None}
    _refuse_unknown(f"{key}: {kind} with", given, FORMS[kind])
    needed = [name for name in ("low", "high", "choices") if name in FORMS[kind] and name not in given]
    if needed:
        raise UserError(f"{key}: {dict(node)}", f"a {kind} with {', '.join(needed)}", f"add {', '.join(needed)}")
    if kind == "categorical":
        return CategoricalDistribution(list(dict.fromkeys(_text(choice) for choice in given["choices"])))
    return _numbers(key, dict(node), kind == "int", **given)


def _numbers(key: str, spelling: Any, whole: bool, **bounds: Any) -> BaseDistribution:
    number = int if whole else float
    try:
        bounds = {name: value if name == "log" else number(value) for name, value in bounds.items()}
        return (IntDistribution if whole else FloatDistribution)(**bounds)
    except ValueError as error:
        raise UserError(
            f"{key}={spelling}: {error}",
            "low <= high, a step above 0, and for log low > 0 and no step",
            "correct the bounds",
        ) from None


def _refuse_unknown(given: str, names: Iterable[str], allowed: set[str]) -> None:
    for name in sorted(set(names) - allowed):
        raise UserError(f"{given} {name}", ", ".join(nearest(name, allowed)), "use one of these or leave it out")


def _value(key: str, distribution: BaseDistribution, text: str) -> Any:
    numbers = {FloatDistribution: float, IntDistribution: int}
    with suppress(ValueError):
        value = numbers.get(type(distribution), str)(text)
        if distribution._contains(distribution.to_internal_repr(value)):
            return value
    remedy = "continue with the same space, or search in another sweep folder"
    raise UserError(f"a recorded setting with {key}={text}", str(distribution), remedy)


def _around(distribution: BaseDistribution, best: Any, fraction: float) -> BaseDistribution:
    match distribution:
        case FloatDistribution(step=None) as d:
            low, high = _window(d.low, d.high, best, fraction, d.log)
            return FloatDistribution(max(d.low, min(low, best)), min(d.high, max(high, best)), log=d.log)
        case FloatDistribution(step=step) as d if step is not None:
            low, high = _window(d.low, d.high, best, fraction, False)
            middle, start, each = round((best - d.low) / step), Decimal(repr(d.low)), Decimal(repr(step))
            first, last = middle - _steps(best - low, step), middle + _steps(high - best, step)
            return FloatDistribution(float(start + first * each), float(start + last * each), step=step)
        case IntDistribution() as d:
            low, high = _window(d.low, d.high, best, fraction, d.log)
            first, last = _steps(best - low, d.step), _steps(high - best, d.step)
            return IntDistribution(best - first * d.step, best + last * d.step, log=d.log, step=d.step)
    return CategoricalDistribution([best])


def _window(low: float, high: float, best: float, fraction: float, log: bool) -> tuple[float, float]:
    """The ends of the interval of `fraction` times the width around `best`, inside [low, high]."""
    if log:
        first, last = _window(math.log(low), math.log(high), math.log(best), fraction, False)
        return math.exp(first), math.exp(last)
    width = fraction * (high - low)
    first = min(max(low, best - width / 2), high - width)
    return first, first + width


def _steps(distance: float, step: float) -> int:
    return max(0, math.floor(distance / step + 1e-9))
