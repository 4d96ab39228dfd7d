"""Warnings that show a user the line of theirs that led to them."""

from __future__ import annotations

import os
import sys
import warnings


def warn(message: str) -> None:
    """A UserWarning at the line, outside of this package, from which it was called, however deep within it: so it says
    where to look, and Python, which shows a warning once a line, shows it for each place.

    >>> with warnings.catch_warnings(record=True) as seen:
    ...     warnings.simplefilter("always")
    ...     warn("texts were cut")
    >>> seen[0].filename.startswith("<doctest")
    True
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, stacklevel=level)


_PACKAGE = os.path.join(os.path.dirname(os.path.dirname(__file__)), "")
