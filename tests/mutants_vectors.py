"""The formats of vectors and of a vocabulary, to be tried with damaged files as mutants.py does it."""

import gzip
import json
import struct
import zlib

import mutants
import mutants_checkpoint
import numpy as np
import slow_readers
from mutants import FORMATS, Format
from recorded_fasttext import MODELS
from test_fasttext_file import agrees

from tinyembed.files import read_fasttext, read_word2vec, write_word2vec
from tinyembed.text import Vocabulary
from tinyembed.vectors import SearchIndex

NAMES = ["the", "cat", "New\xa0York", "naïve", "🙂", "</s>", *(f"word{i}" for i in range(20))]
VECTORS = np.random.default_rng(0).normal(0, 0.3, (len(NAMES), 5)).astype(np.float32)


def make(**options):
    return lambda path: write_word2vec(path, NAMES, VECTORS, **options)


def make_vec(path):
    """As fastText writes it: few digits, and a space before each newline."""
    rows = (" ".join(f"{x:.5g}" for x in row) for row in VECTORS)
    path.write_bytes(b"26 5\n" + "".join(f"{name} {row} \n" for name, row in zip(NAMES, rows)).encode())


def read(**options):
    return lambda path: read_word2vec(path, **options)


def check(slow):
    def compare(found, data):
        names, vectors = slow(data)
        assert found[0] == names
        np.testing.assert_array_equal(found[1].view(np.uint32), vectors.view(np.uint32), strict=True)
    return compare


def check_vocabulary(found, data):
    tokens, counts = slow_readers.vocabulary(data)
    assert (found.tokens, found.counts.tolist()) == (tokens, counts)


def mend_header(_, mutant):
    """Whatever became of the first line: as many rows declared as there are newlines after it."""
    _, _, rest = mutant.partition(b"\n")
    return b"%d 5\n" % rest.count(b"\n") + rest


def mend_gzip(data, mutant):
    """The content damaged instead of what packs it."""
    return gzip.compress(next(mutants.mutants(gzip.decompress(data), 1, seed=zlib.crc32(mutant), mend=mend_header))[1])


def read_search_index(path):
    """What is taken can be searched, and saved as it was."""
    index = SearchIndex.load(path)
    assert all(len(hits) == min(3, len(index)) for hits in index.search(np.ones((2, index.shape[1])), 3))
    return index


def check_search_index(index, data):
    begin = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:begin])
    said = json.loads(header.pop("__metadata__")["tree"])
    assert (index.score, index.precision, index.rescore, list(index.shape)) == (
        said["score"], said["precision"], said["rescore"], said["shape"])
    for name in ("vectors", "codes", "ranges"):
        array = getattr(index, name)
        if array is None:
            assert said[name] is None
            continue
        entry = header[said[name]["$tensor"][0]]
        a, b = (begin + offset for offset in entry["data_offsets"])
        assert list(array.shape) == entry["shape"] and array.tobytes() == data[a:b]


FORMATS.update({
    "word2vec text": Format(".txt", make(), read(), check(slow_readers.text), mend_header),
    "word2vec text gzip": Format(".txt.gz", make(), read(), check(slow_readers.text), mend_gzip),
    "word2vec binary": Format(".bin", make(binary=True), read(binary=True), check(slow_readers.binary)),
    "GloVe text": Format(".txt", make(header=False), read(header=False),
                         check(lambda data: slow_readers.text(data, header=False))),
    "fastText vec": Format(".vec", make_vec, read(), check(slow_readers.text), mend_header),
    **{f"fastText bin, {name}": Format(".bin", lambda path, model=model: path.write_bytes(model["file"]), read_fasttext,
                                       agrees) for name, model in MODELS.items()},
    "vocabulary": Format(".jsonl", lambda path: Vocabulary(NAMES, range(0, 260, 10)).save(path), Vocabulary.load,
                         check_vocabulary),
    **{f"search index, {precision}": Format(
        ".index", lambda path, precision=precision: SearchIndex(VECTORS, "euclidean", precision).save(path),
        read_search_index, check_search_index, mutants_checkpoint.mend) for precision in ("int8", "binary")},
})
