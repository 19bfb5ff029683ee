"""The definition of tree attention in torch, with a dense mask. It serves tests."""

import torch
from torch import Tensor

from rstar_fast.kernels.tree_attention.layout import TreeLayout


def tree_attention(
    query: Tensor, key: Tensor, value: Tensor, layout: TreeLayout, scale: float, window: int | None
) -> Tensor:
    """Attend on any device in any floating dtype, differentiable. See `api.tree_attention`."""
    group = len(query) // len(key)
    key, value = key.repeat_interleave(group, 0), value.repeat_interleave(group, 0)
    queries, end, position = (layout.tensor(name).long() for name in ("queries", "end", "position"))
    keys = torch.arange(len(end), device=end.device)
    seen = (keys <= queries[:, None]) & (queries[:, None] < end)
    if window is not None:
        seen &= position[queries][:, None] - position < window
    scores = (query @ key.transpose(1, 2) * scale).masked_fill(~seen, -torch.inf)
    return scores.softmax(-1) @ value
