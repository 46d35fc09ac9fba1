"""A search: settings drawn by a study from the space of the command, through the phases that its file names."""

import fcntl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.pruners import NopPruner

from duogen.conftree import tree
from duogen.errors import UserError
from duogen.sweep import axes
from duogen.sweep.agenda import Trial
from duogen.sweep.axes import Setting
from duogen.sweep.book import Book, lock_file
from duogen.sweep.call import CALL
from duogen.sweep.search import space
from duogen.sweep.search.method import read_method
from duogen.sweep.search.phases import Phase, read_compared, read_phases
from duogen.sweep.search.protocol import Abreast, Chain, protocol
from duogen.sweep.session import Session

if TYPE_CHECKING:
    from hydra_plugins.duogen.sweeper import Sweeping

PHASE = "search"
METHOD = ("metric", "direction", "sampler", "pruner", "aggregate", "n_jobs")


def sweep(sweeper: "Sweeping", arguments: list[str]) -> int:
    """Draws and runs settings until there are as many as asked for; the exit code.

    Raises:
        UserError: a space, a metric or a protocol that makes no sense, or another sweep in the folder.
    """
    assert sweeper.hydra_context is not None
    call, settings = CALL.get(), sweeper.settings
    files = tree(call.config_dir)
    parser = OverridesParser.create(config_loader=sweeper.hydra_context.config_loader)
    found = axes.read(call.task, settings["params"], {}, parser, files)
    if not found.varied:
        example = "optimizer.lr=tag(log,interval(1e-5,1e-2))"
        raise UserError("a search of nothing", "a key to draw values for", f"name what to search, such as '{example}'")
    drawn, compared = space.read(found.varied, files.options), read_compared(settings["compare"], files.options)
    phases = (
        read_phases(settings["phases"], files.options) if settings["phases"] else [Phase(PHASE, settings["n_trials"])]
    )
    session = Session(call, sweeper, found, prunable=not isinstance(settings["pruner"](), NopPruner))
    session.aim(sample(session, drawn, compared[0]), needed=True)
    method = read_method(**{name: session.settings[name] for name in METHOD})
    if session.detached:
        raise UserError(
            "--detach with a search, which draws by what trials have found", "--detach with a grid",
            "drop --detach, and leave the command to tmux or nohup",
        )  # fmt: skip
    with searching_alone(call.folder):
        with session.planning():
            session.book.refuse_fewer(found.seeds)
            refuse_changed(session)
            asked = session.book.content["asked"] = known(session.book)
        agenda = protocol(
            drawn, method, phases, compared, found.seeds, Expansion(session),
            {study: list(settings) for study, settings in asked.items()}, Noting(session),
        )  # fmt: skip
        code = session.run(agenda)
    return max(code, tell(agenda))


def sample(session: Session, drawn: space.Space, compared: Mapping[str, str]) -> list[Mapping[str, Any]]:
    """The config of some setting, by which to tell what all validate; none where that setting makes no sense."""
    ends = {key: getattr(one, "choices", None) or [getattr(one, "low", None)] for key, one in drawn.items()}
    params = {**compared, **space.spell({key: values[0] for key, values in ends.items()})}
    with suppress(UserError):
        return [session.planner.trial(spelled(params), session.axes.seeds[0], PHASE).plan.config]
    return []


def known(book: Book) -> dict[str, list[dict[str, str]]]:
    """The settings that the studies have drawn so far; none count where all of them were refused."""
    return book.content.get("asked", {}) if book.trials else {}


def refuse_changed(session: Session) -> None:
    """Refuses to go on with trials that would now be other runs; the first of each phase speaks for its others."""
    for entry in {entry["phase"]: entry for entry in reversed(session.book.trials)}.values():
        session.book.add([session.planner.trial(spelled(entry["setting"]), entry["seed"], entry["phase"])])


def spelled(params: Mapping[str, str]) -> Setting:
    """A drawn setting, with the overrides that it stands for."""
    return Setting(dict(params), [f"{key}={value}" for key, value in params.items()])


class Noting:
    """Notes each setting that a study draws in the book, before its trials start."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __call__(self, study: str, params: Mapping[str, str]) -> None:
        book = self.session.book
        book.content["asked"].setdefault(study, []).append(dict(params))
        book.write()


class Expansion:
    """Makes trials of a drawn setting, one for each seed, and notes them in the book."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def __call__(self, params: Mapping[str, str], phase: str, seeds: Sequence[int]) -> list[Trial]:
        setting = spelled(params)
        trials = [self.session.planner.trial(setting, seed, phase) for seed in seeds]
        refuse_unseen(trials[0].plan.config)
        self.session.refuse_large(trials)
        self.session.book.add(trials)
        self.session.book.write()
        return trials


def refuse_unseen(config: Mapping[str, Any]) -> None:
    """Refuses trials that end before they have validated anything to search by."""
    every, steps = config["validate_every"], config["trainer"]["max_steps"]
    if every > steps:
        raise UserError(
            f"validate_every={every} in a run of {steps} steps leaves a search nothing to go by",
            f"validate_every={steps} or less",
            f"add validate_every={steps}",
        )


@contextmanager
def searching_alone(folder: Path) -> Iterator[None]:
    """Keeps a second command from drawing for the same study."""
    with lock_file(folder, ".search") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UserError(
                f"{folder} is being searched by another command", "one command for a search",
                f"wait for it; duogen sweep status {folder} shows how far it is",
            ) from error  # fmt: skip
        yield


def tell(agenda: Abreast) -> int:
    """Says which settings were refused and which phases could not begin, and why; the exit code.

    Raises:
        UserError: every setting was refused; the first refusal.
    """
    chains = [one for one in agenda.agendas.values() if isinstance(one, Chain)]
    searches = [search for chain in chains for search in chain.searches]
    refused = [error for search in searches for _, error in search.refused]
    if refused and not any(search.settings for search in searches):
        raise refused[0]
    if refused:
        print(f"{len(refused)} of the settings drawn make no sense, the first: {refused[0]}")
    remarks = [chain.remark for chain in chains if chain.remark is not None]
    for remark in remarks:
        print(f"duogen: {remark}")
    return 1 if remarks else 0
