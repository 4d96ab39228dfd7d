"""Names that PyTorch has and we do not are answered with ours, where they are looked up.

The table is a page, "If you come from PyTorch" (tinyembed/from_pytorch.md), which says how it is to be read. It is
opened when a look-up first fails. Names that begin with an underscore, by which Python and NumPy ask for protocols, are
never answered. What neither has gets Python's own message.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])
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
    import pkgutil  # as the page, not before it is needed
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


def no_such_name(owner: Any, name: str, place: str = "") -> Any:
    """The AttributeError for a name that `owner`, an object or the name of a module, does not have."""
    is_module = isinstance(owner, str)
    failed = not is_module and hasattr(type(owner), name)  # a property, which is to say itself why
    if not failed and not name.startswith("_") and (said := _answer(place, name)):
        raise AttributeError(f"{owner if is_module else type(owner).__name__} has no {name!r}: {said}")
    if is_module:
        raise AttributeError(f"module {owner!r} has no attribute {name!r}")
    return object.__getattribute__(owner, name)


def _answer(place: str, name: str) -> str | None:
    """Methods of PyTorch's tensors are its functions as well, so either is looked for among both."""
    known = sentences()
    if place not in ("", "Tensor"):
        return known.get((place, name))
    said = known.get((place, name)) or known.get(("", name)) or known.get(("Tensor", name))
    if not said and name.endswith("_") and (said := _answer(place, name[:-1])):
        return f"nothing is done in place, so take what comes back; {said}"
    return said


def answering(function: Function) -> Function:
    """Have the TypeError for an argument's name that only PyTorch has say what it is here."""
    @functools.wraps(function)
    def call(*args: Any, **options: Any) -> Any:
        try:
            return function(*args, **options)
        except TypeError as error:
            if options:
                answer(error)
            raise

    return cast(Function, call)


def answer(error: TypeError) -> None:
    """Put our words into Python's error for an argument that there is not."""
    found = re.search(r"(\w+)(?:\.__init__)?\(\) got an unexpected keyword argument '(\w+)'", str(error))
    if found and len(error.args) == 1:
        known, argument = sentences(), f"{found[2]}="
        said = known.get((found[1], argument)) or known.get((_kind(found[1]), argument))
        if said and said not in str(error):
            error.args = (f"{error}: {said}",)


class Answering:
    """Base of a class whose users may look for names of PyTorch's: as attributes, and as arguments of `__init__`."""

    _place: ClassVar[str] = ""  # where the names of its attributes stand in the table

    def __init_subclass__(cls, place: str = "", **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._place = place or cls._place
        if "__init__" in vars(cls):
            setattr(cls, "__init__", answering(vars(cls)["__init__"]))  # noqa: B010

    if not TYPE_CHECKING:  # which is to go on finding names that are wrong
        def __getattr__(self, name):
            return no_such_name(self, name, self._place)
