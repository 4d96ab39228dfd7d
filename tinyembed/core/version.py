"""The version of this package, which files that it writes are stamped with."""

__version__ = "0.1.0"
