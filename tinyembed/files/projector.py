"""Export for TensorFlow's Embedding Projector (https://projector.tensorflow.org, "Load"): vectors and labels.

    vectors.tsv    a row a line, tabs between the numbers, no header
    metadata.tsv   words alone, a line each, no header; with further columns a header, and tabs between the columns

The projector knows a header by the tab in it. It passes over blank lines, and then gives all further words to the wrong
vectors, so a line that would be blank is refused. Source: https://github.com/tensorflow/tensorboard
(tensorboard/plugins/projector/vz_projector/data-provider.ts: parseTensors, parseMetadata).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import BinaryIO

import numpy.typing as npt

from ..core import blocks
from .atomic import write_together
from .errors import Path, short
from .word_rows import checked, refuse_characters, shortest

_PARTING = "\t\n\r"


def write_projector(folder: Path, words: Iterable[str], vectors: npt.ArrayLike,
                    columns: Mapping[str, Iterable[object]] | None = None) -> None:
    r"""Write vectors.tsv and metadata.tsv into a folder that exists.

    words    V of them, not blank, without tabs and line breaks; they need not be distinct
    vectors  (V, D), float16, float32 or float64, finite, D at least 2
    columns  title -> V further values of the words, such as counts, by which the projector can colour them

    Both are replaced, or none (`write_together`). ValueError or TypeError for what is not as said, with the
    position; OSError.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_projector(folder, ["cat", "dog"], [[0.1, 2.0], [-3.0, 0.0]], {"count": [7, 5]})
    ...     [pathlib.Path(folder, name).read_bytes() for name in ("vectors.tsv", "metadata.tsv")]
    [b'0.1\t2.0\n-3.0\t0.0\n', b'word\tcount\ncat\t7\ndog\t5\n']
    """
    names, table = checked(words, vectors, _PARTING)
    if table.shape[1] < 2:
        raise ValueError("the projector takes vectors of 2 numbers or more, got 1")
    cells = [["word", *names]]
    for title, values in (columns or {}).items():
        cells.append([title, *map(str, values)])
        if len(cells[-1]) != len(cells[0]):
            raise ValueError(f"column {short(title)} has {len(cells[-1]) - 1} values for {len(names)} words")
        for i, text in enumerate(cells[-1]):
            refuse_characters(text, _PARTING, "value" if i else "title", max(i - 1, 0))
    lines = ["\t".join(row) for row in zip(*cells)][columns is None or not columns:]
    for line, name in zip(lines[::-1], names[::-1]):
        if not line.replace("\ufeff", " ").strip():  # JavaScript takes the byte order mark for a blank
            raise ValueError(f"word {short(name)} at position {names.index(name)} is blank: it would be passed over")

    def write(file: BinaryIO) -> None:
        for rows in blocks(*table.shape):  # the text of a number may take ten times its bytes
            file.write(b"".join([row + b"\n" for row in shortest(table[rows], names[rows], b"\t")]))

    write_together(folder, {"vectors.tsv": write, "metadata.tsv": "".join([line + "\n" for line in lines]).encode()})
