"""The documentation of the Python that runs, read once for all tests: it takes seconds."""

import functools

from tinyembed.data import python_docs


@functools.cache
def docs_of_this_python():
    return python_docs()
