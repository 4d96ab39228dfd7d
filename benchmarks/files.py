"""What loading word vectors costs, beside gensim's KeyedVectors.load_word2vec_format.

400,000 words of 100 numbers, N(0, 0.3) in float32, in the digits that give each number back (some ten characters):
as word2vec's text and binary form, which have goals, and as gzip'd text and GloVe's text without header. The files are
made in a temporary folder and were just written, so they are read from memory, not from a disk. The contenders take
turns; before the first, both are compared: the same words, and the same vectors to the bit. The figures are medians in
seconds, the minimum in brackets. In the last table "reach" is to be kept under, "aim" is hoped for. gensim is measured
where it is installed.

    python benchmarks/files.py            some ten minutes, 2 GB of memory, 1.3 GB in the temporary folder
    python benchmarks/files.py --quick    seconds, a fiftieth of the rows
"""

from __future__ import annotations

import gzip
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import common
import numpy as np

import tinyembed as te

gensim = common.optional("gensim.models")
Load = Callable[[], tuple[list[str], Any]]
MEASURES: dict[str, tuple[dict[str, Any], tuple[float, float] | None]] = {  # file: our options; reach and aim
    "vectors.txt": ({}, (1.0, 0.3)),
    "vectors.bin": ({"binary": True}, (1.0, 0.3)),
    "vectors.txt.gz": ({}, None),
    "glove.txt": ({"header": False}, None),
}


def make_files(folder: Path, V: int, D: int) -> None:
    words = [f"{word}{i}" for i, word in zip(range(V), ["the", "naïve", "New\xa0York", "word"] * V)]
    vectors = np.random.default_rng(0).normal(0, 0.3, (V, D)).astype(np.float32)
    te.files.write_word2vec(folder / "vectors.txt", words, vectors)
    te.files.write_word2vec(folder / "vectors.bin", words, vectors, binary=True)
    with open(folder / "vectors.txt", "rb") as text:
        with gzip.open(folder / "vectors.txt.gz", "wb", compresslevel=1) as packed:
            shutil.copyfileobj(text, packed)
        text.seek(0)
        text.readline()
        with open(folder / "glove.txt", "wb") as glove:
            shutil.copyfileobj(text, glove)


def contenders(path: Path, options: dict[str, Any]) -> dict[str, Load]:
    def ours() -> tuple[list[str], Any]:
        return te.files.read_word2vec(path, **options)

    def theirs() -> tuple[list[str], Any]:
        loaded = gensim.KeyedVectors.load_word2vec_format(str(path), binary=options.get("binary", False),
                                                          no_header=not options.get("header", True))
        return loaded.index_to_key, loaded.vectors

    return {common.OURS: ours, "gensim": theirs} if gensim else {common.OURS: ours}


def measure(path: Path, options: dict[str, Any], repeats: int) -> dict[str, list[float]]:
    """Seconds of each contender. Nothing is to be warmed up but the first call, which the comparison is."""
    loads = contenders(path, options)
    first, *others = (load() for load in loads.values())
    for words, vectors in others:
        if words != first[0] or vectors.tobytes() != first[1].tobytes():
            raise SystemExit(f"{path.name}: gensim and we do not read the same")
    del first, others
    seconds: dict[str, list[float]] = {name: [] for name in loads}
    for i, name in common.turns(list(loads), repeats):
        if i >= 0:
            start = time.perf_counter()
            result = loads[name]()
            seconds[name].append(time.perf_counter() - start)
            del result
    return seconds


def main() -> None:
    args = common.parser(__doc__, threads=1).parse_args()
    common.describe(args.threads, ("gensim",))
    V, D = (8_000, 100) if args.quick else (400_000, 100)
    rows: dict[str, dict[str, list[float]]] = {}
    goals = [["against the reaches", "ours, s", "gensim, s", "ratio", "reach", "aim"]]
    with tempfile.TemporaryDirectory() as folder:
        make_files(Path(folder), V, D)
        for name, (options, goal) in MEASURES.items():
            path = Path(folder, name)
            seconds = measure(path, options, args.repeats or 3)
            rows[f"{name}, {path.stat().st_size / 1e6:,.1f} MB"] = seconds
            if goal:
                ours, theirs = (statistics.median(seconds.get(who, [np.nan])) for who in (common.OURS, "gensim"))
                goals.append([f"load {V:,} x {D}, {'binary' if options else 'text'}, against gensim",
                              *("–" if np.isnan(x) else f"{x:.3g}" for x in (ours, theirs, ours / theirs)),
                              *(f"{x:g}" for x in goal)])
    common.table(f"load {V:,} x {D}, s", rows, unit=1)
    common.markdown(goals)
    if args.quick:
        print("\nThe goals are for the full size.")


if __name__ == "__main__":
    main()
