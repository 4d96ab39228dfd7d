"""One word over and over, in every format that has words: refused for little more than the file, however long it is."""

import gzip
import struct
import tracemalloc
import warnings

import numpy as np
import pytest
from mutants import MB, memory_limit, time_limit

from tinyembed.files import FormatError, Repeats, read_fasttext, read_word2vec, untrusted
from tinyembed.text import LineSentences, Vocabulary, load_tokenizer
from tinyembed.vectors import KeyedVectors

N = 400_000
HEAD = struct.pack("<2i12id3i2q", 793712314, 12, 1, 5, 5, 1, 5, 1, 2, 2, 0, 3, 6, 100, 1e-4, N, N, 0, 9, -1)
FILES = {  # name -> (name of the file, bytes, reader)
    "word2vec text": ("a.gz", gzip.compress(b"%d 1\n" % N + b"a 1\n" * N), read_word2vec),
    "GloVe": ("a.gz", gzip.compress(b"a 1\n" * N), lambda path: read_word2vec(path, header=False)),
    "word2vec binary": ("a.gz", gzip.compress(b"%d 1\n" % N + b"a \0\0\0\0" * N),
                        lambda path: read_word2vec(path, binary=True)),
    "fastText": ("a.bin", HEAD + b"a\0\1\0\0\0\0\0\0\0\0" * N, read_fasttext),
    "vocabulary": ("a", b'{"format": "tinyembed vocabulary 2", "tokens": %d}\n' % N + b'["a", 1]\n' * N,
                   Vocabulary.load),
    "vocab.txt": ("vocab.txt", b"a\n" * N, load_tokenizer), "empty lines": ("vocab.txt", b"\n" * N, load_tokenizer),
    "merges.txt": ("merges.txt", b"a b\n" * N, lambda path: load_tokenizer(path.with_name("vocab.json")))}


@pytest.mark.parametrize("name", FILES)
def test_a_word_that_is_there_many_times_is_refused_at_little_cost(tmp_path, name):
    """It was made a Python object each time: 608 MB for 39 kB of gzip."""
    file, data, read = FILES[name]
    (tmp_path / "vocab.json").write_text('{"a": 0, "b": 1, "ab": 2}')
    (tmp_path / file).write_bytes(data)
    with time_limit(4), memory_limit(32 + len(data) // MB), pytest.raises(FormatError, match=r"already|400,000 li"):
        read(tmp_path / file)


def test_keys_of_vectors_that_are_there_many_times(tmp_path):
    wv = KeyedVectors(keys=["a"], vectors=[[1.0]])
    n = 400_000
    tree = {**wv.to_tree(), "text": np.full(n, ord("a"), np.uint8), "lengths": np.ones(n, int),
            "vectors": np.ones((n, 1), np.float32)}
    wv.to_tree = lambda: tree
    wv.save(tmp_path / "wv")
    with time_limit(4), memory_limit(32), pytest.raises(FormatError, match="twice"):
        KeyedVectors.load(tmp_path / "wv")


BOMBS = {  # some kilobytes of gzip -> what reads them
    "no pairs": (b"a b\n" * 2000, lambda path: A_TO_D.evaluate_word_pairs(path)),
    "one long line": (b"a\t" * (3 << 19), lambda path: A_TO_D.evaluate_word_pairs(path)),
    "no questions": (b": x\n" + b"a b c\n" * 2000, lambda path: A_TO_D.evaluate_word_analogies(path)),
    "questions of unknown words": (b": x\n" + b"now four odd words\n" * 10_000,
                                   lambda path: A_TO_D.evaluate_word_analogies(path)),
    "one long word": (b"\0" * (40 << 20), lambda path: list(LineSentences(path)))}
A_TO_D = KeyedVectors(keys=["a", "b", "c", "d"], vectors=np.eye(4))


@pytest.mark.parametrize("name", BOMBS)
def test_lines_that_say_nothing_take_no_memory(tmp_path, name):
    """A warning for each of them took a hundred times the file."""
    data, read = BOMBS[name]
    (tmp_path / "a.gz").write_bytes(gzip.compress(data, 1))
    tracemalloc.start()
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            read(tmp_path / "a.gz")
            assert name.startswith(("no q", "quest"))
        except ValueError as error:  # too few pairs; no text
            assert str(tmp_path) in str(error) or "pairs are known" in str(error)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(told) <= 1 and peak < {"one long word": 40, "one long line": 8}.get(name, 1) * MB


class Same(str):
    """Words that all have one hash."""

    __slots__ = ()

    def __hash__(self):
        return 1


@pytest.mark.parametrize("first", [1, 2, 100])
def test_a_repeated_word_is_found_wherever_it_is_asked_for(monkeypatch, first):
    """After any number of words, among others that stand there twice or share its hash."""
    monkeypatch.setattr(untrusted, "FIRST", first)
    monkeypatch.setattr(untrusted, "FEW", 1)
    for words, wrong in ((list("abcdef"), None), (list("abcadb"), r"[35]: the word '[ab]' stands at [01]"),
                         ([Same(c) for c in "abc"], None), ([Same(c) for c in "abcb"], "3: the word 'b' stands at 1"),
                         ([*map(Same, "abc"), "x", "y", "x"], "5: the word 'x' stands at 3"), ([], None)):
        repeats = Repeats("file", lambda words=words: ((word, str(i)) for i, word in enumerate(words)))

        def read(words=words, repeats=repeats):
            for word in words:
                repeats.add([word])
            repeats.refuse()

        if wrong is None:
            read()
        else:
            with pytest.raises(FormatError, match=wrong):
                read()
