"""Hugging Face's tokenizer.json: which kind of tokeniser it describes, and with which arguments for the class.

The file describes a chain: added tokens are cut out, a normaliser, a pre-tokeniser (cuts words), the model (merges or
pieces), a post-processor ([CLS] … [SEP]), a decoder. Each of them has kinds, and each kind has options. What would
change ids and is not done here is refused, by the name of its field; nothing is passed over in silence but
`truncation` and `padding`, which are for the caller to ask for (`encode(max_length=)`, `pad`), and most of the decoder,
which follows from the kind. (The format: https://huggingface.co/docs/tokenizers, and the files themselves.)
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from ..files import FormatError, read_json, short
from .patterns import PATTERNS
from .tokenizer import PLAIN, Frame
from .vocabulary import TOKEN, UNKNOWN, Vocabulary

SPARE = 1 << 30  # bytes of memory for reading a file: the largest published, of 260,000 tokens, are given 600 MB
ANY: Any = object()
# What cuts a text into words and marks: the expression of Python's `re`, in Unicode's categories.
_WORD = TOKEN.pattern.replace(r"\d", r"\p{Nd}").replace(r"\w", r"[\p{L}\p{N}_]").replace(r"\S", r"[^\s\x1c-\x1f]")
WORDS = {"type": "Split", "behavior": "Removed", "invert": True, "pattern": {"Regex": _WORD}}
CHARACTERS = {"type": "Split", "behavior": "Isolated", "invert": False, "pattern": {"Regex": r"[\s\S]"}}
LOWERCASE = {"type": "Lowercase"}
SMALL = {"type": "Sequence", "normalizers": [  # CLIP's normaliser
    {"type": "NFC"}, {"type": "Replace", "pattern": {"Regex": r"\s+"}, "content": " "}, LOWERCASE]}
_MARKS = r"<\|startoftext\|>|<\|endoftext\|>|"  # the first words of CLIP's pattern, by some writers


def read_tokenizer_json(path: str | os.PathLike[str]) -> tuple[str, dict[str, Any]]:
    """(kind, arguments of its class) of a tokenizer.json; OSError, or FormatError with the field refused."""
    return _Reader(path).read()


def bpe_model(vocab: dict[str, int], merges: Iterable[tuple[str, str]], ignore_merges: bool,
              unknown: str | None = None, fuse_unk: bool = False, byte_fallback: bool = False, suffix: str = ""
              ) -> dict[str, Any]:
    """The model of a tokenizer.json that merges."""
    return {"type": "BPE", "dropout": None, "unk_token": unknown, "continuing_subword_prefix": None,
            "end_of_word_suffix": suffix or None, "fuse_unk": fuse_unk, "byte_fallback": byte_fallback,
            "ignore_merges": ignore_merges, "vocab": vocab, "merges": [[left, right] for left, right in merges]}


class _Reader:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path, self.data = path, read_json(path, SPARE)

    def refuse(self, field: str, problem: str) -> NoReturn:
        raise FormatError(self.path, field, problem)

    def fields(self, where: str, part: Any, **allowed: Any) -> dict[str, Any]:
        """The part, if it is an object whose fields are all known and have one of the values that are done here."""
        if not isinstance(part, dict):
            self.refuse(where, f"{short(part)}, where an object stands")
        for key, value in part.items():
            values = allowed.get(key, ()) if key != "type" else ANY
            if values is not ANY and not any(value == v and type(value) is type(v) for v in values):
                known = f"; what is done here: {', '.join(map(repr, values))}" if values else ""
                self.refuse(f"{where}.{key}", f"{short(value)} is not done here, and would change ids{known}")
        return part

    def kind(self, where: str, part: Any) -> str:
        if not isinstance(part, (dict, type(None))):
            self.refuse(where, f"{short(part)}, where an object stands")
        return str(part.get("type")) if part is not None else ""

    def list_of(self, where: str, part: Any) -> list[Any]:
        if not isinstance(part, list):
            self.refuse(where, f"{short(part)}, where a list stands")
        return part

    def steps(self, where: str, part: Any, inside: str) -> list[tuple[str, str, dict[str, Any]]]:
        """(where, kind, part) of a part, or of those in a Sequence."""
        if self.kind(where, part) != "Sequence":
            return [] if part is None else [(where, self.kind(where, part), part)]
        parts = self.list_of(f"{where}.{inside}", part.get(inside))
        return [step for i, each in enumerate(parts) for step in self.steps(f"{where}.{inside}[{i}]", each, inside)]

    def read(self) -> tuple[str, dict[str, Any]]:
        if not isinstance(self.data, dict) or not isinstance(self.data.get("model"), dict):
            self.refuse("the file", "no 'model' in it: this is not a tokenizer.json")
        model = self.data["model"]
        kind = model.get("type") or ("BPE" if "merges" in model else "WordPiece")  # old files leave it out
        if kind == "WordPiece":
            return "WordPiece", self.common() | self.word_piece()
        if kind == "WordLevel":
            return self.word_level()
        if kind != "BPE":
            self.refuse("model.type", f"{short(kind)}, where BPE, WordPiece and WordLevel are read")
        if any(k == "ByteLevel" for _, k, _ in self.steps("pre_tokenizer", self.data.get("pre_tokenizer"),
                                                           "pretokenizers")):
            return "byte-level BPE", self.common() | self.byte_level()
        return "SentencePiece's BPE", self.common() | self.sentence_piece()

    def common(self) -> dict[str, Any]:
        """tokens, added, special_tokens, late and frame, which all classes take."""
        ids = checked_vocab(self.path, "model.vocab", self.data["model"].get("vocab"))
        added = self.list_of("added_tokens", self.data.get("added_tokens", []))
        for i, token in enumerate(added):
            where = f"added_tokens[{i}]"
            self.fields(where, token, id=ANY, content=ANY, single_word=(False,), lstrip=(False,), rstrip=(False,),
                        normalized=(False, True), special=(False, True))
            content, id = token.get("content"), token.get("id")
            if type(id) is not int or not isinstance(content, str) or not content:
                self.refuse(where, "an added token has an id and a content")
            if ids.setdefault(content, id) != id:
                self.refuse(where, f"id {id} for {content!r}, which has id {ids[content]} in model.vocab")
        special = [token["content"] for token in added if token.get("special", False)]
        return {"tokens": numbered(self.path, "model.vocab", ids), "special_tokens": special,
                "added": [token["content"] for token in added if token["content"] not in special],
                "late": [token["content"] for token in added if token.get("normalized", True)],
                "frame": self.frame(ids)}

    def frame(self, ids: Mapping[str, int]) -> tuple[Frame, Frame]:
        frame = PLAIN
        for where, kind, part in self.steps("post_processor", self.data.get("post_processor"), "processors"):
            if kind == "ByteLevel":
                continue  # offsets only
            try:
                if kind in ("BertProcessing", "RobertaProcessing"):
                    names = dict([part["sep"], part["cls"]])
                    sep, cls = part["sep"][0], part["cls"][0]
                    both, second = ([(sep, 0)], 1) if kind == "BertProcessing" else ([(sep, 0), (sep, 0)], 0)
                    frame = ([(cls, 0), ("A", 0), (sep, 0)],
                             [(cls, 0), ("A", 0), *both, ("B", second), (sep, second)])
                elif kind == "TemplateProcessing":
                    named = part.get("special_tokens", {})
                    names = {t: id for each in named.values() for t, id in zip(each["tokens"], each["ids"])}
                    frame = self.template(part["single"], named), self.template(part["pair"], named)
                else:
                    self.refuse(where, f"{kind} is not known")
            except (TypeError, KeyError, AttributeError, ValueError) as error:
                raise error if isinstance(error, FormatError) else \
                    FormatError(self.path, where, f"{short(part)} is no {kind}") from None
            for token, id in names.items():
                if ids.get(token) != id or token in ("A", "B"):
                    self.refuse(where, f"{token!r} with id {short(id)}, which the tokens have as {ids.get(token)}")
            for half, texts in zip(frame, (["A"], ["A", "B"])):
                if (there := [token for token, _ in half if token in ("A", "B")]) != texts:
                    self.refuse(where, f"a template with the texts {there}, where {texts} stand, in this order")
        return frame

    @staticmethod
    def template(parts: Any, named: Any) -> Frame:
        frame: Frame = []
        for part in parts:
            (kind, piece), = part.items()
            found = [piece["id"]] if kind == "Sequence" else named[piece["id"]]["tokens"]
            frame += [(token, piece["type_id"]) for token in found]
        return frame

    def bpe(self, *suffixes: str) -> dict[str, Any]:
        model = self.fields("model", self.data["model"], vocab=ANY, merges=ANY, dropout=(None, 0.0), unk_token=ANY,
                            continuing_subword_prefix=(None, ""), end_of_word_suffix=(None, "", *suffixes),
                            fuse_unk=(False, True), byte_fallback=(False, True), ignore_merges=(False, True))
        merges = []
        for i, merge in enumerate(self.list_of("model.merges", model.get("merges", []))):
            pair = merge.split(" ") if isinstance(merge, str) else merge  # old files: "a b", new ones: ["a", "b"]
            if not isinstance(pair, list) or [type(x) for x in pair] != [str, str]:
                self.refuse(f"model.merges[{i}]", f"{short(merge)}, where two tokens stand")
            merges.append((pair[0], pair[1]))
        return model | {"merges": merges}

    def byte_level(self) -> dict[str, Any]:
        model = self.bpe("</w>")
        forms: list[str] = ["clip"] if self.data.get("normalizer") == SMALL else []
        for where, kind, _ in [] if forms else self.steps("normalizer", self.data.get("normalizer"), "normalizers"):
            if kind not in ("NFC", "NFD", "NFKC", "NFKD") or forms:
                self.refuse(where, f"{kind} is not done here: one of NFC, NFD, NFKC, NFKD; or CLIP's three, which are "
                            "NFC, a space for white space, Lowercase")
            forms.append(kind)
        steps = self.steps("pre_tokenizer", self.data.get("pre_tokenizer"), "pretokenizers")
        name, alone = None, len(steps) == 1
        again: tuple[bool, ...] = (False, True)  # whether ByteLevel may cut by its own pattern, GPT-2's
        if not alone:
            where, kind, split = steps[0]
            self.fields(where, split, pattern=ANY, behavior=ANY, invert=(False, True))
            shown = split.get("pattern", kind)
            marked = split.get("pattern") == {"Regex": _MARKS + PATTERNS["clip"]}
            name = "clip" if marked else next((n for n, p in PATTERNS.items() if split.get("pattern") == {"Regex": p}),
                                              None)
            # CLIP's leaves white space out, and GPT-2's finds nothing more to cut in its words, but in the marks.
            again = ((True,) if marked else (False, True)) if name == "clip" else (False,)
            if kind != "Split" or name is None or len(steps) > 2 or (split.get("behavior"), split.get("invert")) \
                    not in [("Removed", True), *[("Isolated", False)] * (name != "clip")]:
                self.refuse("pre_tokenizer", f"{short(shown)} is not done here: ByteLevel alone, or after a Split, "
                            f"Isolated (CLIP's: Removed, inverted), by the pattern of {', '.join(PATTERNS)}")
        where, kind, last = steps[-1]
        self.fields(where, last, add_prefix_space=(False, True) if alone else (False,), trim_offsets=ANY,
                    use_regex=again)
        if kind != "ByteLevel" or last.get("use_regex", True) not in again:
            self.refuse(where, "ByteLevel must be the last, and after a Split have use_regex false")
        return {"merges": model["merges"], "ignore_merges": model.get("ignore_merges", False),
                "normalizer": forms[0] if forms else None, "add_prefix_space": last.get("add_prefix_space", True),
                "pattern": ("gpt2" if last.get("use_regex", True) else None) if alone else name,
                "suffix": model.get("end_of_word_suffix") or ""}

    def sentence_piece(self) -> dict[str, Any]:
        model = self.bpe()
        prepend, space = "", False  # of the normaliser
        for where, kind, part in self.steps("normalizer", self.data.get("normalizer"), "normalizers"):
            if kind == "Prepend" and not space and not prepend:
                prepend = self.fields(where, part, prepend=("▁",))["prepend"]
            elif kind == "Replace" and not space:
                self.fields(where, part, pattern=({"String": " "},), content=("▁",))
                space = True
            else:
                self.refuse(where, f"{kind} is not done here: Prepend ▁, then Replace ' ' by ▁")
        scheme, split = "never", False
        for where, kind, part in self.steps("pre_tokenizer", self.data.get("pre_tokenizer"), "pretokenizers"):
            if kind != "Metaspace" or scheme != "never":
                self.refuse(where, f"{kind} is not done here: one Metaspace, or nothing")
            self.fields(where, part, replacement=("▁",), prepend_scheme=("always", "first", "never"),
                        add_prefix_space=ANY, split=(False, True), str_rep=ANY)
            old = "always" if part.get("add_prefix_space", True) else "never"
            scheme, split, space = part.get("prepend_scheme", old), part.get("split", True), True
        if not space:
            self.refuse("normalizer", "neither it nor the pre_tokenizer makes ▁ of a space: a BPE of another kind")
        steps = self.steps("decoder", self.data.get("decoder"), "decoders")
        strip = any(kind == "Strip" or (kind == "Metaspace" and scheme != "never") for _, kind, _ in steps)
        return {"merges": model["merges"], "unknown": model.get("unk_token"), "fuse_unk": model.get("fuse_unk", False),
                "byte_fallback": model.get("byte_fallback", False), "ignore_merges": model.get("ignore_merges", False),
                "prepend": "text" if prepend else scheme, "split": split, "strip": strip if steps else None}

    def word_piece(self) -> dict[str, Any]:
        model = self.fields("model", self.data["model"], vocab=ANY, unk_token=ANY, continuing_subword_prefix=ANY,
                            max_input_chars_per_word=ANY)
        options = self.fields("normalizer", self.data.get("normalizer"), clean_text=(True,), lowercase=(False, True),
                              handle_chinese_chars=(False, True), strip_accents=(None, False, True))
        if self.kind("normalizer", options) != "BertNormalizer":
            self.refuse("normalizer", f"{self.kind('normalizer', options)} is not done here: BertNormalizer")
        if (kind := self.kind("pre_tokenizer", self.data.get("pre_tokenizer"))) != "BertPreTokenizer":
            self.refuse("pre_tokenizer", f"{kind or None} is not done here: BertPreTokenizer")
        return {"unknown": model.get("unk_token", "[UNK]"), "prefix": model.get("continuing_subword_prefix", "##"),
                "max_input_chars_per_word": model.get("max_input_chars_per_word", 100),
                "lowercase": options.get("lowercase", True), "strip_accents": options.get("strip_accents"),
                "handle_chinese_chars": options.get("handle_chinese_chars", True)}

    def word_level(self) -> tuple[str, dict[str, Any]]:
        cut, normalizer = self.data.get("pre_tokenizer"), self.data.get("normalizer")
        if cut not in (WORDS, CHARACTERS):
            self.refuse("pre_tokenizer", f"{short(cut)} is not done here before a WordLevel: the Splits that "
                        "WordTokenizer and CharacterTokenizer write")
        if normalizer is not None and (cut, normalizer) != (WORDS, LOWERCASE):
            self.refuse("normalizer", f"{short(normalizer)} is not done here: Lowercase before words, or nothing")
        model = self.fields("model", self.data["model"], vocab=ANY, unk_token=(UNKNOWN,), counts=ANY)
        arguments = self.common()
        tokens = arguments.pop("tokens")
        counts = model.get("counts", [0] * len(tokens))  # a field of our own, which others pass over
        if not isinstance(counts, list) or len(counts) != len(tokens) \
                or not all(type(n) is int and 0 <= n < 2**63 for n in counts):
            self.refuse("model.counts", f"{short(counts)}, where a count for each of {len(tokens)} tokens stands")
        arguments["vocabulary"] = Vocabulary(tokens, counts)
        if cut == CHARACTERS:
            return "characters", arguments
        return "words", arguments | {"lower": normalizer is not None}


def checked_vocab(path: str | os.PathLike[str], where: str, vocab: Any) -> dict[str, int]:
    """A copy of a dict from token to id, or a FormatError."""
    if not isinstance(vocab, dict) or not all(type(id) is int for id in vocab.values()):
        raise FormatError(path, where, "an object from token to id should stand there")
    return dict(vocab)


def numbered(path: str | os.PathLike[str], where: str, vocab: Mapping[str, int]) -> list[str]:
    """The tokens of a dict from token to id, in the order of their ids; FormatError unless these are 0, 1, 2, …

    >>> numbered("vocab.json", "the file", {"b": 1, "a": 0})
    ['a', 'b']
    """
    tokens = sorted(vocab, key=vocab.__getitem__)
    for expected, token in enumerate(tokens):
        if (id := vocab[token]) != expected:
            problem = f"two tokens have id {id}, {tokens[expected - 1]!r} and {token!r}" if 0 <= id < expected \
                else f"no token has id {expected}, while {token!r} has {id}"
            raise FormatError(path, where, f"{problem}: {len(tokens)} tokens have the ids 0 … {len(tokens) - 1}, each "
                              "once")
    return tokens
