"""tokenizer.json of strangers: refused with the place, or read with the ids of Hugging Face's `tokenizers`.

Each field of files like the published ones is removed, replaced by values of other types and by near ones, and joined
by an unknown one; each part of the chain is replaced by others of the format. By default some of these forgeries are
tried, with --hypothesis-profile=thorough all 30,000.
"""

import copy
import functools
import itertools
import json
import pathlib
import tempfile
from collections import Counter

import pytest
import recorded_tokenizers as recorded
from forged_checkpoints import places, put
from hypothesis import settings

from tinyembed.files import FormatError
from tinyembed.text import ByteLevelBPE, load_tokenizer
from tinyembed.text.tokenizer_json import LOWERCASE, PREPEND, SMALL, SPACES, UNMARK, sequence

START, END = "<|startoftext|>", "<|endoftext|>"
LEVEL = {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}


def saved(ours, **parts):
    with tempfile.TemporaryDirectory() as folder:
        ours.save(folder)
        return json.loads(pathlib.Path(folder, "tokenizer.json").read_text("utf-8")) | parts


def trained(special, *kind, **parts):
    return saved(ByteLevelBPE.train(recorded.CORPUS, 280, special, *kind), **parts)


def pair(kind, cls, sep, **options):
    return {"type": kind, "sep": sep, "cls": cls} | options


def template(token, id):
    start = [{"SpecialToken": {"id": token, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    return {"type": "TemplateProcessing", "single": start, "pair": [*start, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {token: {"id": token, "ids": [id], "tokens": [token]}}}


def files():
    """Files as they are published, but small."""
    gpt2 = trained([END])
    gpt2["model"]["merges"] = [" ".join(merge) for merge in gpt2["model"]["merges"]]
    roberta = trained(
        ["<s>", "</s>"], pre_tokenizer=LEVEL,
        post_processor=pair("RobertaProcessing", ["<s>", 0], ["</s>", 1], trim_offsets=True, add_prefix_space=False),
        truncation={"direction": "Right", "max_length": 512, "strategy": "LongestFirst", "stride": 0},
        padding={"strategy": {"Fixed": 8}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1,
                 "pad_type_id": 0, "pad_token": "</s>"})
    llama3 = trained(["<|b|>"], "llama3", post_processor=sequence("processors", LEVEL, template("<|b|>", 0)))
    llama3["model"]["ignore_merges"] = True
    words = ByteLevelBPE.train(recorded.CORPUS, 530, [], "clip", "clip", suffix="</w>")
    clip = saved(ByteLevelBPE([*words.tokens, START, END], words.merges, [START, END], "clip", "clip", suffix="</w>",
                              late=[START], outside=[END]))
    clip["post_processor"] = pair("RobertaProcessing", [START, 530], [END, 531], trim_offsets=False,
                                  add_prefix_space=False)
    gemma = recorded.FILES["llama"] | {
        "normalizer": SPACES, "decoder": sequence("decoders", *UNMARK),
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                          "invert": False}}
    old = copy.deepcopy(recorded.FILES["unknown each"])
    old["model"]["vocab"] = {word: id for id, word in enumerate(t for t in old["model"]["vocab"] if "▁" not in t[1:])}
    old["model"]["merges"] = [merge for merge in old["model"]["merges"] if "▁▁" not in merge and "▁ ▁" != merge]
    old["decoder"] = old["pre_tokenizer"] = {"type": "Metaspace", "replacement": "▁", "add_prefix_space": True}
    minilm = recorded.FILES["bert"] | {"post_processor": template("[CLS]", 2)}
    return {"gpt2": gpt2, "roberta": roberta, "llama3": llama3, "qwen2": trained(["<|e|>"], "qwen2", "NFC"),
            "clip": clip, "gemma": gemma, "old": old, "minilm": minilm,
            **{name: recorded.FILES[name] for name in ("llama", "metaspace first", "unknown", "bert accents")}}


FILES = files()
VALUES = [None, True, False, 0, 1, -1, 3, 2**32, 2**70, 0.5, 1.0, float("nan"), float("inf"), "", "x", "a", "9.0", "▁",
          "##", "naïve", [], [1], ["a", "b"], {}, {"type": "x"}, {"x": 1}, {"type": "Sequence"}]
PARTS = {  # of the format, what may stand in each place of the chain
    "normalizer": [*({"type": kind} for kind in ("NFC", "NFKD", "StripAccents", "Nmt")), LOWERCASE, PREPEND, SPACES,
                   SMALL, {"type": "Strip", "strip_left": True, "strip_right": True},
                   *(sequence("normalizers", *steps) for steps in (
                       [], [SPACES], [PREPEND], [PREPEND, SPACES], [SPACES, PREPEND], [{"type": "NFD"}] * 2))],
    "pre_tokenizer": [*({"type": kind} for kind in ("BertPreTokenizer", "Whitespace", "WhitespaceSplit")), LEVEL,
                      *(LEVEL | {"use_regex": False, "add_prefix_space": prefix} for prefix in (True, False)),
                      *({"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}
                        for scheme in ("always", "first", "never") for split in (True, False)),
                      {"type": "Metaspace", "replacement": "▁", "add_prefix_space": False},
                      {"type": "Digits", "individual_digits": True}, {"type": "Punctuation", "behavior": "Isolated"},
                      sequence("pretokenizers", LEVEL), sequence("pretokenizers", LEVEL, LEVEL)],
    "post_processor": [sequence("processors"), LEVEL, sequence("processors", template("a", 0), template("a", 0))],
    "decoder": [LEVEL, {"type": "Fuse"}, {"type": "BPEDecoder", "suffix": "</w>"}, sequence("decoders", *UNMARK),
                sequence("decoders", *UNMARK[::-1]), sequence("decoders"),
                {"type": "WordPiece", "prefix": "##", "cleanup": True},
                {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": True}],
    "added_tokens": [[*common, {"id": id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
                                "normalized": normalized, "special": special}]
                     for common in ([],) for id in (3, 62, 280, 288) for content in ("é", "the", "▁the", "a b", "THE")
                     for normalized, special in ((True, False), (False, False), (True, True))]}
TEXTS = ["", " ", "the cat", "  the\n\nthat's  THE'LL 12 ", "naïve Naïve\u0301 É", "你好!", "a\x1cb\x85c\u3000d\ufffd",
         "<s>the</s> the[MASK]cat [UNK]", "aaaaaaaaaaa▁the ▁▁ the", "😀🏽 x😀", "xxxxx unhappy",
         f"{END}a{START} x<|b|>b", "a▁the▁cat a b  the", "é thé a ba b"]


@functools.cache
def forgeries(name):
    """Every (place, what is done there, the forged file) of one file."""
    content = FILES[name]
    found = [((), "as it is", content)]
    for place, x in places(content):
        if place[:2] == ("model", "vocab") and place[2:] and place[2] not in list(content["model"]["vocab"])[::90]:
            continue
        if place[:2] == ("model", "merges") and place[2:] and place[2] > 1:
            continue
        values = [*VALUES, *PARTS.get(place[0] if len(place) == 1 else None, [])]
        if isinstance(x, bool):
            values.append(not x)
        if isinstance(x, list):
            values += [x + x[:1], x[::-1], [*x, None], x[1:]]
        if isinstance(x, dict):
            values += [x | {"unknown": 1}, *({k: v for k, v in x.items() if k != key} for key in list(x)[:20])]
        found += [(place, value, put(content, place, value)) for value in values if repr(value) != repr(x)]
    return found


def some(name, number):
    found = forgeries(name)
    stride = 1 if settings.default.max_examples > 100 else max(1, len(found) // number)
    return [found[0], *found[stride - 1::stride]]


def outcomes(encode, pairs):
    """(ids, segments) of each text, alone and beside another; what it says of those that it refuses."""
    found = []
    for text, other, framed in itertools.product(TEXTS, [None, "the cat"], [True, False]):
        try:
            found.append(encode(text, other, framed))
        except Exception as error:  # of the peer: what Rust raises has no class of its own
            if pairs and type(error) is not ValueError:
                raise
            found.append(None)
    return found


@pytest.mark.parametrize("name", FILES)
def test_a_forged_file_is_refused_with_the_place_or_has_the_ids_of_the_peer(name, tmp_path):
    try:
        from tokenizers import Tokenizer
    except ImportError:
        Tokenizer = None  # then it must only be refused, or work
    path, outcome = tmp_path / "tokenizer.json", Counter()
    for place, value, content in some(name, 40):
        what, text = (name, place, value), json.dumps(content, ensure_ascii=False)
        path.write_text(text, "utf-8")
        try:
            ours = load_tokenizer(path)
        except FormatError as error:
            assert error.path == str(path) and error.problem and value != "as it is", (what, error)
            assert error.where != "the file" or len(place) < 2, what
            outcome["refused"] += 1
            continue
        outcome["taken"] += 1
        mine = outcomes(ours.encode_segments, True)
        if Tokenizer is not None:
            theirs = Tokenizer.from_str(text)  # an error here: what they refuse was taken
            theirs.no_truncation()
            theirs.no_padding()

            def encode(text, other, framed, theirs=theirs):
                found = theirs.encode(text, other, add_special_tokens=framed)
                return found.ids, found.type_ids
            for got, expected in zip(mine, outcomes(encode, False), strict=True):
                assert got is None or got == expected, what
        ours.save(tmp_path / "again.json")
        assert outcomes(load_tokenizer(tmp_path / "again.json").encode_segments, True) == mine, what
    assert outcome["refused"] > 20 and outcome["taken"]


LLAMA, GPT2, MINILM = FILES["llama"], FILES["gpt2"], FILES["minilm"]


@pytest.mark.parametrize(("content", "place", "value", "where"), [
    (MINILM, ("model", "continuing_subword_prefix"), None, "model.continuing_subword_prefix"),
    (LLAMA, ("post_processor", "single", 0, "SpecialToken", "type_id"), "x",
     "post_processor.single.0.SpecialToken.type_id"),
    (LLAMA, ("post_processor", "special_tokens", "<s>", "ids"), [1, 1], "post_processor"),
    (GPT2, (), GPT2 | {"unknown": 1}, "the file"), (GPT2, ("version",), "9.0", "version"),
    (GPT2, ("model", "dropout"), float("nan"), "model.dropout"),
    (LLAMA, ("normalizer", "normalizers", 0), {"type": "Prepend"}, "normalizer.normalizers.0"),
    (LLAMA, ("truncation",), {"max_length": True}, "truncation"), (GPT2, ("padding",), "x", "padding"),
    (GPT2, ("model", "vocab", "a"), 2**40, "model.vocab"), (GPT2, ("decoder",), {"type": "CTC"}, "decoder.type"),
    (LLAMA, ("pre_tokenizer",), functools.reduce(lambda x, _: sequence("pretokenizers", x), range(300), LEVEL),
     "pre_tokenizer.type")])
def test_what_was_taken_once(tmp_path, content, place, value, where):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(put(content, place, value)), "utf-8")
    with pytest.raises(FormatError) as error:
        load_tokenizer(path)
    assert error.value.where == where


@pytest.mark.parametrize("deep", ["[" * 100_000, '{"type":"Sequence","pretokenizers":[' * 900 + "]}" * 900,
                                  '{"a":' * 900 + "0" + "}" * 900])
@pytest.mark.parametrize("field", ["model", "pre_tokenizer", "padding", "new"])
def test_deep_nesting_is_refused(tmp_path, deep, field):
    """Python 3.13 reads JSON that is nested more deeply than its own functions may be."""
    path = tmp_path / "tokenizer.json"
    parts = {name: json.dumps(x) for name, x in GPT2.items()} | {field: deep}
    path.write_text("{" + ",".join(f'"{name}":{x}' for name, x in parts.items()) + "}", "utf-8")
    with pytest.raises(FormatError):
        load_tokenizer(path)


def test_ids_without_a_token_are_passed_over(tmp_path):
    content = copy.deepcopy(GPT2)
    content["model"]["vocab"]["a"] = 300
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content), "utf-8")
    ours = load_tokenizer(path)
    assert len(ours) == 301 and ours.tokens[290] == "" and ours.encode("a") == [300]
    assert ours.decode([290, 300, 299]) == "a" and "" not in ours.index
    ours.save(path)
    assert load_tokenizer(path).tokens == ours.tokens


def test_a_token_that_is_only_added_is_no_piece(tmp_path):
    """[new] was cut out of the text as written; what the normaliser makes of other texts is no such token."""
    content = copy.deepcopy(MINILM)
    content["added_tokens"].append(content["added_tokens"][0] | {"id": 62, "content": "new"})
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content), "utf-8")
    ours = load_tokenizer(path)
    assert ours.encode("new NEW", add_special_tokens=False) == [62, ours.index["[UNK]"]]
