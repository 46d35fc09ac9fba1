import pytest
import yaml
from experiments.iwae_table1.table import PAPER, TITLES, main

from duogen.complete import complete
from duogen.conftree import tree
from duogen.experiment.resolve import resolve
from sweep.written import metric, plan, run, trial

SMALL = ["experiment=iwae", "latent_dim=2", "encoder.width=3", "decoder.width=3", "logger=none"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("DUOGEN_DATA", str(tmp_path))
    (tmp_path / "README.md").write_text("<!-- table -->\n<!-- /table -->\n")
    return tmp_path


def written(folder):
    settings = tree(None).read("sweep/iwae_table1")[1]["hydra"]["sweeper"]["settings"]
    plan(folder, [trial(f"{name}_{seed}", {"setting": name}, seed) for name in settings for seed in (0, 1)])
    for at, (name, overrides) in enumerate(settings.items()):
        config = resolve(complete([*SMALL, *(f"{k}={v}" for k, v in overrides.items())], None, ()).config, "x", ())
        for seed in (0, 1):
            found = [metric(90.0 - 2 * at + seed, "nll", draws=5000, seed=seed), metric(2.0, "active_units", seed=seed)]
            run(folder, f"{name}_{seed}", "done", found, steps=11920)
            (folder / f"{name}_{seed}" / "config.yaml").write_text(yaml.safe_dump(config))


def test_rows_are_those_of_the_sweep():
    sweeper = tree(None).read("sweep/iwae_table1")[1]["hydra"]["sweeper"]
    assert list(sweeper["settings"]) == list(TITLES) == list(PAPER)
    for name, overrides in sweeper["settings"].items():
        objective, _, draws = name.partition("-")
        assert overrides == {"variational": {"vae": "elbo", "iwae": "iwae"}[objective], "variational.draws": int(draws)}


def test_each_row_has_its_cost_beside_the_papers_figure(folder):
    written(folder)
    main(folder, folder)
    table = (folder / "README.md").read_text().splitlines()
    cells = {line.split(" | ")[0].strip("| "): [cell.strip(" |") for cell in line.split(" | ")] for line in table}
    assert cells["VAE, k = 1"][1:3] == ["2", "4 of 3,280"]
    assert cells["VAE, k = 1"][4:] == ["90.5 ± 6.4", "5,000", "2 ± 0", "86.76"]
    assert cells["IWAE, k = 5"][4:] == ["86.5 ± 6.4", "5,000", "2 ± 0", "85.54"]
    encoder, decoder, first = 784 * 3 + 3 * 3 + 3 * 4, 2 * 3 + 3 * 3 + 3 * 784, 784 * 3
    for name, draws in (("VAE, k = 1", 1), ("VAE, k = 5", 5), ("IWAE, k = 5", 5)):
        operations = 2 * (3 * (encoder + draws * decoder) - first) * 20 * 11920
        assert float(cells[name][3]) == pytest.approx(operations / 1e12, rel=0.005)
    assert table[-2] == "| **IWAE, k = 5 - VAE, k = 1** | | | | -4 [-7.04, -0.958] | | | -1.22 |"


def test_without_runs_a_table_says_so(folder):
    main(folder / "nowhere", folder)
    assert (folder / "README.md").read_text().count("not run") == 7
