"""fastText's .bin: what Facebook's tool and gensim wrote is what we read; what is not right is refused, and where."""

import gzip
import re
import struct
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import slow_readers
from hypothesis import given
from hypothesis import strategies as st
from recorded_fasttext import MODELS, SETTINGS

from tinyembed.files import FormatError, read_fasttext

HEAD = "<14id3i2q"
NAMES = ["magic", "version", *SETTINGS["supervised"], "entries", "words", "labels", "ntokens", "pruned"]
VALUES = dict(zip(NAMES, [793712314, 12, 2, 5, 5, 1, 5, 1, 2, 2, 3, 2, 4, 100, 1e-4, 3, 3, 0, 50, -1]))
WORDS = (("the", 9, 0), ("naïve\xa0word", 5, 0), ("🙂", 5, 0))
SUPERVISED = (("the", 9, 0), ("cat", 5, 0), ("__label__x", 7, 1))


def model(dictionary=WORDS, matrices=None, **values):
    """The bytes of a model, with whatever is to be wrong in it."""
    values = {**VALUES, "entries": len(dictionary), "words": sum(kind == 0 for *_, kind in dictionary),
              "labels": sum(kind != 0 for *_, kind in dictionary), **values}
    dim = values["dim"]
    rows = values["words"] + values["bucket"], values["labels" if values["model"] == 3 else "words"]
    matrices = matrices or [(0, n, dim, np.arange(n * dim, dtype="<f4").tobytes()) for n in rows]
    return struct.pack(HEAD, *(values[name] for name in NAMES)) + b"".join(
        (word if isinstance(word, bytes) else word.encode()) + b"\0" + struct.pack("<qb", *rest)
        for word, *rest in dictionary) + b"".join(struct.pack("<B2q", *head) + data for *head, data in matrices)


def read(data, **options):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.bin")
        path.write_bytes(data)
        return read_fasttext(path, **options)


def agrees(found, data):
    """With a look at the same bytes by other means."""
    expected = slow_readers.fasttext(data)
    assert list(found.settings) == list(expected["settings"])
    np.testing.assert_equal(found.settings, expected["settings"])
    assert [word.encode() for word in found.words] == expected["words"]
    assert [label.encode() for label in found.labels] == expected["labels"]
    assert (found.counts.tolist(), found.label_counts.tolist()) == (expected["counts"], expected["label_counts"])
    assert found.ntokens == expected["ntokens"]
    for name in "input", "output":
        matrix = getattr(found, name)
        assert matrix.dtype == np.float32 and not matrix.flags.writeable
        np.testing.assert_array_equal(np.array(matrix).view(np.uint32), expected[name], strict=True)


@pytest.mark.parametrize("name", MODELS)
def test_what_facebooks_tool_wrote_is_what_it_says(name):
    recorded = MODELS[name]
    found = read(recorded["file"])
    assert found.settings == {**SETTINGS[name], "t": pytest.approx(SETTINGS[name]["t"])}
    assert (found.words, found.labels) == (recorded["words"], recorded["labels"])
    assert (found.counts.tolist(), found.label_counts.tolist()) == (recorded["counts"], recorded["label_counts"])
    np.testing.assert_array_equal(found.input, np.float32(recorded["input"]))
    np.testing.assert_array_equal(found.output, np.float32(recorded["output"]))
    assert found.ntokens == sum(recorded["counts"]) + sum(recorded["label_counts"])
    agrees(found, recorded["file"])


texts = st.text(st.characters(exclude_characters="\0", codec="utf-8"), min_size=1, max_size=5)


@given(st.data())
def test_every_model_is_read_as_it_stands(data):
    words = data.draw(st.lists(texts, min_size=1, max_size=8, unique=True))
    V = data.draw(st.integers(1, len(words)))
    counts = data.draw(st.lists(st.integers(0, 2**63 - 1), min_size=len(words), max_size=len(words)))
    content = model(
        [(word, count, int(i >= V)) for i, (word, count) in enumerate(zip(words, counts))],
        version=data.draw(st.sampled_from([11, 12])), dim=data.draw(st.integers(1, 4)),
        bucket=data.draw(st.integers(0, 5)), model=data.draw(st.integers(1, 3 if len(words) > V else 2)),
        loss=data.draw(st.integers(1, 4)), ntokens=data.draw(st.integers(0, 2**63 - 1)), t=data.draw(st.floats()))
    agrees(read(content), content)


def test_version_11_had_no_character_ngrams_in_supervised_models():
    assert read(model(version=11, maxn=4)).settings["maxn"] == 4
    assert read(model(SUPERVISED, model=3, version=11, maxn=4)).settings["maxn"] == 0
    assert read(model(SUPERVISED, model=3, maxn=4)).settings["maxn"] == 4


def test_the_matrices_are_left_on_disk(tmp_path):
    (tmp_path / "model.bin").write_bytes(model(matrices=[
        (0, 3_000_003, 2, bytes(24_000_024)), (0, 3, 2, struct.pack("<6f", *range(6)))], bucket=3_000_000))
    tracemalloc.start()
    try:
        found = read_fasttext(tmp_path / "model.bin")
        assert found.output[2].tolist() == [4, 5] and found.input.shape == (3_000_003, 2)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert isinstance(found.input, np.memmap) and isinstance(found.output, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found.input[0] = 1


def refusal(data, **options):
    with pytest.raises(FormatError) as refused:
        read(data, **options)
    assert refused.value.path.endswith("model.bin")
    return f"{refused.value.where}: {refused.value.problem}"


END = len(model()) - 17 - 3 * 2 * 4  # where the output matrix begins
INPUT = END - 17 - 6 * 2 * 4
X = bytes(1000)


@pytest.mark.parametrize(("data", "complaint"), [
    (b"", "offset 0: begins with b''"),
    (b"3 2\nthe 1 2\n", r"offset 0: begins with b'3 2\\n'"),
    (gzip.compress(model()), "offset 0: .*gzip'd"),
    (struct.pack("<i", 100) + model()[4:], "offset 0: .*from before May 2017"),
    (model()[:91], "offset 91: the file ends here"),
    (model(version=13), "offset 4: version is 13, which is not from 11 to 12"),
    (model(version=10), "offset 4: version is 10"),
    (model(dim=0), "offset 8: dim is 0"),
    (model(loss=5), "offset 32: loss is 5, which is not from 1 to 4"),
    (model(model=0), "offset 36: model is 0, which"),
    (model()[:40] + struct.pack("<i", -1) + model()[44:], "offset 40: bucket is -1"),
    (model(entries=4), "offset 64: 4 entries, 3 words, 0 labels"),
    (model(entries=2, labels=-1), "offset 64: 2 entries, 3 words, -1 labels"),
    (model(dictionary=()), "offset 64: 0 entries, 0 words"),
    (model(model=3), "offset 64: 3 entries, 3 words, 0 labels"),  # supervised, by nothing
    (model(ntokens=-1), "offset 76: tokens is -1"),
    (model(pruned=0), "offset 84: 0, not -1"),
    (model(pruned=10), "offset 84: 10, not -1, so n-grams were pruned, as in quantised models"),
    (model(entries=2_000_000_000, words=2_000_000_000, matrices=[(0, 1, 1, X)]),
     r"offset 64: 2,000,000,000 entries, and only 1,\d* bytes follow"),
    (model()[:100], "offset 64: 3 entries, and only 8 bytes follow"),
    (model(entries=90, words=90, matrices=[(0, 1, 1, X)]), "offset .*: (entry|count|the word)"),
    (model(dictionary=(("the", 9, 0), ("the", 5, 0))), "offset 105: the word 'the' stands at offset 92 already"),
    (model(dictionary=(("the", 9, 0), ("the", 5, 1))), "offset 105: the word 'the' stands at offset 92 already"),
    (model(dictionary=(("the", 9, 0), ("", 5, 0))), "offset 105: the word is empty"),
    (model(dictionary=(("the", 9, 0), ("a", -1, 0))), "offset 107: count -1, type 0 of 'a'; it is entry 2, a word, 0"),
    (model(dictionary=(("the", 9, 0), ("a", 1, 2)), words=2, labels=0), "offset 107: count 1, type 2"),
    (model(dictionary=(("the", 9, 1), ("a", 1, 0))), "offset 96: count 9, type 1 of 'the'; it is entry 1, a word, 0"),
    (model(dictionary=(("the", 9, 0), ("a", 1, 1)), words=2, labels=0), "offset 107: count 1, type 1"),
    (model(dictionary=(("the", 9, 0), (b"\xc3", 5, 0))), r"offset 105: the word b'\\xc3' is not UTF-8"),
    (model(dictionary=((b"x" * 70_000, 5, 0),)), "offset 92: entry 1 of 1 does not end within .* 65,536 bytes"),
    (model(matrices=[(1, 6, 2, X)]), f"offset {INPUT}: the input matrix is quantised"),
    (model(matrices=[(0, 6, 2, bytes(48)), (1, 3, 2, X)]), f"offset {END}: the output matrix is quantised"),
    (model(matrices=[(0, 7, 2, X)]), rf"offset {INPUT + 1}: the input matrix is \(7, 2\); .* make it \(6, 2\)"),
    (model(matrices=[(0, 6, 3, X)]), f"offset {INPUT + 1}: the input matrix is"),
    (model(matrices=[(0, -6, -2, X)]), f"offset {INPUT + 1}: the input matrix is"),
    (model(matrices=[(0, 6, 2, bytes(48)), (0, 6, 2, bytes(48))]), f"offset {END + 1}: the output matrix is"),
    (model(bucket=2**31 - 9, matrices=[(0, 2**31 - 6, 2, X)]), f"offset {INPUT + 17}: .* takes 17,179,869,136 bytes"),
    (model(dim=1 << 24, matrices=[(0, 6, 1 << 24, X)]), f"offset {INPUT + 17}: .* takes 402,653,184 bytes"),
    (model() + b"\0", f"offset {END + 41}: 1 bytes follow the last matrix"),
])
def test_what_is_not_right_is_refused_with_its_offset(data, complaint):
    assert re.match(complaint, refusal(data)), refusal(data)


@pytest.mark.parametrize("name", MODELS)
def test_no_model_that_is_cut_off_is_read(name):
    data = MODELS[name]["file"]
    for end in range(len(data)):
        assert re.match(r"offset \d+: ", refusal(data[:end]))


def test_words_that_are_not_utf_8_have_a_way_out():
    data = model(dictionary=(("the", 9, 0), (b"\xc3a", 5, 0)))
    assert read(data, errors="replace").words == ["the", "\ufffda"]
    assert read(data, errors="backslashreplace").words == ["the", r"\xc3a"]
    with pytest.raises(ValueError, match="errors must be"):
        read(data, errors="surrogateescape")


MB = 1 << 20
MANY = [(f"w{i}", 1, 0) for i in range(15_000)]


@pytest.mark.parametrize("data", [
    model([*MANY, ("w99", 1, 0)]), model([*MANY, ("x", -1, 0)]), model([*MANY, (b"\xff", 1, 0)]), model(MANY) + b"x",
    model(MANY, matrices=[(1, 1, 1, X)]), model(entries=2**31 - 1, words=2**31 - 1, matrices=[(0, 1, 1, bytes(MB))]),
], ids=["repeat", "count", "utf-8", "tail", "quantised", "entries"])
def test_a_refused_model_takes_little_memory(data):
    tracemalloc.start()
    try:
        refusal(data)
        assert tracemalloc.get_traced_memory()[1] < len(data) + MB // 2
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("settings", [{"sg": 1}, {"sg": 0, "hs": 1, "negative": 0, "max_n": 0}])
def test_gensim_writes_what_we_read(tmp_path, settings):
    gensim = pytest.importorskip("gensim.models.fasttext")
    text = [["the", "cat", "sat", "naïve\xa0word"], ["the", "dog", "🙂"]] * 5
    made = gensim.FastText(text, vector_size=3, min_count=1, bucket=10, seed=1, workers=1, **settings)
    gensim.save_facebook_model(made, str(tmp_path / "model.bin"))
    found = read_fasttext(tmp_path / "model.bin")
    assert found.words == made.wv.index_to_key and not found.labels
    assert found.counts.tolist() == [made.wv.get_vecattr(word, "count") for word in found.words]
    assert found.settings["model"] == ("sg" if settings["sg"] else "cbow")
    assert found.settings["loss"] == ("hs" if "hs" in settings else "ns")
    np.testing.assert_array_equal(found.input, np.concatenate([made.wv.vectors_vocab, made.wv.vectors_ngrams]))
    np.testing.assert_array_equal(found.output, made.syn1 if "hs" in settings else made.syn1neg)
    agrees(found, (tmp_path / "model.bin").read_bytes())


@pytest.mark.parametrize("name", ["unsupervised"])
def test_gensim_reads_the_recorded_model_as_we_do(tmp_path, name):
    gensim = pytest.importorskip("gensim.models.fasttext")
    (tmp_path / "model.bin").write_bytes(MODELS[name]["file"])
    theirs, ours = gensim.load_facebook_model(str(tmp_path / "model.bin")), read_fasttext(tmp_path / "model.bin")
    assert theirs.wv.index_to_key == ours.words
    np.testing.assert_array_equal(np.concatenate([theirs.wv.vectors_vocab, theirs.wv.vectors_ngrams]), ours.input)
