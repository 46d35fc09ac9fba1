"""Samplers of the codes of real checkpoints, from the command line: drawn from, measured, kept, refused."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from duogen.cli import main
from duogen.experiment.samplers import Shelf

SHORT = ["data=digits", "logger=none", "trainer=cpu", "log_every=20", "data.batch_size=32", "budget.steps=40"]
VAE = ["model=vae", "encoder.width=32", "decoder.width=32", "latent_dim=4"]
VQ = ["model=vq_vae", "encoder.width=8", "decoder.width=8", "latent_dim=4"]
FAST = ["sampler.fitting.steps=6", "sampler.fitting.look_every=3"]
GRID = ["sampler.width=8", "sampler.layers=1", *FAST]
LAYERS = ["model=hierarchical_vae", "bottom_dim=3", "top_dim=2"]


@dataclass(frozen=True)
class Checkpoints:
    vae: Path
    conditional: Path
    layers: Path
    rae: Path
    vq: Path
    residual: Path
    flat: Path
    gan: Path


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    runs = tmp_path_factory.mktemp("runs")
    small = ["encoder=mlp", "decoder=mlp", "encoder.width=16", "decoder.width=16"]
    given = {
        "vae": VAE, "conditional": [*VAE, "classes=10"], "layers": LAYERS, "gan": ["latent_dim=5"],
        "rae": [*VAE, "variational=rae_l2", "posterior=point", "likelihood=gaussian"],
        "vq": [*VQ, "quantizer.size=9"],
        "residual": [*VQ, "quantizer=residual", "quantizer.inner.size=5", "quantizer.depth=2"],
        "flat": ["model=vq_vae", *small, "latent_dim=4", "quantizer=finite_scalar", "quantizer.levels=[3,2]"],
    }  # fmt: skip
    for name, more in given.items():
        steps = ["budget.steps=2"] if name in ("gan", "layers", "residual", "flat") else []
        assert main(["train", *SHORT, *more, *steps, f"run_dir={runs / name}"]) == 0
    return Checkpoints(**{name: runs / name / "checkpoints" / "last.ckpt" for name in given})


@pytest.fixture(autouse=True)
def alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


def sample(checkpoint, *settings):
    return main(["sample", f"checkpoint={checkpoint}", *settings])


def values(checkpoint, *settings, n=6):
    assert sample(checkpoint, f"n={n}", *settings, "out=drawn.npy") == 0
    return np.load("drawn.npy")


@pytest.mark.parametrize("kind", ["vae", "conditional", "layers", "rae"])
@pytest.mark.parametrize("sampler", [["gaussian"], ["gaussian_mixture", "sampler.components=2"], ["flow", *FAST]])
def test_samplers_of_vectors_draw_images(checkpoints, kind, sampler):
    drawn = values(getattr(checkpoints, kind), f"sampler={sampler[0]}", *sampler[1:])
    assert drawn.shape == (6, 1, 8, 8)
    assert np.abs(drawn).max() <= 1
    assert len(np.unique(drawn.reshape(6, -1), axis=0)) == 6


@pytest.mark.parametrize("kind", ["vq", "residual", "flat"])
@pytest.mark.parametrize("sampler", ["pixelcnn", "transformer"])
def test_samplers_of_grids_draw_images(checkpoints, kind, sampler):
    drawn = values(getattr(checkpoints, kind), f"sampler={sampler}", *GRID)
    assert drawn.shape == (6, 1, 8, 8)
    assert np.isfinite(drawn).all()


def test_a_gaussian_after_a_rae_has_the_moments_of_its_codes_decoded(checkpoints):
    prior, fitted = (values(checkpoints.rae, *more, n=300).mean(0) for more in ([], ["sampler=gaussian"]))
    assert main(["sample", f"checkpoint={checkpoints.rae}", "show=reconstructions", "n=300", "out=pairs.npy"]) == 0
    seen = np.load("pairs.npy").reshape(300, 2, 1, 8, 8)[:, 1].mean(0)
    assert np.abs(fitted - seen).mean() < np.abs(prior - seen).mean()


def test_the_same_seed_draws_the_same_and_a_second_call_reads_the_fitted_sampler(checkpoints, capsys):
    folder = checkpoints.vae.parents[1] / "samplers"
    before = set(folder.glob("*")) if folder.exists() else set()
    asked = ["sampler=gaussian_mixture", "sampler.components=3"]
    first = values(checkpoints.vae, *asked)
    assert "fitting gaussian_mixture to 1,097 codes ... " in capsys.readouterr().out
    (kept,) = set(folder.glob("*")) - before
    assert kept.name.startswith("gaussian_mixture-")
    assert np.array_equal(first, values(checkpoints.vae, *asked))
    said = capsys.readouterr().out
    assert "fitting" not in said
    assert f"sampler read from {kept}" in said
    assert not np.array_equal(first, values(checkpoints.vae, *asked, "seed=1"))
    assert "fitting" not in capsys.readouterr().out
    kept.unlink()
    assert np.array_equal(first, values(checkpoints.vae, *asked))


def test_a_sampler_that_is_fitted_by_steps_is_the_same_each_time(checkpoints):
    folder = checkpoints.vq.parents[1] / "samplers"
    first = values(checkpoints.vq, "sampler=transformer", *GRID, "sampler.heads=2")
    for kept in folder.glob("transformer-*"):
        kept.unlink()
    torch.randn(7)
    assert np.array_equal(first, values(checkpoints.vq, "sampler=transformer", *GRID, "sampler.heads=2"))


def test_another_setting_is_another_sampler(checkpoints, capsys):
    folder = checkpoints.vae.parents[1] / "samplers"
    for ridge in ("0.5", "0.25"):
        values(checkpoints.vae, "sampler=gaussian", f"sampler.ridge={ridge}")
        assert "fitting" in capsys.readouterr().out
    content = [torch.load(kept, weights_only=True) for kept in folder.glob("gaussian-*")]
    assert len({float(one["state"]["factors"].sum()) for one in content}) == len(content) >= 2


def test_a_broken_file_is_written_anew(checkpoints, capsys):
    asked = ["sampler=gaussian", "sampler.ridge=0.125"]
    first, folder = values(checkpoints.vae, *asked), checkpoints.vae.parents[1] / "samplers"
    newest = max(folder.glob("gaussian-*"), key=lambda path: path.stat().st_mtime_ns)
    newest.write_bytes(b"broken")
    capsys.readouterr()
    assert np.array_equal(first, values(checkpoints.vae, *asked))
    assert "cannot be read" in capsys.readouterr().out
    assert newest.stat().st_size > 100


def test_a_folder_that_cannot_be_written_is_said_and_nothing_else_happens(checkpoints, tmp_path, capsys):
    alone = tmp_path / "copied.ckpt"
    alone.write_bytes(checkpoints.vae.read_bytes())
    (tmp_path / "samplers").write_text("a file in the way")
    assert values(alone, "sampler=gaussian").shape == (6, 1, 8, 8)
    assert "the sampler is not kept" in capsys.readouterr().out


def test_the_shelf_is_the_runs_or_beside_the_checkpoint():
    assert Shelf(Path("/runs/one/checkpoints/last.ckpt")).folder == Path("/runs/one/samplers")
    assert Shelf(Path("/tmp/last.ckpt")).folder == Path("/tmp/samplers")


def test_every_show_that_draws_works(checkpoints):
    grid = ["sampler=pixelcnn", *GRID]
    for show in ("samples", "interpolation", "classes", "neighbours"):
        assert sample(checkpoints.vq, f"show={show}", "n=3", *grid, f"out={show}.png") == 0
        assert Path(f"{show}.png").stat().st_size > 100
    assert sample(checkpoints.vae, "show=interpolation", "n=2", "steps=5", "sampler=gaussian", "out=ways.npy") == 0
    ways = np.load("ways.npy")
    assert ways.shape == (2, 5, 1, 8, 8)
    steps = np.abs(np.diff(ways, axis=1)).max((2, 3, 4))
    assert steps.max() < np.abs(ways[:, 0] - ways[:, -1]).max()


def test_classes_are_told_to_the_sampler(checkpoints):
    assert sample(checkpoints.vq, "show=classes", "n=2", "sampler=pixelcnn", *GRID, "out=classes.npz") == 0
    found = np.load("classes.npz")
    assert found["values"].shape == (10, 2, 1, 8, 8)
    assert found["labels"].tolist() == [[label] * 2 for label in range(10)]


def test_a_value_says_its_sampler(checkpoints):
    out = "out=values.json"
    assert main(["evaluate", f"checkpoint={checkpoints.vae}", "sampler=gaussian", "sampler.ridge=0.001", out]) == 0
    for value in json.loads(Path("values.json").read_text()):
        said = value["protocol"].get("sampler")
        drawn = value["weights"] != "real" and value["name"].startswith("frechet")
        assert (said is not None) == drawn
        if said:
            assert (said["name"], said["ridge"]) == ("gaussian", 0.001)
    assert main(["evaluate", f"checkpoint={checkpoints.vae}", out]) == 0
    assert all("sampler" not in value["protocol"] for value in json.loads(Path("values.json").read_text()))


def test_a_grid_is_measured_too(checkpoints):
    assert main(["evaluate", f"checkpoint={checkpoints.vq}", "sampler=pixelcnn", *GRID, "out=values.json"]) == 0
    found = [value for value in json.loads(Path("values.json").read_text()) if value["weights"] != "real"]
    told = {value["name"]: value["protocol"].get("sampler", {}).get("name") for value in found}
    assert told.pop("frechet_pixels") == "pixelcnn"
    assert set(told.values()) <= {None}
    assert all(np.isfinite(value["value"]) for value in found)


@pytest.mark.parametrize(
    ("checkpoint", "settings", "given", "allowed"),
    [
        ("vq", ["sampler=flow"], "sampler=flow with a checkpoint of VQVAE", "sampler=pixelcnn, sampler=transformer"),
        ("vae", ["sampler=pixelcnn"], "vectors of real numbers", "sampler=flow, sampler=gaussian"),
        ("gan", ["sampler=gaussian"], "sampler=gaussian with a checkpoint of GAN", "a VAE or of a VQ-VAE"),
        ("vae", ["sampler=gausian"], "no option 'gausian'", "gaussian, gaussian_mixture, flow"),
        ("vae", ["sampler=flow", "sampler.widht=3"], "there is no sampler.widht", "sampler.width"),
        ("vae", ["sampler=flow", "sampler.width=a"], "sampler.width='a' does not fit", "int"),
        ("vae", ["sampler=gaussian_mixture", "sampler.components=0"], "components=0", "at least 1"),
        ("vae", ["sampler.components=3"], "sampler.components=3 without a sampler", "sampler=flow"),
        ("vae", ["sampler=gaussian", "show=traversals"], "show=traversals, which draws no codes", "show=samples"),
        ("vae", ["sampler=gaussian", "truncation=0.5"], "truncation=0.5 with a checkpoint of VAE", "a GAN"),
        ("conditional", ["sampler=gaussian_mixture", "sampler.components=500"], "codes of class 0", "at least 500"),
    ],
)
def test_what_cannot_serve_is_refused(checkpoints, checkpoint, settings, given, allowed, capsys):
    assert sample(getattr(checkpoints, checkpoint), *settings) == 2
    said = capsys.readouterr().err
    assert given in said.splitlines()[0]
    assert allowed in said.splitlines()[1]
    assert not Path("samples.png").exists()


def test_a_sampler_of_ones_own(checkpoints, tmp_path, capsys):
    (tmp_path / "conf" / "sampler").mkdir(parents=True)
    (tmp_path / "conf" / "sampler" / "still.yaml").write_text("_target_: still_codes.Still\nplace: 1e-1\n")
    (tmp_path / "still_codes.py").write_text(
        "from duogen.networks.samplers.sampler import VectorSampler\n\n\n"
        "class Still(VectorSampler):\n"
        "    def __init__(self, latent_dim: int, classes: int | None, place: float) -> None:\n"
        "        super().__init__(latent_dim, classes)\n"
        "        self.place = place\n\n"
        "    def fit(self, codes, labels, generator):\n"
        "        return 'still'\n\n"
        "    def log_prob(self, codes, labels):\n"
        "        return codes.sum(1)\n\n"
        "    def forward(self, noise, labels):\n"
        "        return noise * 0 + self.place\n"
    )
    asked = [f"--config-dir={tmp_path / 'conf'}", "sampler=still"]
    assert sample(checkpoints.vae, *asked) == 2
    assert "still_codes.Still may not be built" in capsys.readouterr().err
    drawn = values(checkpoints.vae, *asked, "--allow", "still_codes.")
    assert len(np.unique(drawn.reshape(6, -1), axis=0)) == 1
