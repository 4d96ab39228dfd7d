"""Record: base class of objects that are saved to files; it declares their fields once."""

from __future__ import annotations

from typing import Any, ClassVar


class Record:
    """Base of classes whose instances go to files and come back.

    FIELDS names the attributes that make an instance, each with the form of its value, in the notation of
    `files.check_tree`; a Record class stands for an instance of it. `to_tree` and `from_tree` follow from that.

    >>> class Interval(Record):
    ...     FIELDS = {"low": float, "high": float}
    ...     def check(self):
    ...         if self.low > self.high:
    ...             raise ValueError(f"an interval from {self.low} to {self.high}")
    >>> interval = Interval.from_tree({"class": "Interval", "low": 1.0, "high": 2.0})
    >>> interval.high, interval.to_tree()
    (2.0, {'class': 'Interval', 'low': 1.0, 'high': 2.0})
    """

    FIELDS: ClassVar[dict[str, Any]] = {}

    def to_tree(self) -> dict[str, Any]:
        """The fields as plain values, and the arrays in use."""
        values = {name: getattr(self, name) for name in self.FIELDS}
        return {"class": type(self).__name__,
                **{name: x.to_tree() if isinstance(x, Record) else x for name, x in values.items()}}

    @classmethod
    def from_tree(cls, tree: dict[str, Any], **attributes: Any) -> Any:
        """The instance that a tree of this class's form tells of; `attributes` are those that are no fields, such as
        the parameter that it is about. ValueError if the values do not go together."""
        new = cls.__new__(cls)
        vars(new).update(attributes)
        for name, form in cls.FIELDS.items():
            setattr(new, name, _value(tree[name], form))
        new.check()
        return new

    @classmethod
    def form(cls) -> dict[str, Any]:
        """What `to_tree` gives, for `files.check_tree`."""
        return {"class": cls.__name__, **cls.FIELDS}

    def check(self) -> None:
        """ValueError if the values of the fields do not go together; subclasses say when."""


def _value(x: Any, form: Any) -> Any:
    """What a field of this form has for x of a tree: an instance, where the form names the Record class of x."""
    for choice in form if isinstance(form, tuple) else (form,):
        if isinstance(choice, type) and issubclass(choice, Record) and x is not None and x["class"] == choice.__name__:
            return choice.from_tree(x)
    return x
