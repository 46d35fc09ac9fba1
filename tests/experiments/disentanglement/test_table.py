import pytest
from experiments.disentanglement.table import NAMES, STRENGTHS, main

from duogen.conftree import tree
from duogen.errors import UserError
from sweep.written import metric, plan, rows, run, trial

MIG = {"beta_vae-1": (0.1, 0.2), "beta_vae-2": (0.5, 0.6), "beta_tcvae-6": (0.3, 0.4), "factor_vae-100": (0.9, 0.9)}
CHOSEN = {
    "beta_vae": ({}, "variational.beta"),
    "beta_tcvae": ({"variational": "beta_tcvae"}, "variational.beta"),
    "factor_vae": ({"model": "factor_vae", "discriminator.width": 128, "discriminator.depth": 4}, "model.gamma"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    ranks = "experiments.disentanglement.table.ranking"
    monkeypatch.setattr(ranks, lambda folders: [0.25 + len(run.name) / 100 for run in folders])
    (tmp_path / "README.md").write_text("# Runs\n<!-- table -->\n<!-- /table -->\n")
    return tmp_path


def written(folder, drawn=10000):
    names = [f"{name}-{strength}" for name, strengths in STRENGTHS.items() for strength in strengths]
    plan(folder, [trial(f"{name}_{seed}", {"setting": name}, seed) for seed in (0, 1) for name in names])
    for name, found in MIG.items():
        for seed, mig in enumerate(found):
            elbo = -100.0 - 10 * mig
            told = {"elbo": elbo, "sap": mig / 2, "dci_disentanglement": mig / 4, "rate": 10.0, "distortion": 90.0}
            told |= {"mig": mig}
            metrics = [metric(value, each, seed=seed, drawn=drawn) for each, value in told.items()]
            run(folder, f"{name}_{seed}", "done", metrics, seed=seed)
            rows(folder, f"{name}_{seed}", {"validate/vae/mig": 1.0}, {"validate/vae/mig": mig})


def test_strengths_are_those_of_the_sweep():
    sweeper = tree(None).read("sweep/disentanglement")[1]["hydra"]["sweeper"]
    assert list(sweeper["settings"]) == [f"{name}-{s}" for name, strengths in STRENGTHS.items() for s in strengths]
    for name, overrides in sweeper["settings"].items():
        method, _, strength = name.partition("-")
        chosen, key = CHOSEN[method]
        assert overrides == chosen | {key: float(strength)}
    assert (len(sweeper["settings"]), sweeper["params"]["seed"]) == (15, "range(5)")


def test_settings_are_rows_and_methods_meet_in_pairs(folder):
    written(folder)
    main(folder, folder)
    text = (folder / "README.md").read_text()
    assert "| beta-VAE | 1 | 2 | 300 | -101.5 ± 6.4 | 0.15 ± 0.64 | 0.08 ± 0.32 | 0.04 ± 0.16 | 0.370 |" in text
    assert "| beta-TCVAE | 8 | 0 of 2 |  | not run | not run | not run | not run | not run |" in text
    assert "| beta-VAE | beta-TCVAE | 0.50 [0.50, 0.50] | 1.00 [1.00, 1.00] at 2 and 6 |" in text
    assert "| beta-TCVAE | FactorVAE | 0.00 [0.00, 0.00] | 0.00 [0.00, 0.00] at 6 and 100 |" in text
    assert "with MIG over 4 settings: +0.63 (Spearman)." in text
    for name in ("mig_elbo.png", "rate_distortion.png"):
        assert name in text
        assert (folder / name).is_file()


def test_the_best_strength_is_that_of_the_validation_split(folder):
    written(folder)
    for seed in (0, 1):
        rows(folder, f"beta_vae-1_{seed}", {"validate/vae/mig": 0.99})
    main(folder, folder)
    assert "| 0.00 [0.00, 0.00] at 1 and 6 |" in (folder / "README.md").read_text()


def test_without_runs_a_table_says_so(folder):
    main(folder / "nowhere", folder)
    text = (folder / "README.md").read_text()
    assert text.count("| 0 |  | " + "not run | " * len(NAMES) + "not run |") == 15
    assert "| beta-VAE | FactorVAE | not run | not run |" in text
    assert ".png" not in text


def test_two_protocols_do_not_meet_in_a_column(folder):
    written(folder)
    key = "beta_vae-1_0"
    run(folder, key, "done", [metric(0.1, name, drawn=50) for name in NAMES])
    with pytest.raises(UserError, match="elbo was measured by 2 protocols"):
        main(folder, folder)
