"""What the demos promise, at their full budget: run by CI, not by `make test`."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from duogen.cli import main
from duogen.experiment import assemble
from duogen.experiment.evaluate import restored
from duogen.experiment.folder import RunFolder
from duogen.metrics.frechet import Frechet
from duogen.metrics.pixels import Pixels
from duogen.records import Examples

pytestmark = [pytest.mark.demo, pytest.mark.timeout(900)]


def frechet(values, real):
    measure = Frechet(Pixels((1, 8, 8)))
    measure.collector.update(Examples(values), Examples(real))
    return float(measure.compute()["frechet_pixels"])


def test_the_digits_demo_draws_all_ten_classes_far_from_noise(tmp_path):
    assert main(["train", "logger=none", "trainer=cpu", f"run_dir={tmp_path / 'run'}"]) == 0
    module, config = restored(RunFolder(tmp_path / "run").last, ())
    values = module.samples(1000, torch.Generator().manual_seed(1)).values
    images, labels = load_digits(return_X_y=True)
    classifier = KNeighborsClassifier(3).fit(images / 8 - 1, labels)
    shares = np.bincount(classifier.predict(values.flatten(1).numpy()), minlength=10) / 1000
    assert shares.min() > 0.02
    assert shares.max() <= 0.30
    real = assemble.data(config, ()).splits["test"].examples().values
    untrained = assemble.module(config, ()).samples(len(real), torch.Generator().manual_seed(1)).values
    assert frechet(values[: len(real)], real) <= frechet(untrained, real) / 10


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_ring_is_found_whole(seed, tmp_path):
    arguments = ["train", "experiment=ring", f"seed={seed}", "logger=none", "trainer=cpu"]
    assert main([*arguments, f"run_dir={tmp_path / 'run'}"]) == 0
    metrics = RunFolder(tmp_path / "run").record().metrics
    values = {metric.name: metric.value for metric in metrics if metric.weights != "real"}
    assert values["modes_found"] == 8
    assert values["high_quality"] >= 0.85
