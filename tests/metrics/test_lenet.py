"""Small classifiers as extractors: the shipped ones, their facts, their resize, and what is refused."""

import hashlib
import json

import pytest
import torch
from torch.nn import functional as F

from duogen.errors import UserError
from duogen.metrics.lenet import SHIPPED, Lenet, LenetClassifier, shipped

FACTS = {"mnist": ([1, 28, 28], 0.99), "fashion_mnist": ([1, 28, 28], 0.91), "digits": ([1, 8, 8], 0.97)}


@pytest.fixture
def path(tmp_path):
    """Random weights for grey 12x9 images of four classes, as a run would keep them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        network = LenetClassifier([1, 12, 9], 4)
    facts = {"shape": [1, 12, 9], "classes": 4, "accuracy": 0.5, "data_sha256": "ab", "recipe": {}}
    torch.save(facts | {"state": network.state_dict()}, tmp_path / "own.pt")
    return str(tmp_path / "own.pt")


def test_the_shipped_weights_are_those_named():
    assert shipped() == sorted(FACTS)


@pytest.mark.parametrize("name", FACTS)
def test_shipped_weights_are_small_and_say_how_good_they_are(name):
    shape, least = FACTS[name]
    extractor, file = Lenet(shape, 10, name), SHIPPED / f"{name}.pt"
    protocol = extractor.protocol()
    assert file.stat().st_size <= 250_000
    assert protocol["accuracy"] >= least
    assert protocol["weights_sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    assert len(protocol["data_sha256"]) == 64
    assert json.loads(json.dumps(protocol)) == protocol


@pytest.mark.parametrize("name", FACTS)
def test_shipped_weights_give_features_and_logits(name):
    shape, _ = FACTS[name]
    extracted = Lenet(shape, 10, name)(torch.rand(7, *shape) * 2 - 1)
    assert extracted.features.shape == (7, 84)
    assert extracted.features.dtype == torch.float32
    assert extracted.features.min() >= 0
    assert extracted.logits is not None
    assert extracted.logits.shape == (7, 10)
    assert extracted.features.isfinite().all()


def test_shipped_digits_are_told_apart():
    """All of scikit-learn's digits, on most of which the classifier was trained."""
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    values = torch.from_numpy(images).float().view(-1, 1, 8, 8) / 8 - 1
    logits = Lenet([1, 8, 8], 10, "digits")(values).logits
    assert logits is not None
    assert (logits.argmax(1).numpy() == labels).mean() >= 0.98


def by_hand(state, values):
    """The layers written out: 5x5 and 3x3 convolutions, batch norm with running statistics, ReLU, maxima."""
    for block in (0, 4):
        weight, bias = state[f"layers.{block}.weight"], state[f"layers.{block}.bias"]
        values = F.conv2d(values, weight, bias, padding=weight.shape[-1] // 2)
        statistics = [state[f"layers.{block + 1}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        values = F.max_pool2d(F.batch_norm(values, *statistics).relu(), 2)
    features = F.linear(values.flatten(1), state["penultimate.weight"], state["penultimate.bias"]).relu()
    return features, F.linear(features, state["output.weight"], state["output.bias"])


def test_features_and_logits_equal_the_layers_written_out(path):
    values = torch.randn(3, 1, 12, 9)
    extracted = Lenet([1, 12, 9], 4, path)(values)
    state = torch.load(path, weights_only=True)["state"]
    assert state["layers.0.weight"].shape == (16, 1, 5, 5)
    assert state["layers.4.weight"].shape == (32, 16, 3, 3)
    torch.testing.assert_close((extracted.features, extracted.logits), by_hand(state, values), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "last", "area"),
    [((1, 8, 8), 32, 4), ((3, 28, 28), 48, 9), ((1, 32, 32), 48, 16), ((3, 64, 48), 64, 12), ((2, 4, 5), 32, 1)],
)
def test_the_last_map_is_small_whatever_the_image(shape, last, area):
    network = LenetClassifier(shape, 3).eval()
    assert network.penultimate.in_features == last * area
    extracted = network(torch.zeros(2, *shape))
    assert extracted.features.shape == (2, 84)
    assert extracted.logits.shape == (2, 3)


def test_other_sizes_are_resized_with_antialias(path):
    extractor = Lenet([1, 12, 9], 4, path)
    values = torch.randn(2, 1, 24, 27)
    resized = F.interpolate(values, (12, 9), mode="bilinear", antialias=True)
    assert not torch.allclose(resized, F.interpolate(values, (12, 9), mode="bilinear"))
    torch.testing.assert_close(extractor(values).features, extractor(resized).features)
    assert "antialias to 12x9" in extractor.protocol()["resize"]


def test_examples_of_the_own_size_are_untouched(path):
    values = torch.randn(2, 1, 12, 9)
    assert Lenet([1, 12, 9], 4, path).prepare(values) is values


def test_other_channels_are_refused(path):
    with pytest.raises(UserError, match=r"\(3, 12, 9\)"):
        Lenet([1, 12, 9], 4, path)(torch.zeros(2, 3, 12, 9))


@pytest.mark.parametrize(("shape", "classes"), [([1, 9, 12], 4), ([3, 12, 9], 4), ([1, 12, 9], 5)])
def test_weights_of_other_facts_are_refused_at_construction(path, shape, classes):
    with pytest.raises(UserError) as refusal:
        Lenet(shape, classes, path)
    assert "shape=[1, 12, 9] and classes=4" in refusal.value.allowed


@pytest.mark.parametrize(
    ("shape", "classes", "message"),
    [
        ([1, 8, 8], None, "without labels"),
        ([2], 8, r"shape \[2\]"),
        ([1, 3, 9], 4, r"shape \[1, 3, 9\]"),
        ([1, 8, 8], 1, "1 class"),
    ],
)
def test_data_without_a_classifier_are_told_to_use_pixels(shape, classes, message):
    with pytest.raises(UserError, match=message) as refusal:
        Lenet(shape, classes, "auto")
    assert "extractor=pixels" in refusal.value.remedy


@pytest.mark.parametrize("weights", ["minst", "nowhere/own.pt", ""])
def test_missing_weights_are_refused_at_construction(weights):
    with pytest.raises(UserError) as refusal:
        Lenet([1, 28, 28], 10, weights)
    for option in (*FACTS, "auto"):
        assert option in refusal.value.allowed
    assert refusal.value.allowed.startswith("mnist" if weights == "minst" else "")


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04"])
def test_a_damaged_file_is_refused_at_construction(tmp_path, content):
    (tmp_path / "own.pt").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read"):
        Lenet([1, 12, 9], 4, str(tmp_path / "own.pt"))


def test_a_file_that_is_something_else_is_refused_at_construction(tmp_path):
    torch.save({"classes": 4}, tmp_path / "own.pt")
    with pytest.raises(UserError, match="cannot be read"):
        Lenet([1, 12, 9], 4, str(tmp_path / "own.pt"))


def test_auto_is_built_and_refused_at_first_use_unless_it_was_replaced():
    extractor = Lenet([1, 28, 28], 10, "auto")
    assert extractor.protocol()["weights_sha256"] is None
    with pytest.raises(UserError, match="auto"):
        extractor(torch.zeros(1, 1, 28, 28))


def test_building_draws_no_random_number(path):
    before = torch.get_rng_state()
    Lenet([1, 12, 9], 4, path)(torch.zeros(1, 1, 12, 9))
    assert torch.equal(before, torch.get_rng_state())


def test_no_batch_is_no_features(path):
    extracted = Lenet([1, 12, 9], 4, path)(torch.zeros(0, 1, 12, 9))
    assert extracted.features.shape == (0, 84)
    assert extracted.logits is not None
    assert extracted.logits.shape == (0, 4)
