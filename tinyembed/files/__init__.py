"""Files in and out, as bytes, arrays and names; what they become is made by the floors above."""

from .writing import atomic_write

__all__ = ["atomic_write"]
