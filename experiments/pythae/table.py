"""The row and the curve of the VAE of pythae's table, from run folders alone, into this folder."""

from pathlib import Path

from experiments.records import (
    Records,
    config,
    count,
    done,
    folders,
    interval,
    metric,
    place,
    require_one_protocol,
    series,
    values,
)

from duogen.report.charts import blank, lines, save

RUNS = Path("runs")
HERE = Path(__file__).parent
SWEEPS = {"pythae": "demo", "pythae-paper": "paper"}
IMAGES, PAPER_EPOCHS = 50_000, 500
# Rezende and Mohamed 2015, and pythae's table of reproductions (Chadebec et al. 2022): NLL from 200 codes.
PAPER, PYTHAE = "89.9", "89.78 ± 0.01"


def epochs(runs: Records) -> str:
    seen = {found["steps"] * config(folder)["data"]["batch_size"] / IMAGES for folder, found in runs.items()}
    return ", ".join(f"{number:.4g} of {PAPER_EPOCHS}" for number in sorted(seen))


def rows(runs: Path) -> list[str]:
    """One row for each budget, and the published ones."""
    found = ["| budget | n | epochs | test NLL, nats | codes | ELBO, nats |", "|---" * 6 + "|"]
    for name, title in SWEEPS.items():
        ended = done(runs / name)
        draws = ", ".join({str(metric(one, "nll")["protocol"]["draws"]) for one in ended.values()})
        told = [count(ended, folders(runs / name)), epochs(ended), interval(values(ended, "nll")), draws]
        found.append(f"| {title} | {' | '.join(told)} | {interval(values(ended, 'elbo'))} |")
    published = {"Rezende and Mohamed 2015": PAPER, "pythae": PYTHAE}
    found += [f"| {title} | | | {nll} | | |" for title, nll in published.items()]
    return found


def picture(runs: Path, out: Path) -> list[str]:
    """The validation ELBO by step of every run that is done; the Markdown that shows it."""
    curves = {
        f"{title}, seed {one['seed']}": series(folder, "elbo")
        for name, title in SWEEPS.items()
        for folder, one in done(runs / name).items()
    }
    if not curves:
        return []
    axes = blank("step", "validation ELBO, nats")
    axes.set_xscale("log")
    lines(axes, curves)
    save(axes, out / "elbo.png")
    return ["", '<img src="elbo.png" width="420" alt="validation ELBO by step">']


def main(runs: Path = RUNS, out: Path = HERE) -> None:
    require_one_protocol([done(runs / name) for name in SWEEPS], ["nll", "elbo"])
    place(out / "README.md", "table", [*rows(runs), *picture(runs, out)])


if __name__ == "__main__":
    main()
