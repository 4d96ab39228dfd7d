"""Byte-level BPE: its laws, the loops that everyone writes first, and Hugging Face's `tokenizers` on the same files."""

import functools
import json
import random
import re
import sys
import unicodedata
from collections import Counter
from itertools import pairwise

import pytest
import recorded_tokenizers as recorded
from corpus import docs_of_this_python
from hypothesis import example, given
from hypothesis import strategies as st

from tinyembed.files import FormatError
from tinyembed.text import ByteLevelBPE, load_tokenizer, tokenizer
from tinyembed.text.bpe import BYTE_CHARACTERS
from tinyembed.text.merges import Merges
from tinyembed.text.patterns import PATTERNS, STRETCHES, compiled

ODD = "  \t\n\r\x1c\x1d\x1e\x1f\x0b\x85\xa0\u2028\u3000''sStTſrReEllK½²Ⅷ٣一_aB1é\u0301▁!#.,"
texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(ODD), max_size=60)
SPECIAL = ["<|end|>", "<|end|>x"]
CORPUS = [*recorded.CORPUS, "It's  a test.\n\n  They'll TEST it: x = [1, 23, 456];\r\n\tnaïve café 你好"] * 2
WHOLE = [pattern for pattern in PATTERNS if pattern != "clip"]  # CLIP's, in test_clip_tokenizer.py, loses white space
SMALL = {pattern: ByteLevelBPE.train(CORPUS, 320, SPECIAL, pattern) for pattern in WHOLE}


def simple_merge(ids, merges):
    """The loop that everyone writes first: the pair of lowest rank, the leftmost; build the list anew; again."""
    while pairs := [(merges.rank[pair], i) for i, pair in enumerate(pairwise(ids)) if pair in merges.rank]:
        rank, i = min(pairs)
        ids = [*ids[:i], merges.made[rank], *ids[i + 2:]]
    return ids


def simple_training(words, tokens, size, min_frequency):
    """Count all pairs anew for each merge; of the most frequent take that with the smallest ids."""
    words, tokens, merges = dict(words), list(tokens), []
    spell = {word: [tokens.index(BYTE_CHARACTERS[b]) for b in word.encode()] for word in words}
    while len(tokens) < size:
        counts = Counter()
        for word, ids in spell.items():
            for pair in pairwise(ids):
                counts[pair] += words[word]
        if not counts or max(counts.values()) < min_frequency:
            break
        best = min(counts, key=lambda pair: (-counts[pair], pair))
        token = tokens[best[0]] + tokens[best[1]]
        if token not in tokens:
            tokens.append(token)
        merges.append((tokens[best[0]], tokens[best[1]]))
        one = Merges([best], [tokens.index(token)])
        spell = {word: simple_merge(ids, one) for word, ids in spell.items()}
    return tokens, merges


# -- laws ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("pattern", WHOLE)
@given(text=texts)
@example(text="")
@example(text="<|end|>x<|end|> <|end|><|e")
def test_any_text_comes_back(pattern, text):
    ours = SMALL[pattern]
    ids = ours.encode(text)
    assert ours.decode(ids) == text and ours.pieces(text) == [ours.tokens[id] for id in ids]
    plain = ours.encode(text.replace("<|", ""))
    assert ours.decode(plain, skip_special_tokens=True) == text.replace("<|", "")
    assert bool(ids) == bool(text)


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKC", "NFKD"])
@given(text=texts)
def test_a_normalised_text_comes_back(form, text):
    ours = ByteLevelBPE(SMALL["gpt2"].tokens, SMALL["gpt2"].merges, normalizer=form)
    assert ours.decode(ours.encode(text)) == unicodedata.normalize(form, text)


@given(st.integers(1, 12).flatmap(lambda n: st.tuples(
    st.lists(st.tuples(st.integers(0, 3 + n), st.integers(0, 3 + n)), min_size=n, max_size=n),
    st.lists(st.integers(0, 6), max_size=40))))
@example(([(0, 0), (4, 0), (4, 4)], [0] * 7))
def test_the_heap_merges_as_the_simple_loop(case):
    pairs, ids = case
    rank = {pair: i for i, pair in enumerate(dict.fromkeys(pairs))}
    # as files have it, what a merge makes is longer than its parts: so it ends
    merges = Merges(rank, [4 + i for i in range(len(rank))])
    before = list(ids)
    assert merges(ids) == simple_merge(ids, merges) and ids == before


@given(st.lists(st.text("ab c", max_size=12) | texts, max_size=6), st.integers(256, 275), st.integers(1, 3))
@example(["aaaa aaa aa abab ababab"], 270, 1)
def test_training_is_the_simple_one(texts, size, min_frequency):
    words = Counter(word for text in texts for word in compiled("gpt2").findall(text))
    ours = ByteLevelBPE.train(texts, size, min_frequency=min_frequency)
    assert (ours.tokens, ours.merges) == simple_training(words, sorted(BYTE_CHARACTERS), size, min_frequency)


def test_special_tokens_cut_the_texts_that_are_trained_on():
    ours = ByteLevelBPE.train(["ab<|end|>ab", "<|end|>x"] * 3, 400, SPECIAL)
    assert ours.tokens[258:] == ["ab"] and ours.special == {"<|end|>": 0, "<|end|>x": 1}
    assert ours.encode("ab<|end|>xab") == [258, 1, 258]


@pytest.mark.parametrize("pattern", WHOLE)
@given(text=texts)
def test_stretches_have_the_words_of_the_text(pattern, text):
    find = compiled(pattern).findall
    assert "".join(STRETCHES.findall(text)) == "".join(find(text)) == text
    assert [word for part in STRETCHES.findall(text) for word in find(part)] == find(text)


def test_the_classes_of_the_patterns_are_unicodes():
    kinds = {c: unicodedata.category(c)[0] for c in map(chr, range(sys.maxunicode + 1))}
    assert re.findall(r"[^\W_]", "".join(kinds)) == [c for c, kind in kinds.items() if kind in "LN"]
    numbers = "".join(c for c, kind in kinds.items() if kind == "N")
    assert compiled("gpt2").findall(numbers + "a") == [numbers, "a"]
    assert compiled("qwen2").findall("a" + numbers) == ["a", *numbers]
    assert compiled("gpt2").findall("a \x1c b") == ["a", " \x1c", " b"]


def test_the_table_of_bytes():
    assert len(set(BYTE_CHARACTERS)) == 256 and BYTE_CHARACTERS[32] == "Ġ" and BYTE_CHARACTERS[10] == "Ċ"
    assert "".join(SMALL["gpt2"].pieces("你好 a")) == "ä½łå¥½Ġa"


@pytest.mark.parametrize("character", ["a", " ", "好"])
def test_a_long_text_of_one_character(character):
    ours = SMALL["gpt2"]
    text = character * (300_000 // len(character.encode()))
    ids = ours.encode(text)
    assert ours.decode(ids) == text
    start = text[:300]  # from the left, a run is the same however long it is, but for its end
    assert ids[:20] == simple_merge([ours.index[BYTE_CHARACTERS[b]] for b in start.encode()], ours._merge)[:20]


def test_what_is_kept_is_bounded():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tokenizer, "KEPT", 5)
        ours = ByteLevelBPE(SMALL["gpt2"].tokens, SMALL["gpt2"].merges)
        text = " ".join(f"the{i % 7}" for i in range(100)) + "a" * 1000
        assert ours.decode(ours.encode(text)) == text and ours.encode(text) == SMALL["gpt2"].encode(text)
        assert len(ours._words) <= 5 and len(ours._stretches) <= 5 and max(map(len, ours._words)) <= tokenizer.LONG


def test_options():
    tokens, merges = SMALL["gpt2"].tokens, SMALL["gpt2"].merges
    spaced = ByteLevelBPE(tokens, merges, SPECIAL, add_prefix_space=True)
    assert spaced.decode(spaced.encode("the<|end|>cat<|end|> cat")) == " the<|end|> cat<|end|> cat"
    whole = ByteLevelBPE([*tokens, "zqz"], merges, ignore_merges=True)
    assert whole.pieces("zqz zqz") == ["zqz", *SMALL["gpt2"].pieces(" zqz")]
    one = ByteLevelBPE([*tokens, "qĠ", "qĠq"], [*merges, ("q", "Ġ"), ("qĠ", "q")], pattern=None)
    assert one.pieces("q q") == ["qĠq"] and SMALL["gpt2"].pieces("q q") == ["q", "Ġ", "q"]
    assert SMALL["gpt2"].decode([SMALL["gpt2"].index["ä"]]) == "\ufffd"
    assert SMALL["gpt2"].encode("the cat", max_length=1) == SMALL["gpt2"].encode("the cat")[:1]


# -- files -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("pattern", [*WHOLE, None])
@given(text=texts, normalizer=st.sampled_from([None, "NFC"]), spaced=st.booleans(), ignore=st.booleans())
def test_files_give_the_same_ids(tmp_path_factory, pattern, text, normalizer, spaced, ignore):
    if pattern in ("qwen2", "llama3") and spaced:
        return
    first = SMALL["gpt2"]
    ours = ByteLevelBPE([*first.tokens, "ab cd"], first.merges, SPECIAL, pattern, normalizer, spaced, ignore,
                        added=["ab cd"], frame=([("<|end|>", 0), ("A", 0)], [("A", 0), ("<|end|>", 0), ("B", 1)]))
    path = tmp_path_factory.mktemp("saved")
    ours.save(path)
    text += "ab cd<|end|>"
    for again in (load_tokenizer(path), ByteLevelBPE.load(path / "tokenizer.json")):
        assert again.encode(text, "B") == ours.encode(text, "B") and again.encode(text) == ours.encode(text)
        assert vars(again).keys() == vars(ours).keys() and again.special == ours.special and again.added == ours.added


def test_gpt2s_two_files(tmp_path):
    ours = ByteLevelBPE.train(CORPUS, 320, ["<|endoftext|>"])
    ours.save_gpt2(tmp_path)
    lines = (tmp_path / "merges.txt").read_text("utf-8").split("\n")
    assert lines[0] == "#version: 0.2" and lines[-1] == "" and len(lines) == len(ours.merges) + 2
    for path in (tmp_path, tmp_path / "vocab.json"):
        again = load_tokenizer(path)
        assert again.tokens == ours.tokens and again.merges == ours.merges and again.special == ours.special
    assert ByteLevelBPE.load(tmp_path, pattern="qwen2").pieces("12") == ["1", "2"]
    (tmp_path / "merges.txt").write_text("#version: 0.2\na b c\n")
    with pytest.raises(FormatError, match=r"merges.txt, line 2: 'a b c', where two tokens"):
        load_tokenizer(tmp_path)
    for vocab, message in [('{"a": 9}', "1 tokens with ids up to 9"), ('["a"]', "an object from token to id")]:
        (tmp_path / "vocab.json").write_text(vocab)
        with pytest.raises(FormatError, match=rf"vocab.json, the file: {message}"):
            load_tokenizer(tmp_path)
    with pytest.raises(ValueError, match="white space"):
        ByteLevelBPE([*ours.tokens, "a b", "a bc"], [("a b", "c")]).save_gpt2(tmp_path)


def test_results_recorded_from_tokenizers():
    merges, ids = recorded.RECORDED["trained"]
    ours = ByteLevelBPE.train(recorded.CORPUS, 290)
    assert ours.merges == [tuple(pair) for pair in merges]
    assert [ours.encode(text) for text in recorded.TEXTS] == ids


@given(st.integers(0, 319), st.booleans(), st.booleans(),
       st.text(max_size=9) | st.sampled_from([" the", "é你", "low lower"]))
def test_a_piece_that_is_an_added_token_too_is_still_the_bytes_of_text(id, special, ignore, text):
    plain = SMALL["gpt2"]
    token = plain.tokens[id]
    added = ByteLevelBPE(plain.tokens, plain.merges, [token] * special, added=[token] * (not special),
                         ignore_merges=ignore)
    ids = plain.encode(text)
    assert added.decode(ids) == plain.decode(ids) == text
    assert added.decode([id]) == plain.decode([id])


def test_an_added_token_that_no_word_has_as_a_piece_is_text():
    plain = SMALL["gpt2"]
    for token in ("<é>", "Ġ<x>", "你", "<|x|>"):
        assert ByteLevelBPE([*plain.tokens, token], plain.merges, added=[token]).decode([len(plain)]) == token


# -- bad input -------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("make", "error", "message"), [
    (lambda t: t.encode(7), TypeError, "takes a string, got int: 7"),
    (lambda t: t.encode(["a"]), TypeError, "takes a string, got list"),
    (lambda t: t.encode("ab\ud800c"), ValueError, r"'\\ud800' at position 2 is half of a surrogate pair"),
    (lambda t: t.decode([3, 320]), IndexError, r"id 320 at position \(1,\) is outside the tokeniser: 320 rows"),
    (lambda t: t.decode([-1]), IndexError, "id -1"), (lambda t: t.decode([1.5]), TypeError, "integers"),
    (lambda t: t.decode([[1]]), ValueError, "one sequence"),
    (lambda t: t.encode("a", max_length=-1), ValueError, "max_length -1 has no room"),
    (lambda t: ByteLevelBPE.train("text", 300), TypeError, r"write \[text\]"),
    (lambda t: ByteLevelBPE.train([3], 300), TypeError, "takes a string"),
    (lambda t: ByteLevelBPE.train(["a"], 257, SPECIAL), ValueError, "257 is too small: .* need 258"),
    (lambda t: ByteLevelBPE.train(["a"], 300, ["x", "x"]), ValueError, "token 'x' has two ids, 0 and"),
    (lambda t: ByteLevelBPE.train(["a"], 300, ["a"]), ValueError, "token 'a' has two ids"),
    (lambda t: ByteLevelBPE.train(["a"], 300, pattern="gpt5"), ValueError, "no pattern 'gpt5': there are gpt2"),
    (lambda t: ByteLevelBPE(t.tokens, [("a", "zz")]), ValueError, "merge 0, 'a' and 'zz': 'zz' is not among"),
    (lambda t: ByteLevelBPE(t.tokens, [("q", "q")]), ValueError, "'qq' is not among"),
    (lambda t: ByteLevelBPE(t.tokens[9:], []), ValueError, "7 of the 256 bytes have no token, the first is '!'"),
    (lambda t: ByteLevelBPE(t.tokens, [], ["<x>"]), ValueError, "special token '<x>' is not among the 320"),
    (lambda t: ByteLevelBPE(t.tokens, [], normalizer="NFX"), ValueError, "normalizer 'NFX'"),
])
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(SMALL["gpt2"])


def test_no_texts_and_no_ids():
    ours = ByteLevelBPE.train([], 300)
    assert len(ours) == ours.vocab_size == 256 and ours.encode("") == ours.pieces("") == [] and ours.decode([]) == ""


# -- Hugging Face's tokenizers ---------------------------------------------------------------------------------------

@functools.cache
def documentation():
    return [line for text in docs_of_this_python() for line in text.split("\n") if line]


def lines(count, characters):
    """Lines of Python's documentation, as many of random characters, and both with a special token between them."""
    docs = documentation()[:count]
    rng = random.Random(7)
    pools = [characters, [c for c in characters if c < "\u3000"], ODD, ODD]
    odd = ["".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(0, 50))) for _ in docs]
    return [*docs, *odd, *(a + "<|end|>" + b for a, b in zip(docs, odd))]


@functools.cache
def characters(old=False):
    """All that have a meaning for this Python; old: and had the same in Unicode 3.2, so that old tables agree."""
    kind, then = unicodedata.category, unicodedata.ucd_3_2_0.category
    known = [c for c in map(chr, range(sys.maxunicode)) if kind(c) not in ("Cn", "Cs")]
    return [c for c in known if kind(c) == then(c)] if old else known


@pytest.mark.parametrize("pattern", WHOLE)
def test_the_peers_training_ids_and_files(tmp_path, pattern):
    peer = pytest.importorskip("tokenizers")
    cut = peer.pre_tokenizers.Split(peer.Regex(PATTERNS[pattern]), "isolated")
    level = peer.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=pattern == "gpt2")
    theirs = peer.Tokenizer(peer.models.BPE())
    theirs.pre_tokenizer = level if pattern == "gpt2" else peer.pre_tokenizers.Sequence([cut, level])
    theirs.decoder = peer.decoders.ByteLevel()
    normalizer = "NFC" if pattern == "qwen2" else None
    if normalizer:
        theirs.normalizer = peer.normalizers.NFC()
    docs = docs_of_this_python()[:60]
    theirs.train_from_iterator(docs, peer.trainers.BpeTrainer(
        vocab_size=2500, min_frequency=2, special_tokens=SPECIAL, show_progress=False,
        initial_alphabet=peer.pre_tokenizers.ByteLevel.alphabet()))
    ours = ByteLevelBPE.train(docs, 2500, SPECIAL, pattern, normalizer)
    model = json.loads(theirs.to_str())["model"]
    assert ours.index == model["vocab"] and ours.merges == [tuple(pair) for pair in model["merges"]]

    ours.save(tmp_path / "ours.json")
    theirs.save(str(tmp_path / "theirs.json"))
    earlier = json.loads((tmp_path / "theirs.json").read_text("utf-8"))  # as it was written before version 0.20
    earlier["model"]["merges"] = [" ".join(pair) for pair in earlier["model"]["merges"]]
    (tmp_path / "old.json").write_text(json.dumps(earlier), "utf-8")
    assert ByteLevelBPE.load(tmp_path / "old.json").merges == ours.merges
    read, written = ByteLevelBPE.load(tmp_path / "theirs.json"), peer.Tokenizer.from_file(str(tmp_path / "ours.json"))
    old = normalizer is not None  # the peer's normaliser has the tables of an old Unicode
    for line in lines(300 if pattern == "llama3" else 1500, characters(old)):
        ids = theirs.encode(line).ids
        assert ours.encode(line) == read.encode(line) == written.encode(line).ids == ids, line
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=False)


@given(st.lists(st.integers(0, 319), max_size=20))
def test_the_peer_decodes_any_ids_alike(ids):
    peer = pytest.importorskip("tokenizers")
    theirs = peer.decoders.ByteLevel()
    assert SMALL["gpt2"].decode(ids) == theirs.decode([SMALL["gpt2"].tokens[id] for id in ids])


def test_the_peer_reads_gpt2s_files_alike(tmp_path):
    peer = pytest.importorskip("tokenizers")
    SMALL["gpt2"].save_gpt2(tmp_path)
    theirs = peer.ByteLevelBPETokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    ours = load_tokenizer(tmp_path)
    for line in lines(300, characters()):
        assert ours.encode(line) == theirs.encode(line).ids
