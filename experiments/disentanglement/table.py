"""The tables and the pictures of the disentanglement runs, from their folders alone, into this folder."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from statistics import fmean
from typing import Any

from experiments.curves import curves
from experiments.disentanglement.ranking import ranking
from experiments.records import count, done, folders, interval, place, require_one_protocol, series, steps, values
from scipy.stats import spearmanr

from duogen.report.charts import blank, dots, save
from duogen.report.rate_distortion import rate_distortion
from duogen.report.statistics import improvement

RUNS = Path("runs/disentanglement")
HERE = Path(__file__).parent
STRENGTHS = {
    "beta_vae": (1, 2, 4, 8, 16),
    "beta_tcvae": (1, 2, 4, 6, 8),
    "factor_vae": (10, 20, 30, 50, 100),
}
TITLES = {"beta_vae": "beta-VAE", "beta_tcvae": "beta-TCVAE", "factor_vae": "FactorVAE"}
NAMES = {"elbo": "ELBO, nats", "mig": "MIG", "sap": "SAP", "dci_disentanglement": "DCI"}


@dataclass(frozen=True)
class Cell:
    """The runs of a method at a strength: the plan's folders, the records of those that are done, and their UDR."""

    planned: list[Path]
    runs: dict[Path, dict[str, Any]]
    ranks: list[float]

    @property
    def validated(self) -> float:
        """The mean over the seeds of the last MIG on the validation split, by which a strength is chosen."""
        return fmean(series(run, "mig")[-1][1] for run in self.runs)


Method = Mapping[int, Cell]


def method(runs: Path, name: str) -> Method:
    """Every strength of a method."""
    found: dict[int, Cell] = {}
    for strength in STRENGTHS[name]:
        setting = f"{name}-{strength}"
        ended = done(runs, setting=setting)
        found[strength] = Cell(folders(runs, setting=setting), ended, ranking(ended))
    return found


def rows(methods: Mapping[str, Method]) -> list[str]:
    """One row for each method and strength."""
    found = [f"| method | strength | n | steps | {' | '.join(NAMES.values())} | UDR |", "|---" * (5 + len(NAMES)) + "|"]
    for name, cells in methods.items():
        for strength, cell in cells.items():
            told = [interval(values(cell.runs, metric)) for metric in NAMES]
            udr = f"{fmean(cell.ranks):.3f}" if cell.ranks else "not run"
            head = f"| {TITLES[name]} | {strength} | {count(cell.runs, cell.planned)} | {steps(cell.runs)} "
            found.append(f"{head}| {' | '.join(told)} | {udr} |")
    return found


def pairs(methods: Mapping[str, Method]) -> list[str]:
    """The methods against each other, over all strengths and at the strength of each that validates best."""
    found = ["| X | Y | P(X > Y), all strengths | P(X > Y), best strengths |", "|---|---|---|---|"]
    best = {name: max((s for s, c in cells.items() if c.runs), key=lambda s: cells[s].validated, default=None)
            for name, cells in methods.items()}  # fmt: skip
    for a, b in combinations(methods, 2):
        every = [[values(cell.runs, "mig") for cell in methods[name].values() if cell.runs] for name in (a, b)]
        ones = [[values(methods[name][s].runs, "mig")] if (s := best[name]) is not None else [] for name in (a, b)]
        overall, chosen = (improvement(x, y) for x, y in (every, ones))
        at = f"{chosen} at {best[a]} and {best[b]}" if chosen else "not run"
        found.append(f"| {TITLES[a]} | {TITLES[b]} | {overall or 'not run'} | {at} |")
    return found


def agreement(methods: Mapping[str, Method]) -> str:
    """Whether the ranking that sees no factors orders the settings as MIG does, by their means."""
    ranked = [cell for cells in methods.values() for cell in cells.values() if cell.ranks]
    if len(ranked) < 3:
        return "Rank correlation of UDR with MIG over settings: not run."
    found: Any = spearmanr([fmean(c.ranks) for c in ranked], [fmean(values(c.runs, "mig")) for c in ranked])
    return f"Rank correlation of UDR with MIG over {len(ranked)} settings: {found.statistic:+.2f} (Spearman)."


def pictures(runs: Path, out: Path) -> list[str]:
    """MIG against ELBO, and distortion against rate, where any run is done; the Markdown that shows them."""
    found = {
        name: curves(runs, x, y, TITLES) for name, x, y in (("mig", "elbo", "mig"), ("rate", "rate", "distortion"))
    }
    if not found["mig"]:
        return []
    axes = blank("ELBO, nats", "MIG")
    dots(axes, found["mig"], joined=False)
    save(axes, out / "mig_elbo.png")
    save(rate_distortion(found["rate"]), out / "rate_distortion.png")
    return ["", '<img src="mig_elbo.png" width="420" alt="MIG against ELBO">'
            '<img src="rate_distortion.png" width="420" alt="distortion against rate">']  # fmt: skip


def main(runs: Path = RUNS, out: Path = HERE) -> None:
    require_one_protocol([done(runs)], [*NAMES, "rate", "distortion"])
    methods = {name: method(runs, name) for name in STRENGTHS}
    lines = [*rows(methods), "", *pairs(methods), "", agreement(methods), *pictures(runs, out)]
    place(out / "README.md", "table", lines)


if __name__ == "__main__":
    main()
