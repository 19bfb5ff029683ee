"""The form of tensors that the core and the kernels read."""

from torch import Tensor


def with_adjacent_elements(tensor: Tensor) -> Tensor:
    """Return a tensor in which the elements of a row, along the last dimension, are adjacent.

    It is copied only if it must be: a model may hand over another one.
    """
    return tensor if tensor.stride(-1) == 1 else tensor.contiguous()
