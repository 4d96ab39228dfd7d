"""Hugging Face's tokenizer.json: validated, and turned into one of the tokenisers here.

The file describes a chain: added tokens are cut out, a normaliser, a pre-tokeniser (cuts words), the model (merges or
pieces), a post-processor ([CLS] … [SEP]), a decoder. Each of them has kinds, and each kind has options. FORMS says of
each kind of tokeniser which of them are done here, with the fields that they must have: the types are those of
Hugging Face's own reader, the values those of which the ids are the same. All else is refused, by the name of its
field. `truncation` and `padding` are checked and passed over: they are for the caller to ask for, `encode(max_length=)`
and `pad`. A file without a decoder gets that of its kind. (The format: https://huggingface.co/docs/tokenizers.)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ..files import FormatError, check_tree, read_json, short
from .patterns import PATTERNS
from .tokenizer import PLAIN, Frame
from .vocabulary import TOKEN, UNKNOWN, UNSPACED, Vocabulary

SPARE = 1 << 30  # bytes of memory for reading a file: the largest published, of 260,000 tokens, are given 600 MB
Part = dict[str, Any]


def sequence(parts: str, *forms: Any) -> Part:
    """A Sequence of parts: of one form any number, of several these."""
    return {"type": "Sequence", parts: [*forms]}


# What cuts a text into words and marks: the expression of Python's `re`, in Unicode's categories.
_WORD = TOKEN.pattern.replace(rf"[^\W{UNSPACED}]", rf"[\w&&[^{UNSPACED}]]")
_WORD = _WORD.replace(r"\d", r"\p{Nd}").replace(r"\w", r"[\p{L}\p{N}_]").replace(r"\S", r"[^\s\x1c-\x1f]")
WORDS = {"type": "Split", "behavior": "Removed", "invert": True, "pattern": {"Regex": _WORD}}
CHARACTERS = {"type": "Split", "behavior": "Isolated", "invert": False, "pattern": {"Regex": r"[\s\S]"}}
LOWERCASE = {"type": "Lowercase"}
SMALL = sequence("normalizers", {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "},
                 LOWERCASE)  # CLIP's normaliser
_MARKS = r"<\|startoftext\|>|<\|endoftext\|>|"  # the first words of CLIP's pattern, by some writers
SPACE = "▁"
BYTE = re.compile("<0x([0-9A-Fa-f]{2})>")
PREPEND = {"type": "Prepend", "prepend": SPACE}
SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
UNMARK = [{"type": "Replace", "pattern": {"String": SPACE}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
STRIP = {"type": "Strip", "content": " ", "start": 1, "stop": 0}

# Their forms, in the notation of `files.check_tree`.
_ID, _SIZE, _SIDE = range(1 << 32), range(1 << 63), ("Left", "Right")
_LEVEL = {"type": "ByteLevel", "add_prefix_space": bool, "trim_offsets": bool, "use_regex?": bool}
_NORMAL = tuple({"type": form} for form in ("NFC", "NFD", "NFKC", "NFKD"))
_SPLIT = {"type": "Split", "pattern": {"Regex": str}, "behavior": ("Isolated", "Removed"), "invert": bool}
_NO_SPLIT = {"type": "Split", "pattern": {"String": " "}, "invert": False,  # Gemma's: the spaces are ▁ by then
             "behavior": ("Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous")}
_MARK = {"type": "Metaspace", "replacement": SPACE, "split?": bool, "str_rep?": SPACE}
_METASPACE = (_MARK | {"prepend_scheme?": ("always", "first"), "add_prefix_space?": True},
              _MARK | {"prepend_scheme": "never", "add_prefix_space?": bool})
_PIECE = ({"Sequence": {"id": ("A", "B"), "type_id": _ID}}, {"SpecialToken": {"id": str, "type_id": _ID}})
_FRAMES = (_LEVEL, {"type": "BertProcessing", "sep": [str, _ID], "cls": [str, _ID]},
           {"type": "RobertaProcessing", "sep": [str, _ID], "cls": [str, _ID], "trim_offsets": bool,
            "add_prefix_space": bool},
           {"type": "TemplateProcessing", "single": [_PIECE], "pair": [_PIECE],
            "special_tokens": {str: {"id": str, "ids": [_ID], "tokens": [str]}}})
_COMMON = {
    "version?": "1.0",
    "truncation?": (None, {"direction?": _SIDE, "max_length": _SIZE, "stride": _SIZE,
                           "strategy": ("LongestFirst", "OnlyFirst", "OnlySecond")}),
    "padding?": (None, {"strategy": ("BatchLongest", {"Fixed": _SIZE}), "direction": _SIDE, "pad_id": _ID,
                        "pad_to_multiple_of?": (None, _SIZE), "pad_type_id": _ID, "pad_token": str}),
    "added_tokens?": [{"id": _ID, "content": str, "single_word": False, "lstrip": False, "rstrip": False,
                       "normalized": bool, "special": bool}],
    "post_processor?": (None, *_FRAMES, sequence("processors", _FRAMES))}
_BPE = {"type?": "BPE", "dropout?": (None, 0, 0.0), "unk_token?": (None, str), "continuing_subword_prefix?": (None, ""),
        "end_of_word_suffix?": (None, ""), "fuse_unk?": bool, "byte_fallback?": bool, "ignore_merges?": bool,
        "vocab": dict, "merges": list}
_WORD_LEVEL = _COMMON | {"model": {"type": "WordLevel", "unk_token": UNKNOWN, "vocab": dict, "counts?": list}}
FORMS: dict[str, Part] = {
    "byte-level BPE": _COMMON | {
        "normalizer?": (None, *_NORMAL, SMALL, sequence("normalizers", _NORMAL)),
        "pre_tokenizer": (_LEVEL, sequence("pretokenizers", (_SPLIT, _LEVEL))),
        "decoder?": (None, _LEVEL),
        "model": _BPE | {"end_of_word_suffix?": (None, "", "</w>")}},
    "SentencePiece's BPE": _COMMON | {
        "normalizer?": (None, SPACES, sequence("normalizers", (PREPEND, SPACES))),
        "pre_tokenizer?": (None, *_METASPACE, _NO_SPLIT),
        "decoder?": (None, *_METASPACE, sequence("decoders", (*UNMARK, STRIP))),
        "model": _BPE},
    "WordPiece": _COMMON | {
        "normalizer": {"type": "BertNormalizer", "clean_text": True, "lowercase": bool, "handle_chinese_chars": bool,
                       "strip_accents?": (None, bool)},
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "decoder?": (None, {"type": "WordPiece", "prefix": str, "cleanup": True}),
        "model": {"type?": "WordPiece", "unk_token": str, "continuing_subword_prefix": str,
                  "max_input_chars_per_word": _SIZE, "vocab": dict}},
    "words": _WORD_LEVEL | {"normalizer?": (None, LOWERCASE), "pre_tokenizer": WORDS, "decoder?": None},
    "characters": _WORD_LEVEL | {
        "normalizer?": None, "pre_tokenizer": CHARACTERS, "decoder?": (None, {"type": "Fuse"})}}


def read_tokenizer_json(path: str | os.PathLike[str]) -> tuple[str, Part]:
    """(kind, arguments of its class) of a tokenizer.json; OSError, or FormatError with the field refused."""
    return _Reader(path).read()


def bpe_model(vocab: dict[str, int], merges: Iterable[tuple[str, str]], ignore_merges: bool,
              unknown: str | None = None, fuse_unk: bool = False, byte_fallback: bool = False, suffix: str = ""
              ) -> Part:
    """The model of a tokenizer.json that merges."""
    return {"type": "BPE", "dropout": None, "unk_token": unknown, "continuing_subword_prefix": None,
            "end_of_word_suffix": suffix or None, "fuse_unk": fuse_unk, "byte_fallback": byte_fallback,
            "ignore_merges": ignore_merges, "vocab": vocab, "merges": [[left, right] for left, right in merges]}


def _kind(data: Any) -> str:
    """Which of FORMS a file should have, whatever it has."""
    def steps(part: Any) -> list[Any]:
        inside = part.get("pretokenizers", [part]) if isinstance(part, dict) else []
        return [step.get("type") for step in inside if isinstance(step, dict)] if isinstance(inside, list) else []

    model, cut = data["model"], data.get("pre_tokenizer")
    kind = model.get("type", "BPE" if "merges" in model else "WordPiece")  # old files leave it out
    if kind == "WordLevel":
        return "characters" if isinstance(cut, dict) and cut.get("behavior") == CHARACTERS["behavior"] else "words"
    return "WordPiece" if kind == "WordPiece" else \
        "byte-level BPE" if "ByteLevel" in steps(cut) else "SentencePiece's BPE"


class _Reader:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.data = path, read_json(path, SPARE)

    def refuse(self, field: str, problem: str) -> NoReturn:
        raise FormatError(self.path, field, problem)

    def steps(self, field: str, inside: str) -> list[Part]:
        """A part of the chain, or those in a Sequence."""
        part = self.data.get(field)
        found: list[Part] = part[inside] if part and part["type"] == "Sequence" else [part] if part else []
        return found

    def read(self) -> tuple[str, Part]:
        model = self.data.get("model") if isinstance(self.data, dict) else None
        if not isinstance(model, dict):
            self.refuse("the file", "no 'model' in it: this is not a tokenizer.json")
        check_tree(self.path, model.get("type", "BPE"), ("BPE", "WordPiece", "WordLevel"), "model.type")
        kind = _kind(self.data)
        check_tree(self.path, self.data, FORMS[kind], "")
        read = {"byte-level BPE": self.byte_level, "SentencePiece's BPE": self.sentence_piece,
                "WordPiece": self.word_piece}.get(kind, self.word_level)
        return kind, read(self.common())

    def common(self) -> Part:
        """tokens, added, special_tokens, late, outside and frame."""
        ids = checked_vocab(self.path, "model.vocab", self.data["model"]["vocab"])
        seen: dict[str, Part] = {}
        next_id = len(ids)
        for i, token in enumerate(self.data.get("added_tokens", [])):
            where, id, content = f"added_tokens.{i}", token["id"], token["content"]
            if not content or seen.setdefault(content, token) != token:
                self.refuse(where, f"{short(token)}: a token that is added is not empty, and stands once")
            if ids.setdefault(content, next_id) != id:
                self.refuse(f"{where}.id", f"{id} for {short(content)}, whose id is {ids[content]}: what is not in "
                            "model.vocab has the ids that follow it, in their order")
            next_id = max(next_id, id + 1)
        special = [content for content, token in seen.items() if token["special"]]
        return {"tokens": numbered(self.path, "model.vocab", ids), "special_tokens": special,
                "added": [content for content in seen if content not in special],
                "late": [content for content, token in seen.items() if token["normalized"]],
                "outside": [content for content in seen if content not in self.data["model"]["vocab"]],
                "frame": self.frame(ids)}

    def frame(self, ids: Mapping[str, int]) -> tuple[Frame, Frame]:
        where, frame = "post_processor", PLAIN
        parts = [part for part in self.steps("post_processor", "processors") if part["type"] != "ByteLevel"]  # offsets
        for part in parts:
            if part["type"] == "TemplateProcessing":
                named = part["special_tokens"]
                names = [pair for each in named.values() for pair in zip(each["tokens"], each["ids"])]
                if any(len(each["tokens"]) != len(each["ids"]) for each in named.values()) or len(parts) > 1:
                    self.refuse(where, "as many ids as tokens, and one template, can be followed")
                frame = self.template(part["single"], named), self.template(part["pair"], named)
            else:
                names, (sep, cls) = [part["sep"], part["cls"]], (part["sep"][0], part["cls"][0])
                both, second = ([(sep, 0)], 1) if part["type"] == "BertProcessing" else ([(sep, 0), (sep, 0)], 0)
                frame = ([(cls, 0), ("A", 0), (sep, 0)],
                         [(cls, 0), ("A", 0), *both, ("B", second), (sep, second)])
            for token, id in names:
                if ids.get(token) != id or token in ("A", "B"):
                    self.refuse(where, f"{token!r} with id {id}, which the tokens have as {ids.get(token)}")
        for half, texts in zip(frame, (["A"], ["A", "B"])):
            if (there := [token for token, _ in half if token in ("A", "B")]) != texts:
                self.refuse(where, f"a template with the texts {there}, where {texts} stand, in this order")
        return frame

    def template(self, parts: list[Part], named: Part) -> Frame:
        frame: Frame = []
        for part in parts:
            (kind, piece), = part.items()
            if kind != "Sequence" and piece["id"] not in named:
                self.refuse("post_processor", f"{short(piece['id'])} in a template, which special_tokens does not have")
            found = [piece["id"]] if kind == "Sequence" else named[piece["id"]]["tokens"]
            frame += [(token, piece["type_id"]) for token in found]
        return frame

    def merges(self) -> list[tuple[str, str]]:
        given, found = self.data["model"]["merges"], []
        old = bool(given) and isinstance(given[0], str)  # old files: "a b", new ones: ["a", "b"]
        for i, merge in enumerate(given):
            pair = merge.split(" ") if old and isinstance(merge, str) else None if old else merge
            if not isinstance(pair, list) or [type(x) for x in pair] != [str, str]:
                self.refuse(f"model.merges.{i}", f"{short(merge)}, where two tokens stand")
            found.append((pair[0], pair[1]))
        return found

    def byte_level(self, common: Part) -> Part:
        model, normalizer = self.data["model"], self.data.get("normalizer")
        forms = ["clip"] if normalizer == SMALL else [part["type"] for part in self.steps("normalizer", "normalizers")]
        if len(forms) > 1:
            self.refuse("normalizer", f"{' and '.join(forms)} are not done one after the other here")
        steps = self.steps("pre_tokenizer", "pretokenizers")
        if [step["type"] for step in steps] not in (["ByteLevel"], ["Split", "ByteLevel"]):
            self.refuse("pre_tokenizer", "ByteLevel alone is done here, or after one Split")
        level = steps[-1]
        name, regex = "gpt2" if level.get("use_regex", True) else None, level.get("use_regex", True)
        if len(steps) == 2:
            shown = steps[0]["pattern"]["Regex"]
            marked = shown == _MARKS + PATTERNS["clip"]
            name = "clip" if marked else next((n for n, pattern in PATTERNS.items() if shown == pattern), None)
            cut = ("Removed", True) if name == "clip" else ("Isolated", False)
            if name is None or (steps[0]["behavior"], steps[0]["invert"]) != cut:
                self.refuse("pre_tokenizer.pretokenizers.0", f"{short(shown)} is not done here: Isolated by the "
                            f"pattern of {', '.join(PATTERNS)}, but CLIP's Removed, inverted")
            # CLIP's leaves white space out, and GPT-2's finds nothing more to cut in its words, but in the marks.
            if level["add_prefix_space"] or regex not in ((True,) if marked else (True, False) if name == "clip" else
                                                          (False,)):
                self.refuse("pre_tokenizer.pretokenizers.1", f"{short(level)} is not done here: after a Split, "
                            "add_prefix_space and use_regex must be false")
        return common | {
            "merges": self.merges(), "ignore_merges": model.get("ignore_merges", False), "pattern": name,
            "normalizer": forms[0] if forms else None, "add_prefix_space": level["add_prefix_space"],
            "suffix": model.get("end_of_word_suffix") or ""}

    def sentence_piece(self, common: Part) -> Part:
        model, normal, cut = self.data["model"], self.steps("normalizer", "normalizers"), self.data.get("pre_tokenizer")
        scheme, split = "never", False
        if cut and cut["type"] == "Metaspace":
            scheme, split = cut.get("prepend_scheme", "always"), cut.get("split", True)
        elif not normal:
            self.refuse("normalizer", "neither it nor the pre_tokenizer makes ▁ of a space: a BPE of another kind")
        if normal not in ([], [SPACES], [PREPEND, SPACES]) or (PREPEND in normal and scheme != "never"):
            self.refuse("normalizer", "Replace ' ' by ▁ is done here; and Prepend ▁ before it, unless Metaspace does")
        if normal == [SPACES] and any({" ", SPACE} & {*token} for token in common["late"]):
            self.refuse("added_tokens", "normalized is not done here for one with a space: it is found at any ▁ too")
        self.known_unknown(model.get("unk_token"))
        return common | {
            "merges": self.merges(), "unknown": model.get("unk_token"), "fuse_unk": model.get("fuse_unk", False),
            "byte_fallback": model.get("byte_fallback", False), "ignore_merges": model.get("ignore_merges", False),
            "prepend": "text" if PREPEND in normal else scheme, "split": split, "strip": self.strip(common["tokens"])}

    def strip(self, tokens: list[str]) -> bool | None:
        """Whether the decoder takes a space off the beginning; None if there is none."""
        steps = self.steps("decoder", "decoders")
        if self.data.get("decoder") is None:
            return None
        if steps and steps[0]["type"] == "Metaspace":
            if any(SPACE in token[1:] or BYTE.fullmatch(token) for token in tokens):
                self.refuse("decoder", "Metaspace is done here for tokens that are no bytes and have ▁ in front alone")
            return bool(steps[0].get("prepend_scheme") != "never")
        if steps not in (UNMARK, [*UNMARK, STRIP]):
            self.refuse("decoder", "Replace, ByteFallback, Fuse is done here, in this order, and Strip behind them")
        return STRIP in steps

    def known_unknown(self, token: str | None) -> None:
        if token is not None and token not in self.data["model"]["vocab"]:
            self.refuse("model.unk_token", f"{short(token)} is not in model.vocab")

    def word_piece(self, common: Part) -> Part:
        model, options = self.data["model"], self.data["normalizer"]
        self.known_unknown(model["unk_token"])
        prefix, decoder = model["continuing_subword_prefix"], self.data.get("decoder")
        if decoder and decoder["prefix"] != prefix:
            self.refuse("decoder.prefix", f"{short(decoder['prefix'])}, where the model has {short(prefix)}")
        return common | {
            "unknown": model["unk_token"], "prefix": prefix, "strip_accents": options.get("strip_accents"),
            "max_input_chars_per_word": model["max_input_chars_per_word"], "lowercase": options["lowercase"],
            "handle_chinese_chars": options["handle_chinese_chars"]}

    def word_level(self, common: Part) -> Part:
        tokens, outside = common.pop("tokens"), common.pop("outside")
        if outside:
            self.refuse("added_tokens", f"{short(outside[0])} is not in model.vocab, as it must be here")
        counts = self.data["model"].get("counts", [0] * len(tokens))  # a field of our own, which others pass over
        if len(counts) != len(tokens) or not all(type(n) is int and 0 <= n < 2**63 for n in counts):
            self.refuse("model.counts", f"{short(counts)}, where a count for each of {len(tokens)} tokens stands")
        lower = {} if self.data["pre_tokenizer"] == CHARACTERS else {"lower": bool(self.data.get("normalizer"))}
        return common | lower | {"vocabulary": Vocabulary(tokens, counts)}


def checked_vocab(path: str | os.PathLike[str], where: str, vocab: Any) -> dict[str, int]:
    """A copy of a dict from token to id, or a FormatError."""
    if not isinstance(vocab, dict) or not all(type(id) is int and id >= 0 for id in vocab.values()):
        raise FormatError(path, where, "an object from token to id should stand there")
    return dict(vocab)


def numbered(path: str | os.PathLike[str], where: str, vocab: Mapping[str, int]) -> list[str]:
    """The tokens of a dict from token to id, each where its id says; "" where no token has an id. FormatError for two
    tokens of one id, which could not be decoded, and where more ids than tokens are left out.

    >>> numbered("vocab.json", "the file", {"b": 1, "a": 0, "c": 3})
    ['a', 'b', '', 'c']
    """
    highest = max(vocab.values(), default=-1)
    if highest >= 2 * len(vocab):
        raise FormatError(path, where, f"{len(vocab)} tokens with ids up to {highest}: most ids have no token")
    tokens = [""] * (highest + 1)
    for token, id in vocab.items():
        if tokens[id]:
            raise FormatError(path, where, f"two tokens have id {id}, {short(tokens[id])} and {short(token)}")
        tokens[id] = token
    return tokens
