"""A double of CUDA graphs that works on a CPU.

It notes the operations of torch between the beginning and the end of a recording. A replay runs
them again on the same tensors, and writes the results where they lay.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import Mock, patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from rstar_fast.models import graphs


class _Notes(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.operations: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.nonzero.default:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.operations.append((func, args, kwargs or {}, out))
        return out


class Graph:
    """A double of `torch.cuda.CUDAGraph`."""

    replays = 0

    def capture_begin(self, pool: Any, capture_error_mode: str) -> None:
        assert pool is not None and capture_error_mode == "thread_local"
        self._notes = _Notes()
        self._notes.__enter__()

    def capture_end(self) -> None:
        self._notes.__exit__(None, None, None)

    def replay(self) -> None:
        Graph.replays += 1
        for func, args, kwargs, out in self._notes.operations:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(out), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


class _Cuda:
    CUDAGraph = Graph

    @staticmethod
    def Stream(device: Any) -> Any:
        return Mock()

    @staticmethod
    def current_stream(device: Any) -> Any:
        return Mock()

    @staticmethod
    def stream(stream: Any) -> Any:
        return nullcontext()

    @staticmethod
    def graph_pool_handle() -> str:
        return "pool"


@contextmanager
def recording_on_a_cpu() -> Iterator[type[Graph]]:
    """Record the forwards of models on a CPU."""
    Graph.replays = 0
    with (
        patch.object(graphs, "cuda", _Cuda),
        patch.object(graphs, "_is_on_one_gpu", lambda model: True),
    ):
        yield Graph
