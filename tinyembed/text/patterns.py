r"""Pre-tokenisation patterns of published tokenisers, for Python's own `re`.

The patterns are written with Unicode's categories, \p{L} letters and \p{N} numbers, which `re` lacks. But its \w is
\p{L}, \p{N} and the underscore, exactly, and its \d is the decimal part of \p{N}; the rest of \p{N} (½, Ⅷ, ², …) is a
short list, made of `unicodedata` when the first pattern is compiled. And its \s has four control characters more than
Unicode's White_Space (U+001C to U+001F), so white space is spelled out.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

WHITE_SPACE = r"\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"  # Unicode's White_Space

_OTHER = WHITE_SPACE.replace(" ", "")
# Cuts a text before each run of white space that begins with a space, where something visible stands before it. No
# pattern below has a match that goes over such a border, or looks over it: cut here first, the matches are the same.
STRETCHES = re.compile(rf"[{WHITE_SPACE}]*(?:[^{WHITE_SPACE}]+(?:[{_OTHER}][{WHITE_SPACE}]*)?)+|[{WHITE_SPACE}]+")

# Each pattern as its publishers write it. A text is cut into its matches; what no alternative takes can not be.
PATTERNS = {
    "gpt2": r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",
    "qwen2": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
             r"|\s+(?!\S)|\s+",
    "llama3": r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
              r"|\s+(?!\S)|\s+",
    "clip": r"'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+",
}


@cache
def compiled(name: str) -> re.Pattern[str]:
    """The pattern of that name, compiled: its findall cuts any text into pieces that, joined, are the text again.

    "gpt2": words with the space before them, numbers, other marks, white space. "qwen2": each digit by itself, a mark
    before a word stays with it, lines end a piece. "llama3" (and cl100k_base): as that, with up to three digits.
    "clip": words, single digits, other marks; white space is left out, so what is joined lacks it.

    Raises ValueError for other names.

    >>> compiled("gpt2").findall("It's  2024!"), compiled("qwen2").findall("It's  2024!")
    (['It', "'s", ' ', ' 2024', '!'], ['It', "'s", ' ', ' ', '2', '0', '2', '4', '!'])
    """
    if name not in PATTERNS:
        raise ValueError(f"no pattern {name!r}: there are {', '.join(PATTERNS)}")
    odd = _numbers_beyond_digits()
    source = PATTERNS[name]
    for theirs, ours in [
        (r"[\p{L}]", r"\p{L}"), (r"[\p{N}]", r"\p{N}"),
        (r"[^\s\p{L}\p{N}]", rf"(?:[^{WHITE_SPACE}\w]|_)"),
        (r"[^\r\n\p{L}\p{N}]", r"(?:[^\r\n\w]|_)"),
        (r"\p{L}", rf"[^\W\d_{odd}]"),
        (r"\p{N}", rf"[\d{odd}]"),
        (r"\S", f"[^{WHITE_SPACE}]"),
        (r"\s+", f"[{WHITE_SPACE}]+"), (r"\s*[", f"[{WHITE_SPACE}]*["),
    ]:
        source = source.replace(theirs, ours)
    return re.compile(source)


@cache
def _numbers_beyond_digits() -> str:
    """Ranges, for a character class, of the numbers that are no decimal digits: categories Nl and No."""
    # No plane above the third has any character but tags, selectors and private ones.
    found = [c for c in range(min(0x40000, sys.maxunicode)) if unicodedata.category(chr(c)) in ("Nl", "No")]
    starts = [c for c, before in zip(found, [-1, *found]) if c != before + 1]
    ends = [c for c, after in zip(found, [*found[1:], -1]) if c != after - 1]
    return "".join(rf"\U{start:08x}-\U{end:08x}" for start, end in zip(starts, ends))
