"""One command at work on a sweep: the plan in its folder, the desk, the fleet, and what a person sees of them."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from duogen.errors import UserError
from duogen.experiment.provenance import software
from duogen.records import EXIT
from duogen.sweep import book
from duogen.sweep.agenda import Agenda, Trial
from duogen.sweep.axes import Axes
from duogen.sweep.call import Call
from duogen.sweep.driver import Driver, Policy
from duogen.sweep.plan import TRIALS, Planner
from duogen.sweep.search.goals import goals, validated
from duogen.sweep.shown import results
from duogen.sweep.shown.screen import Screen
from duogen.sweep.snapshot import snapshot

if TYPE_CHECKING:
    from hydra_plugins.duogen.sweeper import Sweeping

SOFTWARE = {"git": "commit", "dirty_diff_sha256": "uncommitted changes", "packages": "packages", "python": "python"}
REFUSED = ("stop", "skip")


class Session:
    """What both kinds of sweep have in common, from the plan to the exit code.

    Args:
        call: the command.
        sweeper: Hydra's view of it: the settings of hydra.sweeper, and the launcher.
        axes: what the command asks for.
    """

    def __init__(self, call: Call, sweeper: "Sweeping", axes: Axes, prunable: bool = False) -> None:
        self.call, self.settings, self.launcher, self.axes = call, dict(sweeper.settings), sweeper.launcher, axes
        refuse_settings(self.settings)
        self.shown: tuple[str | None, bool] = (None, False)
        self.code = software()
        self.planner = Planner(
            call.name, call.folder, axes.fixed, call.config_dir, call.allow, self.code, prunable,
            getattr(self.launcher, "device", None),
        )  # fmt: skip
        self.fleet: Any = fleet(self.launcher)

    @property
    def detached(self) -> bool:
        """Whether trials are left to a cluster's queue."""
        return bool(getattr(self.launcher, "detach", False))

    @property
    def skips(self) -> bool:
        """Whether settings that make no sense are left out."""
        return self.settings.get("refused") == "skip"

    @contextmanager
    def planning(self, widening: bool = False) -> Iterator[None]:
        """Opens the book, refuses another sweep's, says under which other code it was begun, and writes it.

        `widening` admits another space: trials then speak for themselves.
        """
        with book.alone(self.call.folder):
            self.book = book.opened(self.call.folder, self.call.name, self.call.words, self.call.fresh)
            if not widening:
                self.book.refuse_other(self.axes.space, self.described)
            yield
            self.tell_other_code()
            self.book.content |= {
                "overrides": list(self.axes.fixed),
                "space": {**self.axes.space, "seed": ",".join(str(seed) for seed in self.axes.seeds)},
                "sweeper": self.described,
            }
            (self.call.folder / TRIALS).mkdir(exist_ok=True)
            self.book.write()

    @property
    def described(self) -> dict[str, Any]:
        """The settings of hydra.sweeper as plain values."""
        return {name: plain(value) for name, value in self.settings.items() if name not in ("params", "settings")}

    def tell_other_code(self) -> None:
        """Says so where earlier trials ran other software, and notes ours beside it."""
        mine = {name: self.code.get(name) for name in SOFTWARE}
        codes = self.book.content["code"]
        if codes and codes[-1] != mine:
            print(f"This sweep was begun under other software ({changes(codes[-1], mine)}); its records keep both.")
        if mine not in codes:
            codes.append(mine)

    def refuse_large(self, trials: Sequence[Trial]) -> None:
        """Refuses trials that no free machine of the fleet could take."""
        places = getattr(self.fleet, "places", None)
        large = next((trial for trial in trials if places is not None and trial.slots > places), None)
        if large is not None:
            raise UserError(
                f"{large.label} asks for {large.slots} slots", f"at most {places}, one for each rank",
                "lower trainer.devices, or give more slots (hydra.launcher.slots, hydra.launcher.threads)",
            )  # fmt: skip

    def aim(self, configs: Sequence[Mapping[str, Any]], needed: bool = False) -> None:
        """Settles what the sweep goes by; where nothing is said, it shows the monitored value, or the first one.

        Raises:
            UserError: a value that these runs do not validate, or a direction that is none.
        """
        known, metric = validated(configs, self.call.allow), self.settings["metric"]
        found = goals(metric, self.settings.get("direction"), known, needed)
        if found.metrics:
            self.settings["direction"] = found.directions[0] if isinstance(metric, str) else list(found.directions)
            self.shown = found.metrics[0], found.directions[0] == "maximize"
        else:
            name = next((config["monitor"] for config in configs), None) or next(iter(known), None)
            self.shown = name, known.get(str(name)) == "maximize"

    def run(self, agenda: Agenda) -> int:
        """Runs what is left, shows it, and returns the exit code."""
        slots = getattr(self.fleet, "capacity", 0)
        screen = Screen(self.call.name, slots, agenda.expected, *self.shown)
        policy = Policy(self.settings["fail_fast_after"], self.settings["max_failure_rate"])
        driver = Driver(agenda, self.call.folder, screen, policy)
        if self.settings.get("snapshot"):
            snapshot(self.call.folder, self.call.allow)
        screen.begin()
        try:
            self.fleet.work(driver)
        finally:
            screen.finish()
        return self.concluded(driver)

    def concluded(self, driver: Driver) -> int:
        stopped = getattr(self.fleet, "stopped_by", None)
        if stopped is not None:
            print("Stopped; the same command goes on where it was.")
            return EXIT["interrupted" if stopped == signal.SIGINT else "preempted"]
        if self.detached:
            return 0
        results.status(self.call.folder)
        return driver.exit_code


def fleet(launcher: Any) -> Any:
    """The launcher's own fleet, else its `launch` in batches."""
    if hasattr(launcher, "fleet"):
        return launcher.fleet()
    from duogen.sweep.cluster.batches import Batches
    from duogen.sweep.cluster.threaded import Threaded

    return Batches(Threaded(launcher), at_once=256, poll_s=1.0, grace_s=30.0)


def refuse_settings(settings: dict[str, Any]) -> None:
    """Refuses what the sweeper's YAML may not hold."""
    if settings.get("refused", "stop") not in REFUSED:
        raise UserError(f"hydra.sweeper.refused={settings['refused']}", "stop, skip", "use one of these")
    after, rate = settings["fail_fast_after"], settings["max_failure_rate"]
    if after is not None and (not isinstance(after, int) or isinstance(after, bool) or after < 1):
        raise UserError(f"hydra.sweeper.fail_fast_after={after}", "1 or more, or null for never", "e.g. 5")
    if isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 <= rate <= 1:
        raise UserError(f"hydra.sweeper.max_failure_rate={rate}", "a share, 0 to 1", "e.g. 0.1")


def changes(old: dict[str, Any], new: dict[str, Any]) -> str:
    """In what two softwares differ, in words."""
    told = [f"{said} {hashed(old.get(name))} then, {hashed(new.get(name))} now" for name, said in SOFTWARE.items()
            if name != "packages" and old.get(name) != new.get(name)]  # fmt: skip
    before, now = old.get("packages") or {}, new.get("packages") or {}
    told += [
        f"{name} {before.get(name)} then, {now.get(name)} now" for name in now if before.get(name) != now.get(name)
    ]
    return "; ".join(told)


def hashed(value: Any) -> str:
    """A hash by its first digits, and anything else as it is."""
    return str(value)[:8] if value is not None else "none"


def plain(value: Any) -> Any:
    """A setting as YAML can hold it; what Hydra has built is told by its name."""
    if isinstance(value, dict):
        return {str(name): plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, str | int | float | bool | None):
        return value
    function = getattr(value, "func", value)
    given = {name: plain(one) for name, one in getattr(value, "keywords", {}).items()}
    return {"name": getattr(function, "__qualname__", type(function).__qualname__), **given}
