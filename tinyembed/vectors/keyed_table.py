"""KeyedTable: vectors with a key for each row: lookup, adding, files."""

from __future__ import annotations

import os
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, TypeVar

import numpy as np

from ..core import Array
from ..files import found_in, read_tree, read_word2vec, short, strings_of, write_tree, write_word2vec
from .search import row_norms
from .unknown_key import UnknownKey

Key = str | int
KIND, LAYOUT = "tinyembed keyed vectors", 1
TREE = {"text": np.ndarray, "lengths": np.ndarray, "integers": np.ndarray, "vectors": np.ndarray,
        "attributes": {str: np.ndarray}}
DIGITS = 400  # of a key that is an integer
INTEGER = re.compile(f"0|-?[1-9][0-9]{{0,{DIGITS - 1}}}")
T = TypeVar("T", bound="KeyedTable")


class KeyedTable:
    """Vectors (V, D) by key: the half of KeyedVectors that does not compare them; see there."""

    index_to_key: list[Key]
    key_to_index: dict[Key, int]
    vector_size: int
    expandos: dict[str, Array]  # gensim's word: more to be known of each key, such as "count" (V,)
    FIELDS: ClassVar[dict[str, Any]] = {}  # what a subclass keeps beside these in its file: attribute -> form

    def __init__(self, vector_size: int | None = None, *, keys: Iterable[Key] = (), vectors: Any = None,
                 dtype: Any = np.float32) -> None:
        if vectors is None:
            if vector_size is None or vector_size < 1:
                raise ValueError(f"vector_size must be at least 1, or vectors be given, got {vector_size}")
            vectors = np.zeros((0, vector_size), dtype)
        table = _table(vectors)
        self.index_to_key = _checked_keys(keys)
        self.key_to_index = {key: i for i, key in enumerate(self.index_to_key)}
        self.vector_size = table.shape[-1] if vector_size is None else vector_size
        self.expandos = {}
        self.vectors = table

    def __setattr__(self, name: str, value: Any) -> None:
        refuse_unless_declared(self, name, ("index_to_key", "key_to_index", "vector_size", "expandos"))
        super().__setattr__(name, value)

    @property
    def vectors(self) -> Array:
        """The table (V, D)."""
        return self._vectors

    @vectors.setter
    def vectors(self, vectors: Any) -> None:
        table, shape = _table(vectors), (len(self.index_to_key), self.vector_size)
        if table.shape != shape:
            raise ValueError(f"{shape[0]} keys and vector_size {shape[1]} need vectors {shape}, got {table.shape}")
        self._vectors = table
        self._norms: Array | None = None

    @property
    def norms(self) -> Array:
        """The lengths of the vectors (V,)."""
        return self.fill_norms()

    def fill_norms(self, force: bool = False) -> Array:
        """Have the lengths of the vectors ready; `force` after writing into the table."""
        if self._norms is None or force:
            norms = row_norms(self._vectors)
            if not np.isfinite(norms).all():
                i = int(np.argmin(np.isfinite(norms)))
                raise ValueError(f"the vector of {self.index_to_key[i]!r}, row {i}, is not finite, or too long for "
                                 f"{norms.dtype}: {self._vectors[i]}")
            self._norms = norms
        return self._norms

    @contextmanager
    def naming(self) -> Iterator[None]:
        """A search of the table inside, which refuses a row that is not finite: then with the row's key."""
        try:
            yield
        except ValueError:
            self.fill_norms(force=True)
            raise

    def __len__(self) -> int:
        return len(self.index_to_key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}<vector_size={self.vector_size}, {len(self)} keys>"

    # -- one key -------------------------------------------------------------------------------------------------------

    def __contains__(self, key: object) -> bool:
        return self.has_index_for(key)

    def has_index_for(self, key: Any) -> bool:
        """Whether the key has a row of its own (where vectors are made for new words, they are `in` all the same)."""
        return self.get_index(key, -1) >= 0

    def get_index(self, key: Any, default: int | None = None) -> int:
        """The row of a key; of one that is not there `default`, or UnknownKey if that is None."""
        index = self.key_to_index.get(key)
        if index is not None:
            return index
        if isinstance(key, (int, np.integer)) and 0 <= key < len(self):
            return int(key)
        if default is None:
            raise UnknownKey(key, self.index_to_key)
        return default

    def get_vector(self, key: Any, norm: bool = False) -> Array:
        """The vector of a key (D,), read-only; with norm=True divided by its length."""
        index = self.get_index(key)
        vector = self._vectors[index]
        if norm:
            vector = vector / np.maximum(self.norms[index], np.finfo(np.float32).tiny)
        vector.flags.writeable = False
        return vector

    def get_normed_vectors(self) -> Array:
        """All vectors, divided by their lengths (V, D): a copy of the table, which no search needs."""
        return self._vectors / np.maximum(self.norms, np.finfo(np.float32).tiny)[:, None]

    def __getitem__(self, key: Any) -> Array:
        """key -> (D,), read-only; list of n keys -> (n, D), a fresh array."""
        if isinstance(key, (str, int, np.integer)):
            return self.get_vector(key)
        return np.array([self.get_vector(k) for k in key], self._vectors.dtype).reshape(-1, self.vector_size)

    def get_vecattr(self, key: Any, attr: str) -> Any:
        """What is known of a key beside its vector, such as get_vecattr("king", "count")."""
        return self.expandos[attr][self.get_index(key)]

    # -- changing ------------------------------------------------------------------------------------------------------

    def add_vector(self, key: Key, vector: Any) -> int:
        """Add one vector, unless its key is there; its row. The table is copied: add many at once by `add_vectors`."""
        self.add_vectors([key], [vector])
        return self.get_index(key)

    def add_vectors(self, keys: Any, weights: Any, replace: bool = False) -> None:
        """Add vectors at the end; of keys that are there already, replace the vector (in the table) or leave it.

            keys, n of them, weights (n, D); or one key, weights (D,)

        Raises ValueError for a key twice, another width, NaN or infinity, and replacing in a table that is read-only.

        >>> wv = KeyedTable(keys=["a", "b"], vectors=np.eye(2))
        >>> wv.add_vectors(["b", "c"], [[5, 5], [6, 6]])
        >>> wv["c"], wv["b"]
        (array([6., 6.]), array([0., 1.]))
        """
        if isinstance(keys, (str, int, np.integer)):
            keys, weights = [keys], np.reshape(weights, (1, -1))
        keys, rows = _checked_keys(keys), np.asarray(weights, self._vectors.dtype)
        if keys and rows.shape == (len(keys), self.vector_size) and not np.isfinite(rows).all():
            raise ValueError(f"the vector of {keys[int(np.argmin(np.isfinite(rows).all(1)))]!r} is not finite")
        self.put(keys, rows, replace)

    def put(self, keys: list[Any], rows: Array, replace: bool) -> None:
        """`add_vectors` of distinct keys, and rows that may be NaN; ValueError for another width."""
        if rows.shape != (len(keys), self.vector_size) and keys:
            raise ValueError(f"{len(keys)} keys need vectors {(len(keys), self.vector_size)}, got {rows.shape}")
        new = [i for i, key in enumerate(keys) if key not in self.key_to_index]
        old = [i for i, key in enumerate(keys) if key in self.key_to_index] if replace else []
        if old and not self._vectors.flags.writeable:
            raise ValueError("the table is read-only (mapped from a file, say); to replace vectors, first assign "
                             "wv.vectors = wv.vectors.copy()")
        if old:
            self._vectors[[self.key_to_index[keys[i]] for i in old]] = rows[old]
        if new:
            self._vectors = np.concatenate((self._vectors, rows[new]))
            self.key_to_index.update((keys[i], len(self) + j) for j, i in enumerate(new))
            self.index_to_key.extend(keys[i] for i in new)
            for name, values in self.expandos.items():
                self.expandos[name] = np.concatenate((values, np.zeros(len(new), values.dtype)))
        self._norms = None

    def __setitem__(self, keys: Any, weights: Any) -> None:
        self.add_vectors(keys, weights, replace=True)

    # -- files ---------------------------------------------------------------------------------------------------------

    def to_tree(self) -> dict[str, Any]:
        """Everything, as arrays, for `files.write_tree`: for a model that keeps its vectors in a file of its own.
        ValueError for what `from_tree` would refuse."""
        self.check()
        texts = [str(key) for key in self.index_to_key]
        integers = [i for i, key in enumerate(self.index_to_key) if not isinstance(key, str)]
        # By way of a memoryview the tree does not see that a table is mapped: it is stored, not referred to.
        return {"text": np.frombuffer("".join(texts).encode(), np.uint8),
                "lengths": np.array([*map(len, texts)], np.int64), "integers": np.array(integers, np.int64),
                "attributes": dict(self.expandos), **{name: getattr(self, name) for name in self.FIELDS},
                "vectors": np.asarray(self._vectors.data)}

    @classmethod
    def form(cls) -> dict[str, Any]:
        """The form of what `to_tree` gives, for `files.check_tree`."""
        return {**TREE, **cls.FIELDS}

    @classmethod
    def from_tree(cls: type[T], tree: Mapping[str, Any]) -> T:
        """What `to_tree` gave; ValueError for arrays that do not go together."""
        keys: list[Key] = [*strings_of(tree["text"], tree["lengths"])]
        integers = tree["integers"]
        if integers.dtype != np.int64 or integers.ndim != 1 or not ((integers >= 0) & (integers < len(keys))).all():
            raise ValueError(f"integers {integers.dtype} {integers.shape} are no places among {len(keys)} keys")
        for i in integers.tolist():
            if not INTEGER.fullmatch(str(keys[i])):
                raise ValueError(f"key {short(keys[i])} at position {i} is no integer")
            keys[i] = int(keys[i])
        wv = cls(keys=keys, vectors=tree["vectors"])
        wv.expandos.update(tree["attributes"])
        for name in cls.FIELDS:
            setattr(wv, name, tree[name])
        wv.check()
        return wv

    def check(self) -> None:
        """ValueError for keys, attributes and FIELDS that do not go together, or with the vectors, as they were written
        into or as a file has them."""
        V = len(self.index_to_key)
        if len(self._vectors) != V or any(self.key_to_index.get(key) != i for i, key in enumerate(self.index_to_key)):
            raise ValueError("index_to_key was written into, and key_to_index and the vectors say otherwise: make new "
                             "ones of keys=… and vectors=…")
        for name, values in self.expandos.items():
            if not isinstance(name, str) or getattr(values, "shape", None) != (V,) or values.dtype.kind not in "biuf":
                raise ValueError(f"attribute {name!r} is no array of a number for each of {V} keys")

    def save(self, fname: str | os.PathLike[str]) -> None:
        """Write everything to one safetensors file: whole or not at all."""
        write_tree(fname, self.to_tree(), kind=KIND, layout=LAYOUT)

    @classmethod
    def load(cls: type[T], fname: str | os.PathLike[str], mmap: str | None = None) -> T:
        """Read what `save` wrote; with mmap="r" the table stays in the file, read-only. FormatError for what is not."""
        tree, _ = read_tree(fname, cls.form(), kind=KIND, layout=LAYOUT, mapped=bool(mmap))
        tree["attributes"] = {name: np.array(values) for name, values in tree["attributes"].items()}
        with found_in(fname, "metadata 'tree'"):
            return cls.from_tree(tree)

    def save_word2vec_format(self, fname: str | os.PathLike[str], *, binary: bool = False, write_header: bool = True,
                             prefix: str = "") -> None:
        """Write the word2vec tool's format, or GloVe's, which has no header; `prefix` goes before each key."""
        write_word2vec(fname, [f"{prefix}{key}" for key in self.index_to_key], self._vectors, binary=binary,
                       header=write_header)

    @classmethod
    def load_word2vec_format(cls: type[T], fname: str | os.PathLike[str], *, binary: bool = False,
                             unicode_errors: str = "strict", limit: int | None = None, datatype: Any = np.float32,
                             no_header: bool = False) -> T:
        """Read the word2vec tool's format, or with no_header=True GloVe's. See `files.read_word2vec`."""
        keys, vectors = read_word2vec(fname, binary=binary, header=not no_header, limit=limit, dtype=datatype,
                                      errors=unicode_errors)
        return cls(keys=keys, vectors=vectors)


def refuse_unless_declared(x: Any, name: str, made: Container[str] = ()) -> None:
    """AttributeError for a public attribute that no class of x speaks of: assigned, it would change nothing; and for
    those `made` with x, which others follow."""
    if name in made and name in vars(x):
        raise AttributeError(f"{name} is made with the {type(x).__name__} and goes with its other parts: it cannot be "
                             f"set, make a new one")
    if not name.startswith("_") and not hasattr(type(x), name) and not any(
            name in getattr(cls, "__annotations__", {}) for cls in type(x).__mro__):
        raise AttributeError(f"a {type(x).__name__} has no {name!r} that could be set: it would change nothing. (A "
                             f"subclass that keeps something there declares it: {name}: Any)")


def _table(vectors: Any) -> Array:
    """An array of floats; one that was given is not copied."""
    table = np.asarray(vectors)
    if table.dtype.kind in "iu" or not isinstance(vectors, np.ndarray):
        table = table.astype(np.float32)
    if table.ndim != 2 or not table.shape[1] or table.dtype.kind != "f":
        raise ValueError(f"vectors must be floats (V, D), got {table.dtype} {table.shape}")
    return table


def listed(keys: Iterable[Any]) -> list[Any]:
    """A list of keys; TypeError for a string, of which each letter would be a key."""
    if isinstance(keys, str):
        raise TypeError(f"expected a list of keys, got the string {keys!r}, of which each letter would be a key: "
                        "split it first")
    return list(keys)


def _checked_keys(keys: Iterable[Any]) -> list[Any]:
    """A list of distinct strings and integers."""
    keys = [int(key) if isinstance(key, np.integer) else str(key) if isinstance(key, str) else key
            for key in listed(keys)]
    seen: set[Any] = set()
    for i, key in enumerate(keys):
        if type(key) not in (str, int):
            raise TypeError(f"key {key!r} at position {i} is a {type(key).__name__}; keys are strings or integers")
        if type(key) is int and abs(key) >= 10**DIGITS:
            raise ValueError(f"the integer at position {i} has more than {DIGITS} digits: name it by a string")
        if key in seen:
            raise ValueError(f"key {key!r} at position {i} is there twice")
        seen.add(key)
    return keys
