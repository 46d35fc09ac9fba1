"""The values at the end of a run, against numpy: generated test examples, and real ones in their place."""

from math import log

import numpy as np
import pytest
import torch

from contracts.cases import MLP, SMALL, Case
from duogen.errors import UserError
from duogen.experiment import assemble
from duogen.experiment.measuring import floor, measured
from duogen.metrics.frechet import Frechet
from duogen.metrics.intra_class import IntraClassFrechet
from duogen.metrics.kernel import KernelDistance
from duogen.metrics.similarity import MultiScaleSimilarity
from duogen.records import Examples
from duogen.seeds import derive
from metrics.fakes import Fake, computed

CASE = Case("gan-ring", (*SMALL, *MLP, "latent_dim=3", "data.std=0.2", "seed=5"))
NAMES = ["modes_found", "high_quality", "mode_entropy_gap"]


def modes(points, means, std):
    """Srivastava et al. 2017 in numpy: modes found, share within three standard deviations, KL from uniform."""
    distances = np.linalg.norm(points[:, None] - means[None], axis=2)
    near = distances.min(axis=1) <= 3 * std
    counts = np.bincount(distances.argmin(axis=1)[near], minlength=len(means))
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return [(counts > 0).sum(), near.mean(), log(len(means)) + (shares * np.log(shares)).sum()]


def prepared(*overrides):
    config = CASE.config(*overrides)
    module, data = assemble.module(config, ()), assemble.data(config, ())
    assemble.teach(module, config, ())
    data.setup()
    return config, module, data


def found(config, module, data):
    return measured(assemble.trainer(config, []), module, data, config["seed"])


@pytest.mark.parametrize(("evaluation_size", "floor"), [(50, 50), (620, 620), (1500, 1000)])
def test_generated_and_real_values_are_those_of_numpy(evaluation_size, floor):
    config, module, data = prepared(f"data.evaluation_size={evaluation_size}")
    with torch.no_grad():
        for parameter in module.generator.parameters():
            parameter.mul_(3)
    values = found(config, module, data)
    assert [(value.name, value.weights, value.split) for value in values] == [
        (name, weights, "test") for weights in ("raw", "real") for name in NAMES
    ]
    sizes = [min(500, evaluation_size - start) for start in range(0, evaluation_size, 500)]
    noises = [torch.Generator().manual_seed(derive(5, "test", batch)) for batch in range(len(sizes))]
    points = [module.samples(size, noise).values for size, noise in zip(sizes, noises, strict=True)]
    means, real = np.array(config["data"]["means"]), data.splits["train"].values[:floor].double().numpy()
    expected = modes(torch.cat(points).double().numpy(), means, 0.2) + modes(real, means, 0.2)
    np.testing.assert_allclose([value.value for value in values], expected, rtol=1e-9)
    assert [value.higher_is_better for value in values[:3]] == [True, True, False]


def test_every_value_carries_its_protocol():
    values = found(*prepared())
    for value in values:
        protocol = value.protocol
        assert (protocol["name"], protocol["seed"], protocol["split"]) == ("mixture_modes", 5, "test")
        assert (protocol["n_generated"], protocol["n_real"]) == (50, 50)


def test_two_measurements_agree_and_leave_the_default_generator_alone():
    config, module, data = prepared()
    before = torch.get_rng_state()
    assert found(config, module, data) == found(config, module, data)
    assert torch.equal(torch.get_rng_state(), before)


def test_an_average_is_named_once_it_has_begun():
    config, module, data = prepared("optimizers.generator.ema.decay=0.9", "optimizers.generator.ema.start=2")
    weights = []
    for update in range(1, 5):
        module.averages["generator"].update(module.generator, update)
        weights.append(found(config, module, data)[0].weights)
    assert weights == ["raw", "raw", "ema", "ema"]


def test_without_metrics_nothing_is_measured():
    assert found(*prepared("metrics=[]")) == []


FAKE = {"_target_": "metrics.fakes.Fake", "feature_dim": 1}
FEATURES = {
    "frechet": {"_target_": "duogen.metrics.frechet.Frechet", "extractor": FAKE},
    "kernel_distance": {"_target_": "duogen.metrics.kernel.KernelDistance", "extractor": FAKE},
}


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """What is remembered of real examples stays with the test."""
    monkeypatch.setenv("DUOGEN_CACHE", str(tmp_path))


def looking(metrics, evaluation_size=50, *overrides):
    """The case's module and data with metrics of features; one extractor serves them all."""
    config = CASE.config(f"data.evaluation_size={evaluation_size}", *overrides) | {"metrics": metrics}
    module, data = assemble.module(config, ["metrics.fakes."]), assemble.data(config, ())
    assemble.teach(module, config, ())
    data.setup()
    return config, module, data, module.measures["frechet"].extractor


def test_metrics_of_features_are_those_of_the_same_examples():
    config, module, data, _ = looking(FEATURES)
    values = found(config, module, data)
    generated = module.samples(50, torch.Generator().manual_seed(derive(5, "test", 0)))
    real, train = data.splits["test"].examples(), data.train_examples(50)
    expected = {
        (name, weights): value
        for shown, weights in ((generated, "raw"), (train, "real"))
        for measure in (Frechet(Fake(1)), KernelDistance(Fake(1)))
        for name, value in computed(measure, shown, real).items()
    }
    assert {(value.name, value.weights): value.value for value in values} == pytest.approx(expected, rel=1e-6, abs=1e-9)
    assert {(value.protocol["n_generated"], value.protocol["n_real"]) for value in values} == {(50, 50)}


def test_real_examples_are_extracted_once_and_for_all(tmp_path):
    """50 generated and 50 real ones, and 50 of the floor; then the real ones are known, in a new process too."""
    config, module, data, extractor = looking(FEATURES)
    first = found(config, module, data)
    assert extractor.seen == 150
    assert found(config, module, data) == first
    assert extractor.seen == 250
    assert len(list((tmp_path / "references").glob("*.pt"))) == 3
    config, module, data, extractor = looking(FEATURES)
    assert found(config, module, data) == first
    assert extractor.seen == 100


def test_the_floor_of_a_model_that_is_told_classes_knows_the_labels():
    intra = {"_target_": "duogen.metrics.intra_class.IntraClassFrechet", "extractor": FAKE}
    metrics = {"frechet": FEATURES["frechet"], "intra_class_frechet": intra}
    _, module, data, _ = looking(metrics, 200, "model=conditional_gan")
    train, test = data.train_examples(200), data.splits["test"].examples()
    value = next(value for value in floor(module, data, 5) if value.name == "intra_class_frechet_fake")
    expected = computed(IntraClassFrechet(Fake(1)), train, test)["intra_class_frechet_fake"]
    assert (value.value, value.weights) == (pytest.approx(expected), "real")


def test_a_metric_of_classes_refuses_a_model_that_is_told_none():
    intra = {"_target_": "duogen.metrics.intra_class.IntraClassFrechet", "extractor": FAKE}
    config, module, data, _ = looking({"frechet": FEATURES["frechet"], "intra_class_frechet": intra})
    with pytest.raises(UserError, match="generated examples without labels"):
        found(config, module, data)


def test_the_floor_of_a_model_without_classes_pairs_images_as_the_model_does():
    """Pairs within a class would be more alike than those that its own images are compared in."""
    settings = {"shape": [1, 8, 8], "scales": 1, "window": 5, "pairs": 40, "seed": 0}
    target = "duogen.metrics.similarity.MultiScaleSimilarity"
    case = Case("gan-digits", ("data=digits", "data.evaluation_size=90", "trainer=cpu", "logger=none", *MLP))
    config = case.config() | {"metrics": {"multi_scale_similarity": {"_target_": target, **settings}}}
    module, data = assemble.module(config, ()), assemble.data(config, ())
    assemble.teach(module, config, ())
    values = [
        computed(MultiScaleSimilarity(**settings), train, Examples(train.values))["ms_ssim"]
        for train in (data.train_examples(90), Examples(data.train_examples(90).values))
    ]
    (value,) = floor(module, data, 5)
    assert value.value == pytest.approx(values[1], rel=1e-9)
    assert values[0] > values[1] + 0.05


def test_another_data_set_of_the_same_size_is_looked_at_anew():
    config, module, data, extractor = looking(FEATURES)
    first = found(config, module, data)
    other = assemble.data(CASE.config("data.evaluation_size=50", "data.points_seed=7"), ())
    other.setup()
    seen = extractor.seen
    second = found(config, module, other)
    assert extractor.seen == seen + 150
    assert first[0].value != second[0].value
    assert second == found(*looking(FEATURES)[:2], other)


def test_what_a_reader_must_know_is_kept_for_who_shows_the_values(capsys):
    pixels = {"_target_": "metrics.fakes.Fake", "feature_dim": 2, "name": "wide"}
    metrics = {"frechet": {"_target_": "duogen.metrics.frechet.Frechet", "extractor": pixels}}
    config, module, data, _ = looking(metrics, evaluation_size=2)
    for _ in range(2):
        found(config, module, data)
    (remark,) = module.remarks
    assert remark.startswith("frechet_wide fits 2 dimensions to as few as 2 examples")
    assert "note" not in capsys.readouterr().err


def test_at_validations_it_is_said_once(capsys):
    pixels = {"_target_": "metrics.fakes.Fake", "feature_dim": 2, "name": "wide"}
    metrics = {"frechet": {"_target_": "duogen.metrics.frechet.Frechet", "extractor": pixels}}
    config, module, data, _ = looking(metrics, evaluation_size=2)
    config["trainer"]["max_steps"], config["validate_every"] = 4, 2
    assemble.trainer(config, []).fit(module, datamodule=data)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert len(lines) == 1


def test_the_floor_leaves_what_was_measured_alone():
    config, module, data, _ = looking(FEATURES)
    found(config, module, data)
    measure = module.measures["frechet"]
    held = measure.gallery.compute().generated.features.clone()
    floor(module, data, 5)
    assert torch.equal(measure.gallery.compute().generated.features, held)
    assert measure.gallery is module.measures["kernel_distance"].gallery
