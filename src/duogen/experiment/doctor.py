"""Is this machine one that duogen is tested on? Versions, devices, data and login, with a verdict."""

import os
import platform
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from duogen.callbacks.login import logged_in
from duogen.conftree import conf_dir
from duogen.data.folder import data_folder
from duogen.data.shelf import shelf, state
from duogen.experiment.provenance import installed, processor


@dataclass(frozen=True)
class Check:
    """One line of the report; `fine` is None where there is nothing to judge."""

    name: str
    found: str
    wanted: str = ""
    fine: bool | None = None


@dataclass(frozen=True)
class Bad:
    """Versions of a package that must not be used, and why."""

    package: str
    versions: str
    reason: str


KNOWN_BAD = (
    Bad("lightning", "==2.6.2", "steals credentials when imported: uninstall it and renew your keys"),
    Bad("lightning", "==2.6.3", "steals credentials when imported: uninstall it and renew your keys"),
    Bad("lightning", "<2.6.6", "a checkpoint can run code when it is loaded: take 2.6.6 or uninstall it"),
    Bad("pytorch-lightning", "<2.6.6", "a checkpoint can run code when it is loaded: take 2.6.6"),
)


def doctor() -> int:
    """Prints the report; 0 where all is as tested, 1 where something is not."""
    checks = [*declared(installed, platform.python_version()), *devices(), *data(), login()]
    for check in checks:
        mark = {True: "ok", False: "NO", None: ""}[check.fine]
        print(f"{mark:>4}  {check.name:18} {check.found:24} {check.wanted}".rstrip())
    bad = [check.name for check in checks if check.fine is False]
    print(f"\nOutside what is tested: {', '.join(bad)}." if bad else "\nAll is as tested.")
    return 1 if bad else 0


def declared(version: Callable[[str], str | None], python: str) -> list[Check]:
    """The checks of everything that duogen says it needs, by the versions that `version` gives."""
    try:
        needed, pythons = requires("duogen") or [], metadata("duogen")["Requires-Python"]
    except PackageNotFoundError:
        return [Check("duogen", "not installed", "pip install -e .", False)]
    return [in_range("python", python, SpecifierSet(pythons)), *versions(needed, version)]


def versions(requirements: Iterable[str], version: Callable[[str], str | None]) -> list[Check]:
    """Each package against its range, and each version known to be bad, whether it is needed or merely lies there."""
    needed = [Requirement(text) for text in requirements]
    needed = [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
    checks = {each.name: in_range(each.name, version(each.name), each.specifier) for each in needed}
    for bad in reversed(KNOWN_BAD):
        found = version(bad.package)
        if found is not None and SpecifierSet(bad.versions).contains(found, prereleases=True):
            checks[bad.package] = Check(bad.package, found, bad.reason, False)
    return list(checks.values())


def in_range(name: str, found: str | None, wanted: SpecifierSet) -> Check:
    bounds = ", ".join(sorted((str(bound) for bound in wanted), reverse=True))
    return Check(name, found or "not installed", bounds, found is not None and wanted.contains(found, prereleases=True))


def devices() -> list[Check]:
    """Processor, accelerators, and what ranks can talk through."""
    import torch
    from torch import distributed

    fast = torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    cards = [card(index) for index in range(torch.cuda.device_count())]
    ways = {"gloo": distributed.is_gloo_available, "nccl": distributed.is_nccl_available}
    ranks = [name for name, there in ways.items() if distributed.is_available() and there()]
    return [
        Check(
            "processor",
            f"{processor()}, {torch.get_num_threads()} threads, bf16 {'in hardware' if fast else 'is slow'}",
        ),
        *(cards or [Check("accelerator", "none visible: trainer=auto takes the processor")]),
        Check("ranks", ", ".join(ranks) or "one only: torch was built without gloo and nccl"),
    ]


def card(index: int) -> Check:
    import torch

    facts = torch.cuda.get_device_properties(index)
    bf16 = "bf16 in hardware" if facts.major >= 8 else "no bf16"
    return Check(f"cuda:{index}", f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB, {bf16}")


def data() -> Sequence[Check]:
    sets = [Check(f"data {name}", state(name, node)) for name, node in shelf(conf_dir()).items()]
    return [Check("data folder", str(data_folder())), *sets]


def login() -> Check:
    mode = os.environ.get("WANDB_MODE")
    found = "logged in" if logged_in() else "no login, runs stay offline: wandb login"
    return Check("W&B", found, f"WANDB_MODE={mode}" if mode else "")
