"""Floor 0: row gradients, tensors, the op registry, the backward walk, and where randomness comes from."""

from .rowgrad import Array, RowGrad, norm, sum_rows_by_id
from .seeds import fresh_rng, seed
from .tensor import OPS, Op, Parameter, Tensor, ValueAndVjp, debug_nan, method, no_grad, primitive

__all__ = ["OPS", "Array", "Op", "Parameter", "RowGrad", "Tensor", "ValueAndVjp", "debug_nan", "fresh_rng", "method",
           "no_grad", "norm", "primitive", "seed", "sum_rows_by_id"]
