"""Sweep folders as a sweep leaves them, written by hand."""

import json

import yaml

from duogen.experiment.folder import RunFolder
from duogen.records import MetricValue, RunRecord


def metric(value, name="frechet_pixels", weights="ema", higher=False, unit="pixel^2", seed=0, **protocol):
    protocol = {"name": name, "shape": [1, 8, 8], "n_generated": 300, "n_real": 300, "seed": seed} | protocol
    return MetricValue(name, value, unit, higher, "test", weights, protocol)


def trial(key, setting, seed, phase="grid"):
    return {"key": key, "setting": setting, "seed": seed, "phase": phase}


def plan(folder, trials, **content):
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"schema": 1, "name": "ring", "overrides": [], "space": {}, "sweeper": {}, "code": {}, "trials": trials}
    (folder / "sweep.yaml").write_text(yaml.safe_dump(whole | content, sort_keys=False))


def run(folder, key, status="done", metrics=(), **content):
    whole = {"choices": {}, "overrides": [], "seed": 0, "steps": 300, "wall_s": 12.5} | content
    RunFolder(folder / key).write_record(make(key, status, metrics, whole))


def make(key, status, metrics, content):
    return RunRecord(key=key, keys=[key], status=status, metrics=list(metrics), **content)


def rows(folder, key, *values):
    (folder / key).mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps({"step": 10 * (at + 1), **row}) + "\n" for at, row in enumerate(values))
    (folder / key / "metrics.jsonl").write_text(text)
