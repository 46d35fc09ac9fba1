"""The table of the IWAE runs, from their folders alone, with the paper's figures beside, into this folder's README."""

from pathlib import Path

from experiments.records import (
    Records,
    config,
    count,
    difference,
    done,
    folders,
    interval,
    metric,
    operations,
    place,
    require_one_protocol,
    values,
)

RUNS = Path("runs/iwae_table1")
HERE = Path(__file__).parent
IMAGES, PAPER_EPOCHS = 60_000, 3280
TITLES = {"vae-1": "VAE, k = 1", "vae-5": "VAE, k = 5", "iwae-5": "IWAE, k = 5"}
# Burda et al. 2016, table 1, one stochastic layer: NLL from 5,000 codes.
PAPER = {"vae-1": "86.76", "vae-5": "86.47", "iwae-5": "85.54"}


def epochs(runs: Records) -> str:
    """How often the runs have seen their training images, of the paper's 3,280 epochs."""
    seen = set()
    for folder, found in runs.items():
        data = config(folder)["data"]
        seen.add(found["steps"] * data["batch_size"] / (IMAGES - data["validate_size"]))
    return ", ".join(f"{number:.4g} of {PAPER_EPOCHS:,}" for number in sorted(seen))


def cost(runs: Records) -> str:
    """The operations of one run's training, in 10^12."""
    counted = {operations(folder, found) for folder, found in runs.items()}
    return ", ".join("unknown" if number is None else f"{number / 1e12:.3g}" for number in counted)


def draws(runs: Records) -> str:
    return ", ".join({f"{metric(found, 'nll')['protocol']['draws']:,}" for found in runs.values()})


def rows(settings: dict[str, Records], planned: dict[str, list[Path]]) -> list[str]:
    """One row for each setting, and the difference that the paper is about."""
    found = [
        "| model | n | epochs | TFLOPs of a run | test NLL, nats | codes | active units | paper's NLL |",
        "|---" * 8 + "|",
    ]
    for name, runs in settings.items():
        told = [count(runs, planned[name]), epochs(runs), cost(runs), interval(values(runs, "nll")), draws(runs)]
        active = interval(values(runs, "active_units"))
        found.append(f"| {TITLES[name]} | {' | '.join(told)} | {active} | {PAPER[name]} |")
    gap, paper = (
        difference(*(values(settings[name], "nll") for name in ("iwae-5", "vae-1"))),
        f"{float(PAPER['iwae-5']) - float(PAPER['vae-1']):+.2f}",
    )
    found.append(f"| **IWAE, k = 5 - VAE, k = 1** | | | | {gap} | | | {paper} |")
    return found


def main(runs: Path = RUNS, out: Path = HERE) -> None:
    settings: dict[str, Records] = {name: done(runs, setting=name) for name in TITLES}
    require_one_protocol(settings.values(), ["nll", "active_units"])
    planned = {name: folders(runs, setting=name) for name in TITLES}
    place(out / "README.md", "table", rows(settings, planned))


if __name__ == "__main__":
    main()
