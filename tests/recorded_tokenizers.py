"""What Hugging Face's `tokenizers` says about small tokenizer.json files, so that the tests need it not.

    pip install tokenizers==0.23.3
    python tests/recorded_tokenizers.py        prints RECORDED anew, to be pasted below

FILES are the files, as Python objects; TEXTS are encoded alone, and with PAIR behind
them (of which the number of ids in segment 1 is kept). Its trainer learns byte-level merges of CORPUS, too.
"""

import json
import pathlib
import pprint
import tempfile

CORPUS = ["the cat sat on the mat, the hat is that!", "naïve 你好 the  there\n\n  then 2024", "aaaa aaaaaaa aaa"] * 2
TEXTS = ["", " ", "the cat", "  the\n\nthat's  THE'LL 12345 ", "naïve Naïve\u0301 ÀÉÎ ΣΑΣ", "你好, 世界!",
         "a\x1cb\x85c\u3000d\ufffd", "<s>the</s> the[MASK]cat", "½ and ٣ or Ⅷ",
         "aaaaaaaaaaa", "▁the ▁▁ the", "😀🏽 x😀", "x" * 21 + " unhappy", "can't, do not; that !"]
PAIR = "the mat"
MERGES = [("t", "h"), ("th", "e"), ("▁", "the"), ("▁", "▁"), ("a", "a"), ("aa", "aa"), ("a", "t"), ("c", "at"),
          ("▁", "cat"), ("▁▁", "▁▁"), ("th", "at"), ("▁", "that")]


def _llama(normalizer=None, pre_tokenizer=None, byte_fallback=True, **options):
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{b:02X}>" for b in range(256) if byte_fallback), *"▁abcdehinopstxy,.",
              *(a + b for a, b in MERGES)]
    model = {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": byte_fallback, "ignore_merges": False,
             "vocab": {token: id for id, token in enumerate(tokens)}, "merges": [" ".join(pair) for pair in MERGES]}
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    decoders = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"},
                {"type": "Fuse"}]
    template = [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = [*template, {"SpecialToken": {"id": "<s>", "type_id": 1}}, {"Sequence": {"id": "B", "type_id": 1}}]
    return {"version": "1.0", "truncation": None, "padding": None,
            "added_tokens": _added(["<unk>", "<s>", "</s>"], tokens),
            "normalizer": normalizer, "pre_tokenizer": pre_tokenizer, "model": model | options,
            "post_processor": {"type": "TemplateProcessing", "single": template, "pair": pair,
                               "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
            "decoder": {"type": "Sequence", "decoders": [*decoders, strip]}}


def _bert(**options):
    words = ("the cat that s can t do not , ; ! ' mat hat is you un ##hap ##py ##s na ##i ##ve ##ï naive naïve 你 ##好 "
             "好 界 σ ##α ##σ THE ½").split()
    characters = [*"abcdxyz0123", *(f"##{c}" for c in "abcdxyz0123")]
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *characters]
    normalizer = {"type": "BertNormalizer", "clean_text": True, "handle_chinese_chars": True, "strip_accents": None,
                  "lowercase": True} | options
    cls, sep = ["[CLS]", 2], ["[SEP]", 3]
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": _added(tokens[:5], tokens),
            "normalizer": normalizer, "pre_tokenizer": {"type": "BertPreTokenizer"},
            "post_processor": {"type": "BertProcessing", "sep": sep, "cls": cls},
            "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": True},
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                      "max_input_chars_per_word": 20, "vocab": {token: id for id, token in enumerate(tokens)}}}


def _added(names, tokens):
    return [{"id": tokens.index(name), "content": name, "single_word": False, "lstrip": False, "rstrip": False,
             "normalized": False, "special": True} for name in names]


_SPACES = {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}
_METASPACE = {"type": "Metaspace", "replacement": "▁"}
FILES = {
    "llama": _llama({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "▁"}, _SPACES]}),
    "metaspace always": _llama(None, _METASPACE | {"prepend_scheme": "always", "split": True}),
    "metaspace first": _llama(None, _METASPACE | {"prepend_scheme": "first", "split": False}, ignore_merges=True),
    "unknown": _llama(_SPACES, byte_fallback=False, fuse_unk=True),
    "unknown each": _llama(_SPACES, byte_fallback=False, fuse_unk=False),
    "bert": _bert(),
    "bert cased": _bert(lowercase=False),
    "bert accents": _bert(strip_accents=False, handle_chinese_chars=False),
}


def record():
    """What RECORDED holds, made with `tokenizers`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    result = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in FILES.items():
            path = pathlib.Path(folder, "tokenizer.json")
            path.write_text(json.dumps(content), "utf-8")
            theirs = Tokenizer.from_file(str(path))
            result[name] = [(theirs.encode(text).ids, theirs.encode(text, PAIR).type_ids.count(1),
                             theirs.decode(theirs.encode(text).ids, skip_special_tokens=False)) for text in TEXTS]
    theirs = Tokenizer(models.BPE())
    theirs.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    theirs.train_from_iterator(CORPUS, trainers.BpeTrainer(
        vocab_size=290, min_frequency=2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    result["trained"] = (json.loads(theirs.to_str())["model"]["merges"], [theirs.encode(text).ids for text in TEXTS])
    return result


RECORDED = {'llama': [([1], 5, '<s>'), ([1, 279], 5, '<s>  '), ([1, 278, 284], 5, '<s> the cat'),
    ([1, 279, 278, 13, 13, 286, 42, 270, 279, 87, 75, 72, 42, 79, 79, 259, 52, 53, 54, 55,
      56, 259],
     5, "<s>   the\n\nthat's  THE'LL 12345 "),
    ([1, 259, 267, 260, 198, 178, 121, 264, 259, 81, 260, 198, 178, 121, 264, 207, 132, 259,
      198, 131, 198, 140, 198, 145, 259, 209, 166, 209, 148, 209, 166],
     5, '<s> naïve Naïvé ÀÉÎ ΣΑΣ'),
    ([1, 259, 231, 192, 163, 232, 168, 192, 274, 259, 231, 187, 153, 234, 152, 143, 36], 5,
     '<s> 你好, 世界!'),
    ([1, 259, 260, 31, 261, 197, 136, 262, 230, 131, 131, 263, 242, 194, 192], 5,
     '<s> a\x1cb\x85c\u3000d�'),
    ([1, 1, 278, 2, 259, 278, 94, 80, 68, 86, 78, 96, 283], 5,
     '<s><s> the</s>  the[MASK]cat'),
    ([1, 259, 197, 192, 259, 260, 267, 263, 259, 220, 166, 259, 268, 117, 259, 229, 136,
      170],
     5, '<s> ½ and ٣ or Ⅷ'),
    ([1, 259, 281, 281, 280, 260], 5, '<s> aaaaaaaaaaa'),
    ([1, 259, 278, 279, 259, 278], 5, '<s>  the    the'),
    ([1, 259, 243, 162, 155, 131, 243, 162, 146, 192, 259, 272, 243, 162, 155, 131], 5,
     '<s> 😀🏽 x😀'),
    ([1, 259, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272,
      272, 272, 272, 272, 272, 259, 120, 267, 265, 260, 269, 269, 273],
     5, '<s> xxxxxxxxxxxxxxxxxxxxx unhappy'),
    ([1, 259, 262, 260, 267, 42, 271, 274, 259, 263, 268, 259, 267, 268, 271, 62, 287, 259,
      36],
     5, "<s> can't, do not; that !")],
             'metaspace always': [([1], 5, '<s>'), ([1, 259], 5, '<s> '), ([1, 278, 284], 5, '<s> the cat'),
               ([1, 259, 278, 13, 13, 286, 42, 270, 259, 259, 87, 75, 72, 42, 79, 79, 259,
                 52, 53, 54, 55, 56, 259],
                5, "<s>  the\n\nthat's  THE'LL 12345 "),
               ([1, 259, 267, 260, 198, 178, 121, 264, 259, 81, 260, 198, 178, 121, 264, 207,
                 132, 259, 198, 131, 198, 140, 198, 145, 259, 209, 166, 209, 148, 209, 166],
                5, '<s> naïve Naïvé ÀÉÎ ΣΑΣ'),
               ([1, 259, 231, 192, 163, 232, 168, 192, 274, 259, 231, 187, 153, 234, 152,
                 143, 36],
                5, '<s> 你好, 世界!'),
               ([1, 259, 260, 31, 261, 197, 136, 262, 230, 131, 131, 263, 242, 194, 192], 5,
                '<s> a\x1cb\x85c\u3000d�'),
               ([1, 1, 278, 2, 278, 94, 80, 68, 86, 78, 96, 283], 5,
                '<s><s> the</s> the[MASK]cat'),
               ([1, 259, 197, 192, 259, 260, 267, 263, 259, 220, 166, 259, 268, 117, 259,
                 229, 136, 170],
                5, '<s> ½ and ٣ or Ⅷ'),
               ([1, 259, 281, 281, 280, 260], 5, '<s> aaaaaaaaaaa'),
               ([1, 278, 259, 259, 259, 278], 5, '<s> the    the'),
               ([1, 259, 243, 162, 155, 131, 243, 162, 146, 192, 259, 272, 243, 162, 155,
                 131],
                5, '<s> 😀🏽 x😀'),
               ([1, 259, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272,
                 272, 272, 272, 272, 272, 272, 272, 272, 259, 120, 267, 265, 260, 269, 269,
                 273],
                5, '<s> xxxxxxxxxxxxxxxxxxxxx unhappy'),
               ([1, 259, 262, 260, 267, 42, 271, 274, 259, 263, 268, 259, 267, 268, 271, 62,
                 287, 259, 36],
                5, "<s> can't, do not; that !")],
             'metaspace first': [([1], 5, '<s>'), ([1, 259], 5, '<s> '), ([1, 278, 284], 5, '<s> the cat'),
              ([1, 259, 278, 13, 13, 286, 42, 270, 279, 87, 75, 72, 42, 79, 79, 259, 52, 53,
                54, 55, 56, 259],
               5, "<s>  the\n\nthat's  THE'LL 12345 "),
              ([1, 259, 267, 260, 198, 178, 121, 264, 259, 81, 260, 198, 178, 121, 264, 207,
                132, 259, 198, 131, 198, 140, 198, 145, 259, 209, 166, 209, 148, 209, 166],
               5, '<s> naïve Naïvé ÀÉÎ ΣΑΣ'),
              ([1, 259, 231, 192, 163, 232, 168, 192, 274, 259, 231, 187, 153, 234, 152, 143,
                36],
               5, '<s> 你好, 世界!'),
              ([1, 259, 260, 31, 261, 197, 136, 262, 230, 131, 131, 263, 242, 194, 192], 5,
               '<s> a\x1cb\x85c\u3000d�'),
              ([1, 1, 277, 2, 278, 94, 80, 68, 86, 78, 96, 283], 5,
               '<s><s>the</s> the[MASK]cat'),
              ([1, 259, 197, 192, 259, 260, 267, 263, 259, 220, 166, 259, 268, 117, 259, 229,
                136, 170],
               5, '<s> ½ and ٣ or Ⅷ'),
              ([1, 259, 281, 281, 280, 260], 5, '<s> aaaaaaaaaaa'),
              ([1, 278, 279, 259, 278], 5, '<s> the    the'),
              ([1, 259, 243, 162, 155, 131, 243, 162, 146, 192, 259, 272, 243, 162, 155,
                131],
               5, '<s> 😀🏽 x😀'),
              ([1, 259, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272, 272,
                272, 272, 272, 272, 272, 272, 272, 259, 120, 267, 265, 260, 269, 269, 273],
               5, '<s> xxxxxxxxxxxxxxxxxxxxx unhappy'),
              ([1, 259, 262, 260, 267, 42, 271, 274, 259, 263, 268, 259, 267, 268, 271, 62,
                287, 259, 36],
               5, "<s> can't, do not; that !")],
             'unknown': [([1], 5, '<s>'), ([1, 3], 5, '<s> '), ([1, 21, 28], 5, '<s>the cat'),
      ([1, 3, 22, 0, 30, 0, 14, 23, 0, 3, 0, 3], 5, '<s>  the<unk>that<unk>s  <unk> <unk> '),
      ([1, 11, 4, 0, 8, 3, 0, 4, 0, 8, 0, 3, 0, 3, 0], 5,
       '<s>na<unk>e <unk>a<unk>e<unk> <unk> <unk>'),
      ([1, 0, 18, 3, 0], 5, '<s><unk>, <unk>'),
      ([1, 4, 0, 5, 0, 6, 0, 7, 0], 5, '<s>a<unk>b<unk>c<unk>d<unk>'),
      ([1, 1, 21, 2, 22, 0, 27], 5, '<s><s>the</s> the<unk>cat'),
      ([1, 0, 3, 4, 11, 7, 3, 0, 3, 12, 0, 3, 0], 5, '<s><unk> and <unk> o<unk> <unk>'),
      ([1, 25, 25, 24, 4], 5, '<s>aaaaaaaaaaa'), ([1, 22, 23, 3, 22], 5, '<s> the    the'),
      ([1, 0, 3, 16, 0], 5, '<s><unk> x<unk>'),
      ([1, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
        16, 3, 0, 11, 9, 4, 13, 13, 17],
       5, '<s>xxxxxxxxxxxxxxxxxxxxx <unk>nhappy'),
      ([1, 6, 4, 11, 0, 15, 18, 3, 7, 12, 3, 11, 12, 15, 0, 31, 3, 0], 5,
       '<s>can<unk>t, do not<unk> that <unk>')],
             'unknown each': [([1], 5, '<s>'), ([1, 3], 5, '<s> '), ([1, 21, 28], 5, '<s>the cat'),
           ([1, 3, 22, 0, 0, 30, 0, 14, 23, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 3], 5,
            '<s>  the<unk><unk>that<unk>s  <unk><unk><unk><unk><unk><unk> '
            '<unk><unk><unk><unk><unk> '),
           ([1, 11, 4, 0, 0, 8, 3, 0, 4, 0, 0, 8, 0, 3, 0, 0, 0, 3, 0, 0, 0], 5,
            '<s>na<unk><unk>e <unk>a<unk><unk>e<unk> <unk><unk><unk> <unk><unk><unk>'),
           ([1, 0, 0, 18, 3, 0, 0, 0], 5, '<s><unk><unk>, <unk><unk><unk>'),
           ([1, 4, 0, 5, 0, 6, 0, 7, 0], 5, '<s>a<unk>b<unk>c<unk>d<unk>'),
           ([1, 1, 21, 2, 22, 0, 0, 0, 0, 0, 0, 27], 5,
            '<s><s>the</s> the<unk><unk><unk><unk><unk><unk>cat'),
           ([1, 0, 3, 4, 11, 7, 3, 0, 3, 12, 0, 3, 0], 5, '<s><unk> and <unk> o<unk> <unk>'),
           ([1, 25, 25, 24, 4], 5, '<s>aaaaaaaaaaa'),
           ([1, 22, 23, 3, 22], 5, '<s> the    the'),
           ([1, 0, 0, 3, 16, 0], 5, '<s><unk><unk> x<unk>'),
           ([1, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16, 16,
             16, 16, 3, 0, 11, 9, 4, 13, 13, 17],
            5, '<s>xxxxxxxxxxxxxxxxxxxxx <unk>nhappy'),
           ([1, 6, 4, 11, 0, 15, 18, 3, 7, 12, 3, 11, 12, 15, 0, 31, 3, 0], 5,
            '<s>can<unk>t, do not<unk> that <unk>')],
             'bert': [([2, 3], 3, '[CLS] [SEP]'), ([2, 3], 3, '[CLS] [SEP]'),
                      ([2, 5, 6, 3], 3, '[CLS] the cat [SEP]'),
                      ([2, 5, 7, 16, 8, 5, 16, 1, 1, 3], 3, "[CLS] the that ' s the ' [UNK] [UNK] [SEP]"),
                      ([2, 29, 29, 1, 35, 36, 37, 3], 3, '[CLS] naive naive [UNK] σασ [SEP]'),
                      ([2, 31, 33, 13, 1, 34, 15, 3], 3, '[CLS] 你 好, [UNK] 界! [SEP]'),
                      ([2, 40, 52, 53, 43, 3], 3, '[CLS] abc d [SEP]'),
                      ([2, 1, 8, 1, 5, 1, 1, 8, 1, 5, 4, 6, 3], 3,
    '[CLS] [UNK] s [UNK] the [UNK] [UNK] s [UNK] the [MASK] cat [SEP]'),
                      ([2, 39, 1, 1, 1, 1, 3], 3, '[CLS] ½ [UNK] [UNK] [UNK] [UNK] [SEP]'),
                      ([2, 40, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 3], 3, '[CLS] aaaaaaaaaaa [SEP]'),
                      ([2, 1, 1, 5, 3], 3, '[CLS] [UNK] [UNK] the [SEP]'),
                      ([2, 1, 1, 3], 3, '[CLS] [UNK] [UNK] [SEP]'),
                      ([2, 1, 21, 22, 23, 3], 3, '[CLS] [UNK] unhappy [SEP]'),
                      ([2, 9, 16, 10, 13, 11, 12, 14, 7, 15, 3], 3, "[CLS] can ' t, do not ; that! [SEP]")],
             'bert cased': [([2, 3], 3, '[CLS] [SEP]'), ([2, 3], 3, '[CLS] [SEP]'),
         ([2, 5, 6, 3], 3, '[CLS] the cat [SEP]'),
         ([2, 5, 7, 16, 8, 38, 16, 1, 1, 3], 3,
          "[CLS] the that ' s THE ' [UNK] [UNK] [SEP]"),
         ([2, 30, 1, 1, 1, 3], 3, '[CLS] naïve [UNK] [UNK] [UNK] [SEP]'),
         ([2, 31, 33, 13, 1, 34, 15, 3], 3, '[CLS] 你 好, [UNK] 界! [SEP]'),
         ([2, 40, 52, 53, 43, 3], 3, '[CLS] abc d [SEP]'),
         ([2, 1, 8, 1, 5, 1, 1, 8, 1, 5, 4, 6, 3], 3,
          '[CLS] [UNK] s [UNK] the [UNK] [UNK] s [UNK] the [MASK] cat [SEP]'),
         ([2, 39, 1, 1, 1, 1, 3], 3, '[CLS] ½ [UNK] [UNK] [UNK] [UNK] [SEP]'),
         ([2, 40, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 3], 3, '[CLS] aaaaaaaaaaa [SEP]'),
         ([2, 1, 1, 5, 3], 3, '[CLS] [UNK] [UNK] the [SEP]'),
         ([2, 1, 1, 3], 3, '[CLS] [UNK] [UNK] [SEP]'),
         ([2, 1, 21, 22, 23, 3], 3, '[CLS] [UNK] unhappy [SEP]'),
         ([2, 9, 16, 10, 13, 11, 12, 14, 7, 15, 3], 3,
          "[CLS] can ' t, do not ; that! [SEP]")],
             'bert accents': [([2, 3], 3, '[CLS] [SEP]'), ([2, 3], 3, '[CLS] [SEP]'),
           ([2, 5, 6, 3], 3, '[CLS] the cat [SEP]'),
           ([2, 5, 7, 16, 8, 5, 16, 1, 1, 3], 3,
            "[CLS] the that ' s the ' [UNK] [UNK] [SEP]"),
           ([2, 30, 1, 1, 35, 36, 37, 3], 3, '[CLS] naïve [UNK] [UNK] σασ [SEP]'),
           ([2, 31, 32, 13, 1, 15, 3], 3, '[CLS] 你好, [UNK]! [SEP]'),
           ([2, 40, 52, 53, 43, 3], 3, '[CLS] abc d [SEP]'),
           ([2, 1, 8, 1, 5, 1, 1, 8, 1, 5, 4, 6, 3], 3,
            '[CLS] [UNK] s [UNK] the [UNK] [UNK] s [UNK] the [MASK] cat [SEP]'),
           ([2, 39, 1, 1, 1, 1, 3], 3, '[CLS] ½ [UNK] [UNK] [UNK] [UNK] [SEP]'),
           ([2, 40, 51, 51, 51, 51, 51, 51, 51, 51, 51, 51, 3], 3,
            '[CLS] aaaaaaaaaaa [SEP]'),
           ([2, 1, 1, 5, 3], 3, '[CLS] [UNK] [UNK] the [SEP]'),
           ([2, 1, 1, 3], 3, '[CLS] [UNK] [UNK] [SEP]'),
           ([2, 1, 21, 22, 23, 3], 3, '[CLS] [UNK] unhappy [SEP]'),
           ([2, 9, 16, 10, 13, 11, 12, 14, 7, 15, 3], 3,
            "[CLS] can ' t, do not ; that! [SEP]")],
             'trained': ([['a', 'a'], ['t', 'h'], ['Ġ', 'th'], ['a', 't'], ['Ġth', 'e'], ['aa', 'aa'],
       ['aa', 'a'], ['0', '2'], ['2', '02'], ['a', 'Ã'], ['c', 'at'], ['h', 'at'],
       ['i', 's'], ['m', 'at'], ['n', 'aÃ'], ['o', 'n'], ['r', 'e'], ['s', 'at'], ['v', 'e'],
       ['¥', '½'], ['¯', 've'], ['½', 'ł'], ['ä', '½ł'], ['å', '¥½'], ['Ċ', 'Ċ'],
       ['Ġ', 'aaaa'], ['Ġ', 'aaa'], ['Ġ', '202'], ['Ġ', 'cat'], ['Ġ', 'hat'], ['Ġ', 'is'],
       ['Ġ', 'mat'], ['Ġ', 'on'], ['Ġ', 'sat']],
      [[], [220], [257, 68, 284],
       [220, 260, 198, 198, 257, 259, 6, 82, 220, 220, 51, 39, 36, 6, 43, 43, 220, 16, 17,
        18, 19, 20, 220],
       [270, 276, 220, 45, 265, 276, 136, 223, 220, 127, 222, 127, 231, 127, 236, 220, 138,
        96, 138, 239, 138, 96],
       [278, 279, 11, 220, 160, 116, 244, 163, 243, 234, 0],
       [64, 216, 65, 126, 227, 66, 159, 222, 222, 67, 171, 123, 121],
       [27, 82, 29, 257, 68, 27, 14, 82, 29, 260, 58, 44, 32, 50, 42, 60, 266],
       [126, 121, 220, 64, 77, 67, 220, 149, 96, 220, 78, 81, 220, 158, 227, 100],
       [261, 261, 262], [158, 244, 223, 257, 68, 220, 158, 244, 223, 158, 244, 223, 260],
       [172, 253, 246, 222, 172, 253, 237, 121, 220, 87, 172, 253, 246, 222],
       [87, 87, 87, 87, 87, 87, 87, 87, 87, 87, 87, 87, 87, 87, 87, 87, 87, 87, 87, 87, 87,
        220, 84, 77, 71, 64, 79, 79, 88],
       [66, 64, 77, 6, 83, 11, 220, 67, 78, 220, 77, 78, 83, 26, 258, 259, 220, 0]])}

if __name__ == "__main__":
    print("RECORDED =", pprint.pformat(record(), width=110, compact=True, sort_dicts=False))
