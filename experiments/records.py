"""What a sweep's run folders say, as numbers with intervals."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from duogen.callbacks.trackers import rows
from duogen.errors import UserError, nearest
from duogen.experiment.check import imagined, turn_flops
from duogen.files import write_atomic
from duogen.report import statistics
from duogen.sweep.shown.reading import plan

Records = Mapping[Path, Mapping[str, Any]]


def trials(sweep: Path) -> list[dict[str, Any]]:
    """The trials of a sweep's plan; in a folder of single runs, each run, of no setting."""
    if (sweep / "sweep.yaml").is_file():
        return plan(sweep)["trials"]
    single = {path.parent.name: json.loads(path.read_text(encoding="utf-8")) for path in sweep.glob("*/record.json")}
    return [{"key": key, "setting": {}, "seed": found["seed"]} for key, found in sorted(single.items())]


def folders(sweep: Path, **setting: str) -> list[Path]:
    """The run folders of a sweep's trials whose setting has these values, in the order of the seeds."""
    chosen = [trial for trial in trials(sweep) if is_of(trial["setting"], setting)]
    return [sweep / trial["key"] for trial in sorted(chosen, key=lambda trial: trial["seed"])]


def is_of(setting: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    return all(setting.get(name) == value for name, value in wanted.items())


def record(folder: Path) -> dict[str, Any] | None:
    """The record of a run that is done, else None."""
    path = folder / "record.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    return found if found and found["status"] == "done" else None


def done(sweep: Path, **setting: str) -> dict[Path, dict[str, Any]]:
    """The records of the runs of a setting that are done, by their folders, in the order of the seeds."""
    return {run: found for run in folders(sweep, **setting) if (found := record(run))}


def value(found: Mapping[str, Any], name: str, real: bool = False) -> float:
    """One metric of a record: of generated examples, or of real ones in their place."""
    return metric(found, name, real)["value"]


def metric(found: Mapping[str, Any], name: str, real: bool = False) -> dict[str, Any]:
    """The whole entry; raises UserError where the run has not measured it."""
    known = {m["name"]: m for m in found["metrics"] if (m["weights"] == "real") == real}
    if name not in known:
        given = f"{name} is not among the metrics of run {found['key']}"
        raise UserError(given, ", ".join(nearest(name, known)), f"add the metric that gives {name}, and run again")
    return known[name]


def values(runs: Records, name: str) -> list[float]:
    """One metric of each run."""
    return [value(found, name) for found in runs.values()]


def require_one_protocol(runs: Iterable[Records], names: Iterable[str]) -> None:
    """Raises UserError where runs of one table have measured a metric in several ways, the seed aside."""
    every = [(folder, found) for each in runs for folder, found in each.items()]
    for name in names:
        ways = {told(metric(found, name)["protocol"]): folder for folder, found in every}
        if len(ways) > 1:
            raise UserError(
                f"{name} was measured by {len(ways)} protocols: {' and '.join(map(str, ways.values()))}",
                "one protocol in one column",
                "run the setting again, or keep it in a folder of its own",
            )


def told(protocol: Mapping[str, Any]) -> str:
    return json.dumps({name: said for name, said in protocol.items() if name != "seed"}, sort_keys=True)


def series(folder: Path, name: str) -> list[tuple[int, float]]:
    """The steps of a run's validations and the values of one metric, by its short name, as metrics.jsonl has them."""
    return [
        (step, found)
        for step, row in rows(folder / "metrics.jsonl")
        for key, found in row.items()
        if key.startswith("validate/") and key.endswith(f"/{name}")
    ]


def config(folder: Path) -> dict[str, Any]:
    """The resolved config of a run."""
    return yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))


def operations(folder: Path, found: Mapping[str, Any]) -> int | None:
    """Floating-point operations of a run's training: forward and backward of every act, by torch's own formulas.

    Matrix products and convolutions count, a multiplication and an addition as two; the optimizer, the validations and
    the test do not. None where they cannot be counted.
    """
    said = config(folder)
    module, batch = imagined(said, ()), said["data"]["batch_size"]
    total = 0
    for name, turn in module.turns.turns.items():
        flops = turn_flops(module, name, said["data"]["shape"], batch)
        if flops is None:
            return None
        total += turn.acts(found["steps"]) * batch * flops
    return total


def steps(runs: Records) -> str:
    """How many steps the runs have had."""
    return ", ".join(f"{number:,}" for number in sorted({found["steps"] for found in runs.values()}))


def count(runs: Records, planned: Sequence[Path]) -> str:
    """How many runs are done, and of how many where some are not."""
    return f"{len(runs)}" if len(runs) == len(planned) else f"{len(runs)} of {len(planned)}"


def interval(values: Sequence[float]) -> str:
    """Mean and half width of Student's 95 % interval of the mean."""
    return str(statistics.estimate(values)) if values else "not run"


def difference(a: Sequence[float], b: Sequence[float]) -> str:
    """mean(a) - mean(b) with Welch's 95 % interval."""
    found = statistics.difference(a, b)
    if found is None:
        return "not run"
    if found.half is None:
        return f"{found.mean:+.3g} (no spread)"
    return f"{found.mean:+.3g} [{found.mean - found.half:+.3g}, {found.mean + found.half:+.3g}]"


def place(path: Path, name: str, lines: Iterable[str]) -> None:
    """Writes lines between `<!-- name -->` and `<!-- /name -->` of a Markdown file, in the place of what stands there.

    Raises:
        UserError: the file has no such marks.
    """
    begin, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    text = path.read_text(encoding="utf-8")
    before, _, rest = text.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise UserError(f"{path} has no {begin.strip()} with {end}", "both marks, each on its line", "put them there")
    write_atomic(path, "\n".join([before + begin.strip(), *lines, end + after]).encode())
