"""The one collective of a turn: gradients, counts and running statistics, summed over the ranks together."""

from collections.abc import Sequence

import torch
import torch.distributed as dist
from torch import Tensor


@torch.no_grad()
def sum_over_ranks(gradients: Sequence[Tensor], count: "int | Tensor", buffers: Sequence[Tensor]) -> Tensor:
    """Sums `gradients` over all ranks in place, averages `buffers` in place, returns the summed count (0-d).

    One all-reduce of one flat vector per optimizer step, whatever the number of backward passes before it.
    """
    whole = count.float() if isinstance(count, Tensor) else gradients[0].new_full((), count, dtype=torch.float32)
    tensors = [*gradients, *buffers]
    flat = torch.cat([tensor.reshape(-1) for tensor in tensors] + [whole.reshape(1)])
    dist.all_reduce(flat)
    parts = flat[:-1].split([tensor.numel() for tensor in tensors])
    for tensor, part in zip(tensors, parts, strict=True):
        tensor.copy_(part.view_as(tensor))
    if buffers:
        torch._foreach_div_(list(buffers), dist.get_world_size())
    return flat[-1]


def summed(vector: Tensor) -> Tensor:
    """The sum of `vector` over all ranks; itself on one."""
    if dist.is_available() and dist.is_initialized():
        dist.all_reduce(vector)
    return vector
