"""Laws of the tokeniser and of the vocabulary."""

import os
import subprocess
import sys
import tempfile
import tracemalloc
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyembed.files import FormatError
from tinyembed.text import Vocabulary, detokenise, words_and_punctuation

any_text = st.text() | st.text(alphabet="ab1.,'’\"`-/_()$%! \n数の๓，。「（Ａ")
tokens = st.text(min_size=1, max_size=3) | st.sampled_from(["a", "b", "c", "<unk>", "<end>"])
corpora = st.lists(st.lists(tokens, max_size=8), max_size=6)


@given(any_text, st.booleans())
def test_nothing_but_white_space_is_lost(text, lower):
    expected = text.lower() if lower else text
    assert "".join(words_and_punctuation(text, lower)) == "".join(expected.split())


@given(any_text)
def test_detokenise_changes_no_token(text):
    cut = words_and_punctuation(text, lower=False)
    assert words_and_punctuation(detokenise(cut), lower=False) == cut


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (" \n\t", []),
        ("It's Anna’s.", ["it's", "anna’s", "."]),
        ("'quoted'", ["'", "quoted", "'"]),
        ("1,000.5 2nd 3.", ["1,000.5", "2nd", "3", "."]),
        ("snake_case x=-1", ["snake_case", "x", "=", "-", "1"]),
        ("Straße naïve 数学", ["straße", "naïve", "数", "学"]),
    ],
)
def test_words_numbers_and_marks(text, expected):
    assert words_and_punctuation(text) == expected


def test_detokenise_reads_well():
    line = "She said: \"it's 50% (or $3) – 'well-known'!\""
    assert detokenise(words_and_punctuation(line, lower=False)) == line
    assert detokenise([]) == ""


@given(corpora, st.none() | st.integers(2, 8), st.integers(1, 3))
def test_build_keeps_the_most_frequent_and_every_count_stands_somewhere(corpus, max_size, min_count):
    vocabulary = Vocabulary.build(corpus, max_size=max_size, min_count=min_count)
    seen = Counter(token for document in corpus for token in document)
    assert vocabulary.tokens[:2] == ["<unk>", "<end>"]
    assert vocabulary.counts.dtype == np.int64
    assert vocabulary.counts.sum() == sum(seen.values())
    assert vocabulary.index == {token: id for id, token in enumerate(vocabulary.tokens)}
    assert max_size is None or len(vocabulary) <= max_size
    ordinary = vocabulary.tokens[2:]
    assert list(vocabulary.counts[1:]) == [seen[token] for token in vocabulary.tokens[1:]]
    assert ordinary == sorted(ordinary, key=lambda token: (-seen[token], token))
    dropped = [token for token in seen if token not in vocabulary and seen[token] >= min_count]
    assert not dropped or len(vocabulary) == max_size
    assert all((-seen[kept], kept) < (-seen[token], token) for kept in ordinary for token in dropped)


@given(corpora)
def test_encode_and_decode_are_inverse(corpus):
    vocabulary = Vocabulary.build(corpus)
    for document in corpus:
        ids = vocabulary.encode(document)
        assert ids.dtype == np.int64
        assert ids.shape == (len(document),)
        assert vocabulary.decode(ids) == vocabulary.decode(ids.tolist()) == document
    every = np.arange(len(vocabulary))
    np.testing.assert_array_equal(vocabulary.encode(vocabulary.decode(every)), every)


@given(corpora, st.lists(tokens))
def test_a_token_without_an_id_becomes_unk(corpus, document):
    vocabulary = Vocabulary.build(corpus, max_size=4)
    expected = [token if token in vocabulary else "<unk>" for token in document]
    assert vocabulary.decode(vocabulary.encode(document)) == expected


@given(corpora)
def test_save_and_load_are_inverse(corpus):
    vocabulary = Vocabulary.build(corpus, max_size=6)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "words.json")
        vocabulary.save(path)
        again = Vocabulary.load(path)
        path.read_bytes().decode("utf-8")
    assert again.tokens == vocabulary.tokens
    assert again.counts.dtype == np.int64
    np.testing.assert_array_equal(again.counts, vocabulary.counts)


def test_the_hash_seed_changes_nothing():
    script = (
        "from tinyembed.text import Vocabulary, words_and_punctuation\n"
        "text = 'one two three four five six, one two: ONE! eight nine ten eleven'\n"
        "vocabulary = Vocabulary.build([words_and_punctuation(text)], max_size=9)\n"
        "print(ascii(vocabulary.tokens), vocabulary.counts.tolist())\n"
    )
    outputs = set()
    for seed in ("0", "1"):
        environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path), PYTHONHASHSEED=seed)
        outputs.add(subprocess.run([sys.executable, "-c", script], env=environment, check=True, stdout=-1).stdout)
    assert len(outputs) == 1


def test_nothing_gives_nothing():
    vocabulary = Vocabulary.build([])
    assert vocabulary.tokens == ["<unk>", "<end>"]
    ids = vocabulary.encode(words_and_punctuation(""))
    assert ids.shape == (0,)
    assert ids.dtype == np.int64
    assert vocabulary.decode([]) == vocabulary.decode(np.zeros(0, int)) == []
    assert len(Vocabulary([], [])) == 0


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([0, 1, 3], IndexError, r"id 3 at position \(2,\) is outside the vocabulary: 3 rows \(0 … 2\)"),
        ([-1], IndexError, r"id -1 at position \(0,\)"),
        ([2**64], TypeError, "18446744073709551616"),
        (np.array([0, 2**64 - 1], np.uint64), IndexError, r"id 18446744073709551615 at position \(1,\)"),
        ([0.5, 1.0], TypeError, r"0.5\)? at position \(0,\)"),
        (np.array([True]), TypeError, r"position \(0,\)"),
        (np.zeros((2, 2), int), ValueError, r"\(2, 2\)"),
        ("01", TypeError, "position"),
    ],
)
def test_decode_refuses_what_is_no_id(ids, error, message):
    with pytest.raises(error, match=message):
        Vocabulary(["<unk>", "a", "b"], [0, 1, 1]).decode(ids)


def test_encode_refuses_a_string_and_without_unk_an_unknown_token():
    vocabulary = Vocabulary.build([["a", "b"]], specials=())
    assert vocabulary.tokens == ["a", "b"]
    with pytest.raises(ValueError, match="token 'c' at position 1"):
        vocabulary.encode(["a", "c"])
    with pytest.raises(TypeError, match="string"):
        vocabulary.encode("a b")


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"documents_of_tokens": ["a text"]}, TypeError, "document 0 is a string"),
        ({"documents_of_tokens": [["a"], [1]]}, TypeError, "is not a string but int"),
        ({"documents_of_tokens": [["a"], None]}, TypeError, "NoneType"),
        ({"documents_of_tokens": [["\ud800"]]}, ValueError, "lone surrogate"),
        ({"documents_of_tokens": [], "max_size": 1}, ValueError, "max_size 1"),
        ({"documents_of_tokens": [], "min_count": 0}, ValueError, "min_count"),
        ({"documents_of_tokens": [], "specials": "<unk>"}, TypeError, "list of tokens"),
        ({"documents_of_tokens": [], "specials": ["<unk>", "<unk>"]}, ValueError, "'<unk>' stands twice"),
    ],
)
def test_build_refuses_what_is_no_corpus(options, error, message):
    with pytest.raises(error, match=message):
        Vocabulary.build(**options)


HEAD = '{"format": "tinyembed vocabulary 2", "tokens": 2}\n'
GOOD = HEAD + '["a", 2]\n["b", 1]\n'


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "line 1: it does not say"),
        ("[" * 300_000, "line 1"),
        (GOOD.replace(" 2", " 3", 1), "line 1: it does not say that this is a 'tinyembed vocabulary 2'"),
        (GOOD.replace('"tokens"', '"token"'), "line 1"),
        ("[]\n" + GOOD, "line 1"),
        (GOOD.replace(": 2}", ": 3}"), "line 3: the file ends after 2 tokens, where line 1 says 3"),
        (GOOD.replace(": 2}", ": 1}"), "the file ends after 2 tokens, where line 1 says 1"),
        (GOOD.replace(": 2}", ": true}"), "line 1 says True"),
        (HEAD, "line 1: the file ends after 0 tokens"),
        (GOOD[:-1], "line 3: .* where a token and a count stand"),
        (GOOD.replace('"a"', "1"), "line 2: .*1, 2.*, where a token and a count stand"),
        (GOOD.replace('"a", 2', '"a", true'), "line 2"),
        (GOOD.replace('"a", 2', '"a", 2.0'), "line 2"),
        (GOOD.replace('"a", 2', '"a", -1'), "line 2"),
        (GOOD.replace('"a", 2', '"a", 9223372036854775808'), "line 2"),
        (GOOD.replace('"a", 2', '"a", ' + "9" * 5000), "line 2"),
        (GOOD.replace('"a", 2', '"a", 2, 3'), "line 2"),
        (GOOD.replace('"a"', '"a\t"'), "line 2"),
        (GOOD.replace('"a"', '"\\ud800"'), "line 2"),
        (GOOD.replace('"a"', "[" * 200_000), "line 2"),
        (GOOD.replace('"a"', '"' + "a" * 300_000 + '"'), "line 2"),
        (GOOD.replace('"b"', '"a"'), "line 3: the word 'a' stands at line 2 already"),
        (GOOD.encode().replace(b'"b"', b'"\xff"'), "line 3"),
    ],
)
def test_load_refuses_a_malformed_file_with_a_reason(tmp_path, content, reason):
    path = tmp_path / "words.jsonl"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(FormatError, match=rf"words\.jsonl, (?s:.*){reason}") as refused:
        Vocabulary.load(path)
    assert refused.value.path == str(path)


@pytest.mark.parametrize("last", ['["7", 1]\n', "[" * 200_000, '["x", -1]\n'])
def test_a_large_file_is_refused_in_little_memory(tmp_path, last):
    path = tmp_path / "words.jsonl"
    lines = "".join(f'["{i}", 1]\n' for i in range(10_000))  # which would take 1.5 MB more if they were kept
    path.write_text(f'{{"format": "tinyembed vocabulary 2", "tokens": 10001}}\n{lines}{last}')
    tracemalloc.start()
    try:
        with pytest.raises(FormatError):
            Vocabulary.load(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < path.stat().st_size + (1 << 20)


@pytest.mark.parametrize("damage", [
    lambda v: v.tokens.append("c"), lambda v: v.tokens.__setitem__(0, "b"), lambda v: v.tokens.__setitem__(0, 3),
    lambda v: v.tokens.__setitem__(0, "a" * 300_000), lambda v: v.counts.__setitem__(0, -1),
    lambda v: setattr(v, "counts", np.array([1])), lambda v: setattr(v, "counts", np.array([1.5, 2]))])
def test_what_could_not_be_read_is_not_saved(tmp_path, damage):
    """It took the place of a file that could."""
    v = Vocabulary(["a", "b"], [2, 1])
    v.save(tmp_path / "v")
    damage(v)
    with pytest.raises((ValueError, TypeError)):
        v.save(tmp_path / "v")
    assert Vocabulary.load(tmp_path / "v").tokens == ["a", "b"] and len(os.listdir(tmp_path)) == 1


def test_counts_are_checked():
    with pytest.raises(ValueError, match="count 9223372036854775808 at position 0"):
        Vocabulary(["a"], np.array([2**63], np.uint64))
    with pytest.raises(TypeError, match="float64"):
        Vocabulary(["a"], [1.5])
