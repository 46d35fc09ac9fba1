"""From overrides to a composed config with nothing open that the data's own files or the budget decide."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from duogen import conftree
from duogen.compose import REFUSALS, Composed, compose, value_of
from duogen.conftree import Tree
from duogen.errors import UserError
from duogen.loading import Known, composed
from duogen.overrides import Override, parse

if TYPE_CHECKING:
    from duogen.experiment.samplers import Choice

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


def sampler(name: str, overrides: Sequence[str], config_dir: Path | None) -> "Choice":
    """A sampler of codes by its name, with overrides such as `sampler.components=20`.

    Raises:
        UserError: no such sampler, an override of a key that it lacks, or a file that makes no node.
    """
    from duogen.experiment.samplers import Choice

    files = conftree.tree(config_dir)
    options = {option: files.read(f"sampler/{option}")[1] for option in files.options("sampler")}
    if name == "null":
        allowed = ", ".join(f"sampler={option}" for option in options)
        raise UserError(f"{overrides[0]} without a sampler", allowed, "choose the sampler, too")
    if name not in options:
        raise files.no_option(f"sampler={name}", "sampler", name)
    given = [parse(text, files) for text in overrides]
    for override in given:
        if stray := conftree.lost(override.content, {"sampler": options[name]}, conftree.nothing_more):
            raise files.no_key(override.line, *stray)
    return Choice(name, node("sampler", name, given, files), options)


def node(group: str, option: str, overrides: Sequence[Override], files: Tree) -> Mapping[str, Any]:
    """What an option of a group that no run has holds, with the overrides."""
    try:
        chosen = Override(f"+{group}={option}", "+", group, option)
        return dict(value_of(composed([chosen, *overrides], files.folders)[group]))
    except REFUSALS as error:
        given = f"{group}/{option}.yaml: {next(iter(str(error).splitlines()), type(error).__name__)}"
        raise UserError(given, "a node with values of its own", "mend the file, or the overrides") from error
