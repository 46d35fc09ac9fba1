"""A checkpoint alone gives its metrics: no other file of the run is needed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from duogen.errors import UserError
from duogen.experiment import assemble, classifier
from duogen.experiment.build import check
from duogen.experiment.checkpoint import load
from duogen.experiment.measuring import measured
from duogen.experiment.resolve import device
from duogen.experiment.samplers import Choice, resampled
from duogen.experiment.summary import print_values
from duogen.files import write_atomic
from duogen.metrics.latent import LatentMeasure
from duogen.modules.alternating import AlternatingModule
from duogen.modules.generative import GenerativeModule
from duogen.modules.sampling import Manner
from duogen.records import MetricValue


def restored(checkpoint: Path, allow: Sequence[str]) -> tuple[AlternatingModule, dict[str, Any]]:
    """The module of a checkpoint as it was, and the config that it was built from, on this machine's device."""
    content = load(checkpoint)
    check(content["config"], allow)
    try:
        config = content["config"] | {"compile": False}
        config["trainer"] = device(config["trainer"] | {"accelerator": "auto", "devices": 1})
        module = assemble.module(config, allow)
        assemble.teach(module, config, allow)
        module.load_state_dict(content["module"])
    except (RuntimeError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            f"checkpoint {checkpoint} does not fit its own config ({type(error).__name__}: {first_line(error)})",
            "a config, and weights of the networks that it names",
            "use a checkpoint that duogen wrote",
        ) from None
    return module, config


def first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), "")


def evaluate(checkpoint: Path, out: Path | None, manner: Manner, choice: Choice | None, allow: Sequence[str]) -> int:
    """Prints the metrics of a checkpoint on the test split; `out` takes them as JSON.

    The generator draws in the given manner, and its codes from the given sampler, which the protocol of each of the
    values of what it draws then states.
    """
    if out is not None and out.is_dir():
        raise UserError(f"out={out} is a folder", "a file", f"use out={out / 'metrics.json'}")
    module, config = restored(checkpoint, allow)
    data = assemble.data(config, allow)
    assume(manner, module, config, config["seed"])
    if choice is not None:
        module = resampled(module, config, lambda: data, checkpoint, choice, allow)
    data.setup()
    assemble.evaluate_with(module, classifier.fill(config, data), allow)
    found = measured(assemble.trainer(config, []), module, data, config["seed"])
    stated = [stating(value, module, manner, choice) for value in found]
    asked = [f"{name}={value}" for name, value in manner.protocol.items()]
    title = ", ".join([str(checkpoint), *asked, *([] if choice is None else [choice.asked])])
    print_values(Console(soft_wrap=True, highlight=False), stated, module.remarks, title)
    if out is not None:
        write_atomic(out, (json.dumps([asdict(value) for value in stated], indent=1) + "\n").encode())
        print(f"written to {out}")
    return 0


def assume(manner: Manner, module: AlternatingModule, config: Mapping[str, Any], seed: int) -> None:
    """Moves the module to its device and lets it draw in that manner."""
    module.to(config["trainer"]["accelerator"]).eval()
    manner.assume(module, config["data"]["batch_size"], seed)


def stating(value: MetricValue, module: AlternatingModule, manner: Manner, choice: Choice | None) -> MetricValue:
    """The value with how its examples were drawn in its protocol, if it is one of drawn examples."""
    coded = [measure.facts for measure in module.measures.values() if isinstance(measure, LatentMeasure)]
    if value.weights == "real" or any(value.name in facts for facts in coded):
        return value
    classes = module.classes if isinstance(module, GenerativeModule) else None
    drawn = manner.protocol | ({} if choice is None else choice.protocol(classes))
    return replace(value, protocol={**value.protocol, **drawn})
