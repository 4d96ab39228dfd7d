"""Laws of every kind of tokeniser; SentencePiece's BPE, WordPiece, characters, words; the files that are refused."""

import copy
import functools
import inspect
import json
import os
import pathlib
import tempfile
import unicodedata

import numpy as np
import pytest
import recorded_tokenizers as recorded
from corpus import docs_of_this_python
from hypothesis import example, given
from hypothesis import strategies as st
from test_bpe import ODD, characters, lines, simple_merge

import tinyembed as te
from tinyembed.files import FormatError
from tinyembed.text import (
    ByteLevelBPE,
    CharacterTokenizer,
    SentencePieceBPE,
    Tokenizer,
    Vocabulary,
    WordPiece,
    WordTokenizer,
    load_tokenizer,
    pad,
    words_and_punctuation,
)
from tinyembed.text.load import KINDS
from tinyembed.text.tokenizer_json import CHARACTERS, WORDS

texts = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(ODD + "thecat▁   "), max_size=50)


def written(folder, content):
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(content), "utf-8")
    return path


# -- laws of every kind ----------------------------------------------------------------------------------------------

SPECIAL, ADDED = ["<unk>", "<end>", "<s>"], ["the hat", "THE"]
COMMON = {"special_tokens": SPECIAL, "added": ADDED, "late": ["<end>", "THE"], "frame": (
    [("<s>", 0), ("A", 0)], [("<s>", 0), ("A", 0), ("<end>", 0), ("B", 1), ("<end>", 1)])}
TRAINED = ByteLevelBPE.train(recorded.CORPUS, 300, [*SPECIAL, *ADDED])
CLIPS = ByteLevelBPE.train(recorded.CORPUS, 540, [*SPECIAL, *ADDED], "clip", "clip", suffix="</w>")
MARKED = [*SPECIAL, *ADDED, *list(recorded.FILES["llama"]["model"]["vocab"])[3:]]
PIECES = [*SPECIAL, *ADDED, *"THEthecas", "##he", "##at", "e\u0301"]
COUNTED = Vocabulary.build([words_and_punctuation("The cat, the hat's cat.", lower=False)], specials=PIECES)
EVERY = [
    ByteLevelBPE(TRAINED.tokens, TRAINED.merges, normalizer="NFKC", add_prefix_space=True, **COMMON),
    ByteLevelBPE(TRAINED.tokens, TRAINED.merges, SPECIAL, pattern="qwen2", ignore_merges=True),
    ByteLevelBPE(CLIPS.tokens, CLIPS.merges, pattern="clip", normalizer="clip", suffix="</w>", **COMMON),
    *(SentencePieceBPE(MARKED, recorded.MERGES, unknown="<unk>", prepend=prepend, split=split, strip=strip, **COMMON)
      for prepend in ("text", "always", "first", "never") for split in (False, True) for strip in (False, True)),
    SentencePieceBPE(MARKED, recorded.MERGES, byte_fallback=True, fuse_unk=False, ignore_merges=True),
    SentencePieceBPE(MARKED[-20:], []),
    WordPiece(PIECES, unknown="<unk>", max_input_chars_per_word=4, strip_accents=False, **COMMON),
    WordPiece([*PIECES, "[UNK]"], SPECIAL, lowercase=False, handle_chinese_chars=False, prefix="e"),
    WordTokenizer(COUNTED), WordTokenizer(COUNTED, lower=False, **COMMON), WordTokenizer(Vocabulary(["a"], [1])),
    CharacterTokenizer(COUNTED), CharacterTokenizer(COUNTED, **COMMON), CharacterTokenizer.train(["thecat "]),
    CharacterTokenizer.train([]),
]
every = pytest.mark.parametrize("ours", EVERY, ids=lambda ours: type(ours).__name__)
with_tokens = st.lists(st.sampled_from([*SPECIAL, *ADDED, " the", "cat "]) | texts, max_size=4).map("".join)


@functools.cache
def read_again(ours):
    with tempfile.TemporaryDirectory() as folder:
        ours.save(folder)
        return load_tokenizer(folder), type(ours).load(pathlib.Path(folder, "tokenizer.json"))


def outcome(function, *args):
    """What it gives, or says: some have no token for an unknown character, or no room for the frame."""
    try:
        return function(*args)
    except ValueError as error:
        return str(error)


def settings(ours):
    vocabulary = getattr(ours, "vocabulary", COUNTED)
    return {name: value for name, value in vars(ours).items() if name[0] != "_" and name != "vocabulary"} | {
        "vocabulary": (vocabulary.tokens, vocabulary.counts.tolist())}


def test_every_kind_has_a_class_that_is_tested():
    public = {thing for thing in vars(te.text).values() if isinstance(thing, type) and issubclass(thing, Tokenizer)}
    assert set(KINDS.values()) == {type(ours) for ours in EVERY} == public - {Tokenizer}
    assert len(KINDS) == len(set(KINDS.values()))


@every
@given(text=with_tokens, pair=st.none() | with_tokens, add=st.booleans(), length=st.none() | st.integers(0, 9),
       ids=st.lists(st.integers(0, 999), max_size=9))
@example(text="THE the hat<end>the cat<s><unk>\u0130", pair="<end><s>THE", add=True, length=None, ids=[4, 0])
def test_what_was_saved_is_read_as_it_was(ours, text, pair, add, length, ids):
    ids = [id % len(ours) for id in ids if len(ours)]
    for again in read_again(ours):
        assert type(again) is type(ours) and settings(again) == settings(ours) and repr(again) == repr(ours)
        assert outcome(again.encode_segments, text, pair, add, length) == \
            outcome(ours.encode_segments, text, pair, add, length)
        for skip in (False, True):
            assert again.decode(ids, skip) == ours.decode(ids, skip)


@pytest.mark.parametrize("kind", KINDS.values())
def test_all_kinds_take_the_same_arguments(kind):
    assert issubclass(kind, Tokenizer)
    for name in ("encode", "encode_segments", "pieces", "decode", "load", "save", "__len__", "_ids", "_join", "_json"):
        assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(Tokenizer, name)), name


@every
@given(text=with_tokens, pair=with_tokens)
def test_all_kinds_work_alike(ours, text, pair):
    alone, second = (outcome(ours.encode, part, None, False) for part in (text, pair))
    if isinstance(alone, str) or isinstance(second, str):
        return
    texts = {"A": alone, "B": second}
    for half, arguments in zip(ours.frame, ((text,), (text, pair))):
        parts = [(texts.get(token, [ours.index.get(token)]), segment) for token, segment in half]
        ids, segments = ours.encode_segments(*arguments)
        assert ours.encode(*arguments) == ids == [id for part, _ in parts for id in part]
        assert segments == [segment for part, segment in parts for _ in part]
        assert all(type(id) is int for id in ids)
        assert ours.decode(ids) == ours.decode(np.array(ids, int)) == ours.decode(te.Tensor(np.array(ids, int)))
        assert ours.decode(ids, skip_special_tokens=True) == ours.decode(
            [id for id in ids if id not in ours.special.values()])
    assert ours.encode(text, add_special_tokens=False, max_length=3) == alone[:3]
    assert ours.pieces(text) == [ours.tokens[id] for id in alone]
    assert len(ours) == ours.vocab_size == len(ours.tokens) and ours.special.items() <= ours.added.items()
    assert {token: id for id, token in enumerate(ours.tokens)} == ours.index


@every
def test_all_kinds_refuse_alike(ours):
    for text, error in [(7, TypeError), (["a"], TypeError), ("ab\ud800", ValueError)]:
        for take in (ours.encode, ours.encode_segments, ours.pieces, lambda text: ours.encode("", text)):
            with pytest.raises(error, match=r"takes a string|half of a surrogate pair"):
                take(text)
    for ids, error in [([len(ours)], IndexError), ([-1], IndexError), ([0.5], TypeError), (te.Tensor([1.0]), TypeError),
                       ([[0][:len(ours)]], ValueError)]:
        with pytest.raises(error, match=r"tokeniser|one sequence of ids"):
            ours.decode(ids)


# -- results of the peer ---------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return {name: load_tokenizer(written(tmp_path_factory.mktemp("files"), content))
            for name, content in recorded.FILES.items()}


@pytest.mark.parametrize("name", recorded.FILES)
def test_results_recorded_from_tokenizers(ours, name):
    for text, (ids, second, back) in zip(recorded.TEXTS, recorded.RECORDED[name]):
        assert ours[name].encode(text) == ids, text
        both, segments = ours[name].encode_segments(text, recorded.PAIR)
        assert segments == sorted(segments) and sum(segments) == second and len(both) == len(segments)
        assert ours[name].decode(ids) == back


def same(ours, theirs, texts):
    """Whether the ids, the segments and the decoded text are those of the peer."""
    theirs.no_truncation()
    theirs.no_padding()
    for text in texts:
        encoded, both = theirs.encode(text), theirs.encode(text, recorded.PAIR)
        assert ours.encode(text) == encoded.ids, text
        assert ours.encode_segments(text, recorded.PAIR) == (both.ids, both.type_ids), text
        assert ours.encode(text, add_special_tokens=False) == theirs.encode(text, add_special_tokens=False).ids
        for skip in (False, True):
            assert ours.decode(encoded.ids, skip) == theirs.decode(encoded.ids, skip_special_tokens=skip), text


@pytest.mark.parametrize("name", recorded.FILES)
def test_the_peer_reads_the_small_files_alike(ours, name, tmp_path):
    peer = pytest.importorskip("tokenizers")
    path = written(tmp_path, recorded.FILES[name])
    same(ours[name], peer.Tokenizer.from_file(str(path)), lines(80, characters(old=True)))
    ours[name].save(path)
    same(ours[name], peer.Tokenizer.from_file(str(path)), lines(80, characters(old=True)))


@pytest.mark.parametrize("lower", [False, True])
def test_the_peer_reads_words_and_characters_alike(tmp_path, lower):
    peer = pytest.importorskip("tokenizers")
    docs = [line.replace("Σ", "σ") for line in lines(300, characters(old=True))]  # Python ends words with ς
    special, frame = ["<unk>", "<end>", "[CLS]"], ([("[CLS]", 0), ("A", 0)], [("A", 0), ("[CLS]", 0), ("B", 1)])
    words = WordTokenizer(Vocabulary.build((words_and_punctuation(line, lower) for line in docs), specials=special,
                                           min_count=2), lower, special, frame=frame)
    words.save(tmp_path / "words.json")
    theirs = peer.Tokenizer.from_file(str(tmp_path / "words.json"))
    for text in docs:
        assert words.encode(text, "a<end>b") == theirs.encode(text, "a<end>b").ids, text
    letters = CharacterTokenizer.train(docs[::3], unknown="<unk>")
    letters.save(tmp_path / "characters.json")
    same(letters, peer.Tokenizer.from_file(str(tmp_path / "characters.json")), docs)


def test_the_peers_bpe_of_llamas_kind(tmp_path):
    peer = pytest.importorskip("tokenizers")
    theirs = peer.Tokenizer(peer.models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    theirs.normalizer = peer.normalizers.Sequence([peer.normalizers.Prepend("▁"), peer.normalizers.Replace(" ", "▁")])
    theirs.pre_tokenizer = peer.pre_tokenizers.Split("▁", "merged_with_next")  # for training only
    special = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256))]
    theirs.train_from_iterator(docs_of_this_python()[:60], peer.trainers.BpeTrainer(
        vocab_size=2000, special_tokens=special, show_progress=False))
    content = json.loads(theirs.to_str())
    content |= {"pre_tokenizer": None, "added_tokens": content["added_tokens"][:3],
                "decoder": recorded.FILES["llama"]["decoder"]}
    path = written(tmp_path, content)
    ours = load_tokenizer(path)
    assert isinstance(ours, SentencePieceBPE)
    same(ours, peer.Tokenizer.from_file(str(path)), lines(1500, characters()))


def test_the_peers_wordpiece_of_berts_kind(tmp_path):
    peer = pytest.importorskip("tokenizers")
    theirs = peer.BertWordPieceTokenizer()
    theirs.train_from_iterator(docs_of_this_python()[:60], vocab_size=1500, show_progress=False)
    theirs.save(str(tmp_path / "tokenizer.json"))
    theirs.save_model(str(tmp_path))
    theirs = peer.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    theirs.post_processor = peer.processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    theirs.save(str(tmp_path / "tokenizer.json"))
    docs = lines(1500, characters(old=True))
    for ours in (load_tokenizer(tmp_path), load_tokenizer(tmp_path / "vocab.txt")):
        assert isinstance(ours, WordPiece)
        same(ours, theirs, docs)
        docs = docs[::50]
    for length in (2, 3, 4, 7, 8, 20):
        theirs.enable_truncation(length)
        for text in docs:
            assert ours.encode(text, max_length=length) == theirs.encode(text).ids
            if length > 2:
                both = theirs.encode(text, "What is that?")
                assert ours.encode_segments(text, "What is that?", max_length=length) == (both.ids, both.type_ids)


def test_the_peers_frames_and_added_tokens(tmp_path):
    peer = pytest.importorskip("tokenizers")
    content = copy.deepcopy(BYTES)
    content["post_processor"] = {"type": "RobertaProcessing", "sep": ["<e>", 256], "cls": ["!", 0],
                                 "trim_offsets": True, "add_prefix_space": False}
    content["normalizer"] = {"type": "NFC"}
    for id, (text, normalized) in enumerate([("caf\u00e9", True), ("cafe\u0301s", False), ("<x y>", True)], 257):
        content["added_tokens"].append(content["added_tokens"][0] | {"id": id, "content": text, "special": False,
                                                                     "normalized": normalized})
    path = written(tmp_path, content)
    texts = ["a caf\u00e9 cafe\u0301s<x y> cafe\u0301<e>caf\u00e9s", "<x y><x y", "", "<e>"]
    ours = load_tokenizer(path)
    theirs = peer.Tokenizer.from_file(str(path))
    for text in texts:
        assert ours.encode(text) == theirs.encode(text).ids and ours.encode(text, "b") == theirs.encode(text, "b").ids
    ours.save(path)
    assert [load_tokenizer(path).encode(text, "b") for text in texts] == [ours.encode(text, "b") for text in texts]
    assert ours.decode(ours.encode("<x y>", add_special_tokens=False), skip_special_tokens=True) == "<x y>"
    assert ours.decode([257]) == "caf\u00e9"


def test_added_tokens_that_are_normalised(tmp_path):
    peer = pytest.importorskip("tokenizers")
    content = copy.deepcopy(recorded.FILES["bert"])
    id = len(content["model"]["vocab"])
    content["added_tokens"].append(content["added_tokens"][0] | {"id": id, "content": "[NEW]", "normalized": True})
    path = written(tmp_path, content)
    ours, theirs = load_tokenizer(path), peer.Tokenizer.from_file(str(path))
    for text in ("the[NEW]cat [new]\u0301", "[N", "the [NEW][MASK]"):
        assert ours.encode(text) == theirs.encode(text).ids
    assert id in ours.encode("[new]")


@pytest.mark.parametrize(("variable", "kind"), [("TINYEMBED_MINILM", WordPiece), ("TINYEMBED_LLAMA_TOKENIZER",
                                                                                   SentencePieceBPE)])
def test_published_files(variable, kind):
    """TINYEMBED_MINILM: a folder of all-MiniLM-L6-v2. TINYEMBED_LLAMA_TOKENIZER: a tokenizer.json of Llama 2's."""
    if variable not in os.environ:
        pytest.skip(f"{variable} does not say where the file is")
    peer = pytest.importorskip("tokenizers")
    path = os.environ[variable]
    ours = load_tokenizer(path)
    assert isinstance(ours, kind)
    same(ours, peer.Tokenizer.from_file(f"{path}/tokenizer.json" if os.path.isdir(path) else path),
         lines(1500, characters(old=True)))


# -- SentencePiece's BPE ---------------------------------------------------------------------------------------------

@given(texts)
@example("▁▁a ▁")
def test_with_byte_fallback_any_text_comes_back(text):
    content = recorded.FILES["llama"]
    tokens = list(content["model"]["vocab"])
    ours = SentencePieceBPE(tokens, recorded.MERGES, unknown="<unk>", byte_fallback=True)
    text = text.replace("▁", "")  # stands for a space
    assert ours.decode(ours.encode(text)) == text
    characters = f"▁{text.replace(' ', '▁')}" if text else ""
    assert ours.encode(text) == simple_merge([id for c in characters for id in ours._character_ids(c)], ours._merge)


def test_merges_that_reach_over_a_space():
    tokens = ["▁", "a", "b", "a▁", "a▁b", "▁b"]
    over = SentencePieceBPE(tokens, [("▁", "b"), ("a", "▁"), ("a▁", "b"), ("a", "▁b")])
    assert over.pieces("a b") == ["▁", "a▁b"]
    assert SentencePieceBPE(tokens, [("▁", "b")]).pieces("a b") == ["▁", "a", "▁b"]
    with pytest.raises(ValueError, match="'c' has no token, and there is no unknown token"):
        over.encode("abc")


def test_bytes_that_are_no_characters(ours):
    llama = ours["llama"]
    e, good = [llama.index[f"<0x{b:02X}>"] for b in (0xE4, 0xBD)], [llama.index[f"<0x{b:02X}>"] for b in "你".encode()]
    assert llama.decode([*e, llama.index["a"], *good]) == "\ufffd\ufffda你"
    assert llama.decode([*good, e[0]]) == "\ufffd" * 4


def test_a_long_text_of_one_piece(ours):
    long = ours["metaspace first"]  # ignores merges, so that its texts can not be cut
    assert long.decode(long.encode("a" * 300_000, add_special_tokens=False)) == "a" * 300_000


# -- WordPiece -------------------------------------------------------------------------------------------------------

@given(texts)
def test_laws_of_wordpiece(text):
    tokens = list(recorded.FILES["bert"]["model"]["vocab"])
    ours = WordPiece(tokens, tokens[:5])
    ids, segments = ours.encode_segments(text, text)
    half = ours.encode(text)
    assert half[0] == 2 and half[-1] == 3 and ids == half + half[1:]
    assert segments == [0] * len(half) + [1] * (len(half) - 1)
    assert ours.encode(text, add_special_tokens=False) == half[1:-1]
    composed, parted = (unicodedata.normalize(form, text) for form in ("NFC", "NFD"))
    if not any(unicodedata.category(c) in ("Lo", "So") for c in composed):  # ideographs are spaced before NFD
        assert ours.encode(composed) == ours.encode(parted)


def test_words_that_can_not_be_pieced_together():
    ours = WordPiece(["[UNK]", "ab", "##a", "a"], max_input_chars_per_word=5)
    assert ours.pieces("aba abb abaaa abaaaa") == ["ab", "##a", "[UNK]", "ab", *["##a"] * 3, "[UNK]"]
    assert ours.encode("") == [] == ours.encode("\u200b\x00")


def test_vocab_txt(tmp_path):
    (tmp_path / "vocab.txt").write_bytes(b"[PAD]\r\n[UNK]\r\n[CLS]\r\n[SEP]\r\na\r\nA\r\n")
    ours = load_tokenizer(tmp_path)
    assert ours.encode("A") == [2, 4, 3] and load_tokenizer(tmp_path, lowercase=False).encode("A") == [2, 5, 3]
    assert ours.special == {"[PAD]": 0, "[UNK]": 1, "[CLS]": 2, "[SEP]": 3} and ours.encode("[PAD]a") == [2, 0, 4, 3]
    ours.save(tmp_path / "tokenizer.json")
    assert load_tokenizer(tmp_path).encode("á[SEP]", "a") == ours.encode("á[SEP]", "a") == [2, 4, 3, 3, 4, 3]
    for data, message in [(b"[UNK]\na\na\n", "line 3: the word 'a' stands at line 2 already"),
                          (b"a\n", r"unknown token '\[UNK\]'"), (b"\xff", "offset 0: this is not UTF-8")]:
        (tmp_path / "vocab.txt").write_bytes(data)
        with pytest.raises(FormatError, match=message):
            load_tokenizer(tmp_path / "vocab.txt")


# -- characters, words, padding --------------------------------------------------------------------------------------

@given(st.lists(texts, max_size=5))
def test_characters(texts):
    ours = CharacterTokenizer.train(texts)
    assert ours.tokens == sorted(set("".join(texts))) and len(ours) == ours.vocab_size
    for text in texts:
        assert ours.decode(ours.encode(text)) == text and ours.pieces(text) == list(text)


def test_characters_that_were_not_seen():
    ours = CharacterTokenizer.train(["hello"])
    with pytest.raises(ValueError, match=r"'!' at position 2 is not in the vocabulary.* train on a text that has it"):
        ours.encode("he!")
    ours = CharacterTokenizer.train(["hello"], unknown="<unk>")
    assert ours.encode("he!") == [2, 1, 0] and ours.special == {"<unk>": 0}
    assert ours.encode("h<unk>") == [2, 0] and ours.pieces("he!") == ["h", "e", "<unk>"]
    for texts, error in [("hello", TypeError), ([5], TypeError), (["\ud800"], ValueError)]:
        with pytest.raises(error):
            CharacterTokenizer.train(texts)
    with pytest.raises(ValueError, match="'<unk>' or None"):
        CharacterTokenizer.train(["a"], unknown="?")


def test_words(tmp_path):
    ours = WordTokenizer(Vocabulary.build([words_and_punctuation("The cat (the dog).", lower=False)]), lower=False)
    assert ours.decode(ours.encode("The cow (the cat).")) == "The <unk> (the cat)."
    assert ours.special == {"<unk>": 0, "<end>": 1}
    ours.save(tmp_path / "words")
    again = WordTokenizer.load(tmp_path / "words", lower=True)
    assert again.encode("The cat") == ours.encode("the cat") != ours.encode("The cat")


def test_a_vocabulary_is_no_tokeniser(tmp_path):
    """What word and character tokenisers saved before they said how a text is cut is refused by name."""
    for tokens in ([], ["<unk>", "a"]):
        Vocabulary(tokens, [0] * len(tokens)).save(tmp_path / "words")
        for load in (load_tokenizer, WordTokenizer.load, ByteLevelBPE.load):
            with pytest.raises(FormatError, match=r"words, line 1: a vocabulary, .* give Vocabulary.load\(path\)"):
                load(tmp_path / "words")
    assert WordTokenizer(Vocabulary.load(tmp_path / "words")).encode("A b") == [1, 0]


def test_padding():
    ids, mask = pad([[1, 2], [], [3]], -1, length=3)
    assert ids.tolist() == [[1, 2, -1], [-1] * 3, [3, -1, -1]] and ids.dtype == np.int64
    assert mask.tolist() == [[True, True, False], [False] * 3, [True, False, False]]
    assert pad([], 0)[0].shape == (0, 0) and pad([[]], 0)[0].shape == (1, 0)
    with pytest.raises(ValueError, match="2 ids does not fit into length 1"):
        pad([[1, 2]], 0, length=1)


# -- files that are refused ------------------------------------------------------------------------------------------

BYTES = json.loads(json.dumps({
    "added_tokens": [{"id": 256, "content": "<e>", "single_word": False, "lstrip": False, "rstrip": False,
                      "normalized": False, "special": True}],
    "normalizer": None,
    "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False, "use_regex": True},
    "post_processor": None, "decoder": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": False},
    "model": {"type": "BPE", "vocab": ByteLevelBPE.train([], 256).index, "merges": []}}))
OF_WORDS = {"added_tokens": [], "normalizer": {"type": "Lowercase"}, "pre_tokenizer": WORDS, "model": {
    "type": "WordLevel", "vocab": {"a": 0, "b": 1}, "unk_token": "<unk>", "counts": [5, 0]}}
SPLIT = {"type": "Split", "pattern": {"Regex": r"\w+"}, "behavior": "Isolated", "invert": False}
LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}


@pytest.mark.parametrize(("base", "path", "value", "message"), [
    (BYTES, ["model"], None, "no 'model' in it"), (BYTES, ["model", "type"], "Unigram", "model.type: 'Unigram'"),
    (BYTES, ["model", "vocab"], [], "model.vocab: a list, where a dict"),
    (BYTES, ["model", "vocab", "a"], "1", "model.vocab: an object"),
    (BYTES, ["model", "vocab", "a"], 5, "two tokens have id 5"),
    (BYTES, ["model", "vocab", "a"], 999, "256 tokens with ids up to 999|257 tokens with ids up to 999"),
    (BYTES, ["model", "merges"], ["a b c"], r"model.merges\.0: 'a b c', where two tokens stand"),
    (BYTES, ["model", "merges"], [["a", 1]], r"model.merges\.0: .*where two tokens stand"),
    (BYTES, ["model", "merges"], [["a", "b"]], "model: merge 0, 'a' and 'b': 'ab' is not among the 256 tokens"),
    (BYTES, ["model", "dropout"], 0.1, "model.dropout: 0.1, where None or 0"),
    (BYTES, ["model", "end_of_word_suffix"], "@@", "model.end_of_word_suffix: '@@', where None or '' or '</w>'"),
    (BYTES, ["model", "end_of_word_suffix"], "</w>", "256 of the 256 bytes have no token, the first is '!</w>'"),
    (recorded.FILES["llama"], ["model", "end_of_word_suffix"], "</w>", "model.end_of_word_suffix"),
    (BYTES, ["model", "new"], 1, "model: has 'new', where only type, .* are known"),
    (BYTES, ["added_tokens", 0, "lstrip"], True, r"added_tokens\.0\.lstrip: True, where False"),
    (BYTES, ["added_tokens", 0, "single_word"], True, r"added_tokens\.0\.single_word"),
    (BYTES, ["added_tokens", 0, "id"], 258, r"added_tokens\.0\.id: 258 for '<e>', whose id is 256"),
    (BYTES, ["added_tokens", 0, "content"], "a", r"added_tokens\.0\.id: 256 for 'a', whose id is 64"),
    (BYTES, ["added_tokens", 0, "content"], "", r"added_tokens\.0: .* is not empty"),
    (BYTES, ["normalizer"], {"type": "Lowercase"}, "normalizer.type: 'Lowercase', where 'NFC' or"),
    (BYTES, ["pre_tokenizer"], {"type": "Sequence", "pretokenizers": [SPLIT, LEVEL]}, "is not done here: Isolated by"),
    (BYTES, ["pre_tokenizer"], {"type": "Sequence", "pretokenizers": [{"type": "Digits"}, LEVEL]}, "Digits"),
    (BYTES, ["pre_tokenizer"], {"type": "Sequence"}, "pre_tokenizer.type: 'Sequence', where"),
    (BYTES, ["pre_tokenizer"], {"type": "Whitespace"}, "pre_tokenizer.type: 'Whitespace', where 'Metaspace' or 'Spl"),
    (BYTES | {"decoder": None}, ["pre_tokenizer"], None, "a BPE of another kind"),
    (BYTES, ["post_processor"], {"type": "TemplateProcessing", "single": 3}, "post_processor: lacks 'pair'"),
    (BYTES, ["post_processor"], {"type": "Other"}, "post_processor.type: 'Other', where"),
    (recorded.FILES["bert"], ["post_processor", "sep"], ["[SEP]", 9], "'.SEP.' with id 9, which the tokens have as 3"),
    (recorded.FILES["bert"], ["normalizer", "clean_text"], False, "normalizer.clean_text: False, where True"),
    (recorded.FILES["bert"], ["normalizer"], None, "normalizer: None"),
    (recorded.FILES["bert"], ["pre_tokenizer", "type"], "Whitespace", "pre_tokenizer.type: 'Whitespace', where"),
    (recorded.FILES["bert"], ["model", "unk_token"], "?", r"model.unk_token: '\?' is not in model.vocab"),
    (recorded.FILES["llama"], ["normalizer", "normalizers", 0, "prepend"], "_", r"normalizers\.0\.prepend: '_'"),
    (recorded.FILES["llama"], ["normalizer", "normalizers", 0, "type"], "NFKC", r"normalizers\.0.*NFKC|normalizers"),
    (recorded.FILES["llama"], ["pre_tokenizer"], {"type": "Punctuation"}, "pre_tokenizer.type: 'Punctuation', where"),
    (recorded.FILES["llama"], ["model", "byte_fallback"], "yes", "model.byte_fallback: 'yes'"),
    (OF_WORDS, ["pre_tokenizer"], {"type": "Whitespace"}, "pre_tokenizer: lacks 'behavior'"),
    (OF_WORDS, ["pre_tokenizer", "pattern", "Regex"], r"\w+", r"pre_tokenizer.pattern.Regex: '\\\\w\+', where"),
    (OF_WORDS, ["pre_tokenizer"], CHARACTERS, "normalizer: a dict, where None"),
    (OF_WORDS, ["normalizer", "type"], "NFC", "normalizer.type: 'NFC', where 'Lowercase'"),
    (OF_WORDS, ["model", "unk_token"], "[UNK]", r"model.unk_token: '\[UNK\]', where '<unk>'"),
    (OF_WORDS, ["model", "vocab", "b"], 4, "model.vocab: 2 tokens with ids up to 4"),
    (OF_WORDS, ["model", "counts"], 5, "model.counts: 5, where a list"),
    *((OF_WORDS, ["model", "counts"], counts, "model.counts: .* a count for each of 2 tokens")
      for counts in ([1], [1, 2.0], [1, -1], [1, True], [1, 2**63])),
])
def test_what_would_change_ids_is_refused_by_name(tmp_path, base, path, value, message):
    content = copy.deepcopy(base)
    load_tokenizer(written(tmp_path, content))
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(FormatError, match=message):
        load_tokenizer(written(tmp_path, content))


@pytest.mark.parametrize(("path", "value"), [
    (["post_processor"], {"type": "BertProcessing"}), (["post_processor"], {"type": "TemplateProcessing"}),
    (["post_processor"], []), (["added_tokens"], {}), (["added_tokens"], [3]), (["added_tokens"], 3),
    (["pre_tokenizer"], "ByteLevel"), (["normalizer"], [1]), (["model", "merges"], 5), (["model", "type"], [1]),
    (["pre_tokenizer"], {"type": "Sequence", "pretokenizers": [dict(SPLIT, pattern="x"), LEVEL]}),
    (["pre_tokenizer"], {"type": "Sequence", "pretokenizers": []}), (["model", "merges"], {"a b": 1}),
    (["post_processor"], {"type": "TemplateProcessing", "single": [], "pair": [], "special_tokens": 5}),
    (["post_processor"], {"type": "TemplateProcessing", "special_tokens": {"x": {"ids": 1}}}),
    (["post_processor"], {"type": "BertProcessing", "sep": 1, "cls": [[], 2]}), (["added_tokens", 0], {"id": 1}),
])
def test_files_that_are_no_tokenizer_json(tmp_path, path, value):
    content = copy.deepcopy(BYTES)
    place = content
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(FormatError):
        load_tokenizer(written(tmp_path, content))


def test_the_entry(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none of tokenizer.json, vocab.json, vocab.txt is in this folder"):
        load_tokenizer(tmp_path)
    with pytest.raises(FileNotFoundError):
        load_tokenizer(tmp_path / "tokenizer.json")
    path = written(tmp_path, BYTES)
    with pytest.raises(FormatError, match="a ByteLevelBPE, not a WordPiece: read it with load_tokenizer"):
        WordPiece.load(path)
    assert repr(load_tokenizer(path)) == "ByteLevelBPE(257 tokens, 1 of them special)"
    path.write_text("{")
    with pytest.raises(FormatError, match="no JSON"):
        load_tokenizer(path)


def test_an_option_that_there_is_not_is_not_the_files_fault(tmp_path):
    ByteLevelBPE.train(["low"], 258).save(tmp_path)
    with pytest.raises(TypeError, match="'patern'"):
        load_tokenizer(tmp_path, patern="gpt2")
