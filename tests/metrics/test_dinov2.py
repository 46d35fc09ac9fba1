"""The DINOv2 transformer: names and shapes of the released weights, attention and positions by hand; random weights."""

import json

import numpy as np
import pytest
import torch
from scipy.special import erf, softmax
from torch.nn import functional as F

from duogen.errors import UserError
from duogen.metrics.dinov2 import Block, Dinov2, Dinov2Network


@pytest.fixture(scope="module")
def network():
    """Three blocks of width 8 with two heads, every weight random."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        network = Dinov2Network(width=8, depth=3, heads=2)
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, 0.1, 0.5)
        return network.requires_grad_(False)


def test_names_are_those_of_the_released_file():
    with torch.device("meta"):
        state = Dinov2Network(768, 12, 12).state_dict()
    block = [
        "norm1.weight", "norm1.bias", "attn.qkv.weight", "attn.qkv.bias", "attn.proj.weight", "attn.proj.bias",
        "ls1.gamma", "norm2.weight", "norm2.bias", "mlp.fc1.weight", "mlp.fc1.bias", "mlp.fc2.weight", "mlp.fc2.bias",
        "ls2.gamma",
    ]  # fmt: skip
    outside = {
        "cls_token": (1, 1, 768),
        "pos_embed": (1, 1370, 768),
        "mask_token": (1, 768),
        "patch_embed.proj.weight": (768, 3, 14, 14),
        "patch_embed.proj.bias": (768,),
        "norm.weight": (768,),
        "norm.bias": (768,),
    }
    assert set(state) == {*outside, *(f"blocks.{n}.{name}" for n in range(12) for name in block)}
    assert {name: tuple(state[name].shape) for name in outside} == outside
    assert tuple(state["blocks.11.attn.qkv.weight"].shape) == (2304, 768)
    assert tuple(state["blocks.0.mlp.fc1.weight"].shape) == (3072, 768)
    assert sum(value.numel() for value in state.values()) == 86_580_480


def normed(values, layer):
    centred = values - values.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)
    return scaled * layer.weight.double().numpy() + layer.bias.double().numpy()


def linear(values, layer):
    return values @ layer.weight.double().numpy().T + layer.bias.double().numpy()


def attention(block, tokens):
    """softmax(q k^T / 2) v in two heads of width 4, for one example, in numpy."""
    query, key, value = np.split(linear(tokens, block.attn["qkv"]), 3, axis=1)
    heads = [slice(0, 4), slice(4, 8)]
    parts = [softmax(query[:, head] @ key[:, head].T / 2, axis=1) @ value[:, head] for head in heads]
    return linear(np.concatenate(parts, axis=1), block.attn["proj"])


def through(block, tokens):
    gain1, gain2 = (scale["gamma"].double().numpy() for scale in (block.ls1, block.ls2))
    tokens = tokens + gain1 * attention(block, normed(tokens, block.norm1))
    hidden = linear(normed(tokens, block.norm2), block.mlp["fc1"])
    return tokens + gain2 * linear(hidden * (1 + erf(hidden / np.sqrt(2))) / 2, block.mlp["fc2"])


def test_attention_and_block_equal_numpy(network):
    block = network.blocks[1]
    assert isinstance(block, Block)
    tokens = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(1))
    for n in range(3):
        example = tokens[n].double().numpy()
        np.testing.assert_allclose(block.attention(tokens)[n], attention(block, example), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(block(tokens)[n], through(block, example), rtol=1e-4, atol=1e-4)


def test_the_network_equals_numpy(network):
    """On 14 x 28 pixels: two patches, left and right, after the class token."""
    image = torch.randn(2, 3, 14, 28, generator=torch.Generator().manual_seed(2))
    kernel = network.patch_embed["proj"].weight.double().numpy()
    patches = [np.tensordot(kernel, image[1, :, :, start : start + 14].double().numpy(), 3) for start in (0, 14)]
    patches = [patch + network.patch_embed["proj"].bias.double().numpy() for patch in patches]
    tokens = np.stack([network.cls_token[0, 0].double().numpy(), *patches])
    tokens = tokens + network.positions(1, 2)[0].double().numpy()
    for block in network.blocks:
        tokens = through(block, tokens)
    expected = normed(tokens[0], network.norm)
    np.testing.assert_allclose(network(image).features[1], expected, rtol=1e-3, atol=1e-3)


def test_positions_of_the_training_grid_are_unchanged(network):
    assert torch.equal(network.positions(37, 37), network.pos_embed)


def cubic(values, at):
    """Keys' cubic convolution with a = -0.75 at a place between samples; the border repeats."""
    a, low = -0.75, int(np.floor(at))
    total = 0.0
    for index in range(low - 1, low + 3):
        x = abs(at - index)
        near = (a + 2) * x**3 - (a + 3) * x**2 + 1
        far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
        total = total + (near if x <= 1 else far) * values[min(max(index, 0), len(values) - 1)]
    return total


def test_positions_of_a_smaller_grid_are_cubic_with_the_released_offset(network):
    """Row i of 16 lies at (i + 1/2) 37 / 16.1 - 1/2."""
    found = network.positions(16, 16)
    square = network.pos_embed[0, 1:].view(37, 37, 8).double().numpy()
    assert torch.equal(found[:, 0], network.pos_embed[:, 0])
    for row, column in ((0, 0), (3, 11), (15, 15), (7, 2)):
        y, x = ((place + 0.5) * 37 / 16.1 - 0.5 for place in (row, column))
        expected = cubic([cubic(line, x) for line in square], y)
        np.testing.assert_allclose(found[0, 1 + row * 16 + column], expected, rtol=1e-3, atol=1e-3)


@pytest.fixture(scope="module")
def extractor(tmp_path_factory):
    """One block of the small network's width, saved and read back."""
    path = tmp_path_factory.mktemp("weights") / "dino.pth"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        state = Dinov2Network(384, 1, 6).state_dict()
    torch.save({name: torch.randn_like(value) * 0.1 for name, value in state.items()}, path)
    return Dinov2([1, 9, 9], str(path), None, width=384, depth=1)


@pytest.mark.parametrize("shape", [(1, 9, 9), (3, 16, 11)])
def test_features_are_finite_and_differ(extractor, shape):
    extracted = extractor(torch.rand(2, *shape, generator=torch.Generator().manual_seed(6)) * 2 - 1)
    assert extracted.logits is None
    assert extracted.features.shape == (2, extractor.feature_dim) == (2, 384)
    assert extracted.features.isfinite().all()
    assert not torch.allclose(extracted.features[0], extracted.features[1])


def test_images_are_rounded_resized_and_normalised(extractor):
    prepared = extractor.prepare(torch.full((1, 1, 7, 7), 0.2))
    expected = [(153 / 255 - mean) / std for mean, std in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    assert prepared.shape == (1, 3, 224, 224)
    torch.testing.assert_close(prepared.amax((0, 2, 3)), torch.tensor(expected))
    torch.testing.assert_close(prepared.amin((0, 2, 3)), torch.tensor(expected))


def test_large_images_are_resized_with_antialias(extractor):
    """A checkerboard of single pixels becomes grey, which subsampling would not show."""
    board = (torch.arange(896).view(-1, 1) + torch.arange(896)) % 2 * 2.0 - 1
    prepared = extractor.prepare(board.view(1, 1, 896, 896))[0, 0, 2:-2, 2:-2]
    assert (prepared * 0.229 + 0.485 - 0.5).abs().max() < 0.01


def test_resize_stays_in_range(extractor):
    edge = torch.full((1, 1, 8, 8), -1.0)
    edge[..., 4:] = 1.0
    overshoot = F.interpolate((edge + 1) / 2, (224, 224), mode="bicubic", antialias=True)
    prepared = extractor.prepare(edge)[0, 0] * 0.229 + 0.485
    assert overshoot.max() > 1.01
    assert prepared.min() >= -1e-6
    assert prepared.max() <= 1 + 1e-6


@pytest.mark.parametrize(("width", "depth", "letter"), [(384, 12, "s"), (768, 12, "b"), (1024, 24, "l")])
def test_absent_weights_fail_at_construction_with_the_instruction(width, depth, letter):
    with pytest.raises(UserError) as refusal:
        Dinov2([3, 32, 32], None, None, width, depth)
    file = f"dinov2_vit{letter}14/dinov2_vit{letter}14_pretrain.pth"
    assert f"https://dl.fbaipublicfiles.com/dinov2/{file}" in refusal.value.remedy
    assert "extractor.weights=" in refusal.value.remedy


def test_what_does_not_fit_fails_at_construction(extractor):
    path = str(extractor.weights.path)
    with pytest.raises(UserError, match=r"extractor\.width=500") as refusal:
        Dinov2([3, 32, 32], path, None, 500, 12)
    assert "768" in refusal.value.remedy
    with pytest.raises(UserError, match="differ at"):
        Dinov2([3, 32, 32], path, None, 384, 2)
    with pytest.raises(UserError, match="sha256"):
        Dinov2([3, 32, 32], path, "0b8b82f8", 384, 1)
    with pytest.raises(UserError, match="extractor=pixels"):
        Dinov2([2], path, None, 384, 1)


def test_protocol_states_the_rules(extractor):
    protocol = extractor.protocol()
    assert json.loads(json.dumps(protocol)) == protocol
    assert protocol["weights_sha256"] == extractor.weights.sha256
    assert "bicubic" in protocol["resize"]
    assert "384" in protocol["space"]
