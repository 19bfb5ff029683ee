"""The kernel. Names as in the tree attention kernels."""

import triton.language as tl
from triton import jit


@jit
def _pair_tile(b_preferred, b_other, m_pairs):
    """[preferred, others]: softplus(other - preferred) and its slope, 0 where there is no pair; nothing overflows."""
    b_margin = b_preferred[:, None] - b_other[None, :]
    b_small = tl.exp(-tl.abs(b_margin))
    b_loss = tl.maximum(-b_margin, 0.0) + tl.log(1.0 + b_small)
    b_slope = tl.where(b_margin > 0, b_small, 1.0) / (1.0 + b_small)
    return tl.where(m_pairs, b_loss, 0.0), tl.where(m_pairs, b_slope, 0.0)


@jit
def loss_and_gradient(
    p_scores, p_entries, p_offsets, p_split, p_loss, p_slope, BLOCK: tl.constexpr
):
    """One group: its loss, and the loss's derivative by each of its entries."""
    i_group = tl.program_id(0)
    begin, split, end = (
        tl.load(p_offsets + i_group),
        tl.load(p_split + i_group),
        tl.load(p_offsets + i_group + 1),
    )
    weight = 1.0 / ((split - begin).to(tl.float32) * (end - split).to(tl.float32))
    b_total = tl.zeros([BLOCK], tl.float32)
    # Twice over the pairs: the first pass sums over the others for each of the preferred, the second the other way round.
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
