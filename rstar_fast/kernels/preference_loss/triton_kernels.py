"""The kernel of the preference loss. Its names follow `tree_attention.triton_tiles`."""

import triton.language as tl
from triton import jit


@jit
def _pair_tile(b_preferred, b_other, m_pairs):
    """Return softplus(other - preferred) and its derivative, float32 [preferred, others].

    Both are 0 where `m_pairs` is false. Nothing overflows.
    """
    b_margin = b_preferred[:, None] - b_other[None, :]
    b_small = tl.exp(-tl.abs(b_margin))
    b_loss = tl.maximum(-b_margin, 0.0) + tl.log(1.0 + b_small)
    b_slope = tl.where(b_margin > 0, b_small, 1.0) / (1.0 + b_small)
    return tl.where(m_pairs, b_loss, 0.0), tl.where(m_pairs, b_slope, 0.0)


@jit
def loss_and_gradient(
    p_scores, p_entries, p_offsets, p_split, p_loss, p_slope, BLOCK: tl.constexpr
):
    """Compute the loss of one group, and its derivative by each entry of the group.

    One program works on one group, and it alone writes that group's results. The grid is [groups].

    Args:
        p_scores: Scores, float16, bfloat16 or float32 [scores].
        p_entries: `PairGroups.entries`, int64 [entries].
        p_offsets: `PairGroups.offsets`, int32 [groups + 1].
        p_split: `PairGroups.split`, int32 [groups].
        p_loss: Losses, float32 [groups], written.
        p_slope: Derivative of the group's loss by each entry's score, float32 [entries], written.
        BLOCK: Number of scores on a side of a tile, a power of two.
    """
    i_group = tl.program_id(0)
    begin, split, end = (
        tl.load(p_offsets + i_group),
        tl.load(p_split + i_group),
        tl.load(p_offsets + i_group + 1),
    )
    weight = 1.0 / ((split - begin).to(tl.float32) * (end - split).to(tl.float32))
    b_total = tl.zeros([BLOCK], tl.float32)
    # The first pass over the pairs sums over the others of each preferred score. The second pass
    # sums over the preferred scores of each other one.
    for i in range(begin, split, BLOCK):
        o_preferred = i + tl.arange(0, BLOCK)
        m_preferred = o_preferred < split
        b_preferred = tl.load(
            p_scores + tl.load(p_entries + o_preferred, mask=m_preferred, other=0)
        ).to(tl.float32)
        b_slopes = tl.zeros([BLOCK], tl.float32)
        for j in range(split, end, BLOCK):
            o_other = j + tl.arange(0, BLOCK)
            m_other = o_other < end
            b_other = tl.load(p_scores + tl.load(p_entries + o_other, mask=m_other, other=0)).to(
                tl.float32
            )
            b_loss, b_slope = _pair_tile(
                b_preferred, b_other, m_preferred[:, None] & m_other[None, :]
            )
            b_total += tl.sum(b_loss, 1)
            b_slopes += tl.sum(b_slope, 1)
        tl.store(p_slope + o_preferred, -weight * b_slopes, mask=m_preferred)
    for j in range(split, end, BLOCK):
        o_other = j + tl.arange(0, BLOCK)
        m_other = o_other < end
        b_other = tl.load(p_scores + tl.load(p_entries + o_other, mask=m_other, other=0)).to(
            tl.float32
        )
        b_slopes = tl.zeros([BLOCK], tl.float32)
        for i in range(begin, split, BLOCK):
            o_preferred = i + tl.arange(0, BLOCK)
            m_preferred = o_preferred < split
            b_preferred = tl.load(
                p_scores + tl.load(p_entries + o_preferred, mask=m_preferred, other=0)
            ).to(tl.float32)
            b_loss, b_slope = _pair_tile(
                b_preferred, b_other, m_preferred[:, None] & m_other[None, :]
            )
            b_slopes += tl.sum(b_slope, 0)
        tl.store(p_slope + o_other, weight * b_slopes, mask=m_other)
    tl.store(p_loss + i_group, weight * tl.sum(b_total))
