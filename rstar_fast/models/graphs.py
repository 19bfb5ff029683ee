"""Forwards of a model as CUDA graphs that are cut where our attention is called.

A forward of a model of transformers starts about fifty kernels a layer, and a GPU waits for the
host that starts them. A CUDA graph starts them all at once, but each of its kernels always works on
the same addresses and sizes. Our attention does not: how much it reads changes from forward to
forward. So a forward is recorded as a chain of graphs, one from each attention to the next, and the
attention between them is called as usual.

    graph 0 ──query, key, value──> attention ──result──> graph 1 ──> attention ──> ... ──> output

Where the attention finds all that changes in tensors, these are inputs too, and one graph does.

A graph holds for one number of tokens. Numbers are rounded up, and the tokens that are missing are
padding, which the attention never sees. What is padding stays padding: all else in a layer works on
each token alone.
"""

import threading
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, cuda, nn
from torch.nn.functional import pad

MAX_TOKENS = 8192
"""Largest number of tokens of a forward that is recorded. Larger ones keep a GPU busy anyway."""
_STEPS = 4
"""Number of sizes between a power of two and the next."""
_SMALLEST = 8
"""Smallest size that numbers of tokens are rounded up to."""
_MOST_SIZES = 128
"""Largest number of sizes that are recorded for a model, since each takes memory."""
_MOST_FAILURES = 3
"""Number of recordings that may fail before a model runs without graphs."""
_ONE_AT_A_TIME = threading.Lock()
"""Held while a forward is recorded: policy and PPM work in threads of their own."""

Attend = Callable[[nn.Module, Tensor, Tensor, Tensor, Any, float | None, int | None], Tensor]
"""The attention of one layer, see `attention.AttentionFunction`."""
Run = Callable[[Sequence[Tensor], Any], Tensor]
"""A forward. It takes the inputs and the batch that the attention gets, and returns the output."""


class _Buffers:
    """Tensors of fixed addresses that graphs read and write. All graphs of a model share them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], Tensor] = {}

    def rows(self, name: str, like: Tensor, count: int, row: Sequence[int]) -> Tensor:
        """Return rows [count, *row] of a tensor, which is made where it is too short.

        A longer one takes its place for new graphs. Older graphs keep theirs.

        Args:
            name: Name of the tensor.
            like: Tensor of the same type, on the same device.
            count: Number of rows.
            row: Shape of a row.
        """
        key = (name, like.dtype, *row)
        kept = self._kept.get(key)
        if kept is None or len(kept) < count:
            kept = self._kept[key] = like.new_zeros(count, *row)
        return kept[:count]


@dataclass
class _Cut:
    """A call of our attention between two graphs.

    Attributes:
        module: Attention module of the layer.
        query: Queries [tokens, query_heads, dim].
        key: Keys [tokens, kv_heads, dim].
        value: Values [tokens, kv_heads, value_dim].
        scale: Factor of the products. None for dim ** -0.5.
        window: Number of positions that the layer sees. None for all.
        out: Results [tokens, query_heads, value_dim].
    """

    module: nn.Module
    query: Tensor
    key: Tensor
    value: Tensor
    scale: float | None
    window: int | None
    out: Tensor


@dataclass
class Recording:
    """A forward while it is recorded, in place of the batch that the attention function gets.

    Attributes:
        graphs: Finished graphs, and the one that is being recorded.
        cuts: Calls of the attention after each of them.
        inputs: Inputs, of the rounded sizes.
        output: Output.
    """

    inputs: list[Tensor]
    _buffers: _Buffers
    _pool: Any
    graphs: list[cuda.CUDAGraph] = field(default_factory=list)
    cuts: list[_Cut] = field(default_factory=list)
    output: Tensor | None = None

    def begin(self) -> None:
        """Begin a graph."""
        self.graphs.append(cuda.CUDAGraph())
        self.graphs[-1].capture_begin(pool=self._pool, capture_error_mode="thread_local")

    def end(self) -> None:
        """End the graph that is being recorded."""
        self.graphs[-1].capture_end()

    def attend(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scale: float | None,
        window: int | None,
    ) -> Tensor:
        """Cut here: end a graph and begin the next one. See `attention.AttentionFunction`."""
        row = (query.shape[1], value.shape[3])
        out = self._buffers.rows("out", query, query.shape[2], row)
        self.cuts.append(
            _Cut(
                module,
                self._fixed("query", query),
                self._fixed("key", key),
                self._fixed("value", value),
                scale,
                window,
                out,
            )
        )
        if self.graphs:
            self.end()
            self.begin()
        return out[None]

    def _fixed(self, name: str, tensor: Tensor) -> Tensor:
        """Copy a tensor [1, heads, tokens, dim] to fixed addresses, [tokens, heads, dim]."""
        rows = tensor[0].transpose(0, 1)
        return self._buffers.rows(name, tensor, len(rows), rows.shape[1:]).copy_(rows)

    def take(self, output: Tensor) -> None:
        """Take the output of the forward."""
        self.output = self._buffers.rows("output", output, len(output), output.shape[1:])
        self.output.copy_(output)

    def replay(self, inputs: Sequence[Tensor], attend: Attend, batch: Any) -> Tensor:
        """Run the forward.

        Args:
            inputs: Inputs [..., any], at most of the sizes that were recorded.
            attend: Attention function.
            batch: Batch that it gets.

        Returns:
            Output, with the padding at its end. The next forward writes over it.
        """
        for fixed, tensor in zip(self.inputs, inputs, strict=True):
            fixed.copy_(pad(tensor, (0, fixed.shape[-1] - tensor.shape[-1])))
        tokens = inputs[0].shape[-1]
        for graph, cut in zip(self.graphs, self.cuts, strict=False):
            graph.replay()
            query, key, value = (
                tensor[:tokens].transpose(0, 1)[None] for tensor in (cut.query, cut.key, cut.value)
            )
            found = attend(cut.module, query, key, value, batch, cut.scale, cut.window)
            cut.out[:tokens].copy_(found[0])
        self.graphs[-1].replay()
        assert self.output is not None
        return self.output


class ForwardGraphs:
    """Runs the forwards of a model as graphs, where they can be recorded.

    The first forward of a size runs as usual, and the second one is recorded. A model that cannot
    be recorded, such as one that looks at its own results, runs as usual after a few attempts. A
    single attempt may also fail because another thread waited for the whole device meanwhile.
    """

    def __init__(self, model: Any, run: Run, attend: Attend, rows: int = 0) -> None:
        """Take a model.

        Args:
            model: Model of transformers.
            run: Forward of the model.
            attend: Attention function that `run` puts into the model.
            rows: Number of the input whose size is the number of the output's rows.
        """
        self._model, self._run, self._attend, self._rows = model, run, attend, rows
        self._on, self._device = _is_on_one_gpu(model), model.device
        self._failures = 0
        self._weights = list(model.parameters())
        self._addresses: list[int] = []
        self._seen: set[tuple[int, ...]] = set()
        self._recorded: dict[tuple[int, ...], Recording] = {}
        self._buffers = _Buffers()
        self._pool: Any = None
        self._stream: Any = None

    def renew(self) -> None:
        """Take note that weights of the model may have been replaced by others."""
        self._weights = list(self._model.parameters())

    def _forget_if_moved(self) -> None:
        """Forget all graphs if weights have moved in memory since they were recorded."""
        if self._recorded and self._addresses != [weight.data_ptr() for weight in self._weights]:
            self._seen.clear()
            self._recorded.clear()

    def __call__(self, inputs: Sequence[Tensor], batch: Any) -> Tensor:
        """Run a forward.

        Args:
            inputs: Inputs, on the model's device. The last dimension of the first one is the
                number of tokens.
            batch: Batch that the attention function gets.

        Returns:
            Output. Where the forward is a graph, the next one writes over it.
        """
        recording = self._recording_for(inputs)
        if recording is None:
            return self._run(inputs, batch)
        output = recording.replay(inputs, self._attend, batch)
        return output[: inputs[self._rows].shape[-1]]

    def _recording_for(self, inputs: Sequence[Tensor]) -> Recording | None:
        """Return the recording that serves a forward. None if it is to run as usual."""
        if (
            not self._on
            or not 0 < inputs[0].shape[-1] <= MAX_TOKENS
            or not self._is_plain(inputs[0])
        ):
            return None
        self._forget_if_moved()
        sizes = tuple(_rounded(tensor.shape[-1]) for tensor in inputs)
        if sizes in self._recorded:
            return self._recorded[sizes]
        if sizes not in self._seen:
            self._seen.add(sizes)
            return None
        if len(self._recorded) == _MOST_SIZES:
            return None
        recording = self._record(inputs, sizes)
        if recording is not None:
            self._recorded[sizes] = recording
        return recording

    def _is_plain(self, tokens: Tensor) -> bool:
        """Return whether a forward now is what it will be next time."""
        is_inference = not torch.is_grad_enabled() and not torch.is_autocast_enabled("cuda")
        return is_inference and tokens.device == self._device

    def _record(self, inputs: Sequence[Tensor], sizes: Sequence[int]) -> Recording | None:
        """Record a forward. None if that fails."""
        fixed = [
            tensor.new_zeros(*tensor.shape[:-1], size)
            for tensor, size in zip(inputs, sizes, strict=True)
        ]
        if not self._recorded:
            self._addresses = [weight.data_ptr() for weight in self._weights]
            self._stream = cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            # A pool ends with its last graph.
            self._pool = cuda.graph_pool_handle()
        # Only streams wait here, never the whole device: that would break what others record.
        usual = cuda.current_stream(self._device)
        self._stream.wait_stream(usual)
        try:
            with _ONE_AT_A_TIME, cuda.stream(self._stream):
                # What is made at first use, such as a library's workspace, is not part of a graph.
                rehearsal = Recording(fixed, self._buffers, None)
                rehearsal.take(self._run(fixed, rehearsal))
                recording = Recording(fixed, self._buffers, self._pool)
                recording.begin()
                try:
                    recording.take(self._run(fixed, recording))
                finally:
                    recording.end()
        except RuntimeError as error:
            self._failures += 1
            if self._failures == _MOST_FAILURES:
                self._on = False
                self._recorded.clear()
                warnings.warn(
                    f"the forwards of this model run without CUDA graphs: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )
            return None
        usual.wait_stream(self._stream)
        return recording


def _is_on_one_gpu(model: nn.Module) -> bool:
    devices = {weight.device for weight in model.parameters()}
    return len(devices) == 1 and devices.pop().type == "cuda"


def _rounded(count: int) -> int:
    """Return the size that a number of tokens is rounded up to."""
    step = max(_SMALLEST, (1 << max(0, count - 1).bit_length()) // (2 * _STEPS))
    return -(-count // step) * step
