"""The files of tokenisers and of keyed vectors, to be tried as mutants.py does it."""

import json

import mutants_checkpoint
import numpy as np
from mutants import FORMATS, Format

from tinyembed.text import ByteLevelBPE, load_tokenizer
from tinyembed.vectors import KeyedVectors

WORDS = ["[UNK]", "[CLS]", "[SEP]", "low", "##er", "naïve", "##st", "new", "est", "🙂"]


def make_gpt2(path):
    """vocab.json and merges.txt, as GPT-2 has them."""
    tokenizer = ByteLevelBPE.train(["low lower lowest newest widest"] * 3, 275)
    path.with_name("vocab.json").write_text(json.dumps(tokenizer.index, ensure_ascii=False))
    path.with_name("merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in tokenizer.merges))


def check_index(tokenizer, data):
    assert tokenizer.index == json.loads(data)


def check_merges(tokenizer, data):
    lines = data.decode().replace("\r\n", "\n").removesuffix("\n").split("\n")
    assert [" ".join(pair) for pair in tokenizer.merges] == lines[lines[0].startswith("#version"):]


def check_tokens(tokenizer, data):
    assert tokenizer.tokens == data.decode().replace("\r\n", "\n").removesuffix("\n").split("\n")


def make_keyed(path):
    wv = KeyedVectors(keys=["the", 33, "naïve", -5], vectors=np.eye(4, 3, dtype=np.float32))
    wv.expandos["count"] = np.array([9, 3, 2, 1])
    wv.save(path)


def check_keyed(wv, data):
    """All of it is in the file as it stands."""
    assert wv.vectors.tobytes() in data and all(values.tobytes() in data for values in wv.expandos.values())
    assert "".join(map(str, wv.index_to_key)).encode() in data and len(wv.vectors) == len(wv.index_to_key)


FORMATS.update({
    "vocab.json": Format("vocab.json", make_gpt2, load_tokenizer, check_index),
    "merges.txt": Format("merges.txt", make_gpt2, lambda path: load_tokenizer(path.with_name("vocab.json")),
                         check_merges),
    "vocab.txt": Format("vocab.txt", lambda path: path.write_text("\n".join(WORDS) + "\n"), load_tokenizer,
                        check_tokens),
    "keyed vectors": Format(".kv", make_keyed, KeyedVectors.load, check_keyed, mutants_checkpoint.mend)})
