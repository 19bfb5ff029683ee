"""The arguments, tiles and masks that the tree attention kernels share.

Prefixes of names: `i_` is the number of a program, block, token or head, `o_` offsets, `p_` a
pointer, `b_` the values of a tile in registers, `m_` a mask.

A tile of rows covers BLOCK_ROWS // GROUP adjacent queries, each with the GROUP query heads of one
group, which share a key head. Row r stands for head r % GROUP of query r // GROUP. Rows beyond the
last query of the tile stand for nothing and are masked. Logits are to the base of two.

Offsets inside a tile are int32 and equal for all tiles of a program, so they are computed once.
The place at which a tile begins is one int64.

A block list names its full tiles first. The tiles from `split` on need a mask. Both kinds go
through one loop, because two loops over one accumulator make ptxas wait for every single product
(its warning C7515).

All kernels but `add_parts` share these arguments. Strides count elements, and the elements of a
row, along dim, are adjacent.

- `p_query`, `p_out`, `p_grad`: queries, results and the gradient of the results, [query_heads,
  queries, dim] in one dtype: float16, bfloat16 or float32.
- `p_key`, `p_value`: keys and values, [num_groups, keys, dim] in that dtype, with equal strides.
- `p_log_sum`: logarithm of the softmax's denominator to the base of two, float32 [num_groups,
  queries, GROUP].
- `p_delta`: sum over dim of out * grad, float32 [num_groups, queries, GROUP].
- `p_queries`: packed index of each query, int32 [queries]. It is not read if ALL_ASK.
- `p_end`, `p_position`: `TreeLayout.end` and `position`, int32 [keys].
- `p_parts`, `p_blocks`: `DeviceBlocks.parts` and `blocks`.
- `num_groups`, `num_queries`, `num_keys`: number of key heads, of queries and of keys.
- `scale`, `scale_log2`: factor of the products, > 0, and this factor times log2(e).
- `window`: number of positions that a query sees. It is not read unless WINDOWED.
- `GROUP`: number of query heads that share a key head.
- `DIM`, `BLOCK_DIM`: head dimension, and the next power of two, at least 16.
- `BLOCK_ROWS`, `BLOCK_KEYS`: size of the tiles. See `configs.Config`.
- `WINDOWED`: whether there is a window.
- `ALL_ASK`: whether every key is also a query.
- `PRECISION`: precision of the products of float32 tiles.

The grid is [parts * num_groups]. Each program works on one part for one group. It alone writes its
results, so every run gives the same bits.
"""

# mypy: ignore-errors

import triton.language as tl
from triton import jit


@jit
def load_part(p_parts, num_groups):
    """Return what this program works on.

    Returns:
        The columns of its part in `DeviceBlocks.parts` (row, begin, split, end, slot), and its
        group. All are int32.
    """
    i_program = tl.program_id(0)
    p_part = p_parts + 5 * (i_program // num_groups)
    begin, split, end = tl.load(p_part + 1), tl.load(p_part + 2), tl.load(p_part + 3)
    return tl.load(p_part), begin, split, end, tl.load(p_part + 4), i_program % num_groups


@jit
def head_and_token(GROUP: tl.constexpr, BLOCK_ROWS: tl.constexpr):
    """Return the head within the group and the query within the tile of each row, int32 [rows].

    A query of BLOCK_ROWS // GROUP or more belongs to a row that stands for nothing.
    """
    o_row = tl.arange(0, BLOCK_ROWS)
    return o_row % GROUP, o_row // GROUP


@jit
def row_tile(
    i_block, o_token, p_queries, num_queries,
    GROUP: tl.constexpr, BLOCK_ROWS: tl.constexpr, ALL_ASK: tl.constexpr,
):  # fmt: skip
    """Return the place of a tile of rows.

    Returns:
        The tile's first query, int64; the packed index of each row, int32 [rows], -1 for a row that
        stands for nothing, so that it sees nothing; and the mask of the other rows, [rows].
    """
    TOKENS: tl.constexpr = BLOCK_ROWS // GROUP
    i_token = i_block * TOKENS
    m_row = (o_token < TOKENS) & (o_token < num_queries - i_token)
    o_query = i_token + o_token
    b_index = (
        tl.where(m_row, o_query, -1)
        if ALL_ASK
        else tl.load(p_queries + o_query, mask=m_row, other=-1)
    )
    return i_token.to(tl.int64), b_index, m_row


@jit
def tile_offsets(o_head, o_token, stride_head, stride_token, BLOCK_DIM: tl.constexpr):
    """Return the offsets inside a tile, int32 [rows, dim]."""
    o_row = o_head * stride_head + o_token * stride_token
    return o_row[:, None] + tl.arange(0, BLOCK_DIM)[None, :]


@jit
def tile_mask(m_row, DIM: tl.constexpr, BLOCK_DIM: tl.constexpr):
    """Return the mask of a tile of rows or keys: [rows, dim], or [rows, 1] without padding."""
    m_rows = m_row[:, None]
    if DIM != BLOCK_DIM:
        m_rows = m_rows & (tl.arange(0, BLOCK_DIM) < DIM)[None, :]
    return m_rows


@jit
def key_tile(
    i_block, p_end, p_position, num_keys, BLOCK_KEYS: tl.constexpr, WINDOWED: tl.constexpr
):
    """Return the packed indices, ends, positions and mask of a tile of keys, all [keys].

    The positions are arbitrary unless there is a window.
    """
    o_key = i_block * BLOCK_KEYS + tl.arange(0, BLOCK_KEYS)
    m_key = o_key < num_keys
    b_end = tl.load(p_end + o_key, mask=m_key, other=0)
    b_position = b_end
    if WINDOWED:
        b_position = tl.load(p_position + o_key, mask=m_key, other=0)
    return o_key, b_end, b_position, m_key


@jit
def visible(
    b_index,
    b_position,
    o_key,
    b_end,
    b_key_position,
    window,
    WINDOWED: tl.constexpr,
    BY_KEY: tl.constexpr,
):
    """Return whether each row sees each key, [rows, keys], or [keys, rows] if BY_KEY."""
    ROW: tl.constexpr = 0 if BY_KEY else 1
    KEY: tl.constexpr = 1 - ROW
    b_index = tl.expand_dims(b_index, ROW)
    m_seen = (tl.expand_dims(o_key, KEY) <= b_index) & (b_index < tl.expand_dims(b_end, KEY))
    if WINDOWED:
        m_seen = m_seen & (
            tl.expand_dims(b_position, ROW) - tl.expand_dims(b_key_position, KEY) < window
        )
    return m_seen
