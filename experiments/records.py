"""What run folders say, as numbers with intervals."""

import json
from collections.abc import Sequence
from math import sqrt
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from scipy.stats import t


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
    if len(values) < 2:
        return f"{fmean(values):.3g}" if values else "not run"
    half = t.ppf(0.975, len(values) - 1) * sqrt(variance(values) / len(values))
    return f"{fmean(values):.3g} ± {half:.2g}"


def difference(a: Sequence[float], b: Sequence[float]) -> str:
    """mean(a) - mean(b) with Welch's 95 % interval."""
    if min(len(a), len(b)) < 2:
        return "not run"
    va, vb = variance(a) / len(a), variance(b) / len(b)
    if va + vb == 0:
        return f"{fmean(a) - fmean(b):+.3g} (no spread)"
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    half = t.ppf(0.975, freedom) * sqrt(va + vb)
    middle = fmean(a) - fmean(b)
    return f"{middle:+.3g} [{middle - half:+.3g}, {middle + half:+.3g}]"
