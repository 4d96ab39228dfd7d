"""Recurrent layers: LSTM and GRU, stacked and bidirectional, on padded batches.

LSTM and GRU differ in the op that runs one layer in one direction (`ops.lstm`, `ops.gru`) and in how many arrays their
state has. All else is here once: layers upon layers, both directions, states, padding.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core import Parameter, Tensor, fresh_rng
from ..ops import concatenate, gru, lstm, stack, transpose
from .dropout import Dropout
from .module import Module

KINDS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")  # of each run, in torch.nn's words

class _Recurrent(Module):
    """Layers of an op of steps: what LSTM and GRU share. A run is one layer in one direction."""

    gates: int  # rows of the weights, in units of hidden_size
    states: tuple[str, ...]  # what is handed on from step to step

    def __init__(self, input_size: int, hidden_size: int, num_layers: int = 1, bias: bool = True,
                 batch_first: bool = True, dropout: float = 0.0, bidirectional: bool = False, *,
                 rng: np.random.Generator | None = None, dtype: Any = np.float32) -> None:
        name = type(self).__name__
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError(f"{name} needs an input_size, a hidden_size and a layer at least, not {input_size}, "
                             f"{hidden_size} and {num_layers}")
        if not batch_first:
            raise ValueError(f"{name} has the batch first, x (B, T, D); turn what has time first: x.transpose(1, 0, 2)")
        rng = fresh_rng() if rng is None else rng
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bias, self.bidirectional = bias, bidirectional
        self.dropout = Dropout(dropout, rng=rng)
        rows, bound = self.gates * hidden_size, 1 / np.sqrt(hidden_size)
        for layer in range(num_layers):
            width = hidden_size * len(self._ways()) if layer else input_size
            for way in self._ways():
                shapes: list[tuple[int, ...]] = [(rows, width), (rows, hidden_size), (rows,), (rows,)]
                for kind, shape in zip(KINDS if bias else KINDS[:2], shapes):
                    start = rng.uniform(-bound, bound, shape).astype(dtype)
                    setattr(self, f"{kind}_l{layer}{way}", Parameter(start))

    def _run(self, *args: Any) -> Tensor:
        """The op: x (T, B, D), states, weights, lengths, reverse -> (T, B, H), and the last states below."""
        raise NotImplementedError(f"{type(self).__name__} defines no _run: the op of its recurrence")

    def _ways(self) -> tuple[str, ...]:
        """How the names of the parameters end, for each direction."""
        return ("", "_reverse") if self.bidirectional else ("",)

    def forward(self, x: Any, state: Any = None, lengths: Any = None) -> tuple[Tensor, Any]:
        x = self._checked(x)
        B, T, _ = x.shape
        first = self._first(state, B, x.dtype)
        lengths = lengths.data if isinstance(lengths, Tensor) else lengths
        y = transpose(x, (1, 0, 2))  # time first, from here to the end
        last: list[list[Tensor]] = []
        for layer in range(self.num_layers):
            y = self.dropout(y) if layer else y
            runs = []
            for way in self._ways():
                weights = [getattr(self, f"{kind}_l{layer}{way}", None) for kind in KINDS]
                run = self._run(y, *[z[len(last)] for z in first], *weights, lengths, way == "_reverse")
                runs.append(run[:T])
                last.append([run[T + n] for n in range(len(self.states))])
            y = concatenate(runs, 2) if self.bidirectional else runs[0]
        handed_on = tuple(stack(z) for z in zip(*last))
        return transpose(y, (1, 0, 2)), handed_on if len(handed_on) > 1 else handed_on[0]

    def _checked(self, x: Any) -> Tensor:
        """x (B, T, input_size) as a tensor of floats, or an error."""
        x = x if isinstance(x, Tensor) else Tensor(x)
        if x.dtype.kind != "f":
            raise TypeError(f"{self._title()} takes vectors of floats, not {x.dtype}; pass the ids through an "
                            "Embedding first")
        if x.ndim != 3 or x.shape[2] != self.input_size:
            raise ValueError(f"{self._title()} takes x (B, T, {self.input_size}), got {x.shape}")
        return x

    def _first(self, state: Any, B: int, dtype: Any) -> tuple[Any, ...]:
        """The first states, each (runs, B, hidden_size): the given ones, or zeros."""
        shape = (self.num_layers * len(self._ways()), B, self.hidden_size)
        if state is None:
            return (np.zeros(shape, dtype),) * len(self.states)
        given = tuple(state) if isinstance(state, (tuple, list)) else (state,)
        if len(given) != len(self.states) or any(np.shape(z) != shape for z in given):
            raise ValueError(f"{self._title()} takes the state as {' and '.join(self.states)} of shape {shape}, got "
                             f"{', '.join(str(np.shape(z)) for z in given)}")
        return given

    def extra_repr(self) -> str:
        layers = f", {self.num_layers} layers" if self.num_layers > 1 else ""
        return (f"{self.input_size} -> {self.hidden_size}{layers}" + ", both directions" * self.bidirectional
                + ", no bias" * (not self.bias))


class LSTM(_Recurrent):
    """Long short-term memory: sequences read step by step, with a memory c that gates write to and read from.

        i, f, o = sigmoid(W_ii x + W_hi h + b_i), …,   u = tanh(W_iu x + W_hu h + b_u)
        c' = f * c + i * u,   h' = o * tanh(c')

        x (B, T, input_size), state (h, c) or None (zeros), lengths (B) or None
        -> y (B, T, directions * hidden_size), (h, c), each (num_layers * directions, B, hidden_size)

    y holds the last layer's h of every step, both directions side by side; (h, c) are the last states, to go on from
    (`h.detach(), c.detach()` cuts the gradient there). Layer l + 1 reads the h of layer l, after dropout in training.
    Padded batches: sequence b has lengths[b] steps, in any order, 0 too (PyTorch refuses that; its state stays). Past
    its end y is 0, states are those of its last step, and x counts for nothing: as torch's packed sequences have it.

    Parameters have torch.nn.LSTM's names, shapes and start, uniform in ±1/sqrt(hidden_size), so states load either way.
    Differs: the batch comes first (batch_first=False is refused), there is no proj_size, x has three axes always.
    Gradients: `ops.lstm`. Raises ValueError for another width, states or lengths that do not fit; TypeError for ids.
    (Hochreiter and Schmidhuber 1997)

    >>> y, (h, c) = LSTM(3, 4, bidirectional=True)(np.ones((2, 5, 3), np.float32), lengths=[5, 2])
    >>> y.shape, h.shape, c.shape, bool(y.data[1, 2:].any())
    ((2, 5, 8), (2, 2, 4), (2, 2, 4), False)
    """

    gates, states = 4, ("h", "c")

    def _run(self, *args: Any) -> Tensor:
        return lstm(*args)


class GRU(_Recurrent):
    """Gated recurrent unit: an LSTM's lighter kin, whose state h is its output as well.

        r, k = sigmoid(W_ir x + b_ir + W_hr h + b_hr), …,   n = tanh(W_in x + b_in + r * (W_hn h + b_hn))
        h' = (1 - k) * n + k * h

        x (B, T, input_size), state h or None (zeros), lengths (B) or None
        -> y (B, T, directions * hidden_size), h (num_layers * directions, B, hidden_size)

    All else is as in `LSTM`, torch.nn.GRU being the twin. Gradients: `ops.gru`.          (Cho et al. 2014)

    >>> y, h = GRU(3, 4)(np.ones((2, 5, 3), np.float32))
    >>> y.shape, bool((y.data[:, -1] == h.data[0]).all())
    ((2, 5, 4), True)
    """

    gates, states = 3, ("h",)

    def _run(self, *args: Any) -> Tensor:
        return gru(*args)
