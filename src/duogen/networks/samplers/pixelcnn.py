"""Gated convolutions over a grid of codes that see no place after their own."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn.functional import pad

from duogen.errors import UserError, require_at_least
from duogen.networks.samplers.descent import Descent
from duogen.networks.samplers.grid import GridSampler


class GatedLayer(nn.Module):
    """y = tanh(f * x + b_f(y)) sigmoid(g * x + b_g(y)) of two stacks: the rows above, and what is left in the row.

    The vertical stack sees k columns of its row and of the rows above, the horizontal one its place, what lies left of
    it and the vertical one; the horizontal one adds up. Masks are kernels of the size of what may be seen.
    Source: van den Oord et al. 2016 (conditional image generation), eq. 2 and 4, figure 2.
    """

    def __init__(self, width: int, kernel: int, classes: int | None) -> None:
        super().__init__()
        self.reach = kernel // 2
        self.vertical = nn.Conv2d(width, 2 * width, (self.reach + 1, kernel))
        self.horizontal = nn.Conv2d(width, 2 * width, (1, self.reach + 1))
        self.across = nn.Conv2d(2 * width, 2 * width, 1)
        self.onward = nn.Conv2d(width, width, 1)
        self.told = None if classes is None else nn.Embedding(classes, 4 * width)

    def forward(self, above: Tensor, left: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor]:
        """Both stacks (N, W, r, w), and labels (N,) where there are classes, to both stacks."""
        higher = self.vertical(pad(above, (self.reach, self.reach, self.reach, 0)))
        nearer = self.horizontal(pad(left, (self.reach, 0, 0, 0))) + self.across(higher)
        if self.told is not None and labels is not None:
            first, second = self.told(labels)[..., None, None].chunk(2, 1)
            higher, nearer = higher + first, nearer + second
        return gated(higher), left + self.onward(gated(nearer))


def gated(halves: Tensor) -> Tensor:
    """(N, 2 W, r, w) to (N, W, r, w)."""
    signal, gate = halves.chunk(2, 1)
    return signal.tanh() * gate.sigmoid()


class PixelcnnSampler(GridSampler):
    """What a place sees of those before it by `layers` gated, masked convolutions of side `kernel`, odd and >= 3.

    The places that may be seen are moved by one row, and by one column, before the first layer: no layer sees its own.
    Raises `UserError` for sizes out of range. Source: van den Oord et al. 2016, section 2; van den Oord et al. 2017,
    section 3.3, for the codes of a VQ-VAE.
    """

    def __init__(
        self,
        places: Sequence[int],
        sizes: Sequence[int],
        classes: int | None,
        width: int,
        layers: int,
        kernel: int,
        fitting: Descent,
    ) -> None:
        super().__init__(places, sizes, classes, width, fitting)
        require_at_least(1, "PixelcnnSampler", layers=layers)
        if kernel < 3 or kernel % 2 == 0:
            given, allowed = f"PixelcnnSampler: kernel={kernel}", "odd numbers of at least 3"
            raise UserError(given, allowed, "e.g. sampler.kernel=3")
        self.layers = nn.ModuleList(GatedLayer(width, kernel, classes) for _ in range(layers))

    def seen(self, values: Tensor, labels: Tensor | None) -> Tensor:
        grid = values.movedim(-1, 1)
        above, left = pad(grid, (0, 0, 1, 0))[:, :, :-1], pad(grid, (1, 0))[..., :-1]
        for layer in self.layers:
            above, left = layer(above, left, labels)
        return left.movedim(1, -1)
