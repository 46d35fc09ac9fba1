"""From overrides to a composed config with nothing open that the data's own files or the budget decide."""

from collections.abc import Sequence
from pathlib import Path

from duogen.compose import Composed, compose
from duogen.loading import Known

ENDLESS = 2**62


def complete(
    overrides: Sequence[str], config_dir: Path | None, allow: Sequence[str], known: Known | None = None
) -> Composed:
    """The composed config; where another limit than steps ends the run, what depends on its length follows.

    `known` is compose's.

    Raises:
        UserError: a mistake in the overrides, or a pair of options that makes no sense.
    """
    from duogen.experiment import pairs

    composed = told(overrides, config_dir, allow, known)
    config = composed.config
    pairs.refuse(config)
    budget = config["budget"]
    if any(limit is not None for limit in (budget["epochs"], budget["samples"], *budget["updates"].values())):
        from duogen.experiment.resolve import limit

        if config["trainer"]["max_steps"] is None:
            config = compose([*composed.overrides, f"trainer.max_steps={ENDLESS}"], config_dir, known).config
        steps = limit(config, allow)
        if steps != composed.config["trainer"]["max_steps"]:
            return compose([*composed.overrides, f"trainer.max_steps={steps}"], config_dir, known)
    return composed


def told(overrides: Sequence[str], config_dir: Path | None, allow: Sequence[str], known: Known | None) -> Composed:
    """The composed config with what only the data's own files know, wherever the config repeats it."""
    composed = compose(overrides, config_dir, known)
    if composed.config["data"].get("sha256", "") is not None:
        return composed
    from duogen.experiment.resolve import facts

    found = {f"data.{name}": value for name, value in facts(composed.config, allow).items()}
    given = [f"{name}={'null' if value is None else value}" for name, value in found.items() if name != "data.root"]
    return compose([*overrides, *given], config_dir, known)
