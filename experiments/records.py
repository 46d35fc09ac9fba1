"""What a sweep's run folders say, as numbers with intervals."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from duogen.report import statistics
from duogen.sweep.shown.reading import plan


def folders(sweep: Path, **setting: str) -> list[Path]:
    """The run folders of a sweep's trials whose setting has these values, in the order of the seeds."""
    trials = plan(sweep)["trials"] if (sweep / "sweep.yaml").is_file() else []
    chosen = [trial for trial in trials if is_of(trial["setting"], setting)]
    return [sweep / trial["key"] for trial in sorted(chosen, key=lambda trial: trial["seed"])]


def is_of(setting: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(setting.get(name) == value for name, value in wanted.items())


def record(folder: Path) -> dict[str, Any] | None:
    """The record of a run that is done, else None."""
    path = folder / "record.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found if found and found["status"] == "done" else None


def value(found: dict[str, Any], name: str, real: bool = False) -> float:
    """One metric of a record: of generated examples, or of real ones in their place."""
    return next(m["value"] for m in found["metrics"] if m["name"] == name and (m["weights"] == "real") == real)


def interval(values: Sequence[float]) -> str:
    """Mean and half width of Student's 95 % interval of the mean."""
    if not values:
        return "not run"
    found = statistics.estimate(values)
    return f"{found.mean:.3g}" if found.half is None else f"{found.mean:.3g} ± {found.half:.2g}"


def difference(a: Sequence[float], b: Sequence[float]) -> str:
    """mean(a) - mean(b) with Welch's 95 % interval."""
    found = statistics.difference(a, b)
    if found is None:
        return "not run"
    if found.half is None:
        return f"{found.mean:+.3g} (no spread)"
    return f"{found.mean:+.3g} [{found.mean - found.half:+.3g}, {found.mean + found.half:+.3g}]"
