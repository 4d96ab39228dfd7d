"""Byte-pair encoding: learning the merges, and applying them. (Gage 1994; Sennrich, Haddow and Birch 2016.)

Both halves work on ids and know nothing of bytes or characters: what the first ids stand for is the caller's matter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

Pair = tuple[int, int]


class Merges:
    """A list of merges, the first to be done first: (left id, right id) -> the id of both together.

    pairs   (left, right) in the order of their ranks; of a pair that stands twice the last rank counts
    made    the id that each makes

    >>> Merges([(0, 1), (2, 2)], [2, 3])([0, 1, 0, 1, 0])  # a b a b a  ->  ab ab a  ->  abab a
    [3, 0]
    """

    def __init__(self, pairs: Iterable[Pair], made: Iterable[int]) -> None:
        self.made = list(made)
        self.rank = {pair: rank for rank, pair in enumerate(pairs)}

    def __call__(self, ids: list[int]) -> list[int]:
        """Merge the pair of lowest rank, the leftmost of several, again and again, until there is none.

        ids (N of them) -> a new list. O(N log N): the pairs wait in a heap, the ids stand in a linked list. What has
        changed since it was put into the heap is noticed when it comes out, since its rank is another.
        """
        N, rank, made = len(ids), self.rank, self.made
        heap = [rank[pair] * N + i for i, pair in enumerate(pairwise(ids)) if pair in rank]  # (rank, position)
        if not heap:
            return ids[:]
        heapify(heap)
        ids = [*ids, -1]  # -1: nothing is here; it is in no pair. Left of the first is ids[-1], which is this one
        left, right = list(range(-1, N)), list(range(1, N + 2))
        while heap:
            r, i = divmod(heappop(heap), N)
            j = right[i]
            if rank.get((ids[i], ids[j])) != r:
                continue
            ids[i], ids[j] = made[r], -1
            h, k = left[i], right[j]
            right[i], left[k] = k, i
            if (r := rank.get((ids[h], ids[i]), -1)) >= 0:
                heappush(heap, r * N + h)
            if (r := rank.get((ids[i], ids[k]), -1)) >= 0:
                heappush(heap, r * N + i)
        return [id for id in ids if id >= 0]


def merges_of(merges: Sequence[tuple[str, str]], index: dict[str, int]) -> Merges:
    """Merges of tokens as merges of ids; ValueError for a merge of, or into, what has no id."""
    pairs: list[Pair] = []
    made: list[int] = []
    for rank, (left, right) in enumerate(merges):
        for token in (left, right, left + right):
            if token not in index:
                raise ValueError(f"merge {rank}, {left!r} and {right!r}: {token!r} is not among the {len(index)} "
                                 "tokens: tokens and merges must come from the same tokeniser")
        pairs.append((index[left], index[right]))
        made.append(index[left + right])
    return Merges(pairs, made)


def learn_merges(words: dict[str, int], spell: dict[str, list[int]], tokens: list[str], size: int,
                 min_frequency: int) -> list[Pair]:
    """Merge the most frequent pair of neighbours, again and again, until there are `size` tokens.

    words           how often each word was seen; no merge crosses the border of a word
    spell           the ids that each word begins with; changed: in the end, those that it has become
    tokens          the token of each id so far; changed: the new ones are added
    min_frequency   stop where no pair is left that was seen so often

    Of pairs seen equally often, that with the smaller ids is merged first (left id, then right), so a corpus has one
    result, the one of Hugging Face's trainer. A merge may make a token that is there already; it is kept then, too.
    Counts are kept up to date in the words that a merge touches; a heap gives the next pair, with a count that may be
    out of date: it is looked up when the pair comes out.
    """
    counts: defaultdict[Pair, int] = defaultdict(int)
    places: defaultdict[Pair, set[str]] = defaultdict(set)  # the words where a pair is, or was
    for word, ids in spell.items():
        for pair in pairwise(ids):
            counts[pair] += words[word]
            places[pair].add(word)
    heap = [(-count, pair) for pair, count in counts.items()]
    heapify(heap)
    index = {token: id for id, token in enumerate(tokens)}
    merges: list[Pair] = []
    while heap and len(tokens) < size:
        count, pair = heappop(heap)
        if -count != counts[pair]:
            if counts[pair] > 0 and -count > counts[pair]:  # what has grown was put in anew when it grew
                heappush(heap, (-counts[pair], pair))
            continue
        if -count < min_frequency:
            break
        token = tokens[pair[0]] + tokens[pair[1]]
        new = index.setdefault(token, len(tokens))
        if new == len(tokens):
            tokens.append(token)
        merges.append(pair)
        changed: dict[Pair, int] = {}
        for word in places.pop(pair):
            before = spell[word]
            spell[word] = after = _merged(before, pair, new)
            for gone in pairwise(before):
                changed[gone] = changed.get(gone, 0) - words[word]
            for come in pairwise(after):
                changed[come] = changed.get(come, 0) + words[word]
                if new in come:
                    places[come].add(word)
        for neighbours, change in changed.items():
            counts[neighbours] += change
            if change > 0:
                heappush(heap, (-counts[neighbours], neighbours))
    return merges


def _merged(ids: list[int], pair: Pair, new: int) -> list[int]:
    """The ids with each occurrence of the pair replaced, from left to right."""
    a, b = pair
    out: list[int] = []
    for id in ids:
        if id == b and out and out[-1] == a:
            out[-1] = new  # `new` is not a: a pair that follows begins anew
        else:
            out.append(id)
    return out
