"""The Triton kernels of kept attention.

Prefixes of names: `i_` is the number of a program, place, token or head, `o_` offsets, `p_` a
pointer, `b_` the values of a tile in registers, `m_` a mask. A program works on one entry of the
table for one key head. The grid is [entries * num_groups].

These are the arguments of both kernels. Triton compiles nothing anew for another number of the
first three. A CUDA graph may hold the kernels: all that changes from call to call lies in memory.

- `num_entries`, `num_buffers`, `layer`: number of entries, of buffers, and of the layer.
- `p_entries`, `p_buffers`: `KeptTable.entries` and `buffers`.
- `p_query`, `p_out`: queries and results, [num_groups * GROUP, tokens, dim].
- `p_key`, `p_value`: keys and values of the new tokens, [num_groups, tokens, dim].
- `stride_*_head`, `stride_*_token`: their strides from head to head and from token to token, in
  elements. The elements of a row, along dim, are adjacent.
- `num_groups`, `GROUP`: number of key heads, and of query heads that share one, at most BLOCK_ROWS.
- `scale_log2`: factor of the products times log2(e).
- `PRECISION`: precision of the products of float32 tiles.
- `DIM`, `BLOCK_DIM`: head dimension, and the next power of two, at least 16.
"""

# mypy: ignore-errors

import triton.language as tl
from triton import jit


@jit
def keys_and_values(
    i_buffer, i_place, p_buffers, num_buffers, layer, i_group, num_groups, p_like,
    DIM: tl.constexpr,
):  # fmt: skip
    """Return pointers to the first key and the first value of a place in a buffer.

    Args:
        i_buffer: Number of the buffer, the one of rows is 0.
        i_place: Place in it.
        p_buffers: `KeptTable.buffers`.
        num_buffers: Number of buffers.
        layer: Number of the layer.
        i_group: Number of the key head.
        num_groups: Number of key heads.
        p_like: Pointer of the buffer's type.
        DIM: Head dimension.
    """
    p_column = p_buffers + i_buffer
    places = tl.load(p_column + num_buffers)
    head = tl.load(p_column + 2 * num_buffers) * DIM
    p_buffer = tl.load(p_column).to(p_like.dtype)
    i_keys = ((layer * 2 * places + i_place) * num_groups + i_group) * head
    p_keys = p_buffer + i_keys
    # Buffers and heads begin at multiples of 16 bytes at least.
    return tl.multiple_of(p_keys, 16), tl.multiple_of(p_keys + places * num_groups * head, 16)


@jit(do_not_specialize=["num_entries", "num_buffers", "layer"])
def write_kept(
    p_key, p_value, p_entries, p_buffers, num_entries, num_buffers, layer, num_groups,
    stride_key_head, stride_key_token, stride_value_head, stride_value_token,
    DIM: tl.constexpr, BLOCK_DIM: tl.constexpr,
):  # fmt: skip
    """Write the key and the value of one new token."""
    i_group = (tl.program_id(0) % num_groups).to(tl.int64)
    p_entry = p_entries + tl.program_id(0) // num_groups
    prefix_tokens = tl.load(p_entry + 3 * num_entries)
    if prefix_tokens == 0:
        return
    i_token = tl.load(p_entry).to(tl.int64)
    o_dim = tl.arange(0, BLOCK_DIM)
    m_dim = o_dim < DIM
    b_key = tl.load(
        p_key + i_group * stride_key_head + i_token * stride_key_token + o_dim,
        mask=m_dim,
        other=0.0,
    )
    b_value = tl.load(
        p_value + i_group * stride_value_head + i_token * stride_value_token + o_dim,
        mask=m_dim,
        other=0.0,
    )
    i_row = tl.load(p_entry + 4 * num_entries)
    is_row = i_row >= 0
    i_buffer = tl.where(is_row, 0, tl.load(p_entry + num_entries) + 1)
    i_place = tl.where(is_row, i_row, tl.load(p_entry + 2 * num_entries))
    last = tl.where(is_row, tl.load(p_entry + 5 * num_entries), prefix_tokens) - 1
    p_keys, p_values = keys_and_values(
        i_buffer, i_place, p_buffers, num_buffers, layer, i_group, num_groups, p_key, DIM
    )
    tl.store(p_keys + last * DIM + o_dim, b_key, mask=m_dim)
    tl.store(p_values + last * DIM + o_dim, b_value, mask=m_dim)


@jit
def see(
    b_query, b_max, b_sum, b_out, p_keys, p_values, count, scale_log2,
    DIM: tl.constexpr, BLOCK_DIM: tl.constexpr, BLOCK_KEYS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Add the first `count` keys and values of a place to a softmax.

    Returns:
        The largest logit to the base of two [rows], the sum of the weights [rows], and the sum of
        the weighted values [rows, dim], all float32.
    """
    o_key = tl.arange(0, BLOCK_KEYS)
    o_dim = tl.arange(0, BLOCK_DIM)
    for i_key in range(0, count, BLOCK_KEYS):
        m_key = i_key + o_key < count
        m_keys = m_key[:, None]
        if DIM != BLOCK_DIM:
            m_keys = m_keys & (o_dim < DIM)[None, :]
        o_keys = (i_key + o_key)[:, None] * DIM + o_dim[None, :]
        # [keys, dim]
        b_key = tl.load(p_keys + o_keys, mask=m_keys, other=0.0)
        b_logits = tl.dot(b_query, tl.trans(b_key), input_precision=PRECISION) * scale_log2
        b_logits = tl.where(m_key[None, :], b_logits, float("-inf"))
        b_new_max = tl.maximum(b_max, tl.max(b_logits, 1))
        b_weights = tl.exp2(b_logits - b_new_max[:, None])
        b_decay = tl.exp2(b_max - b_new_max)
        b_sum = b_sum * b_decay + tl.sum(b_weights, 1)
        b_value = tl.load(p_values + o_keys, mask=m_keys, other=0.0)
        b_out = b_out * b_decay[:, None]
        b_out = tl.dot(b_weights.to(b_value.dtype), b_value, b_out, input_precision=PRECISION)
        b_max = b_new_max
    return b_max, b_sum, b_out


@jit(do_not_specialize=["num_entries", "num_buffers", "layer"])
def attend_kept(
    p_query, p_out, p_entries, p_buffers, num_entries, num_buffers, layer, num_groups, scale_log2,
    stride_query_head, stride_query_token, stride_out_head, stride_out_token,
    GROUP: tl.constexpr, DIM: tl.constexpr, BLOCK_DIM: tl.constexpr, BLOCK_ROWS: tl.constexpr,
    BLOCK_KEYS: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Attend from the query heads of one group of one new token. The program owns their results."""
    i_group = (tl.program_id(0) % num_groups).to(tl.int64)
    p_entry = p_entries + tl.program_id(0) // num_groups
    prefix_tokens = tl.load(p_entry + 3 * num_entries)
    if prefix_tokens == 0:
        return
    i_token = tl.load(p_entry).to(tl.int64)
    o_head, o_dim = tl.arange(0, BLOCK_ROWS), tl.arange(0, BLOCK_DIM)
    m_rows = (o_head < GROUP)[:, None] & (o_dim < DIM)[None, :]
    i_head = i_group * GROUP + o_head[:, None]
    # [rows, dim]
    b_query = tl.load(
        p_query + i_head * stride_query_head + i_token * stride_query_token + o_dim[None, :],
        mask=m_rows,
        other=0.0,
    )
    b_max = tl.full([BLOCK_ROWS], float("-inf"), tl.float32)
    b_sum = tl.zeros([BLOCK_ROWS], tl.float32)
    b_out = tl.zeros([BLOCK_ROWS, BLOCK_DIM], tl.float32)
    # A prefix has a token, so that the largest logit is finite from then on.
    p_keys, p_values = keys_and_values(
        tl.load(p_entry + num_entries) + 1, tl.load(p_entry + 2 * num_entries), p_buffers,
        num_buffers, layer, i_group, num_groups, p_query, DIM,
    )  # fmt: skip
    b_max, b_sum, b_out = see(
        b_query, b_max, b_sum, b_out, p_keys, p_values, prefix_tokens, scale_log2,
        DIM, BLOCK_DIM, BLOCK_KEYS, PRECISION,
    )  # fmt: skip
    i_row = tl.load(p_entry + 4 * num_entries)
    if i_row >= 0:
        p_keys, p_values = keys_and_values(
            0, i_row, p_buffers, num_buffers, layer, i_group, num_groups, p_query, DIM
        )
        b_max, b_sum, b_out = see(
            b_query, b_max, b_sum, b_out, p_keys, p_values, tl.load(p_entry + 5 * num_entries),
            scale_log2, DIM, BLOCK_DIM, BLOCK_KEYS, PRECISION,
        )  # fmt: skip
    p_rows = p_out + i_head * stride_out_head + i_token * stride_out_token + o_dim[None, :]
    tl.store(p_rows, (b_out / b_sum[:, None]).to(p_out.dtype.element_ty), mask=m_rows)
