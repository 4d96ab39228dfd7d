"""The version of this package, with which files that it writes are stamped."""

__version__ = "0.1.0"
