"""The Inception v3 network behind the Frechet Inception distance and the Inception score."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duogen.metrics.extractor import Extracted
from duogen.metrics.pretrained import Pretrained, as_rgb_bytes, found, refuse_other_than_images

FILE = "pt_inception-2015-12-05-6726825d.pth"
URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{FILE}"
SIDE = 299

Way = Sequence[str | Sequence[str]]


class Inception(Pretrained):
    """The 2,048 pooled activations and the 1,008 logits of the Inception v3 network that the FID is defined on.

    Images (N, 1|3, H, W) in [-1, 1] are rounded to bytes, grey ones repeated to three channels, resized to 299x299 by
    TensorFlow 1's bilinear rule and scaled as (x - 128) / 128. The logits leave out the last layer's bias, as those of
    the Inception score do.

    Args:
        shape: of one example, (1|3, H, W).
        weights: path of `pt_inception-2015-12-05-6726825d.pth`.
        sha256: of that file, or its first digits; null accepts any file of these names and shapes.

    Raises:
        UserError: no images, no such file, or other bytes.

    Reference: Szegedy et al. 2016; Heusel et al. 2017, section 4 (features); Salimans et al. 2016, section 4 (logits).
    """

    name = "inception"
    feature_dim = 2048
    classes = 1008
    chunk = 50

    def __init__(self, shape: Sequence[int], weights: str | None, sha256: str | None) -> None:
        super().__init__()
        refuse_other_than_images(self.name, shape)
        remedy = f"download it, `curl -LO {URL}`, and say extractor.weights=/path/to/{FILE}"
        self.weights = found(weights, sha256, f"the path of {FILE}", remedy)
        if sha256 is None:
            self.load()

    def prepare(self, values: Tensor) -> Tensor:
        return (resized(as_rgb_bytes(values), SIDE, SIDE) - 128) / 128

    def blank(self) -> nn.Module:
        return InceptionNetwork()

    def state(self) -> Mapping[str, Tensor]:
        return self.weights.content()

    def protocol(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "space": f"{self.feature_dim} pooled activations",
            "logits": "without bias",
            "input": [3, SIDE, SIDE],
            "quantised": True,
            "resize": f"to {SIDE}x{SIDE}, bilinear of TensorFlow 1: no antialias, no half-pixel centres",
            "weights_sha256": self.weights.sha256,
            "accuracy": None,
        }


def resized(images: Tensor, height: int, width: int) -> Tensor:
    """Images (N, C, H, W) as (N, C, height, width) by the bilinear rule of TensorFlow 1 without aligned corners.

    Output i lies at s = i * in / out; it is (1 - t) x[floor s] + t x[min(floor s + 1, in - 1)] with t = s - floor s,
    along the width first.
    """
    return _stretched(_stretched(images, 3, width), 2, height)


def _stretched(images: Tensor, dim: int, size: int) -> Tensor:
    last = images.shape[dim] - 1
    place = torch.arange(size, device=images.device) * (images.shape[dim] / size)
    low = place.floor().long().clamp(max=last)
    share = (place - low).view([size if axis == dim else 1 for axis in range(4)])
    return torch.lerp(images.index_select(dim, low), images.index_select(dim, (low + 1).clamp(max=last)), share)


class InceptionNetwork(nn.Module):
    """Inception v3 without auxiliary head, in the variant and under the names of the ported TensorFlow weights.

    It differs from torchvision's: the averages beside the convolutions of `Mixed_5*`, `Mixed_6*` and `Mixed_7b` leave
    out the padding, `Mixed_7c` takes a maximum there, and there are 1,008 classes. Szegedy et al. 2016, table 1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, stride=2)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3, padding=1)
        self.pool_2 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3)
        self.pool_4 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = _block_35(192, pooled=32)
        self.Mixed_5c = _block_35(256, pooled=64)
        self.Mixed_5d = _block_35(288, pooled=64)
        self.Mixed_6a = _reduction_35(288)
        self.Mixed_6b = _block_17(768, inner=128)
        self.Mixed_6c = _block_17(768, inner=160)
        self.Mixed_6d = _block_17(768, inner=160)
        self.Mixed_6e = _block_17(768, inner=192)
        self.Mixed_7a = _reduction_17(768)
        self.Mixed_7b = _block_8(1280, nn.AvgPool2d(3, 1, 1, count_include_pad=False))
        self.Mixed_7c = _block_8(2048, nn.MaxPool2d(3, 1, 1))
        self.fc = nn.Linear(2048, 1008)

    def forward(self, images: Tensor) -> Extracted:
        """(N, 3, 299, 299) to features (N, 2048) and logits (N, 1008) without bias."""
        for name, layer in self.named_children():
            images = layer(images) if name != "fc" else images
        features = images.mean((2, 3))
        return Extracted(features, F.linear(features, self.fc.weight))


class _Convolution(nn.Module):
    """A convolution without bias, batch norm and ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        size: int | tuple[int, int],
        stride: int = 1,
        padding: int | tuple[int, int] = 0,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, size, stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(outputs, eps=0.001)

    def forward(self, images: Tensor) -> Tensor:
        return self.bn(self.conv(images)).relu_()


class _Block(nn.Module):
    """Ways through named layers, side by side; a step with several names is a fork whose ends are joined at once."""

    def __init__(self, ways: Sequence[Way], **layers: nn.Module) -> None:
        super().__init__()
        self.ways = ways
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, images: Tensor) -> Tensor:
        return torch.cat([self._along(way, images) for way in self.ways], 1)

    def _along(self, way: Way, images: Tensor) -> Tensor:
        for step in way:
            names = [step] if isinstance(step, str) else step
            images = torch.cat([self.get_submodule(name)(images) for name in names], 1)
        return images


def _row(inputs: int, outputs: int) -> _Convolution:
    return _Convolution(inputs, outputs, (1, 7), padding=(0, 3))


def _column(inputs: int, outputs: int) -> _Convolution:
    return _Convolution(inputs, outputs, (7, 1), padding=(3, 0))


def _block_35(inputs: int, pooled: int) -> _Block:
    """(N, inputs, 35, 35) to (N, 224 + pooled, 35, 35)."""
    double = ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3")
    return _Block(
        [("branch1x1",), ("branch5x5_1", "branch5x5_2"), double, ("pool", "branch_pool")],
        branch1x1=_Convolution(inputs, 64, 1),
        branch5x5_1=_Convolution(inputs, 48, 1),
        branch5x5_2=_Convolution(48, 64, 5, padding=2),
        branch3x3dbl_1=_Convolution(inputs, 64, 1),
        branch3x3dbl_2=_Convolution(64, 96, 3, padding=1),
        branch3x3dbl_3=_Convolution(96, 96, 3, padding=1),
        pool=nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        branch_pool=_Convolution(inputs, pooled, 1),
    )


def _reduction_35(inputs: int) -> _Block:
    """(N, inputs, 35, 35) to (N, 480 + inputs, 17, 17)."""
    return _Block(
        [("branch3x3",), ("branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"), ("pool",)],
        branch3x3=_Convolution(inputs, 384, 3, stride=2),
        branch3x3dbl_1=_Convolution(inputs, 64, 1),
        branch3x3dbl_2=_Convolution(64, 96, 3, padding=1),
        branch3x3dbl_3=_Convolution(96, 96, 3, stride=2),
        pool=nn.MaxPool2d(3, 2),
    )


def _block_17(inputs: int, inner: int) -> _Block:
    """(N, inputs, 17, 17) to (N, 768, 17, 17)."""
    double = tuple(f"branch7x7dbl_{step}" for step in range(1, 6))
    return _Block(
        [("branch1x1",), ("branch7x7_1", "branch7x7_2", "branch7x7_3"), double, ("pool", "branch_pool")],
        branch1x1=_Convolution(inputs, 192, 1),
        branch7x7_1=_Convolution(inputs, inner, 1),
        branch7x7_2=_row(inner, inner),
        branch7x7_3=_column(inner, 192),
        branch7x7dbl_1=_Convolution(inputs, inner, 1),
        branch7x7dbl_2=_column(inner, inner),
        branch7x7dbl_3=_row(inner, inner),
        branch7x7dbl_4=_column(inner, inner),
        branch7x7dbl_5=_row(inner, 192),
        pool=nn.AvgPool2d(3, 1, 1, count_include_pad=False),
        branch_pool=_Convolution(inputs, 192, 1),
    )


def _reduction_17(inputs: int) -> _Block:
    """(N, inputs, 17, 17) to (N, 512 + inputs, 8, 8)."""
    long = tuple(f"branch7x7x3_{step}" for step in range(1, 5))
    return _Block(
        [("branch3x3_1", "branch3x3_2"), long, ("pool",)],
        branch3x3_1=_Convolution(inputs, 192, 1),
        branch3x3_2=_Convolution(192, 320, 3, stride=2),
        branch7x7x3_1=_Convolution(inputs, 192, 1),
        branch7x7x3_2=_row(192, 192),
        branch7x7x3_3=_column(192, 192),
        branch7x7x3_4=_Convolution(192, 192, 3, stride=2),
        pool=nn.MaxPool2d(3, 2),
    )


def _block_8(inputs: int, pool: nn.Module) -> _Block:
    """(N, inputs, 8, 8) to (N, 2048, 8, 8)."""
    single = ("branch3x3_1", ("branch3x3_2a", "branch3x3_2b"))
    double = ("branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b"))
    return _Block(
        [("branch1x1",), single, double, ("pool", "branch_pool")],
        branch1x1=_Convolution(inputs, 320, 1),
        branch3x3_1=_Convolution(inputs, 384, 1),
        branch3x3_2a=_Convolution(384, 384, (1, 3), padding=(0, 1)),
        branch3x3_2b=_Convolution(384, 384, (3, 1), padding=(1, 0)),
        branch3x3dbl_1=_Convolution(inputs, 448, 1),
        branch3x3dbl_2=_Convolution(448, 384, 3, padding=1),
        branch3x3dbl_3a=_Convolution(384, 384, (1, 3), padding=(0, 1)),
        branch3x3dbl_3b=_Convolution(384, 384, (3, 1), padding=(1, 0)),
        pool=pool,
        branch_pool=_Convolution(inputs, 192, 1),
    )
