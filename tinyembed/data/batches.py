"""Train/validation split of documents; mini-batches of arrays and of a stream of token ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core import answering

Ids = npt.NDArray[np.int64]
Documents = npt.NDArray[np.integer] | Sequence[int] | Sequence[npt.NDArray[np.integer]]


def split_documents(documents: Sequence[str], held_out: float = 0.1, rng: np.random.Generator | None = None
                    ) -> tuple[list[str], list[str]]:
    """Split texts into those to train on and those to judge by.

    documents  the texts; each goes to one side as a whole
    held_out   the fraction to set aside, 0 <= held_out < 1, measured in characters, not in documents
    rng        decides which texts are set aside; None for `np.random.default_rng(0)`, the same split every time

    Returns (train, held_out), each in the order of `documents`. Equal texts go to the same side together, so no text
    that is judged by has been trained on; texts that are merely alike are not noticed. The texts are gone through in
    random order and each is set aside if that brings the held-out length nearer to the aim. Both sides get a text
    that is not empty, unless `held_out` is 0. Raises ValueError for a fraction out of range or for fewer than two
    different texts to split, TypeError for documents that are not strings.

    >>> split_documents(["a long text", "hi", "hi", "another long text"], held_out=0.1)
    (['a long text', 'another long text'], ['hi', 'hi'])
    """
    if not 0 <= held_out < 1:
        raise ValueError(f"held_out must be a fraction, 0 <= held_out < 1, got {held_out}")
    lengths: dict[str, int] = {}  # of each distinct text, all its copies together
    for position, document in enumerate(documents):
        if not isinstance(document, str):
            raise TypeError(f"document {position} is not a string but {type(document).__name__}: split before encoding")
        lengths[document] = lengths.get(document, 0) + len(document)
    if held_out == 0:
        return list(documents), []
    texts = [text for text in lengths if text]
    if len(texts) < 2:
        raise ValueError(f"a split needs at least two different texts that are not empty, got {len(texts)}")
    rng = np.random.default_rng(0) if rng is None else rng
    missing = held_out * sum(lengths.values())
    chosen: set[str] = set()
    for i in rng.permutation(len(texts)):
        if abs(missing - lengths[texts[i]]) < abs(missing):
            chosen.add(texts[i])
            missing -= lengths[texts[i]]
    shortest = min(texts, key=lengths.__getitem__)
    if not chosen:
        chosen.add(shortest)
    elif len(chosen) == len(texts):
        chosen.remove(shortest)
    train = [document for document in documents if document not in chosen]
    return train, [document for document in documents if document in chosen]


class Batches:
    """Batches of examples at hand: arrays and lists of one length N, cut along their first axis.

    arrays     (x, y) or the like: each an array with N entries or a list of N texts, lists of ids, anything. An array
               may be given alone; a list alone is ([...],)
    size       B, the number of examples in a batch
    rng        shuffles, anew in each epoch; None keeps the order
    drop_last  leave out a last batch with fewer than B examples

    Iterating is one epoch, each example once, and yields tuples with an item for each of `arrays`: of an array a new
    array, of a list a list. `len(batches)` is the number of batches. All random numbers of an epoch are drawn at its
    first batch.

    Raises ValueError for items that differ in length, no item, no example, B below 1, or when `drop_last` leaves no
    batch; TypeError for an item that is a string, or neither array nor list, and for B that is not an integer.

    >>> for x, texts in Batches((np.arange(3), ["a", "b", "c"]), 2):
    ...     print(x, texts)
    [0 1] ['a', 'b']
    [2] ['c']
    """

    @answering
    def __init__(self, arrays: Any, size: int, rng: np.random.Generator | None = None, drop_last: bool = False) -> None:
        _check_counts(size=size)
        self.arrays = (arrays,) if hasattr(arrays, "shape") else tuple(arrays)
        self.size, self.rng, self.drop_last = int(size), rng, drop_last
        for i, x in enumerate(self.arrays):
            if isinstance(x, (str, bytes)):
                raise TypeError(f"item {i} is a string, {x!r:.30}; a list of texts alone is given as ([...],)")
            if not isinstance(x, Sequence) and not getattr(x, "shape", ()):
                raise TypeError(f"item {i} must be an array or a list with an entry for each example, got {x!r:.30}")
        lengths = [len(x) for x in self.arrays]
        if len(set(lengths)) != 1 or lengths[0] == 0:
            raise ValueError(f"items need one length, of one example or more, and have {lengths or 'not even an item'}")
        self.examples = lengths[0]
        if len(self) == 0:
            raise ValueError(f"drop_last leaves no batch: {self.examples} examples do not fill a batch of {size}")

    def __len__(self) -> int:
        """Give the number of batches in an epoch."""
        return self.examples // self.size if self.drop_last else -(-self.examples // self.size)

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        """Go through one epoch."""
        order = np.arange(self.examples) if self.rng is None else self.rng.permutation(self.examples)
        for first in range(0, len(self) * self.size, self.size):
            some = order[first:first + self.size]
            yield tuple(x[some] if hasattr(x, "shape") else [x[i] for i in some] for x in self.arrays)


class NextTokenBatches:
    """Batches of windows and their next tokens, cut anew from a stream of ids in each epoch.

    ids_per_document  a sequence of 1-D integer arrays, joined end to end, or one such array. Windows run across the
                      joints: end each document with an id such as that of `<end>` if the model is to see where one ends
    window            T, the number of ids in a window
    batch_size        B, the number of windows in a batch
    rng               shuffles; None keeps the order of the stream and the offset 0, as fits held-out text
    drop_last         leave out a last batch with fewer than B windows

    A window at p is x = stream[p : p+T], y = stream[p+1 : p+T+1]. Iterating is one epoch and yields

        (x (B, T) int64, y (B, T) int64)

    in arrays of their own; the last batch has fewer rows if B does not divide the number of windows, which is the same
    in every epoch, as is `len(batches)`, the number of batches. Windows do not overlap, so in one epoch a position is
    in x at most once. With `rng` the first window starts at a random offset. So that every offset from 0 to T - 1 is
    possible (in a stream of 2T ids or more), one window fewer may be cut than would fit; each epoch leaves out other
    ids. All random numbers of an epoch are drawn at its first batch: to go on inside one, restore the generator's
    state from before the epoch and skip the batches that were done.

    Raises ValueError for a stream shorter than T + 1, T or B below 1, an array that is not 1-D, or when `drop_last`
    leaves no batch; TypeError for ids, T or B that are not integers.

    >>> batches = NextTokenBatches(np.arange(8), window=3, batch_size=1)
    >>> len(batches)
    2
    >>> for x, y in batches:
    ...     print(x, y)
    [[0 1 2]] [[1 2 3]]
    [[3 4 5]] [[4 5 6]]
    """

    def __init__(self, ids_per_document: Documents, window: int, batch_size: int,
                 rng: np.random.Generator | None = None, drop_last: bool = False) -> None:
        _check_counts(window=window, batch_size=batch_size)
        self.stream = _stream(ids_per_document)
        self.window, self.batch_size, self.rng, self.drop_last = int(window), int(batch_size), rng, drop_last
        N, T = len(self.stream), self.window
        if N < T + 1:
            raise ValueError(f"a stream of {N} ids is too short for a window of {T}: it takes {T + 1} ids or more")
        # N - 1 ids have a next one. With rng, leave at least T - 1 of them to move the first window about.
        self.windows = (N - 1) // T if rng is None else max(1, (N - T) // T)
        if len(self) == 0:
            raise ValueError(f"drop_last leaves no batch: {self.windows} windows do not fill a batch of {batch_size}")

    def __len__(self) -> int:
        """Give the number of batches in an epoch."""
        return self.windows // self.batch_size if self.drop_last else -(-self.windows // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Ids, Ids]]:
        """Go through one epoch."""
        T, B = self.window, self.batch_size
        starts = np.arange(self.windows) * T
        if self.rng is not None:
            spare = len(self.stream) - 1 - self.windows * T
            starts = self.rng.permutation(starts + self.rng.integers(spare + 1))
        for first in range(0, len(self) * B, B):
            positions = starts[first:first + B, None] + np.arange(T)  # (B, T)
            yield self.stream[positions], self.stream[positions + 1]


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)):
            raise TypeError(f"{name} must be an integer, got {value!r}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")


def _stream(ids_per_document: Documents) -> Ids:
    """Join the documents into one int64 array, or refuse what is not ids."""
    one_array = isinstance(ids_per_document, np.ndarray) and ids_per_document.ndim == 1
    one_stream = one_array or all(isinstance(item, (int, np.integer)) for item in ids_per_document)
    documents = [ids_per_document] if one_stream else ids_per_document
    parts = [np.empty(0, np.int64)]
    for i, document in enumerate(documents):
        ids = np.asarray(document)
        if ids.ndim != 1:
            raise ValueError(f"document {i} must be a 1-D array of ids, got shape {ids.shape}")
        if ids.size and (ids.dtype.kind not in "iu" or ids.max() > np.iinfo(np.int64).max):
            raise TypeError(f"document {i} must hold 64-bit integers, got {ids.dtype}")
        parts.append(ids.astype(np.int64, copy=False))
    return np.concatenate(parts)
