"""The FID network: names and shapes of the released weights, its pooling rules, its resize; random weights."""

import json
from math import floor

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from duogen.errors import UserError
from duogen.metrics.inception import Inception, InceptionNetwork, resized

TOPS = [
    "Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "Conv2d_3b_1x1", "Conv2d_4a_3x3",
    "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a", "Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e",
    "Mixed_7a", "Mixed_7b", "Mixed_7c", "fc",
]  # fmt: skip
SHAPES = {
    "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
    "Conv2d_1a_3x3.bn.running_var": (32,),
    "Mixed_5b.branch5x5_2.conv.weight": (64, 48, 5, 5),
    "Mixed_5b.branch_pool.conv.weight": (32, 192, 1, 1),
    "Mixed_5d.branch1x1.conv.weight": (64, 288, 1, 1),
    "Mixed_6a.branch3x3.conv.weight": (384, 288, 3, 3),
    "Mixed_6b.branch7x7_2.conv.weight": (128, 128, 1, 7),
    "Mixed_6c.branch7x7dbl_2.conv.weight": (160, 160, 7, 1),
    "Mixed_6e.branch7x7dbl_5.conv.weight": (192, 192, 1, 7),
    "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
    "Mixed_7b.branch3x3dbl_1.conv.weight": (448, 1280, 1, 1),
    "Mixed_7c.branch3x3_2b.conv.weight": (384, 384, 3, 1),
    "fc.weight": (1008, 2048),
    "fc.bias": (1008,),
}


@pytest.fixture(scope="module")
def state():
    """Random weights as the released file names them: without counters of batches."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        network = InceptionNetwork()
        values = {name: value for name, value in network.state_dict().items() if "batches_tracked" not in name}
        for name, value in values.items():
            if name.endswith("conv.weight"):
                torch.nn.init.kaiming_normal_(value)
            if name.endswith(("bn.running_mean", "bn.bias")):
                value.normal_(0, 0.1)
        return values


@pytest.fixture(scope="module")
def path(state, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "inception.pth"
    torch.save(state, path)
    return str(path)


@pytest.fixture(scope="module")
def extractor(path):
    return Inception([3, 32, 32], path, None)


def test_names_and_shapes_are_those_of_the_released_file(state):
    assert list(dict.fromkeys(name.split(".")[0] for name in state)) == TOPS
    assert len(state) == 94 * 5 + 2
    assert {name: tuple(state[name].shape) for name in SHAPES} == SHAPES
    assert sum(value.numel() for name, value in state.items() if "running" not in name) == 23_850_960


def test_features_and_logits(extractor, state):
    values = torch.rand(3, 3, 32, 32) * 2 - 1
    extracted = extractor(values)
    assert extracted.features.shape == (3, extractor.feature_dim) == (3, 2048)
    assert extracted.logits.shape == (3, extractor.classes) == (3, 1008)
    torch.testing.assert_close(extracted.logits, extracted.features @ state["fc.weight"].T, rtol=1e-4, atol=1e-4)
    assert extracted.features.std(0).max() > 0
    again = extractor(values[1:2])
    torch.testing.assert_close(again.features[0], extracted.features[1], rtol=1e-4, atol=1e-4)


def test_grey_images_are_colour_images_with_equal_channels(extractor):
    values = torch.rand(1, 1, 28, 28) * 2 - 1
    assert torch.equal(extractor.prepare(values), extractor.prepare(values.repeat(1, 3, 1, 1)))


def test_images_are_rounded_resized_and_scaled(extractor):
    values = torch.full((1, 3, 8, 8), 0.2)
    prepared = extractor.prepare(values)
    assert prepared.shape == (1, 3, 299, 299)
    assert prepared.unique().tolist() == [(153 - 128) / 128]


def by_loops(image, height, width):
    """TensorFlow 1's ResizeBilinear with neither aligned corners nor half-pixel centres, pixel by pixel."""
    rows, columns = image.shape
    output = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            top, left = y * rows / height, x * columns / width
            y0, x0 = floor(top), floor(left)
            y1, x1 = min(y0 + 1, rows - 1), min(x0 + 1, columns - 1)
            dy, dx = top - y0, left - x0
            upper = image[y0, x0] * (1 - dx) + image[y0, x1] * dx
            lower = image[y1, x0] * (1 - dx) + image[y1, x1] * dx
            output[y, x] = upper * (1 - dy) + lower * dy
    return output


@pytest.mark.parametrize(("height", "width"), [(7, 11), (4, 5), (3, 2), (13, 4)])
def test_resize_equals_loops(height, width):
    images = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(1))
    found = resized(images, height, width)
    for n in range(2):
        for c in range(3):
            expected = by_loops(images[n, c].double().numpy(), height, width)
            np.testing.assert_allclose(found[n, c], expected, atol=1e-5)


def test_resize_is_not_that_of_torch():
    images = torch.arange(4.0).view(1, 1, 1, 4)
    assert resized(images, 1, 8)[0, 0, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]
    assert F.interpolate(images, (1, 8), mode="bilinear")[0, 0, 0].tolist() != [0, 0.5, 1, 1.5, 2, 2.5, 3, 3]


@pytest.mark.parametrize("name", ["Mixed_5b", "Mixed_6b", "Mixed_7b"])
def test_averages_leave_out_the_padding(extractor, name):
    layer = extractor.load().get_submodule(name).get_submodule("pool")
    assert torch.equal(layer(torch.ones(1, 2, 5, 5)), torch.ones(1, 2, 5, 5))
    ramp = torch.arange(25.0).view(1, 1, 5, 5)
    assert layer(ramp)[0, 0, 0, 0] == (0 + 1 + 5 + 6) / 4
    assert layer(ramp)[0, 0, 2, 2] == 12


def test_the_last_block_takes_a_maximum(extractor):
    ramp = torch.arange(25.0).view(1, 1, 5, 5)
    assert extractor.load().get_submodule("Mixed_7c.pool")(ramp)[0, 0, 0, 0] == 6


def block_8(state, name, pooled, images):
    """Szegedy et al. 2016, figure 7, written out."""

    def layer(part, images):
        prefix, kernel = f"{name}.{part}", state[f"{name}.{part}.conv.weight"]
        images = F.conv2d(images, kernel, padding=(kernel.shape[2] // 2, kernel.shape[3] // 2))
        statistics = [state[f"{prefix}.bn.{key}"] for key in ("running_mean", "running_var", "weight", "bias")]
        return F.batch_norm(images, *statistics, eps=0.001).relu()

    single = layer("branch3x3_1", images)
    double = layer("branch3x3dbl_2", layer("branch3x3dbl_1", images))
    parts = [layer("branch1x1", images), layer("branch3x3_2a", single), layer("branch3x3_2b", single)]
    parts += [layer("branch3x3dbl_3a", double), layer("branch3x3dbl_3b", double)]
    return torch.cat([*parts, layer("branch_pool", pooled(images))], 1)


@pytest.mark.parametrize(
    ("name", "inputs", "pooled"),
    [
        ("Mixed_7b", 1280, lambda images: F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)),
        ("Mixed_7c", 2048, lambda images: F.max_pool2d(images, 3, 1, 1)),
    ],
)
def test_forks_are_joined_in_the_papers_order(extractor, state, name, inputs, pooled):
    images = torch.rand(1, inputs, 3, 3)
    with torch.no_grad():
        found = extractor.load().get_submodule(name)(images)
    torch.testing.assert_close(found, block_8(state, name, pooled, images), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("weights", [None, "nowhere/inception.pth"])
def test_absent_weights_fail_at_construction_with_the_instruction(weights):
    with pytest.raises(UserError) as refusal:
        Inception([1, 28, 28], weights, "6726825d")
    assert "pt_inception-2015-12-05-6726825d.pth" in refusal.value.allowed
    assert "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/" in refusal.value.remedy
    assert "extractor.weights=" in refusal.value.remedy


def test_other_bytes_and_other_networks_fail_at_construction(path, tmp_path):
    with pytest.raises(UserError, match="sha256"):
        Inception([1, 28, 28], path, "6726825d")
    torch.save({"fc.weight": torch.zeros(1008, 2048)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="differ at"):
        Inception([1, 28, 28], str(tmp_path / "other.pth"), None)


def test_points_are_refused(path):
    with pytest.raises(UserError, match="extractor=pixels"):
        Inception([2], path, None)


def test_protocol_states_the_rules(extractor):
    protocol = extractor.protocol()
    assert json.loads(json.dumps(protocol)) == protocol
    assert protocol["weights_sha256"] == extractor.weights.sha256
    assert "TensorFlow 1" in protocol["resize"]
    assert protocol["quantised"] is True
