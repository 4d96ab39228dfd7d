"""What a reader of vectors must find in a file, looked at once more: plainly, slowly, and by other means."""

import gzip
import json
import re
import struct

import numpy as np


def text(data, header=True, dtype=np.float32):
    """Words and vectors of word2vec's text, or of GloVe's; AssertionError for what is not to be taken."""
    if data[:2] == b"\x1f\x8b":
        data = gzip.decompress(data)
    assert data.endswith(b"\n")
    V = D = None
    if header:
        first, _, data = data.removeprefix(b"\xef\xbb\xbf").partition(b"\n")
        V, D = map(int, re.fullmatch(rb"[ \t]*(\d+)[ \t]+(\d+)[ \t]*\r?", first).groups())
    rows = [re.fullmatch(rb"([^ ]+)((?: [-+.eE0-9]+)+) ?\r?", line).groups() for line in data.split(b"\n")[:-1]]
    numbers = [[float(number) for number in row.split()] for _, row in rows]
    D = D or len(numbers[0])
    assert V in (None, len(rows)) and all(len(row) == D for row in numbers)
    words = [word.decode("utf-8") for word, _ in rows]
    assert len(set(words)) == len(words) > 0
    with np.errstate(over="ignore"):
        vectors = np.array([[dtype(number) for number in row] for row in numbers], dtype)
    assert np.isfinite(vectors).all()
    return words, vectors


def binary(data):
    """The same of word2vec's binary form."""
    first, _, data = data.partition(b"\n")
    V, D = map(int, re.fullmatch(rb"[ \t]*(\d+)[ \t]+(\d+)[ \t]*\r?", first).groups())
    words, vectors = [], []
    for _ in range(V):
        word, space, data = data.partition(b" ")
        assert space and len(data) >= 4 * D
        words.append(word.removeprefix(b"\n").decode("utf-8"))
        vectors.append(struct.unpack(f"<{D}I", data[:4 * D]))  # as bits: NaN is equal to no NaN
        data = data[4 * D:]
    assert data in (b"", b"\n") and len(set(words)) == V > 0 and all(words) and not any("\n" in w for w in words)
    return words, np.array(vectors, np.uint32).view(np.float32)


class Bytes:
    """Bytes that are taken from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, code):
        values = struct.unpack_from("<" + code, self.data, self.at)
        self.at += struct.calcsize("<" + code)
        return values if len(values) > 1 else values[0]


def fasttext(data):
    """What read_fasttext gives, as a dict; words and labels as bytes."""
    file = Bytes(data)
    magic, version = file.take("2i")
    assert magic == 793712314 and version in (11, 12)
    names = "dim ws epoch minCount neg wordNgrams loss model bucket minn maxn lrUpdateRate t".split()
    settings = dict(zip(names, file.take("12id")))
    settings["loss"] = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}[settings["loss"]]
    settings["model"] = {1: "cbow", 2: "sg", 3: "sup"}[settings["model"]]
    if version == 11 and settings["model"] == "sup":
        settings["maxn"] = 0
    entries, V, labels, ntokens, pruned = file.take("3i2q")
    assert entries == V + labels and pruned == -1
    found = []
    for i in range(entries):
        name = b""
        while char := file.take("c"):
            if char == b"\0":
                break
            name += char
        count, kind = file.take("qb")
        assert kind == (i >= V) and count >= 0 and name
        found.append((name, count))
    assert len(set(found)) == entries
    matrices = []
    for rows in V + settings["bucket"], labels if settings["model"] == "sup" else V:
        assert file.take("B2q") == (0, rows, settings["dim"])
        bits = [file.take("I") for _ in range(rows * settings["dim"])]
        matrices.append(np.array(bits, np.uint32).reshape(rows, settings["dim"]))
    assert file.at == len(data)
    return {"settings": settings, "words": [w for w, _ in found[:V]], "counts": [n for _, n in found[:V]],
            "labels": [w for w, _ in found[V:]], "label_counts": [n for _, n in found[V:]], "ntokens": ntokens,
            "input": matrices[0], "output": matrices[1]}


def vocabulary(data):
    """Tokens and counts of a vocabulary."""
    first, *lines = data.decode("utf-8").split("\n")
    assert lines.pop() == ""
    assert json.loads(first, object_pairs_hook=sorted) == [("format", "tinyembed vocabulary 2"), ("tokens", len(lines))]
    tokens, counts = zip(*map(json.loads, lines))
    assert all(type(token) is str for token in tokens) and len(set(tokens)) == len(tokens)
    assert all(type(count) is int and 0 <= count < 2**63 for count in counts)
    return list(tokens), list(counts)
