"""The backward kernels of tree attention. `triton_tiles` explains names and arguments.

They run in the order `backward_query`, `backward_key`, `add_parts`. The last one runs only where
long lists were cut into parts.
"""

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
def backward_query(
    p_query, p_key, p_value, p_out, p_grad, p_log_sum, p_delta, p_grad_query,
    p_queries, p_end, p_position, p_parts, p_blocks,
    num_groups, num_queries, num_keys, scale_log2, scale, window,
    stride_query_head, stride_query_token, stride_key_head, stride_key_token,
    stride_grad_head, stride_grad_token, stride_out_head, stride_out_token,
    GROUP: tl.constexpr, DIM: tl.constexpr, BLOCK_DIM: tl.constexpr, BLOCK_ROWS: tl.constexpr,
    BLOCK_KEYS: tl.constexpr, WINDOWED: tl.constexpr, ALL_ASK: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of the queries of one tile of rows, and delta, for `backward_key`.

    A row of the block lists is a tile of rows, and its blocks are tiles of keys. The program owns
    its rows of `p_grad_query` and `p_delta`. `p_grad_query` has the shape, dtype and strides of
    `p_out`.
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
    p_rows = p_grad + i_head * stride_grad_head + i_token * stride_grad_token
    b_grad = tl.load(
        p_rows + tile_offsets(o_head, o_token, stride_grad_head, stride_grad_token, BLOCK_DIM),
        mask=m_rows,
        other=0.0,
    )
    i_out = i_head * stride_out_head + i_token * stride_out_token
    o_out = tile_offsets(o_head, o_token, stride_out_head, stride_out_token, BLOCK_DIM)
    # [rows]
    b_delta = tl.sum(
        tl.load(p_out + i_out + o_out, mask=m_rows, other=0.0).to(tl.float32)
        * b_grad.to(tl.float32),
        1,
    )
    i_row, o_row = i_head * num_queries + i_token * GROUP, tl.arange(0, BLOCK_ROWS)
    tl.store(p_delta + i_row + o_row, b_delta, mask=m_row)
    # Rows that stand for nothing get the weight exp2(-inf) = 0.
    b_log_sum = tl.load(p_log_sum + i_row + o_row, mask=m_row, other=float("inf"))

    b_grad_query = tl.zeros([BLOCK_ROWS, BLOCK_DIM], tl.float32)
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
        i_next = tl.load(p_blocks + i + 1)
        # [keys, dim]
        b_key = tl.load(p_key + i_keys + o_keys, mask=m_keys, other=0.0)
        b_value = tl.load(p_value + i_keys + o_keys, mask=m_keys, other=0.0)
        b_logits = tl.dot(b_query, tl.trans(b_key), input_precision=PRECISION) * scale_log2
        b_weights = tl.exp2(b_logits - b_log_sum[:, None])
        if i >= split:
            m_seen = visible(
                b_index, b_position, o_key, b_end, b_key_position, window, WINDOWED, False
            )
            b_weights = tl.where(m_seen, b_weights, 0.0)
        b_grad_weights = tl.dot(b_grad, tl.trans(b_value), input_precision=PRECISION)
        b_grad_logits = b_weights * (b_grad_weights - b_delta[:, None])
        b_grad_query = tl.dot(
            b_grad_logits.to(b_key.dtype), b_key, b_grad_query, input_precision=PRECISION
        )

    tl.store(
        p_grad_query + i_out + o_out,
        (b_grad_query * scale).to(p_grad_query.dtype.element_ty),
        mask=m_rows,
    )


@jit
def backward_key(
    p_query, p_key, p_value, p_grad, p_log_sum, p_delta, p_grad_key, p_grad_value, p_sums,
    p_queries, p_end, p_position, p_parts, p_blocks,
    num_groups, num_queries, num_keys, scale_log2, scale, window,
    stride_query_head, stride_query_token, stride_key_head, stride_key_token,
    stride_grad_head, stride_grad_token, stride_grad_key_head, stride_grad_key_token,
    GROUP: tl.constexpr, DIM: tl.constexpr, BLOCK_DIM: tl.constexpr, BLOCK_ROWS: tl.constexpr,
    BLOCK_KEYS: tl.constexpr, WINDOWED: tl.constexpr, ALL_ASK: tl.constexpr,
    PRECISION: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of one tile of keys and values, or a part of them for `add_parts`.

    A row of the block lists is a tile of keys, and its blocks are the tiles of rows that see it.
    The only part of a row owns the tile in `p_grad_key` and `p_grad_value`, which have the shape
    and dtype of the keys and equal strides. Any other part owns its slot in `p_sums`, float32
    [slots, num_groups, 2, BLOCK_KEYS, BLOCK_DIM]: the sums for keys, then those for values.
    """
    i_block, begin, split, end, i_slot, i_group = load_part(p_parts, num_groups)
    o_head, o_token = head_and_token(GROUP, BLOCK_ROWS)
    o_key, b_end, b_key_position, m_key = key_tile(
        i_block, p_end, p_position, num_keys, BLOCK_KEYS, WINDOWED
    )
    m_keys = tile_mask(m_key, DIM, BLOCK_DIM)
    i_keys = i_group.to(tl.int64) * stride_key_head + i_block.to(tl.int64) * (
        BLOCK_KEYS * stride_key_token
    )
    o_keys = tl.arange(0, BLOCK_KEYS)[:, None] * stride_key_token + tl.arange(0, BLOCK_DIM)[None, :]
    # [keys, dim]
    b_key = tl.load(p_key + i_keys + o_keys, mask=m_keys, other=0.0)
    b_value = tl.load(p_value + i_keys + o_keys, mask=m_keys, other=0.0)

    b_grad_key = tl.zeros([BLOCK_KEYS, BLOCK_DIM], tl.float32)
    b_grad_value = tl.zeros([BLOCK_KEYS, BLOCK_DIM], tl.float32)
    i_head = i_group.to(tl.int64) * GROUP
    o_query = tile_offsets(o_head, o_token, stride_query_head, stride_query_token, BLOCK_DIM)
    o_grad = tile_offsets(o_head, o_token, stride_grad_head, stride_grad_token, BLOCK_DIM)
    o_row = tl.arange(0, BLOCK_ROWS)
    i_next = tl.load(p_blocks + begin)
    for i in range(begin, end):
        i_token, b_index, m_row = row_tile(
            i_next, o_token, p_queries, num_queries, GROUP, BLOCK_ROWS, ALL_ASK
        )
        i_next = tl.load(p_blocks + i + 1)
        m_rows = tile_mask(m_row, DIM, BLOCK_DIM)
        # [rows, dim]
        b_query = tl.load(
            p_query + i_head * stride_query_head + i_token * stride_query_token + o_query,
            mask=m_rows,
            other=0.0,
        )
        b_grad = tl.load(
            p_grad + i_head * stride_grad_head + i_token * stride_grad_token + o_grad,
            mask=m_rows,
            other=0.0,
        )
        # [rows]
        # Rows that stand for nothing get the weight exp2(-inf) = 0.
        i_row = i_head * num_queries + i_token * GROUP
        b_log_sum = tl.load(p_log_sum + i_row + o_row, mask=m_row, other=float("inf"))
        b_delta = tl.load(p_delta + i_row + o_row, mask=m_row, other=0.0)
        # [keys, rows]
        # In this order the results enter the next product as they lie in registers. The other order
        # would turn them through shared memory.
        b_logits = tl.dot(b_key, tl.trans(b_query), input_precision=PRECISION) * scale_log2
        b_weights = tl.exp2(b_logits - b_log_sum[None, :])
        if i >= split:
            b_position = b_index
            if WINDOWED:
                b_position = tl.load(p_position + b_index, mask=m_row, other=0)
            m_seen = visible(
                b_index, b_position, o_key, b_end, b_key_position, window, WINDOWED, True
            )
            b_weights = tl.where(m_seen, b_weights, 0.0)
        b_grad_value = tl.dot(
            b_weights.to(b_grad.dtype), b_grad, b_grad_value, input_precision=PRECISION
        )
        b_grad_weights = tl.dot(b_value, tl.trans(b_grad), input_precision=PRECISION)
        b_grad_logits = b_weights * (b_grad_weights - b_delta[None, :])
        b_grad_key = tl.dot(
            b_grad_logits.to(b_query.dtype), b_query, b_grad_key, input_precision=PRECISION
        )

    if i_slot < 0:
        i_rows = i_group.to(tl.int64) * stride_grad_key_head + i_block.to(tl.int64) * (
            BLOCK_KEYS * stride_grad_key_token
        )
        o_rows = (
            tl.arange(0, BLOCK_KEYS)[:, None] * stride_grad_key_token
            + tl.arange(0, BLOCK_DIM)[None, :]
        )
        tl.store(
            p_grad_key + i_rows + o_rows,
            (b_grad_key * scale).to(p_grad_key.dtype.element_ty),
            mask=m_keys,
        )
        tl.store(
            p_grad_value + i_rows + o_rows,
            b_grad_value.to(p_grad_value.dtype.element_ty),
            mask=m_keys,
        )
    else:
        p_sum = p_sums + (i_slot.to(tl.int64) * num_groups + i_group) * (2 * BLOCK_KEYS * BLOCK_DIM)
        o_rows = tl.arange(0, BLOCK_KEYS)[:, None] * BLOCK_DIM + tl.arange(0, BLOCK_DIM)[None, :]
        tl.store(p_sum + o_rows, b_grad_key * scale)
        tl.store(p_sum + BLOCK_KEYS * BLOCK_DIM + o_rows, b_grad_value)


@jit
def add_parts(
    p_sums, p_joins, p_grad_key, p_grad_value, num_groups, num_keys, stride_head, stride_token,
    DIM: tl.constexpr, BLOCK_DIM: tl.constexpr, BLOCK_KEYS: tl.constexpr, BLOCK_ROWS: tl.constexpr,
):  # fmt: skip
    """Add up the sums of a tile of keys whose list was cut into parts, in order.

    The grid is [joins * num_groups, BLOCK_KEYS // BLOCK_ROWS]. The program owns BLOCK_ROWS keys in
    `p_grad_key` and `p_grad_value`.

    Args:
        p_sums: Sums of all parts, as `backward_key` writes them.
        p_joins: `DeviceBlocks.joins`.
        p_grad_key: Gradient of the keys, [num_groups, keys, dim], written.
        p_grad_value: Gradient of the values, [num_groups, keys, dim], written.
        num_groups: Number of key heads.
        num_keys: Number of keys.
        stride_head: Stride of both gradients from head to head, in elements.
        stride_token: Stride of both gradients from key to key, in elements.
        DIM: Head dimension.
        BLOCK_DIM: Next power of two of the head dimension, at least 16.
        BLOCK_KEYS: Number of keys in a tile of `backward_key`.
        BLOCK_ROWS: Number of keys of a program.
    """
    i_join, i_group = tl.program_id(0) // num_groups, tl.program_id(0) % num_groups
    i_block, i_slot, count = (
        tl.load(p_joins + 3 * i_join),
        tl.load(p_joins + 3 * i_join + 1),
        tl.load(p_joins + 3 * i_join + 2),
    )
    o_key = tl.program_id(1) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    o_rows = o_key[:, None] * BLOCK_DIM + tl.arange(0, BLOCK_DIM)[None, :]
    b_grad_key = tl.zeros([BLOCK_ROWS, BLOCK_DIM], tl.float32)
    b_grad_value = tl.zeros([BLOCK_ROWS, BLOCK_DIM], tl.float32)
    p_sum = p_sums + (i_slot.to(tl.int64) * num_groups + i_group) * (2 * BLOCK_KEYS * BLOCK_DIM)
    for _ in range(count):
        b_grad_key += tl.load(p_sum + o_rows)
        b_grad_value += tl.load(p_sum + BLOCK_KEYS * BLOCK_DIM + o_rows)
        p_sum += num_groups * (2 * BLOCK_KEYS * BLOCK_DIM)
    m_keys = tile_mask(o_key < num_keys - i_block * BLOCK_KEYS, DIM, BLOCK_DIM)
    i_rows = i_group.to(tl.int64) * stride_head + i_block.to(tl.int64) * (BLOCK_KEYS * stride_token)
    o_rows = o_key[:, None] * stride_token + tl.arange(0, BLOCK_DIM)[None, :]
    tl.store(p_grad_key + i_rows + o_rows, b_grad_key.to(p_grad_key.dtype.element_ty), mask=m_keys)
    tl.store(
        p_grad_value + i_rows + o_rows, b_grad_value.to(p_grad_value.dtype.element_ty), mask=m_keys
    )
