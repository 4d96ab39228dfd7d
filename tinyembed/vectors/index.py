"""SearchIndex: quantised vectors (int8 or binary) with rescoring of the best candidates."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..core import Array, blocks
from ..files import FormatError, found_in, read_tree, write_tree
from .keyed_table import refuse_unless_declared
from .search import CHUNK, QUERIES, SCORES, Found, collect, exact_scores, finite_norms, nearest, row_norms
from .semantic import as_dicts, as_queries, as_table, check_top_k

KIND, LAYOUT = "tinyembed search index", 1
PRECISIONS = ("float32", "int8", "binary")
ARRAY, COUNTS = (None, np.ndarray), range(1, 1 << 40)
TREE = {"score": SCORES, "precision": PRECISIONS, "rescore": COUNTS, "shape": [COUNTS],
        "vectors": ARRAY, "codes": ARRAY, "ranges": ARRAY}
ONES = np.array([bin(byte).count("1") for byte in range(256)], np.uint8)  # how many bits of a byte are set
COUNT = getattr(np, "bitwise_count", None)  # NumPy 2 has it, for wider integers as well


class SearchIndex:
    """Vectors that are searched by small codes; the best by code are scored again.

        float32   no codes: the exact search
        int8      D bytes a vector: c = floor((x - start) / step) - 128, step = (end - start) / 255, where start … end
                  is the range of each dimension in the table
        binary    D / 8 bytes a vector: the signs, 1 where x > 0; two codes are as far apart as they differ in bits

    vectors       (N, D); adopted, not copied, so that they can be mapped from a file
    score         "cos_sim", "dot" or "euclidean"; for "cos_sim" vectors are divided by their lengths and then coded
    precision     codes and ranges are those of sentence-transformers' `quantize_embeddings` ("int8", "ubinary")
    rescore       so many times top_k candidates are scored again, by their vectors or by what their codes stand for
    keep_vectors  whether the index keeps the vectors

    `vectors` (N, D), `codes` (N, D) or (N, D / 8), `ranges` (2, D) are arrays, or None where there are none; `nbytes`
    is the size of the codes, or of the vectors where these are searched. How much a code forgets is a matter of your
    vectors: compare what `search` finds with what it finds with float32. `rescore` may be assigned; of what else is to
    be other a new index is made.

    Raises ValueError or TypeError for vectors that are no table of finite numbers, and for unknown settings.

    >>> table = np.random.default_rng(0).normal(size=(1000, 64)).astype(np.float32)
    >>> small = SearchIndex(table, precision="int8")
    >>> small, small.nbytes, table.nbytes
    (SearchIndex(1000 x 64, 'cos_sim', 'int8', rescore=4), 64000, 256000)
    >>> small.search(table[7], top_k=2) == SearchIndex(table).search(table[7], top_k=2)
    True
    """

    score: str
    precision: str
    rescore: int
    shape: tuple[int, ...]
    norms: Array | None
    vectors: Any
    codes: Any
    ranges: Any

    def __init__(self, vectors: Any, score: str = "cos_sim", precision: str = "float32", rescore: int = 4,
                 keep_vectors: bool = True) -> None:
        table = as_table(vectors, "vectors")
        if table.ndim != 2 or 0 in table.shape:
            raise ValueError(f"vectors must be (N, D), and not empty, got {table.shape}")
        if score not in SCORES or precision not in PRECISIONS:
            raise ValueError(f"score is one of {', '.join(SCORES)}, precision one of {', '.join(PRECISIONS)}; got "
                             f"{score!r}, {precision!r}")
        if precision == "float32" and not keep_vectors:
            raise ValueError("with float32 it is the vectors that are searched: keep them, or take int8 or binary")
        self.score, self.precision, self.rescore, self.shape = score, precision, rescore, table.shape
        norms = finite_norms(table)
        self.norms = norms if precision == "float32" else None
        self.vectors = table if keep_vectors else None
        if precision == "int8":
            ranges = np.stack([limit.reduce([limit.reduce(rows) for rows in self._rows(table)])
                               for limit in (np.minimum, np.maximum)])
            if np.abs(ranges).max() >= 1e38:
                raise ValueError("numbers of 1e38 and beyond leave float32 when they are coded: divide them first")
            self.ranges = ranges.astype(np.float32)
            start, step = self.ranges[0], _steps(self.ranges)
            self.codes = np.concatenate([
                (np.clip(np.floor((rows - start) / np.where(step == 0, 1, step)), 0, 255) - 128).astype(np.int8)
                for rows in self._rows(table)])
        elif precision == "binary":
            self.codes = np.concatenate([np.packbits(rows > 0, axis=1) for rows in self._rows(table)])
        for name in ("codes", "ranges"):
            vars(self).setdefault(name, None)

    def __setattr__(self, name: str, value: Any) -> None:
        refuse_unless_declared(self, name, {*SearchIndex.__annotations__} - {"rescore"})
        if name == "rescore":
            if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value not in COUNTS:
                raise ValueError(f"rescore is an integer, 1 at least and below 2^40, not {value!r}")
            value = int(value)
        super().__setattr__(name, value)

    def _rows(self, table: Array) -> Iterator[Array]:
        """The table as it is to be coded, some rows at a time."""
        for some in blocks(*table.shape):
            rows = table[some].astype(np.result_type(table, np.float32), copy=False)
            if self.score == "cos_sim":
                rows = rows / np.maximum(row_norms(rows), np.finfo(np.float32).tiny)[:, None]
            yield rows

    @property
    def nbytes(self) -> int:
        """Bytes of the codes; with float32, of the vectors."""
        return int((self.vectors if self.codes is None else self.codes).nbytes)

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        N, D = self.shape
        return f"SearchIndex({N} x {D}, {self.score!r}, {self.precision!r}, rescore={self.rescore})"

    # -- searching -----------------------------------------------------------------------------------------------------

    def search(self, queries: Any, top_k: int = 10) -> list[list[dict[str, float]]]:
        """For each query the top_k vectors, best first; of equals the lower index.          queries (Q, D) or (D,)

        The result is that of `semantic_search`, and so are the scores where vectors are kept.
        """
        queries = as_queries(queries, self.shape[1:], self.score, f"an index of {self.shape}")
        check_top_k(top_k)
        if self.codes is None:
            return as_dicts(nearest(self.vectors, self.norms, queries, top_k, score=self.score))
        found: Found = []
        for some in blocks(len(queries), entries=QUERIES):
            by_code = collect(self._chunks(queries[some]), len(queries[some]), self.rescore * top_k)
            found += [self._rescored(query, ids, top_k) for query, (ids, _) in zip(queries[some], by_code)]
        return as_dicts(found)

    def _rescored(self, query: Array, ids: Array, k: int) -> tuple[Array, Array]:
        rows, places = (self.decode(ids), np.arange(len(ids))) if self.vectors is None else (self.vectors, ids)
        scores = exact_scores(rows, places, query[None], score=self.score)
        order = np.lexsort((ids, -scores))[:k]
        return ids[order], scores[order]

    def _chunks(self, queries: Array) -> Iterator[tuple[int, Array, Array]]:
        """Chunk by chunk, values that stand in the order of the codes' scores."""
        values_of = self._bytes(queries) if self.precision == "int8" else self._bits(queries)
        for some in blocks(len(self), max(len(queries), self.shape[1]), CHUNK):
            yield some.start, values_of(self.codes[some]), np.zeros(len(queries))

    def _bytes(self, queries: Array) -> Callable[[Array], Array]:
        """One product of floats, for NumPy has no fast one of integers. With x = m + c step, as in `decode`:

            q·x = sum (q step) c + q·m          -|q - x|^2 / 2 = sum ((q - m) step) c - |c step|^2 / 2 - |q - m|^2 / 2

        What is the same for all rows is left out, and all is divided by one number, so that it stays in float32.
        """
        step = _steps(self.ranges).astype(np.float64)
        folded = (queries - self.ranges[0] - 128.5 * step if self.score == "euclidean" else queries) * step
        scale = max(float(np.abs(folded).max()), float((step * step).max())) or 1.0
        folded, squares = (folded / scale).astype(np.float32), (step * step / scale / 2).astype(np.float32)

        def values(codes: Array) -> Array:
            codes = codes.astype(np.float32)
            products = folded @ codes.T
            return products - (codes * codes) @ squares if self.score == "euclidean" else products

        return values

    def _bits(self, queries: Array) -> Callable[[Array], Array]:
        bits = np.packbits(queries > 0, axis=1)
        return lambda codes: -hamming(bits, codes).astype(np.float32)

    def decode(self, ids: Any) -> Array:
        """What the codes of some vectors stand for.          ids (n,) -> (n, D) float32

            int8     start + (c + 128.5) step, the middle of all that has the code: half a step from the vector at most
            binary   1 or -1
        """
        if self.precision == "binary":
            return np.unpackbits(self.codes[ids], axis=1, count=self.shape[1]).astype(np.float32) * 2 - 1
        return self.ranges[0] + (self.codes[ids].astype(np.float32) + np.float32(128.5)) * _steps(self.ranges)

    # -- files ---------------------------------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write everything to one safetensors file: whole or not at all."""
        # By way of a memoryview the tree does not see that vectors are mapped: they are stored, not referred to.
        vectors = None if self.vectors is None else np.asarray(self.vectors.data)
        write_tree(path, {"score": self.score, "precision": self.precision, "rescore": self.rescore,
                          "shape": list(self.shape), "vectors": vectors, "codes": self.codes, "ranges": self.ranges},
                   kind=KIND, layout=LAYOUT)

    @classmethod
    def load(cls, path: str | os.PathLike[str], mapped: bool = False) -> SearchIndex:
        """Read what `save` wrote; with mapped=True the vectors stay in the file, and only codes are kept in memory.

        Raises FormatError for a file that is not what it should be.
        """
        tree, _ = read_tree(path, TREE, kind=KIND, layout=LAYOUT, mapped=mapped)
        if problem := _problem(**tree):
            raise FormatError(path, "metadata 'tree'", problem)
        index = cls.__new__(cls)
        index.score, index.precision, index.rescore = tree["score"], tree["precision"], tree["rescore"]
        index.shape, vectors, norms = tuple(tree["shape"]), tree["vectors"], None
        index.codes, index.ranges = (tree[name] if tree[name] is None else np.array(tree[name])
                                     for name in ("codes", "ranges"))
        if vectors is not None:
            vectors = np.asarray(vectors)
            with found_in(path, "tensor 'vectors'"):
                norms = finite_norms(vectors)
        index.vectors, index.norms = vectors, norms if index.codes is None else None
        return index


def hamming(a: Array, b: Array) -> Array:
    """How many bits differ.          a (Q, B), b (n, B), bytes -> (Q, n)

    >>> hamming(np.uint8([[0b101]]), np.uint8([[0b101], [0b110], [0b010]]))
    array([[0, 2, 3]], dtype=int32)
    """
    word = np.uint64 if COUNT is not None and a.shape[1] % 8 == 0 else np.uint8
    count = COUNT or ONES.__getitem__
    total = np.zeros((len(a), len(b)), np.int32)
    for x, y in zip(*(np.ascontiguousarray(bits.view(word).T) for bits in (a, b))):
        total += count(x[:, None] ^ y)
    return total


def _steps(ranges: Array) -> Array:
    return (ranges[1] - ranges[0]) / 255


def _problem(precision: str, shape: list[int], **arrays: Any) -> str:
    """What does not go together in a file, or nothing."""
    if len(shape) != 2:
        return f"shape {shape}, where two numbers were expected"
    N, D = shape
    forms = {"codes": {"int8": ("b", (N, D)), "binary": ("B", (N, -(-D // 8)))}.get(precision),
             "ranges": ("f", (2, D)) if precision == "int8" else None,
             "vectors": ("efd", (N, D)) if arrays["vectors"] is not None or precision == "float32" else None}
    for name, form in forms.items():
        array = arrays[name]
        there = None if array is None else (array.dtype.char, array.shape)
        if (there is None) != (form is None) or (there and form and (there[0] not in form[0] or there[1] != form[1])):
            return f"{name}: {there} of {precision} for {N} x {D}, where {form} was expected"
    ranges, codes = arrays["ranges"], arrays["codes"]
    if ranges is not None and not (np.abs(ranges).max() < 1e38 and (ranges[0] <= ranges[1]).all()):
        return "ranges: a start that is not finite, or beyond 1e38, or after its end"
    if precision == "binary" and D % 8 and (codes[:, -1] & (255 >> D % 8)).any():
        return f"codes: bits are set beyond the {D} of a row"
    return ""
