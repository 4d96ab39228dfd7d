"""Floor 0: row gradients, tensors, the op registry, the backward walk, and where randomness comes from."""

from .memory import keep_freed_memory
from .modes import debug_nan, no_grad
from .parameter import Parameter
from .rowgrad import Array, RowGrad, norm, sum_rows, sum_rows_by_id, unique_inverse
from .seeds import fresh_rng, restore_seed, seed, seed_state
from .tensor import OPS, Op, Tensor, ValueAndVjp, method, primitive
from .threads import in_halves

__all__ = ["OPS", "Array", "Op", "Parameter", "RowGrad", "Tensor", "ValueAndVjp", "debug_nan", "fresh_rng", "in_halves",
           "method", "no_grad", "norm", "primitive", "restore_seed", "seed", "seed_state", "sum_rows", "sum_rows_by_id",
           "unique_inverse"]

keep_freed_memory()
