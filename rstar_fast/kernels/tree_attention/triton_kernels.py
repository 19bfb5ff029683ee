"""The three kernels. Names: `i_` program or tile numbers, `o_` offsets, `p_` pointers, `b_` tiles in registers, `m_` masks.

Rows of a tile: row r stands for token r // GROUP of the tile's run, head r % GROUP of the group. Logits are to the base of two.
"""

import triton.language as tl
from triton import jit


@jit
def _row_tile(
    i_block, i_group, p_queries, num_queries, GROUP: tl.constexpr, BLOCK_ROWS: tl.constexpr
):
    """A tile's rows: head, place among the queries, packed index (-1 where there is none: it sees nothing), and if there is one."""
    TOKENS: tl.constexpr = BLOCK_ROWS // GROUP
    o_row = tl.arange(0, BLOCK_ROWS)
    o_token = i_block * TOKENS + o_row // GROUP
    m_row = (o_row < TOKENS * GROUP) & (o_token < num_queries)
    b_index = tl.load(p_queries + o_token, mask=m_row, other=-1)
    return (i_group * GROUP + o_row % GROUP).to(tl.int64), o_token.to(tl.int64), b_index, m_row


@jit
def _visible(
    b_index, b_position, o_key, p_end, p_position, num_keys, window, WINDOWED: tl.constexpr
):
    """[rows, keys]: whether a row sees a key."""
    b_end = tl.load(p_end + o_key, mask=o_key < num_keys, other=0)
    m_seen = (o_key[None, :] <= b_index[:, None]) & (b_index[:, None] < b_end[None, :])
    if WINDOWED:
        b_key_position = tl.load(p_position + o_key, mask=o_key < num_keys, other=0)
        m_seen = m_seen & (b_position[:, None] - b_key_position[None, :] < window)
    return m_seen


@jit
def forward(
    p_query, p_key, p_value, p_out, p_log_sum,
    p_queries, p_end, p_position, p_offsets, p_split, p_blocks,
    num_queries, num_keys, scale_log2, scale, window,
    stride_query_head, stride_query_token, stride_key_head, stride_key_token, stride_out_head, stride_out_token,
    GROUP: tl.constexpr, DIM: tl.constexpr, BLOCK_DIM: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_KEYS: tl.constexpr,
    WINDOWED: tl.constexpr,
):  # fmt: skip
    """One tile of rows: out and the logarithm of the softmax's denominator."""
    i_block, i_group = tl.program_id(0), tl.program_id(1)
    o_head, o_token, b_index, m_row = _row_tile(
        i_block, i_group, p_queries, num_queries, GROUP, BLOCK_ROWS
    )
    b_position = tl.load(p_position + b_index, mask=m_row, other=0)
    o_dim = tl.arange(0, BLOCK_DIM)
    m_dim = o_dim < DIM
    # [rows, dim]
    p_rows = (
        p_query
        + o_head[:, None] * stride_query_head
        + o_token[:, None] * stride_query_token
        + o_dim[None, :]
    )
    b_query = tl.load(p_rows, mask=m_row[:, None] & m_dim[None, :], other=0.0)

    b_max = tl.full([BLOCK_ROWS], float("-inf"), tl.float32)
    b_sum = tl.zeros([BLOCK_ROWS], tl.float32)
    b_out = tl.zeros([BLOCK_ROWS, BLOCK_DIM], tl.float32)
    begin, split, end = (
        tl.load(p_offsets + i_block),
        tl.load(p_split + i_block),
        tl.load(p_offsets + i_block + 1),
    )
    for MASKED in tl.static_range(2):
        for i in range(split if MASKED else begin, end if MASKED else split):
            o_key = tl.load(p_blocks + i) * BLOCK_KEYS + tl.arange(0, BLOCK_KEYS)
            o_keys = i_group.to(tl.int64) * stride_key_head + o_key.to(tl.int64) * stride_key_token
            m_keys = m_dim[None, :] & (o_key < num_keys)[:, None] if MASKED else m_dim[None, :]
            # [keys, dim]
            b_key = tl.load(p_key + o_keys[:, None] + o_dim[None, :], mask=m_keys, other=0.0)
            b_logits = tl.dot(b_query, tl.trans(b_key), input_precision="ieee") * scale_log2
            if MASKED:
                m_seen = _visible(
                    b_index, b_position, o_key, p_end, p_position, num_keys, window, WINDOWED
                )
                b_logits = tl.where(m_seen, b_logits, float("-inf"))
            b_new_max = tl.maximum(b_max, tl.max(b_logits, 1))
            # A row that has seen nothing yet: exp2(-inf - 0) is 0 where -inf - -inf would be NaN.
            b_base = tl.where(b_new_max == float("-inf"), 0.0, b_new_max)
            b_weights = tl.exp2(b_logits - b_base[:, None])
            b_decay = tl.exp2(b_max - b_base)
            b_sum = b_sum * b_decay + tl.sum(b_weights, 1)
            b_value = tl.load(p_value + o_keys[:, None] + o_dim[None, :], mask=m_keys, other=0.0)
            b_out = b_out * b_decay[:, None]
            b_out = tl.dot(b_weights.to(b_value.dtype), b_value, b_out, input_precision="ieee")
            b_max = b_new_max

    # Only rows that are not there have seen nothing.
    b_sum = tl.where(b_sum == 0.0, 1.0, b_sum)
    b_out = b_out / b_sum[:, None]
    p_rows = (
        p_out
        + o_head[:, None] * stride_out_head
        + o_token[:, None] * stride_out_token
        + o_dim[None, :]
    )
    tl.store(p_rows, b_out.to(p_out.dtype.element_ty), mask=m_row[:, None] & m_dim[None, :])
    tl.store(p_log_sum + o_head * num_queries + o_token, b_max + tl.log2(b_sum), mask=m_row)


@jit
def backward_query(
    p_query, p_key, p_value, p_grad, p_log_sum, p_delta, p_grad_query,
    p_queries, p_end, p_position, p_offsets, p_split, p_blocks,
    num_queries, num_keys, scale_log2, scale, window,
    stride_query_head, stride_query_token, stride_key_head, stride_key_token, stride_grad_head, stride_grad_token,
    stride_grad_query_head, stride_grad_query_token,
    GROUP: tl.constexpr, DIM: tl.constexpr, BLOCK_DIM: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_KEYS: tl.constexpr,
    WINDOWED: tl.constexpr,
):  # fmt: skip
    """One tile of rows: the gradient of its queries."""
    i_block, i_group = tl.program_id(0), tl.program_id(1)
    o_head, o_token, b_index, m_row = _row_tile(
        i_block, i_group, p_queries, num_queries, GROUP, BLOCK_ROWS
    )
    b_position = tl.load(p_position + b_index, mask=m_row, other=0)
    o_dim = tl.arange(0, BLOCK_DIM)
    m_dim = o_dim < DIM
    m_rows = m_row[:, None] & m_dim[None, :]
    # [rows, dim]
    p_rows = (
        p_query
        + o_head[:, None] * stride_query_head
        + o_token[:, None] * stride_query_token
        + o_dim[None, :]
    )
    b_query = tl.load(p_rows, mask=m_rows, other=0.0)
    p_rows = (
        p_grad
        + o_head[:, None] * stride_grad_head
        + o_token[:, None] * stride_grad_token
        + o_dim[None, :]
    )
    b_grad = tl.load(p_rows, mask=m_rows, other=0.0)
    # [rows]; weights of rows that are not there come out as exp2(-inf)
    b_log_sum = tl.load(p_log_sum + o_head * num_queries + o_token, mask=m_row, other=float("inf"))
    b_delta = tl.load(p_delta + o_head * num_queries + o_token, mask=m_row, other=0.0)

    b_grad_query = tl.zeros([BLOCK_ROWS, BLOCK_DIM], tl.float32)
    begin, split, end = (
        tl.load(p_offsets + i_block),
        tl.load(p_split + i_block),
        tl.load(p_offsets + i_block + 1),
    )
    for MASKED in tl.static_range(2):
        for i in range(split if MASKED else begin, end if MASKED else split):
            o_key = tl.load(p_blocks + i) * BLOCK_KEYS + tl.arange(0, BLOCK_KEYS)
            o_keys = i_group.to(tl.int64) * stride_key_head + o_key.to(tl.int64) * stride_key_token
            m_keys = m_dim[None, :] & (o_key < num_keys)[:, None] if MASKED else m_dim[None, :]
            # [keys, dim]
            b_key = tl.load(p_key + o_keys[:, None] + o_dim[None, :], mask=m_keys, other=0.0)
            b_value = tl.load(p_value + o_keys[:, None] + o_dim[None, :], mask=m_keys, other=0.0)
            b_logits = tl.dot(b_query, tl.trans(b_key), input_precision="ieee") * scale_log2
            b_weights = tl.exp2(b_logits - b_log_sum[:, None])
            if MASKED:
                m_seen = _visible(
                    b_index, b_position, o_key, p_end, p_position, num_keys, window, WINDOWED
                )
                b_weights = tl.where(m_seen, b_weights, 0.0)
            b_grad_weights = tl.dot(b_grad, tl.trans(b_value), input_precision="ieee")
            b_grad_logits = b_weights * (b_grad_weights - b_delta[:, None])
            b_grad_query = tl.dot(
                b_grad_logits.to(b_key.dtype), b_key, b_grad_query, input_precision="ieee"
            )

    p_rows = (
        p_grad_query
        + o_head[:, None] * stride_grad_query_head
        + o_token[:, None] * stride_grad_query_token
        + o_dim[None, :]
    )
    tl.store(p_rows, (b_grad_query * scale).to(p_grad_query.dtype.element_ty), mask=m_rows)


@jit
def backward_key(
    p_query, p_key, p_value, p_grad, p_log_sum, p_delta, p_grad_key, p_grad_value,
    p_queries, p_end, p_position, p_offsets, p_split, p_blocks,
    num_queries, num_keys, scale_log2, scale, window,
    stride_query_head, stride_query_token, stride_key_head, stride_key_token, stride_grad_head, stride_grad_token,
    stride_grad_key_head, stride_grad_key_token,
    GROUP: tl.constexpr, DIM: tl.constexpr, BLOCK_DIM: tl.constexpr, BLOCK_ROWS: tl.constexpr, BLOCK_KEYS: tl.constexpr,
    WINDOWED: tl.constexpr,
):  # fmt: skip
    """One tile of keys, over the tiles of rows that see it: the gradients of its keys and values."""
    i_block, i_group = tl.program_id(0), tl.program_id(1)
    o_key = i_block * BLOCK_KEYS + tl.arange(0, BLOCK_KEYS)
    o_dim = tl.arange(0, BLOCK_DIM)
    m_dim = o_dim < DIM
    m_keys = (o_key < num_keys)[:, None] & m_dim[None, :]
    o_keys = i_group.to(tl.int64) * stride_key_head + o_key.to(tl.int64) * stride_key_token
    # [keys, dim]
    b_key = tl.load(p_key + o_keys[:, None] + o_dim[None, :], mask=m_keys, other=0.0)
    b_value = tl.load(p_value + o_keys[:, None] + o_dim[None, :], mask=m_keys, other=0.0)

    b_grad_key = tl.zeros([BLOCK_KEYS, BLOCK_DIM], tl.float32)
    b_grad_value = tl.zeros([BLOCK_KEYS, BLOCK_DIM], tl.float32)
    begin, split, end = (
        tl.load(p_offsets + i_block),
        tl.load(p_split + i_block),
        tl.load(p_offsets + i_block + 1),
    )
    for MASKED in tl.static_range(2):
        for i in range(split if MASKED else begin, end if MASKED else split):
            o_head, o_token, b_index, m_row = _row_tile(
                tl.load(p_blocks + i), i_group, p_queries, num_queries, GROUP, BLOCK_ROWS
            )
            m_rows = m_row[:, None] & m_dim[None, :]
            # [rows, dim]
            p_rows = (
                p_query
                + o_head[:, None] * stride_query_head
                + o_token[:, None] * stride_query_token
                + o_dim[None, :]
            )
            b_query = tl.load(p_rows, mask=m_rows, other=0.0)
            p_rows = (
                p_grad
                + o_head[:, None] * stride_grad_head
                + o_token[:, None] * stride_grad_token
                + o_dim[None, :]
            )
            b_grad = tl.load(p_rows, mask=m_rows, other=0.0)
            # [rows]; weights of rows that are not there come out as exp2(-inf)
            b_log_sum = tl.load(
                p_log_sum + o_head * num_queries + o_token, mask=m_row, other=float("inf")
            )
            b_delta = tl.load(p_delta + o_head * num_queries + o_token, mask=m_row, other=0.0)
            b_logits = tl.dot(b_query, tl.trans(b_key), input_precision="ieee") * scale_log2
            b_weights = tl.exp2(b_logits - b_log_sum[:, None])
            if MASKED:
                b_position = tl.load(p_position + b_index, mask=m_row, other=0)
                m_seen = _visible(
                    b_index, b_position, o_key, p_end, p_position, num_keys, window, WINDOWED
                )
                b_weights = tl.where(m_seen, b_weights, 0.0)
            b_grad_value = tl.dot(
                tl.trans(b_weights.to(b_grad.dtype)), b_grad, b_grad_value, input_precision="ieee"
            )
            b_grad_weights = tl.dot(b_grad, tl.trans(b_value), input_precision="ieee")
            b_grad_logits = b_weights * (b_grad_weights - b_delta[:, None])
            b_grad_key = tl.dot(
                tl.trans(b_grad_logits.to(b_query.dtype)),
                b_query,
                b_grad_key,
                input_precision="ieee",
            )

    o_rows = (
        i_group.to(tl.int64) * stride_grad_key_head + o_key.to(tl.int64) * stride_grad_key_token
    )
    tl.store(
        p_grad_key + o_rows[:, None] + o_dim[None, :],
        (b_grad_key * scale).to(p_grad_key.dtype.element_ty),
        mask=m_keys,
    )
    tl.store(
        p_grad_value + o_rows[:, None] + o_dim[None, :],
        b_grad_value.to(p_grad_value.dtype.element_ty),
        mask=m_keys,
    )
