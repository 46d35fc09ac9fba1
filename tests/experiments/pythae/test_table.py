import pytest
import yaml
from experiments.pythae.table import main
from PIL import Image

from sweep.written import metric, plan, rows, run, trial


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "README.md").write_text("<!-- table -->\n<!-- /table -->\n")
    return tmp_path


def written(folder, name, steps, nlls):
    plan(folder / name, [trial(f"k{seed}", {}, seed) for seed in range(3)])
    for seed, nll in enumerate(nlls):
        found = [metric(nll, "nll", draws=200, seed=seed), metric(-nll - 5, "elbo", seed=seed)]
        run(folder / name, f"k{seed}", "done", found, steps=steps, seed=seed)
        (folder / name / f"k{seed}" / "config.yaml").write_text(yaml.safe_dump({"data": {"batch_size": 100}}))
        rows(folder / name, f"k{seed}", {"validate/vae/elbo": -120.0 - seed}, {"validate/vae/elbo": -110.0})


def test_budgets_stand_beside_the_published_figures(folder):
    written(folder, "pythae", 10000, [99.0, 100.0, 101.0])
    written(folder, "pythae-paper", 250000, [90.0])
    main(folder, folder)
    text = (folder / "README.md").read_text()
    assert "| demo | 3 | 20 of 500 | 100.0 ± 2.5 | 200 | -105.0 ± 2.5 |" in text
    assert "| paper | 1 of 3 | 500 of 500 | 90 | 200 | -95 |" in text
    assert "| 89.9 |" in text
    assert "89.78" in text
    with Image.open(folder / "elbo.png") as image:
        assert image.size == (640, 480)


def test_without_runs_a_table_says_so(folder):
    main(folder, folder)
    assert (folder / "README.md").read_text().count("| 0 |  | not run |  | not run |") == 2
    assert not (folder / "elbo.png").exists()
