"""Floor 0: row gradients, tensors, the op registry, the backward walk, and where randomness comes from."""

from .modes import debug_nan, no_grad
from .rowgrad import Array, RowGrad, norm, sum_rows, sum_rows_by_id
from .seeds import fresh_rng, seed
from .tensor import OPS, Op, Parameter, Tensor, ValueAndVjp, method, primitive

__all__ = ["OPS", "Array", "Op", "Parameter", "RowGrad", "Tensor", "ValueAndVjp", "debug_nan", "fresh_rng", "method",
           "no_grad", "norm", "primitive", "seed", "sum_rows", "sum_rows_by_id"]
