"""Names that PyTorch has and we do not are answered with ours, where they are looked up.

The table is a page, "If you come from PyTorch", which from_pytorch.py reads when a look-up first fails. Names that
begin with an underscore, by which Python and NumPy ask for protocols, are never answered. What neither has gets
Python's own message.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast

Function = TypeVar("Function", bound=Callable[..., Any])


def no_such_name(owner: Any, name: str, place: str = "") -> Any:
    """The AttributeError for a name that `owner`, an object or the name of a module, does not have."""
    is_module = isinstance(owner, str)
    failed = not is_module and hasattr(type(owner), name)  # a property, which is to say itself why
    if not failed and not name.startswith("_"):
        from .from_pytorch import words_for_name

        if said := words_for_name(place, name):
            raise AttributeError(f"{owner if is_module else type(owner).__name__} has no {name!r}: {said}")
    if is_module:
        raise AttributeError(f"module {owner!r} has no attribute {name!r}")
    return object.__getattribute__(owner, name)


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
    from .from_pytorch import words_for_argument

    said = words_for_argument(str(error))
    if said and len(error.args) == 1:
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
