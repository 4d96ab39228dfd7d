"""The table of the page "If you come from PyTorch" (tinyembed/from_pytorch.md, which says how it is to be read)."""

from __future__ import annotations

import functools
import pkgutil
import re
from typing import NamedTuple, cast

PLACES = {**dict.fromkeys("mvwxz", "Tensor"), "model": "Module", "adam": "Optimizer"}  # by what is before the first dot
ROOMS = {"torch": "te.ops", "F": "te.ops", "nn": "te.nn", "optim": "te.optim"}  # where ours is "="


class Row(NamedTuple):
    """A spelling of PyTorch's, and ours or "": code that runs. The mark says "same", "other name", "other meaning" or
    "not here"."""

    mark: str
    theirs: str
    ours: str
    note: str

    @property
    def arguments(self) -> list[str]:
        """The names of arguments that only PyTorch has, as "dim="."""
        return [name for name in re.findall(r"\w+=(?!=)", self.theirs) if name not in self.ours]

    @property
    def sentence(self) -> str:
        """What is said to somebody who writes theirs."""
        note = self.note.replace("`", "")
        return f"PyTorch's `{self.theirs}` is `{self.ours}` here" + f" ({note})" * bool(note) if self.ours else note


@functools.cache
def rows() -> list[Row]:
    """The table of the page. A line that has several spellings of PyTorch's gives a row for each."""
    page = cast(bytes, pkgutil.get_data(__name__.partition(".")[0], "from_pytorch.md")).decode()
    found = []
    for mark, theirs, ours, note in re.findall(r"^\| ([a-z ]+) \| (`.+`) \| (.+) \| (.*?) ?\|$", page, re.MULTILINE):
        for spelling in re.findall(r"`(.+?)`", theirs):
            same = re.sub(r"(?<![\w.])(torch|F|nn|optim)(?=\.)", lambda room: ROOMS[room[0]], spelling)
            found.append(Row(mark, spelling, same if ours == "=" else ours.strip("`–"), note))
    return found


@functools.cache
def sentences() -> dict[tuple[str, str], str]:
    """What is said of a name: (place, name) of an attribute; (function, "name=") of an argument, and ("class", "name=")
    or ("function", "name=") of one of any other. The f of the table may be either."""
    said: dict[tuple[str, str], str] = {}
    for row in sorted(rows(), key=lambda row: bool(row.arguments)):  # of a name alone first
        chain = re.search(r"[A-Za-z_]\w*(\.\w+)+", row.theirs)
        root, *_, name = chain[0].split(".") if chain else ("", "")
        said.setdefault((PLACES.get(root, ""), name), row.sentence)
        for argument in row.arguments:
            for owner in (name, _kind(name)) if name else ("class", "function"):
                said.setdefault((owner, argument), row.sentence)
    return said


def _kind(name: str) -> str:
    return "class" if name.lstrip("_")[:1].isupper() else "function"


def words_for_name(place: str, name: str) -> str | None:
    """Methods of PyTorch's tensors are its functions as well, so either is looked for among both."""
    known = sentences()
    if place not in ("", "Tensor"):
        return known.get((place, name))
    said = known.get((place, name)) or known.get(("", name)) or known.get(("Tensor", name))
    if not said and name.endswith("_") and (said := words_for_name(place, name[:-1])):
        return f"nothing is done in place, so take what comes back; {said}"
    return said


def words_for_argument(error: str) -> str | None:
    """What is said of the argument that Python's error names; None where that was said already, or nothing is known."""
    found = re.search(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'", error)
    if not found:
        return None
    known, argument = sentences(), f"{found[2]}="
    said = known.get((found[1], argument)) or known.get((_kind(found[1]), argument))
    return None if said and said in error else said
