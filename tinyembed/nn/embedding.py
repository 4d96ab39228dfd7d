"""Embedding: the token table; frozen rows, padding and max_norm, which bags share."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import numpy as np

from ..core import Array, Parameter, Tensor, as_ids, as_row, fresh_rng
from ..ops import check_max_norm, embedding, project_rows
from .module import Module


class Table(Module):
    """Base of Embedding and EmbeddingBag: a weight (num_embeddings, embedding_dim), one row for each id.

    It tells the optimiser what no gradient can say, in two slots of the Parameter: `weight.frozen_rows`, the rows that
    stay as they are under every rule and decay (a zero gradient does not hold a row still: Adam's momentum, or weight
    decay, moves it), and `weight.project`, which brings rows down to max_norm before they are updated.
    """

    OPTIONS: ClassVar[dict[str, Any]] = {"padding_idx": None, "max_norm": None, "norm_type": 2.0,
                                         "scale_grad_by_freq": False, "sparse": True}
    weight: Parameter
    padding_idx: int | None
    max_norm: float | None
    norm_type: float
    scale_grad_by_freq: bool
    sparse: bool

    def _set_up(self, num_embeddings: int, embedding_dim: int, **options: Any) -> None:
        """Check and keep the options; nothing is drawn yet."""
        self._check(num_embeddings, embedding_dim, options)
        vars(self).update(options)

    def _check(self, num_embeddings: int, embedding_dim: int, options: dict[str, Any]) -> None:
        """ValueError or TypeError for what makes no table; padding_idx is counted from the front afterwards."""
        if num_embeddings < 1 or embedding_dim < 1:
            raise ValueError(f"a table needs at least one row and one column, not {num_embeddings} x {embedding_dim}")
        check_max_norm(options["max_norm"], options["norm_type"])
        options["padding_idx"] = as_row(options["padding_idx"], num_embeddings)

    @property
    def num_embeddings(self) -> int:
        return len(self.weight)

    @property
    def embedding_dim(self) -> int:
        return int(self.weight.shape[1])

    @property
    def options(self) -> dict[str, Any]:
        """What the op is told besides the ids, in the order of its arguments."""
        return {name: getattr(self, name) for name in self.OPTIONS}

    @classmethod
    def _adopting(cls, table: Any, freeze: bool, **options: Any) -> Any:
        """A layer with the rows of a given table."""
        weight = Parameter(table.detach() if isinstance(table, Tensor) else table, requires_grad=False)
        if weight.ndim != 2 or weight.dtype.kind != "f":
            raise ValueError(f"a table is a matrix (V, D) of floats, not {weight.dtype} {weight.shape}")
        if not freeze and not weight.data.flags.writeable:
            raise ValueError("this mapped table is read-only, so it cannot be trained: freeze=True, or map it with "
                             "mode='c' (changes stay in memory) or 'r+' (changes go to the file)")
        weight.requires_grad = not freeze
        layer = cls.__new__(cls)  # nothing is drawn
        layer._set_up(*weight.shape, **options)
        layer.weight = weight
        return layer

    def _drawn(self, shape: tuple[int, int], std: float, rng: np.random.Generator | None, dtype: Any) -> Parameter:
        """N(0, std^2), zeros for the padding row; in float32 where that is stored: no float64 copy of a large table."""
        drawn = (rng or fresh_rng()).standard_normal(shape, np.float64 if dtype == np.float64 else np.float32)
        drawn *= std
        if self.padding_idx is not None:
            drawn[self.padding_idx] = 0
        return Parameter(drawn.astype(dtype, copy=False))

    def __setattr__(self, name: str, value: Any) -> None:
        """An option that is assigned later is checked, and told to the weight, as one that was given."""
        if name not in self.OPTIONS or "weight" not in vars(self):
            return super().__setattr__(name, value)
        options, weight = {**self.options, name: value}, self.weight
        self._check(len(weight), self.embedding_dim, options)
        if name == "padding_idx" and self.padding_idx is not None:
            weight.frozen_rows = weight.frozen_rows & (np.arange(len(weight)) != self.padding_idx)
        weight.project = weight.project if self.max_norm is None else None
        vars(self).update(options)
        self._promise("weight", weight)

    def _promise(self, name: str, parameter: Parameter) -> None:
        """Set the slots of the weight for the optimiser: of the first one, and of one that is assigned later (a tied
        table, say)."""
        if name != "weight":
            return
        if parameter.ndim != 2 or (self.padding_idx or 0) >= len(parameter):
            raise ValueError(f"the weight of {self._title()} is a table with as many rows, not {parameter.shape}")
        if self.max_norm is not None:
            parameter.project = functools.partial(project_rows, max_norm=self.max_norm, norm_type=self.norm_type)
        if self.padding_idx is not None:
            rows = np.zeros(len(parameter), bool)
            rows[self.padding_idx] = True
            rows |= False if parameter.frozen_rows is None else parameter.frozen_rows
            parameter.frozen_rows = rows

    # -- rows that stay put --------------------------------------------------------------------------------------------

    def freeze_rows(self, ids: Any) -> Any:
        """Keep the rows of these ids as they are, and those frozen before; returns the module.

        >>> table = Embedding(4, 2).freeze_rows([0, 3])
        >>> table.weight.frozen_rows
        array([ True, False, False,  True])
        """
        return self._freeze(self.weight.frozen_rows, self._checked(ids), True)

    def train_only_rows(self, ids: Any) -> Any:
        """Keep all rows as they are but those of these ids (new words of a pretrained table, say); returns the module.
        The padding row stays frozen even if it is among them.

        >>> table = Embedding(4, 2, padding_idx=0).train_only_rows([0, 3])
        >>> table.weight.frozen_rows
        array([ True,  True,  True, False])
        """
        return self._freeze(np.ones(self.num_embeddings, bool), self._checked(ids), False)

    def unfreeze_rows(self) -> Any:
        """Let all rows train again, but for the padding row; returns the module."""
        self.weight.frozen_rows = None
        return self if self.padding_idx is None else self._freeze(None, [], True)

    def grow(self, k: int, *, std: float = 1.0, rng: np.random.Generator | None = None) -> Any:
        """Add k rows, N(0, std^2), for new tokens; returns the module. Optimisers carry on with the old rows' states.

        >>> table = Embedding(4, 2)
        >>> table.grow(2).train_only_rows([4, 5]).weight.shape
        (6, 2)
        """
        if k < 1:
            raise ValueError(f"a table grows by at least one row, not {k}")
        self.weight.grow((rng or fresh_rng()).standard_normal((k, self.embedding_dim)) * std)
        return self

    def _checked(self, ids: Any) -> Array:
        return as_ids(ids, self.num_embeddings)

    def _freeze(self, before: Array | None, ids: Any, frozen: bool) -> Any:
        rows = np.zeros(self.num_embeddings, bool) if before is None else before.copy()
        rows[ids] = frozen
        if self.padding_idx is not None:
            rows[self.padding_idx] = True
        self.weight.frozen_rows = rows
        return self

    # -- looks ---------------------------------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        changed = [f", {name}={x!r}" for name, x in self.options.items() if x != self.OPTIONS[name]]
        return f"{self.num_embeddings} x {self.embedding_dim}" + "".join(changed)


class Embedding(Table):
    """y[n] = weight[ids[n]]: one learned row for each id.

        ids (…) integers in 0 … num_embeddings-1 -> y (…, embedding_dim)

    The rows start as N(0, std^2); std=1 is PyTorch's, 0.02 GPT's. Gradient: the gradient of a looked-up row goes to
    that row, repeated ids add up, as a `RowGrad`: nothing of the table's size is made.

    padding_idx          this row starts as zeros, gets no gradient, and no optimiser moves it. May count from the end.
    max_norm             a row is looked up scaled down to p-norm max_norm, p = norm_type, if it is longer. A lookup
                         writes nothing: the optimiser's step scales the row in the table, just before it updates it.
                         The gradient passes to the row as if it had been stored that way.
    scale_grad_by_freq   the gradient of a row is divided by how often its id occurs in the batch.
    sparse=False         the gradient is an array of the table's size: the quicker way for some 2,000 rows or fewer.

    Differs from torch.nn.Embedding: max_norm there rewrites the table on every lookup, in evaluation too; sparse is
    False by default and refuses scale_grad_by_freq; weight decay and momentum can move the padding row.
    Raises IndexError for ids outside the table (nothing wraps round), TypeError for ids that are no integers,
    ValueError for a padding_idx outside the table and norms that are not above 0.

    >>> table = Embedding(6, 4, padding_idx=0)
    >>> y = table([[0, 5, 5]])
    >>> y.shape, np.array_equal(y.data[0, 1], table.weight.data[5]), y.data[0, 0].tolist()
    ((1, 3, 4), True, [0.0, 0.0, 0.0, 0.0])
    >>> y.sum().backward(); table.weight.grad
    RowGrad(shape=(6, 4), 2 rows, float32)
    """

    def __init__(self, num_embeddings: int, embedding_dim: int, padding_idx: int | None = None,
                 max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
                 sparse: bool = True, *, std: float = 1.0, rng: np.random.Generator | None = None,
                 dtype: Any = np.float32) -> None:
        self._set_up(num_embeddings, embedding_dim, padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type,
                     scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)
        self.weight = self._drawn((num_embeddings, embedding_dim), std, rng, dtype)

    @classmethod
    def from_pretrained(cls, table: Any, freeze: bool = True, padding_idx: int | None = None,
                        max_norm: float | None = None, norm_type: float = 2.0, scale_grad_by_freq: bool = False,
                        sparse: bool = True) -> Any:
        """A layer with the rows of `table` (V, D), an array, a Tensor or nested lists, which is copied; a mapped array
        (numpy.memmap) is adopted. Frozen unless freeze=False; `freeze(False)` thaws it later. The padding row keeps
        the values it has in the table.

        >>> table = Embedding.from_pretrained([[1.0, 2.0], [3.0, 4.0]])
        >>> table([1]).data.tolist(), table.weight.requires_grad
        ([[3.0, 4.0]], False)
        """
        return cls._adopting(table, freeze, padding_idx=padding_idx, max_norm=max_norm, norm_type=norm_type,
                             scale_grad_by_freq=scale_grad_by_freq, sparse=sparse)

    @classmethod
    def mapped(cls, path: Any, num_embeddings: int | None = None, embedding_dim: int | None = None,
               padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
               scale_grad_by_freq: bool = False, *, std: float = 1.0, seed: int | None = None,
               dtype: Any = np.float32) -> Any:
        """A layer whose table, and all that an optimiser keeps for it, are in mapped files: it may be larger than
        memory. Opens the table in the folder `path`, or makes one of num_embeddings x embedding_dim there.

        A step reads and writes the rows it touches, and no others. Rows start as N(0, std^2), each drawn from `seed`
        and its own number; one that was never trained takes no room on the disk. Opened again, in another process say,
        the table goes on where it was, with its own std, seed and dtype, and so does an optimiser of the same class.
        Rows that lag are stored as they are. What concerns all rows writes all of the file: changing settings
        other than lr, freezing rows between steps, assigning. A rule without an exact lazy form is refused, and so is
        `grow`. For one process at a time.

        What a crash may lose. `flush()` forces all to the disk; `fit` calls it whenever it writes its checkpoint, and
        at its end. If the *process* ends after that, killed or not, the system still writes what was stored: rows that
        were stepped keep their values, and one step may have stored only some of its rows, or a row without its states.
        The step count goes back to the flush, and what later steps made of rows they did not touch (momentum, decay)
        is lost.
        If the *machine* stops, each page (4,096 bytes) that was written since then is the old or the new one. The
        table opens again in either case. For more than that, copy the folder after a flush. If the *disk* is full when
        a page is first touched, the system ends the process (SIGBUS).

        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     table = Embedding.mapped(folder, 10**6, 8, seed=1)
        ...     y = table([5, 999_999])
        ...     table.flush()
        ...     again = Embedding.mapped(folder)
        ...     again.num_embeddings, np.array_equal(again([5, 999_999]).data, y.data)
        (1000000, True)
        """
        from ..rows import open_mapped
        layer = cls.__new__(cls)
        options: dict[str, Any] = {"max_norm": max_norm, "norm_type": norm_type, "sparse": True,
                                   "scale_grad_by_freq": scale_grad_by_freq}
        if num_embeddings is not None and embedding_dim is not None:
            layer._set_up(num_embeddings, embedding_dim, padding_idx=padding_idx, **options)  # before a file is made
        weight = open_mapped(path, (num_embeddings, embedding_dim), padding_idx, std, seed, dtype)
        layer._set_up(*weight.shape, padding_idx=weight.storage.table["padding_idx"], **options)
        layer.weight = weight
        return layer

    def flush(self) -> None:
        """Force a mapped table to the disk, so that it can be opened again as it is now."""
        if not self.weight.storage.keeps_state:
            raise ValueError("this table is in memory; te.train.save_checkpoint stores it")
        self.weight.storage.flush()

    def forward(self, ids: Any) -> Tensor:
        return embedding(self.weight, ids, *self.options.values())
