"""A sweep's settings as curves of points: which curve a setting belongs to, and what it is called there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from experiments.records import done, trials, values

from duogen.report.charts import Dot
from duogen.report.statistics import estimate

NAMED = "setting"


def split(setting: Mapping[str, str]) -> tuple[str, str]:
    """The curve, and the point on it: the value of the last key, or, in a named setting, what follows its last dash.

    `{setting: beta_vae-4}` and `{model: beta_vae, variational.beta: 4}` are both the point 4 of the curve beta_vae.
    """
    *before, (key, last) = list(setting.items()) or [("", "")]
    method, _, point = last.rpartition("-") if key == NAMED else ("", "", last)
    return " ".join([*(value for _, value in before), *([method] if method else [])]), point


def curves(sweep: Path, x: str, y: str, titles: Mapping[str, str] | None = None) -> dict[str, list[Dot]]:
    """Means over the seeds of two metrics for every setting that has a run done, in the plan's order."""
    found: dict[str, list[Dot]] = {}
    for setting in settings(sweep):
        curve, point = split(setting)
        if runs := done(sweep, **setting):
            dot = Dot(estimate(values(runs, x)), estimate(values(runs, y)), point)
            found.setdefault((titles or {}).get(curve, curve), []).append(dot)
    return found


def settings(sweep: Path) -> list[dict[str, Any]]:
    """The settings of a sweep, each once."""
    return list({tuple(trial["setting"].items()): trial["setting"] for trial in trials(sweep)}.values())
