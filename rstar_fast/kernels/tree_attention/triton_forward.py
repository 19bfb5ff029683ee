"""The forward kernel of tree attention. `triton_tiles` explains names and arguments."""

# mypy: ignore-errors

import triton.language as tl
from triton import jit

from rstar_fast.kernels.tree_attention.triton_tiles import (
    head_and_token,
    key_tile,
    load_part,
    row_tile,
    tile_mask,
    tile_offsets,
    visible,
)


@jit
def forward(
    p_query, p_key, p_value, p_out, p_log_sum,
    p_queries, p_end, p_position, p_parts, p_blocks,
    num_groups, num_queries, num_keys, scale_log2, scale, window,
    stride_query_head, stride_query_token, stride_key_head, stride_key_token,
    stride_out_head, stride_out_token,
    GROUP: tl.constexpr, DIM: tl.constexpr, BLOCK_DIM: tl.constexpr, BLOCK_ROWS: tl.constexpr,
    BLOCK_KEYS: tl.constexpr, WINDOWED: tl.constexpr, ALL_ASK: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the results of one tile of rows, and the logarithm of their softmax's denominator.

    A row of the block lists is a tile of rows, and its blocks are tiles of keys. The program owns
    its rows of `p_out` and `p_log_sum`.
    """
    i_block, begin, split, end, _, i_group = load_part(p_parts, num_groups)
    o_head, o_token = head_and_token(GROUP, BLOCK_ROWS)
    i_token, b_index, m_row = row_tile(
        i_block, o_token, p_queries, num_queries, GROUP, BLOCK_ROWS, ALL_ASK
    )
    m_rows = tile_mask(m_row, DIM, BLOCK_DIM)
    b_position = b_index
    if WINDOWED:
        b_position = tl.load(p_position + b_index, mask=m_row, other=0)
    i_head = i_group.to(tl.int64) * GROUP
    # [rows, dim]
    p_rows = p_query + i_head * stride_query_head + i_token * stride_query_token
    b_query = tl.load(
        p_rows + tile_offsets(o_head, o_token, stride_query_head, stride_query_token, BLOCK_DIM),
        mask=m_rows,
        other=0.0,
    )

    b_max = tl.full([BLOCK_ROWS], float("-inf"), tl.float32)
    b_sum = tl.zeros([BLOCK_ROWS], tl.float32)
    b_out = tl.zeros([BLOCK_ROWS, BLOCK_DIM], tl.float32)
    o_keys = tl.arange(0, BLOCK_KEYS)[:, None] * stride_key_token + tl.arange(0, BLOCK_DIM)[None, :]
    i_next = tl.load(p_blocks + begin)
    for i in range(begin, end):
        o_key, b_end, b_key_position, m_key = key_tile(
            i_next, p_end, p_position, num_keys, BLOCK_KEYS, WINDOWED
        )
        m_keys = tile_mask(m_key, DIM, BLOCK_DIM)
        i_keys = i_group.to(tl.int64) * stride_key_head + i_next.to(tl.int64) * (
            BLOCK_KEYS * stride_key_token
        )
        # The next number is loaded one tile ahead. A load that the others had to wait for would
        # take a stage of their pipeline.
        i_next = tl.load(p_blocks + i + 1)
        # [keys, dim]
        b_key = tl.load(p_key + i_keys + o_keys, mask=m_keys, other=0.0)
        b_logits = tl.dot(b_query, tl.trans(b_key), input_precision=PRECISION)
        if i >= split:
            m_seen = visible(
                b_index, b_position, o_key, b_end, b_key_position, window, WINDOWED, False
            )
            b_logits = tl.where(m_seen, b_logits, float("-inf"))
        # The scale is positive, so the largest logit is the same before and after scaling.
        b_new_max = tl.maximum(b_max, tl.max(b_logits, 1) * scale_log2)
        # For a row that has seen no key yet exp2(-inf - 0) is 0, but -inf - -inf would be NaN.
        b_base = tl.where(b_new_max == float("-inf"), 0.0, b_new_max)
        b_weights = tl.exp2(b_logits * scale_log2 - b_base[:, None])
        b_decay = tl.exp2(b_max - b_base)
        b_sum = b_sum * b_decay + tl.sum(b_weights, 1)
        b_value = tl.load(p_value + i_keys + o_keys, mask=m_keys, other=0.0)
        b_out = b_out * b_decay[:, None]
        b_out = tl.dot(b_weights.to(b_value.dtype), b_value, b_out, input_precision=PRECISION)
        b_max = b_new_max

    # Only rows that stand for nothing have seen no key.
    b_sum = tl.where(b_sum == 0.0, 1.0, b_sum)
    b_out = b_out / b_sum[:, None]
    p_rows = p_out + i_head * stride_out_head + i_token * stride_out_token
    o_rows = tile_offsets(o_head, o_token, stride_out_head, stride_out_token, BLOCK_DIM)
    tl.store(p_rows + o_rows, b_out.to(p_out.dtype.element_ty), mask=m_rows)
    p_rows = p_log_sum + i_head * num_queries + i_token * GROUP
    tl.store(p_rows + tl.arange(0, BLOCK_ROWS), b_max + tl.log2(b_sum), mask=m_row)
