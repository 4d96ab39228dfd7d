"""CLIP's tokeniser, a byte-level BPE whose words end in </w>: its laws, its files, and transformers' own on both."""

import json
import re
import unicodedata
from pathlib import Path

import pytest
from corpus import docs_of_this_python
from hypothesis import example, given
from hypothesis import strategies as st
from test_bpe import CORPUS, characters, lines, simple_merge, texts

from tinyembed.files import FormatError
from tinyembed.text import ByteLevelBPE, load_tokenizer
from tinyembed.text.bpe import BYTE_CHARACTERS
from tinyembed.text.patterns import PATTERNS, STRETCHES, WHITE_SPACE, compiled

START, END = "<|startoftext|>", "<|endoftext|>"
KIND = {"pattern": "clip", "normalizer": "clip", "suffix": "</w>"}
LANGUAGES = (Path(__file__).parent / "languages.txt").read_text("utf-8").splitlines()
TRAINED = ByteLevelBPE.train(CORPUS + LANGUAGES[::3], 800, **KIND)
FRAME = [(START, 0), ("A", 0), (END, 0)], [(START, 0), ("A", 0), (END, 0), (END, 0), ("B", 0), (END, 0)]
CLIP = ByteLevelBPE([*TRAINED.tokens, START, END], TRAINED.merges, [START, END], frame=FRAME, **KIND)  # as published


def words(text):
    return compiled("clip").findall(unicodedata.normalize("NFC", text).replace("Σ", "σ").lower())


# -- laws ------------------------------------------------------------------------------------------------------------

@given(text=texts)
@example(text="It's 24 IN  the NAI\u0308VE caf\u00e9!!\n")
def test_the_words_come_back_with_a_space_between_them(text):
    ids = CLIP.encode(text, add_special_tokens=False)
    assert CLIP.decode(ids) == " ".join(words(text)).strip()
    assert CLIP.encode(text) == [CLIP.index[START], *ids, CLIP.index[END]]


@given(text=texts)
def test_each_word_is_merged_alone_and_its_last_byte_is_marked(text):
    expected = []
    for word in words(text):
        spelled = [BYTE_CHARACTERS[b] for b in word.encode()]
        spelled[-1] += "</w>"
        expected += simple_merge([CLIP.index[token] for token in spelled], CLIP._merge)
    assert CLIP.encode(text, add_special_tokens=False) == expected


@given(text=texts)
def test_the_words_are_all_of_a_text_but_its_white_space(text):
    found = compiled("clip").findall(text)
    assert "".join(found) == re.sub(f"[{WHITE_SPACE}]", "", text)
    assert [word for part in STRETCHES.findall(text) for word in compiled("clip").findall(part)] == found
    for word in found:  # GPT-2's pattern cuts none of them further: a file may ask for both, one after the other
        assert compiled("gpt2").findall(word) == [word]


@given(text=texts, length=st.integers(2, 9))
def test_what_is_cut_keeps_its_end(text, length):
    whole, cut = CLIP.encode(text), CLIP.encode(text, max_length=length)
    assert cut[:-1] == whole[:len(cut) - 1] and cut[-1] == CLIP.index[END] and len(cut) == min(length, len(whole))


def test_added_tokens_that_are_looked_for_in_what_was_cleaned():
    ours = ByteLevelBPE([*TRAINED.tokens, "New  York"], TRAINED.merges, added=["New  York"], late=["New  York"], **KIND)
    assert ours.encode("NEW \n york") == [ours.index["New  York"]] and len(ours.encode("new_york")) > 1


def test_training_learns_ends_of_words():
    ours = ByteLevelBPE.train(["low slow lower"] * 3, 520, **KIND)
    assert len(set(ours.tokens[:512])) == 512 and ours.merges[:2] == [("l", "o"), ("lo", "w</w>")]
    assert ours.pieces("Low, lower") == ["low</w>", ",</w>", *ours.pieces("lower")] and "low" not in ours.index
    with pytest.raises(ValueError, match=r"511 is too small: the 256 bytes \(twice\) and 0 special tokens need 512"):
        ByteLevelBPE.train(["low"], 511, suffix="</w>")
    with pytest.raises(ValueError, match="256 of the 256 bytes have no token, the first is '!</w>'"):
        ByteLevelBPE(ours.tokens[:256], [], suffix="</w>")
    with pytest.raises(ValueError, match="suffix '@@', where"):
        ByteLevelBPE(ours.tokens, [], suffix="@@")


# -- files -----------------------------------------------------------------------------------------------------------

def test_its_two_files(tmp_path):
    CLIP.save_gpt2(tmp_path)
    again = load_tokenizer(tmp_path)
    for text in ["It's a TEST", *LANGUAGES]:
        assert again.encode(text, "b") == CLIP.encode(text, "b")
    assert again.special == CLIP.special and again.frame == CLIP.frame
    ByteLevelBPE(TRAINED.tokens, [], **KIND).save_gpt2(tmp_path)
    with pytest.raises(FormatError, match=r"words end in </w>, as CLIP's, but it has no <\|startoftext\|>"):
        load_tokenizer(tmp_path)


def as_json(path, **parts):
    """A tokenizer.json as transformers writes it for CLIP, but for these parts."""
    CLIP.save(path)
    content = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps(content | parts), "utf-8")
    return path


def cut(regex=PATTERNS["clip"], use_regex=True, behavior="Removed", invert=True):
    return {"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": regex}, "behavior": behavior, "invert": invert},
        {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": use_regex}]}


MARKS = r"<\|startoftext\|>|<\|endoftext\|>|" + PATTERNS["clip"]


@pytest.mark.parametrize("parts", [cut(), cut(use_regex=False), cut(MARKS)])
def test_ways_to_write_the_same(tmp_path, parts):
    again = load_tokenizer(as_json(tmp_path / "tokenizer.json", pre_tokenizer=parts))
    for text in ["It's a <|ENDOFTEXT|> test<|endoftext|>", *LANGUAGES[::10]]:
        assert again.encode(text) == CLIP.encode(text)


@pytest.mark.parametrize(("parts", "message"), [
    ({"pre_tokenizer": cut(MARKS, use_regex=False)}, "pretokenizers.1: .*must be false"),
    ({"pre_tokenizer": cut(behavior="Isolated", invert=False)}, "Removed, inverted"),
    ({"pre_tokenizer": cut(PATTERNS["gpt2"])}, "pretokenizers.0: .* CLIP's Removed, inverted"),
    ({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFC"}, {"type": "Lowercase"}]}},
     "normalizer"),
])
def test_what_would_change_ids_is_refused(tmp_path, parts, message):
    with pytest.raises(FormatError, match=message):
        load_tokenizer(as_json(tmp_path / "tokenizer.json", **parts))


# -- transformers' ---------------------------------------------------------------------------------------------------

def test_the_peers_ids_in_twenty_languages(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    peer = pytest.importorskip("transformers")
    theirs = peer.CLIPTokenizer(vocab=CLIP.index, merges=CLIP.merges, model_max_length=77)
    theirs.save_pretrained(tmp_path)
    CLIP.save_gpt2(tmp_path / "..")
    docs = [*LANGUAGES, *(line.replace("<|end|>", END) for line in lines(400, characters(old=True))),
            "don't  I'M THE... 12½", "<|StartOfText|>x<|startoftext|>", "", " "]
    for ours in (load_tokenizer(tmp_path), load_tokenizer(tmp_path / ".." / "vocab.json"), CLIP):
        for text, ids in zip(docs, theirs(docs)["input_ids"]):
            assert ours.encode(text) == ids, text
            assert ours.decode(ids) == theirs.decode(ids)
        for length in (77, 9, 3):
            for text, ids in zip(docs, theirs(docs, truncation=True, max_length=length)["input_ids"]):
                assert ours.encode(text, max_length=length) == ids
                assert len(ids) <= length and ids[-1] == ours.index[END]
        docs = docs[::20]


def test_the_peers_training(tmp_path):
    peer = pytest.importorskip("tokenizers")
    theirs = peer.Tokenizer(peer.models.BPE(end_of_word_suffix="</w>"))
    ours = ByteLevelBPE.train(docs_of_this_python()[:20], 1500, **KIND)
    theirs.normalizer = peer.normalizers.Sequence([
        peer.normalizers.NFC(), peer.normalizers.Replace(peer.Regex(r"\s+"), " "), peer.normalizers.Lowercase()])
    theirs.pre_tokenizer = peer.pre_tokenizers.Sequence([
        peer.pre_tokenizers.Split(peer.Regex(PATTERNS["clip"]), "removed", invert=True),
        peer.pre_tokenizers.ByteLevel(add_prefix_space=False)])
    theirs.train_from_iterator(docs_of_this_python()[:20], peer.trainers.BpeTrainer(
        vocab_size=1500, min_frequency=2, special_tokens=ours.tokens[:512], show_progress=False,
        end_of_word_suffix="</w>"))  # with all bytes given as tokens first, they have our ids
    merges = [tuple(pair) for pair in json.loads(theirs.to_str())["model"]["merges"]]
    assert merges == ours.merges
