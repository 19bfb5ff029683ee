"""The kernels of the value head. Their names follow `tree_attention.triton_tiles`.

With r = 1 / sqrt(mean(x ** 2) + eps) and w = norm_weight * head_weight, value = r * sum(x * w).
Therefore d value / d x = r * w - value * r ** 2 * x / width, and d value / d w = r * x.

The kernels share these arguments. Rows and weights are float16, bfloat16 or float32.

- `p_hidden`: rows [tokens, width], contiguous.
- `p_index`: row of each score, int64 [scores].
- `p_norm`, `p_head`: weights of norm and projection, [width].
- `p_values`: values, float32 [scores].
- `p_inverse_rms`: r of each score's row, float32 [scores].
- `p_grad`: gradient of each value, float32 [scores].
"""

import triton.language as tl
from triton import jit


@jit
def forward(
    p_hidden, p_index, p_norm, p_head, p_values, p_inverse_rms, width, eps,
    BLOCK_WIDTH: tl.constexpr,
):  # fmt: skip
    """Compute the value and r of one score in a single pass over its row.

    One program works on one score, and it alone writes that score's `p_values` and
    `p_inverse_rms`. The grid is [scores].
    """
    i_score = tl.program_id(0).to(tl.int64)
    p_row = p_hidden + tl.load(p_index + i_score).to(tl.int64) * width
    b_product = tl.zeros([BLOCK_WIDTH], tl.float32)
    b_square = tl.zeros([BLOCK_WIDTH], tl.float32)
    for i_column in range(0, width, BLOCK_WIDTH):
        o_column = i_column + tl.arange(0, BLOCK_WIDTH)
        m_column = o_column < width
        # [width]
        b_row = tl.load(p_row + o_column, mask=m_column, other=0.0).to(tl.float32)
        b_norm = tl.load(p_norm + o_column, mask=m_column, other=0.0).to(tl.float32)
        b_head = tl.load(p_head + o_column, mask=m_column, other=0.0).to(tl.float32)
        b_product += b_row * (b_norm * b_head)
        b_square += b_row * b_row
    inverse_rms = tl.rsqrt(tl.sum(b_square) / width + eps)
    tl.store(p_values + i_score, tl.sum(b_product) * inverse_rms)
    tl.store(p_inverse_rms + i_score, inverse_rms)


@jit
def backward_rows(
    p_hidden, p_index, p_norm, p_head, p_values, p_inverse_rms, p_grad, p_grad_rows, width,
    BLOCK_WIDTH: tl.constexpr,
):  # fmt: skip
    """Compute the gradient of BLOCK_WIDTH columns of one score's row.

    One program owns these columns of `p_grad_rows`, [scores, width] in the type of the rows. The
    grid is [scores, blocks of columns].
    """
    i_score = tl.program_id(0).to(tl.int64)
    o_column = tl.program_id(1) * BLOCK_WIDTH + tl.arange(0, BLOCK_WIDTH)
    m_column = o_column < width
    p_row = p_hidden + tl.load(p_index + i_score).to(tl.int64) * width
    # [width]
    b_row = tl.load(p_row + o_column, mask=m_column, other=0.0).to(tl.float32)
    b_norm = tl.load(p_norm + o_column, mask=m_column, other=0.0).to(tl.float32)
    b_head = tl.load(p_head + o_column, mask=m_column, other=0.0).to(tl.float32)
    inverse_rms, grad = tl.load(p_inverse_rms + i_score), tl.load(p_grad + i_score)
    along = tl.load(p_values + i_score) * inverse_rms * inverse_rms / width
    b_grad = grad * (b_norm * b_head * inverse_rms - b_row * along)
    tl.store(
        p_grad_rows + i_score * width + o_column,
        b_grad.to(p_grad_rows.dtype.element_ty),
        mask=m_column,
    )


@jit
def backward_weights(
    p_hidden, p_index, p_norm, p_head, p_inverse_rms, p_grad, p_grad_norm, p_grad_head,
    num_scores, width, BLOCK_COLUMNS: tl.constexpr, BLOCK_SCORES: tl.constexpr,
):  # fmt: skip
    """Compute the gradients of both weights in BLOCK_COLUMNS columns, over all scores in order.

    One program owns these columns of `p_grad_norm` and `p_grad_head`, [width] in the types of the
    weights. The grid is [blocks of columns].
    """
    o_column = tl.program_id(0) * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    m_column = o_column < width
    b_grad = tl.zeros([BLOCK_COLUMNS], tl.float32)
    for i_score in range(0, num_scores, BLOCK_SCORES):
        o_score = i_score + tl.arange(0, BLOCK_SCORES)
        m_score = o_score < num_scores
        # [scores]
        b_index = tl.load(p_index + o_score, mask=m_score, other=0).to(tl.int64)
        b_inverse_rms = tl.load(p_inverse_rms + o_score, mask=m_score, other=0.0)
        b_factor = tl.load(p_grad + o_score, mask=m_score, other=0.0) * b_inverse_rms
        # [scores, columns]
        m_rows = m_score[:, None] & m_column[None, :]
        b_rows = tl.load(
            p_hidden + b_index[:, None] * width + o_column[None, :], mask=m_rows, other=0.0
        ).to(tl.float32)
        b_grad += tl.sum(b_rows * b_factor[:, None], 0)
    # [columns]
    b_norm = tl.load(p_norm + o_column, mask=m_column, other=0.0).to(tl.float32)
    b_head = tl.load(p_head + o_column, mask=m_column, other=0.0).to(tl.float32)
    tl.store(
        p_grad_norm + o_column, (b_grad * b_head).to(p_grad_norm.dtype.element_ty), mask=m_column
    )
    tl.store(
        p_grad_head + o_column, (b_grad * b_norm).to(p_grad_head.dtype.element_ty), mask=m_column
    )
