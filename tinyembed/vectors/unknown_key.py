"""UnknownKey: the error for a missing key, with the nearest spellings."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from typing import Any


class UnknownKey(KeyError):
    """A key has no vector. The message offers the nearest spellings.

    They are looked for when the message is read, not before: `try: wv[word] except KeyError: …` over many words costs
    nothing, and a message among a million keys a fraction of a second.

    >>> print(UnknownKey("quene", ["king", "queen", "Queens"]))
    the key 'quene' is not among the 3 keys; nearest spellings: 'queen', 'Queens'
    """

    def __init__(self, key: Any, keys: Sequence[Any]) -> None:
        super().__init__(key)
        self.key, self.keys = key, keys

    def __str__(self) -> str:
        if isinstance(self.key, str):
            near = nearest_spellings(self.key, self.keys)
            hint = f"; nearest spellings: {', '.join(map(repr, near))}" if near else ""
        else:
            hint = f" and no index in 0 … {len(self.keys) - 1}"
        return f"the key {self.key!r} is not among the {len(self.keys):,} keys{hint}"

    def __reduce__(self) -> tuple[Any, ...]:
        return KeyError, (str(self),)  # to another process goes the message, not the vocabulary


def nearest_spellings(word: str, keys: Sequence[Any], n: int = 3) -> list[str]:
    """Up to n keys that are spelt like a word, in whatever case: the one most like it, then those of lowest index.

    Compared, by difflib, are at most 2,000 keys, the first of about the same length that begin or end like the word;
    where keys stand by frequency these are the frequent ones, and so more probably meant.

    >>> nearest_spellings("pyhton", ["pylon", "java", "Python", "marathon"])
    ['Python', 'pylon']
    """
    word = word.lower()[:100]
    room, ends = 1 + len(word) // 5, (word[:2], word[-2:])
    alike: dict[str, str] = {}
    for key in keys:
        if isinstance(key, str) and abs(len(key) - len(word)) <= room:
            low = key.lower()
            if low.startswith(ends[0]) or low.endswith(ends[1]):
                alike.setdefault(low, key)
                if len(alike) == 2000:
                    break
    best, *rest = difflib.get_close_matches(word, alike, 50, 0.7) or [""]
    near = [best, *(low for low in alike if low in rest)]
    return [alike[low] for low in near[:n] if low]
