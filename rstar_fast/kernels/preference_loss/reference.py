"""The definition of the preference loss in torch: all pairs of all groups at once."""

import torch
import torch.nn.functional as F
from torch import Tensor

from rstar_fast.kernels.preference_loss.groups import PairGroups


def preference_loss(scores: Tensor, groups: PairGroups) -> Tensor:
    """Compute the losses on any device, differentiable. See `api.preference_loss`."""
    scores = scores.to(torch.promote_types(scores.dtype, torch.float32))
    begin, split, end = groups.offsets[:-1].long(), groups.split.long(), groups.offsets[1:].long()
    others = end - split
    num_pairs = (split - begin) * others
    group = torch.arange(len(begin), device=scores.device).repeat_interleave(num_pairs)
    first = (num_pairs.cumsum(0) - num_pairs)[group]
    pair = torch.arange(len(group), device=scores.device) - first
    preferred = groups.entries[begin[group] + pair // others[group]]
    other = groups.entries[split[group] + pair % others[group]]
    losses = F.softplus(scores[other] - scores[preferred]) / num_pairs[group]
    return losses.new_zeros(len(begin)).index_add(0, group, losses)
