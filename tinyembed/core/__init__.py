"""Floor 0: row gradients, tensors, the backward pass, parameters and their storage, records, ids, randomness."""

from .arrays import as_axes
from .blas import products_in_halves
from .ids import as_ids, as_integers, as_row
from .machine import CORES, THREADS, blocks, fits_cache, in_halves, keep_freed_memory, take_rows
from .modes import debug_nan, enable_grad, mode, no_grad
from .names import Answering, answer, answering, no_such_name
from .parameter import FileReference, Parameter, Storage
from .primitive import ValueAndVjp, method, primitive
from .randomness import fresh_rng, restore_seed, seed, seed_state
from .record import Record
from .rowgrad import CHUNK, Array, RowGrad, norm, sum_dtype, sum_rows, sum_rows_by_id, unique_inverse
from .tensor import METHODS, OPS, Op, Tensor, bare, unwrapped, wrap
from .version import __version__
from .warning import warn

__all__ = ["CHUNK", "CORES", "METHODS", "OPS", "THREADS", "Answering", "Array", "FileReference", "Op", "Parameter",
           "Record", "RowGrad", "Storage", "Tensor", "ValueAndVjp", "__version__", "answer", "answering", "as_axes",
           "as_ids", "as_integers", "as_row", "bare", "blocks", "debug_nan", "enable_grad", "fits_cache", "fresh_rng",
           "in_halves", "method", "mode", "no_grad", "no_such_name", "norm", "primitive", "products_in_halves",
           "restore_seed", "seed", "seed_state", "sum_dtype", "sum_rows", "sum_rows_by_id", "take_rows",
           "unique_inverse", "unwrapped", "warn", "wrap"]

keep_freed_memory()  # of this process: a setting of the C library's, which `import tinyembed` makes (see the README)
