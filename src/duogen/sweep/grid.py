"""A grid: every combination of the values, with every seed."""

from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser

from duogen.conftree import tree
from duogen.sweep import axes
from duogen.sweep.agenda import Listed
from duogen.sweep.call import CALL
from duogen.sweep.session import Session

if TYPE_CHECKING:
    from hydra_plugins.duogen.sweeper import Sweeping

PHASE = "grid"


def sweep(sweeper: "Sweeping", arguments: list[str]) -> int:
    """Plans all trials, then runs what is left of them; the exit code.

    Raises:
        UserError: a setting that makes no sense, or another sweep in the folder.
    """
    assert sweeper.hydra_context is not None
    call, settings = CALL.get(), sweeper.settings
    parser = OverridesParser.create(config_loader=sweeper.hydra_context.config_loader)
    found = axes.read(call.task, settings["params"], settings["settings"], parser, tree(call.config_dir))
    session = Session(call, sweeper, found)
    trials = session.planner.trials(found.grid(parser), found.seeds, PHASE, skip=session.skips)
    session.aim([trial.plan.config for trial in trials])
    session.refuse_large(trials)
    with session.planning(widening=True):
        session.book.refuse_removed(trials)
        session.book.add(trials)
    return session.run(Listed(trials))
