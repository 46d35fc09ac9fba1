"""The table of the PacGAN runs, from their records alone, with the paper's figures beside."""

from pathlib import Path

from experiments.records import difference, done, interval, values

RUNS = Path("runs/pacgan")
DATA = ("ring", "grid")
PACKS = (1, 2)
STEPS_PER_EPOCH = 1000
NAMES = {"modes_found": "modes", "high_quality": "high quality", "mode_entropy_gap": "entropy gap, nats"}
# Lin et al. 2018, table 1: means of ten trials after 400 epochs; its third figure is the reverse KL divergence.
PAPER = {
    ("ring", 1): ("6.3 ± 0.5", "98.2 ± 0.2 %", "0.45 ± 0.09"),
    ("ring", 2): ("7.9 ± 0.1", "95.6 ± 2.0 %", "0.07 ± 0.03"),
    ("grid", 1): ("17.3 ± 0.8", "94.8 ± 0.7 %", "0.70 ± 0.07"),
    ("grid", 2): ("23.8 ± 0.7", "91.3 ± 0.8 %", "0.13 ± 0.04"),
}


def main() -> None:
    print("| data | model | n | epochs | " + " | ".join(NAMES.values()) + " |")
    print("|---|---|---|---|---|---|---|")
    for data in DATA:
        found = {pack: done(RUNS, experiment=f"pacgan_{data}", pack=str(pack)) for pack in PACKS}
        for pack, runs in found.items():
            title = "GAN" if pack == 1 else f"PacGAN{pack}"
            epochs = sorted({one["steps"] / STEPS_PER_EPOCH for one in runs.values()})
            told = ", ".join(f"{number:g}, budget 1/{400 / number:g}" for number in epochs) or "not run"
            cells = [interval(values(runs, name)) for name in NAMES]
            print(f"| {data} | {title} | {len(runs)} | {told} | {' | '.join(cells)} |")
            print(f"| {data} | {title}, paper | 10 | 400 | {' | '.join(PAPER[data, pack])} |")
        cells = [difference(*(values(found[pack], name) for pack in (2, 1))) for name in NAMES]
        print(f"| {data} | **PacGAN2 - GAN** | | | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
