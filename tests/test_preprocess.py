"""Text to words as gensim has it; corpora in passes; sampling by gensim's formulas."""

import gzip
import itertools
import math

import numpy as np
import pytest
import recorded_gensim as recorded
from hypothesis import example, given
from hypothesis import strategies as st

from tinyembed.files import FormatError
from tinyembed.text import (
    LineSentences,
    keep_probabilities,
    noise_distribution,
    preprocess,
    simple_preprocess,
    spaced,
    words_of,
)

texts = st.text(st.characters() | st.sampled_from("_0a É e\u0301ßİ½٣१"), max_size=60)


@pytest.mark.parametrize("i", range(len(recorded.TEXTS)))
def test_results_recorded_from_gensim(i):
    text, options = recorded.TEXTS[i]
    assert simple_preprocess(text, **options) == recorded.RECORDED["texts"][i]


@given(texts, st.booleans(), st.integers(0, 4), st.integers(0, 20))
@example("\ud800a \udfff", True, 1, 15)
def test_gensims_words_of_any_text(text, deacc, shortest, longest):
    theirs = pytest.importorskip("gensim.utils").simple_preprocess
    assert simple_preprocess(text, deacc, shortest, longest) == theirs(text, deacc, shortest, longest)


@given(st.binary(max_size=40))
def test_gensims_words_of_any_bytes(data):
    theirs = pytest.importorskip("gensim.utils").simple_preprocess
    assert simple_preprocess(data) == theirs(data)


@pytest.mark.parametrize("deacc", [False, True])
def test_gensims_words_of_every_character(deacc):
    theirs = pytest.importorskip("gensim.utils").simple_preprocess
    text = "".join(f"a{chr(c)}b{chr(c)} " for c in range(0x30000))
    assert simple_preprocess(text, deacc, 1) == theirs(text, deacc, 1)


@given(texts, st.booleans())
def test_laws_of_words(text, deacc):
    found = simple_preprocess(text, deacc)
    assert all(2 <= len(word) <= 15 and word[0] != "_" for word in found)
    assert not any(character.isdecimal() or character.isspace() for word in found for character in word)


# -- corpora in passes -----------------------------------------------------------------------------------------------

def expected(data, longest, limit):
    """Line by line, in memory."""
    sentences = []
    for line in itertools.islice(data.split(b"\n"), limit):
        line = line.decode().split()
        sentences += [line[i:i + longest] for i in range(0, len(line), longest)]
    return sentences


lines = st.lists(st.lists(st.text("ab é\u2003\t\x85\r", max_size=6), max_size=6).map(" ".join), max_size=6)


@given(lines, st.integers(1, 4), st.none() | st.integers(0, 4), st.booleans(), st.integers(1, 9))
def test_sentences_are_the_lines_of_the_file(tmp_path_factory, lines, longest, limit, packed, piece):
    path, data = tmp_path_factory.mktemp("corpus") / "corpus.txt", "\n".join(lines).encode()
    path.write_bytes(gzip.compress(data) if packed else data)
    sentences = LineSentences(path, longest, limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preprocess, "_PIECE", piece)
        assert list(sentences) == list(sentences) == expected(data, longest, limit)  # in each pass anew


def test_gensims_sentences(tmp_path):
    peer = pytest.importorskip("gensim.models.word2vec").LineSentence
    for name, data in [("plain", "the cat\u00a0sat\n\n \non the\tmat\r\nend é".encode()), ("packed.gz", b"a b\nc d\n")]:
        path = tmp_path / name
        path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
        for kwargs in ({}, {"limit": 1}, {"max_sentence_length": 1}, {"limit": 0}):
            assert list(LineSentences(path, **kwargs)) == list(peer(str(path), **kwargs))


def test_a_corpus_of_one_long_line_is_not_read_at_once(tmp_path):
    import tracemalloc
    path = tmp_path / "long"
    path.write_bytes(b"word " * 800_000)
    tracemalloc.start()
    assert sum(map(len, LineSentences(path))) == 800_000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 30e6, peak  # whole, it takes 40 MB of words and more of text


def test_files_that_are_no_corpus(tmp_path):
    with pytest.raises(FileNotFoundError):
        LineSentences(tmp_path / "missing")
    with pytest.raises(OSError):
        LineSentences(tmp_path)
    (tmp_path / "latin").write_bytes(b"good\ncaf\xe9 b\n")
    with pytest.raises(FormatError, match="latin, line 2: byte 0xe9 is not UTF-8"):
        list(LineSentences(tmp_path / "latin"))
    for kwargs in ({"max_sentence_length": 0}, {"limit": -1}):
        with pytest.raises(ValueError, match="at least"):
            LineSentences(tmp_path / "latin", **kwargs)
    (tmp_path / "cut").write_bytes(gzip.compress(b"a b c\n" * 99)[:-10])
    with pytest.raises(FormatError, match="cut off"):
        list(LineSentences(tmp_path / "cut"))


# -- sampling --------------------------------------------------------------------------------------------------------

counts = st.lists(st.integers(1, 10**6), min_size=1, max_size=30)


@given(counts, st.sampled_from([0, 1e-5, 1e-3, 0.1, 0.99, 1, 2.5, 1000]))
def test_gensims_formula_of_subsampling(counts, sample):
    total = sum(counts)
    threshold = total if not sample else sample * total if sample < 1 else int(sample * (3 + math.sqrt(5)) / 2)
    theirs = [min(1.0, (math.sqrt(n / threshold) + 1) * (threshold / n)) for n in counts]
    np.testing.assert_allclose(keep_probabilities(counts, sample), theirs, rtol=1e-12)


@pytest.mark.parametrize("sample", [0, 1e-3, 0.05, 3])
def test_gensims_subsampling(sample):
    models = pytest.importorskip("gensim.models")
    sentences = [["the"] * 50 + ["cat"] * 7 + ["sat"] * 2 + ["mat"]] * 3
    model = models.Word2Vec(min_count=1, sample=sample, vector_size=2)
    model.build_vocab(sentences)
    n = [model.wv.get_vecattr(key, "count") for key in model.wv.index_to_key]
    theirs = [model.wv.get_vecattr(key, "sample_int") / (2**32 - 1) for key in model.wv.index_to_key]
    np.testing.assert_allclose(keep_probabilities(n, sample), theirs, rtol=1e-6)
    table = np.diff(model.cum_table, prepend=0) / model.cum_table[-1]
    np.testing.assert_allclose(noise_distribution(n), table, atol=1e-8)


@given(counts, st.sampled_from([-1.5, 0, 0.75, 1, 5]))
def test_the_noise_distribution(counts, exponent):
    n = np.array([*counts, 0])
    p = noise_distribution(n, exponent)
    assert p.sum() == pytest.approx(1) and p[-1] == 0
    np.testing.assert_allclose(p[:-1] / p[0], (n[:-1] / n[0]) ** exponent, rtol=1e-9)


@pytest.mark.parametrize(("function", "args"), [
    (keep_probabilities, ([1, -1],)), (keep_probabilities, ([[1]],)), (keep_probabilities, ([1], -1)),
    (keep_probabilities, ([1], math.nan)), (noise_distribution, ([0, 0],)), (noise_distribution, ([],)),
    (noise_distribution, ([1, math.nan],)), (noise_distribution, ([1], math.inf)),
])
def test_counts_and_settings_that_are_none(function, args):
    with pytest.raises(ValueError, match="got"):
        function(*args)


def test_words_that_are_never_there():
    assert keep_probabilities([0, 5], 0.5).tolist()[0] == 1 and keep_probabilities([], 0.1).shape == (0,)


@given(texts | st.text("ab_é 数学のไ。1", max_size=30))
def test_words_are_gensims_and_the_characters_where_nothing_parts_words(text):
    apart = spaced(text)
    assert "".join(apart.split()) == "".join(text.split()) and spaced(apart).split() == apart.split()
    alone = [word for word in simple_preprocess(apart, min_len=1) if spaced(word) != word]
    assert [word for word in words_of(text) if spaced(word) != word] == alone and all(len(word) == 1 for word in alone)
    assert [word for word in words_of(text) if spaced(word) == word] == simple_preprocess(apart)
