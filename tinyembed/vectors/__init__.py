"""Floor 3: what to do with a table of vectors once it is trained."""

from .projection import pca

__all__ = ["pca"]
