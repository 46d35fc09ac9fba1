"""What every extractor with a weights file does, shown on a linear one."""

import hashlib
from copy import deepcopy

import pytest
import torch
from torch import nn

from duogen.errors import UserError
from duogen.metrics.extractor import Extracted
from duogen.metrics.pretrained import Pretrained, as_rgb_bytes, found, refuse_other_than_images


def precisions():
    return torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision


class Head(nn.Module):
    """Three values to two features, normalised by running statistics; batches are noted."""

    def __init__(self):
        super().__init__()
        self.linear, self.norm, self.seen, self.precisions = nn.Linear(3, 2), nn.BatchNorm1d(2), [], set()

    def forward(self, values):
        self.seen.append(len(values))
        self.precisions.add(precisions())
        return Extracted(self.norm(self.linear(values)), None)


class Linear(Pretrained):
    name, feature_dim, classes, chunk = "linear", 2, None, 4

    def __init__(self, path):
        super().__init__()
        self.weights = found(str(path), None, "weights", "make some")

    def blank(self):
        return Head()

    def state(self):
        return self.weights.content()

    def prepare(self, values):
        return values * 2

    def protocol(self):
        return {}


@pytest.fixture
def state():
    generator = torch.Generator().manual_seed(3)
    return {
        "linear.weight": torch.randn(2, 3, generator=generator),
        "linear.bias": torch.randn(2, generator=generator),
        "norm.weight": torch.tensor([1.5, 0.5]),
        "norm.bias": torch.tensor([0.25, -2.0]),
        "norm.running_mean": torch.tensor([0.5, 1.0]),
        "norm.running_var": torch.tensor([4.0, 0.25]),
    }


@pytest.fixture
def path(tmp_path, state):
    torch.save(state, tmp_path / "linear.pth")
    return tmp_path / "linear.pth"


def expected(state, values):
    linear = 2 * values @ state["linear.weight"].T + state["linear.bias"]
    spread = (state["norm.running_var"] + 1e-5).sqrt()
    return (linear - state["norm.running_mean"]) / spread * state["norm.weight"] + state["norm.bias"]


def test_prepares_runs_in_parts_and_joins(path, state):
    extractor, values = Linear(path), torch.randn(11, 3)
    torch.testing.assert_close(extractor(values).features, expected(state, values))
    assert extractor.load().seen == [4, 4, 3]


@pytest.mark.parametrize("mode", [True, False])
def test_is_in_eval_mode_whatever_is_asked(path, state, mode):
    extractor, values = Linear(path), torch.randn(5, 3)
    extractor.train(mode)
    torch.testing.assert_close(extractor(values).features, expected(state, values))
    extractor.train(mode)
    torch.testing.assert_close(extractor(values).features, expected(state, values))


def test_no_random_number_is_drawn(path):
    before = torch.get_rng_state()
    Linear(path)(torch.zeros(2, 3))
    assert torch.equal(before, torch.get_rng_state())


def test_is_nothing_that_a_module_saves_learns_or_casts(path, state):
    holder = nn.Sequential(Linear(path))
    values = torch.randn(2, 3)
    holder(values)
    assert holder.state_dict() == {}
    assert list(holder.parameters()) == []
    assert holder.double()(values.double()).features.dtype == torch.float32


def test_gives_no_gradient(path):
    extractor = Linear(path)
    assert not extractor(torch.ones(2, 3, requires_grad=True)).features.requires_grad
    assert not any(parameter.requires_grad for parameter in extractor.load().parameters())


def test_runs_in_float32_inside_autocast(path, state):
    values = torch.randn(5, 3)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        features = Linear(path)(values.bfloat16()).features
    assert features.dtype == torch.float32
    torch.testing.assert_close(features, expected(state, values.bfloat16().float()))


@pytest.mark.parametrize("allowed", ["highest", "medium"])
def test_a_gpu_does_not_round_and_the_runs_own_precision_comes_back(path, allowed):
    extractor, before = Linear(path), torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(allowed)
        outside = precisions()
        extractor(torch.zeros(2, 3))
        assert extractor.load().precisions == {("ieee", "ieee")}
        assert precisions() == outside
        assert torch.get_float32_matmul_precision() == allowed
    finally:
        torch.set_float32_matmul_precision(before)


def test_copies_share_the_network(path):
    extractor = Linear(path)
    assert deepcopy(extractor).load() is extractor.load()


def test_can_be_built_and_used_where_modules_are_built_on_the_meta_device(path, state):
    with torch.device("meta"):
        extractor = Linear(path)
        extractor.load()
    values = torch.randn(2, 3)
    torch.testing.assert_close(extractor(values).features, expected(state, values))


def test_half_precision_weights_are_used_as_float32(tmp_path, state):
    torch.save({name: value.half() for name, value in state.items()}, tmp_path / "half.pth")
    values = torch.randn(4, 3)
    rounded = {name: value.half().float() for name, value in state.items()}
    torch.testing.assert_close(Linear(tmp_path / "half.pth")(values).features, expected(rounded, values))


def without_bias(state):
    del state["linear.bias"]


def with_another(state):
    state["other"] = torch.zeros(2)


def with_a_wide_weight(state):
    state["linear.weight"] = torch.zeros(2, 4)


@pytest.mark.parametrize(
    ("change", "name"),
    [(without_bias, "linear.bias"), (with_another, "other"), (with_a_wide_weight, "linear.weight")],
)
def test_weights_of_another_network_are_refused_by_name(tmp_path, state, change, name):
    change(state)
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(UserError, match=f"differ at 1 names, such as {name}"):
        Linear(tmp_path / "other.pth").load()


def test_the_file_is_found_with_its_checksum(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    for declared in (None, digest, digest[:8], digest.upper()):
        weights = found(str(path), declared, "", "")
        assert (weights.path, weights.sha256) == (path, digest)


def test_another_checksum_is_refused(path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(UserError) as refusal:
        found(str(path), "0" * 64, "the path of x.pth", "download it")
    assert str(path) in refusal.value.given
    assert digest in refusal.value.given
    assert "0" * 64 in refusal.value.allowed
    assert refusal.value.remedy == "download it"


@pytest.mark.parametrize("weights", [None, "", "nowhere/x.pth"])
def test_a_missing_file_is_refused_with_the_remedy(weights, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError) as refusal:
        found(weights, None, "the path of x.pth", "download it")
    assert (str(tmp_path / "nowhere/x.pth") if weights else "weights=null") in refusal.value.given
    assert (refusal.value.allowed, refusal.value.remedy) == ("the path of x.pth", "download it")


@pytest.mark.parametrize("channels", [1, 3])
def test_bytes_are_the_nearest_and_grey_is_repeated(channels):
    fractions = torch.tensor([-1.2, -1.0, -0.999, 0.0039, 0.01, 1.0, 1.7])
    values = fractions.view(1, 1, 1, 7).repeat(2, channels, 1, 1)
    found_bytes = as_rgb_bytes(values)
    assert found_bytes.shape == (2, 3, 1, 7)
    assert found_bytes[1, 2, 0].tolist() == [0, 0, 0, 128, 129, 255, 255]


def test_bytes_survive_the_way_to_the_network_and_back():
    stored = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert torch.equal(as_rgb_bytes(stored.sub(127.5).div(127.5))[:, :1], stored.float())


@pytest.mark.parametrize("shape", [(2,), (2, 28, 28), (28, 28), (4, 8, 8)])
def test_other_than_grey_or_colour_images_are_refused(shape):
    with pytest.raises(UserError, match="extractor=pixels"):
        refuse_other_than_images("inception", shape)
    refuse_other_than_images("inception", (1, 8, 9))
    refuse_other_than_images("inception", (3, 8, 9))
