"""Parts that make no sense together, refused by name; `conf/pairs.yaml` says which, and how to read it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from duogen.conftree import LOADER, conf_dir
from duogen.errors import UserError

Conditions = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """A row of the table: it refuses a config in which all of `given` holds and, of `needs_any`, nothing does."""

    given: Conditions
    because: str
    remedy: str
    needs_any: Sequence[Conditions] = ()

    def refuses(self, config: Mapping[str, Any]) -> bool:
        return _all_hold(config, self.given) and not any(_all_hold(config, needed) for needed in self.needs_any)

    def error(self, config: Mapping[str, Any]) -> UserError:
        """The refusal, with both sides as the config has them."""
        sides = " with ".join(next(_holding(config, path, wanted)) for path, wanted in self.given.items())
        needed = [
            path if wanted == "set" else _said(path, wanted) for any_ in self.needs_any for path, wanted in any_.items()
        ]
        without = f" without any of {', '.join(needed)}" if needed else ""
        allowed = " or ".join(needed) or "each without the other"
        return UserError(f"{sides}{without}: {self.because}", allowed, self.remedy)


def rows(table: Path) -> list[Row]:
    """The rows of a table, in order."""
    return [Row(**row) for row in yaml.load(table.read_text(encoding="utf-8"), LOADER)]


def refuse(config: Mapping[str, Any]) -> None:
    """Raises UserError for the first row of `conf/pairs.yaml` that refuses the resolved config, naming both sides."""
    for row in rows(conf_dir() / "pairs.yaml"):
        if row.refuses(config):
            raise row.error(config)


def _all_hold(config: Mapping[str, Any], conditions: Conditions) -> bool:
    return all(any(_holding(config, path, wanted)) for path, wanted in conditions.items())


def _holding(config: Any, path: str, wanted: Any) -> Iterator[str]:
    """What stands in the config where the path leads, wherever it is as wanted."""
    for place, value in _found(config, path):
        if _is(value, wanted):
            yield place if isinstance(value, Mapping) else _said(place, value)


def _found(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    head, _, rest = path.partition(".")
    if not isinstance(node, Mapping):
        return
    for key in (key for key in node if head in ("*", key)):
        if not rest:
            yield str(key), node[key]
        for place, value in _found(node[key], rest) if rest else ():
            yield f"{key}.{place}", value


def _is(value: Any, wanted: Any) -> bool:
    if wanted == "set":
        return value is not None
    if isinstance(wanted, Mapping):
        size = len(value) if isinstance(value, Mapping) else value
        return isinstance(size, int | float) and size > wanted["more_than"]
    return value in wanted if isinstance(wanted, list) else value == wanted


def _said(path: str, value: Any) -> str:
    """A setting in words: of a class, its name alone."""
    if path.endswith("._target_"):
        return f"{path.removesuffix('._target_')} {str(value).rpartition('.')[2]}"
    return f"{path}={_text(value)}"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
