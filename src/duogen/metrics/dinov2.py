"""The class token of a vision transformer that was trained without labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from duogen.errors import UserError
from duogen.metrics.extractor import Extracted
from duogen.metrics.pretrained import Pretrained, as_rgb_bytes, found, refuse_other_than_images

SIDE, PATCH, GRID, HEAD = 224, 14, 37, 64
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FOLDER = "https://dl.fbaipublicfiles.com/dinov2"
LETTERS = {384: "s", 768: "b", 1024: "l"}


class Dinov2(Pretrained):
    """The normalised class token, (N, width), of DINOv2's vision transformer without registers; no classes.

    Images (N, 1|3, H, W) in [-1, 1] are rounded to bytes, grey ones repeated to three channels, resized to 224x224
    bicubically with antialias, clamped to [0, 1] and normalised by ImageNet's mean and deviation.

    Args:
        shape: of one example, (1|3, H, W).
        weights: path of the file that belongs to the width.
        sha256: of that file, or its first digits; null accepts any file of these names and shapes.
        width: 384 (small), 768 (base) or 1024 (large), the number of features.
        depth: of the transformer, 12, 12 or 24 blocks.

    Raises:
        UserError: no images, another width, no such file, or other bytes.

    Reference: Oquab et al. 2023 (DINOv2), section 4; as features for comparing generators, Stein et al. 2023.
    """

    name = "dinov2"
    classes = None
    chunk = 50

    def __init__(self, shape: Sequence[int], weights: str | None, sha256: str | None, width: int, depth: int) -> None:
        super().__init__()
        refuse_other_than_images(self.name, shape)
        if width not in LETTERS:
            raise UserError(f"extractor.width={width}", ", ".join(map(str, LETTERS)), "use extractor.width=768")
        self.feature_dim, self.depth = width, depth
        model = f"dinov2_vit{LETTERS[width]}14"
        file = f"{model}_pretrain.pth"
        remedy = f"download it, `curl -LO {FOLDER}/{model}/{file}`, and say extractor.weights=/path/to/{file}"
        self.weights = found(weights, sha256, f"the path of {file}", remedy)
        if sha256 is None:
            self.load()

    def prepare(self, values: Tensor) -> Tensor:
        images = as_rgb_bytes(values) / 255
        images = F.interpolate(images, (SIDE, SIDE), mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)
        return (images - images.new_tensor(MEAN).view(3, 1, 1)) / images.new_tensor(STD).view(3, 1, 1)

    def blank(self) -> nn.Module:
        return Dinov2Network(self.feature_dim, self.depth, self.feature_dim // HEAD)

    def state(self) -> Mapping[str, Tensor]:
        return self.weights.content()

    def protocol(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "space": f"normalised class token, {self.feature_dim} features, {self.depth} blocks",
            "input": [3, SIDE, SIDE],
            "quantised": True,
            "resize": f"to {SIDE}x{SIDE}, bicubic with antialias, clamped",
            "weights_sha256": self.weights.sha256,
            "accuracy": None,
        }


class Dinov2Network(nn.Module):
    """A vision transformer with patches of 14x14, a class token, layer scale and 37x37 learned positions.

    The positions are resized to the image's grid bicubically with the scale (grid + 0.1) / 37, as those of the released
    networks are. Names are those of the released weights. Dosovitskiy et al. 2021, eq. 1 to 4; Oquab et al. 2023.
    """

    def __init__(self, width: int, depth: int, heads: int) -> None:
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + GRID**2, width))
        self.mask_token = nn.Parameter(torch.zeros(1, width))
        self.patch_embed = nn.ModuleDict({"proj": nn.Conv2d(3, width, PATCH, PATCH)})
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, images: Tensor) -> Extracted:
        """(N, 3, H, W) with sides that 14 divides, to features (N, width)."""
        patches = self.patch_embed["proj"](images)
        height, width = patches.shape[2:]
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches.flatten(2).transpose(1, 2)], 1)
        tokens = tokens + self.positions(height, width)
        for block in self.blocks:
            tokens = block(tokens)
        return Extracted(self.norm(tokens[:, 0]), None)

    def positions(self, height: int, width: int) -> Tensor:
        """(1, 1 + height * width, D): the class token's position, then those of the patches, row by row."""
        if (height, width) == (GRID, GRID):
            return self.pos_embed
        square = self.pos_embed[:, 1:].transpose(1, 2).unflatten(2, (GRID, GRID))
        scale = [(height + 0.1) / GRID, (width + 0.1) / GRID]
        patches = F.interpolate(square, scale_factor=scale, mode="bicubic", align_corners=False)
        return torch.cat([self.pos_embed[:, :1], patches.flatten(2).transpose(1, 2)], 1)


class Block(nn.Module):
    """x + g1 attention(norm x), then x + g2 mlp(norm x), on tokens (N, T, width), with learned gains g (width,)."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn = nn.ModuleDict({"qkv": nn.Linear(width, 3 * width), "proj": nn.Linear(width, width)})
        self.mlp = nn.ModuleDict({"fc1": nn.Linear(width, 4 * width), "fc2": nn.Linear(4 * width, width)})
        self.ls1, self.ls2 = (nn.ParameterDict({"gamma": torch.ones(width)}) for _ in range(2))

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.ls1["gamma"] * self.attention(self.norm1(tokens))
        hidden = F.gelu(self.mlp["fc1"](self.norm2(tokens)))
        return tokens + self.ls2["gamma"] * self.mlp["fc2"](hidden)

    def attention(self, tokens: Tensor) -> Tensor:
        """softmax(q k^T / sqrt(d)) v for each head of d = width / heads, the heads side by side, and a linear layer."""
        query, key, value = self.attn["qkv"](tokens).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        heads = F.scaled_dot_product_attention(query, key, value)
        return self.attn["proj"](heads.transpose(1, 2).flatten(2))
