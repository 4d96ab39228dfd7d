"""What a large model does first: text -> pieces -> ids -> rows of a table. Then the mathematics begins.

The first layer of a language model is a lookup. With the folder of a published model (tokenizer.json, config.json,
safetensors, such as Qwen2.5's) this prints the real thing, and reads nothing of the weights but the rows it needs:

    python examples/from_text_to_rows.py --model path/to/Qwen2.5-1.5B --text "Hello, 你好!"

Without one, a model's files are made on the spot, small and untrained, from the Python documentation:

    python examples/from_text_to_rows.py
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
from shared import parser

import tinyembed as te
from tinyembed.data import python_docs
from tinyembed.text import ByteLevelBPE, load_tokenizer


def make_model(folder: Path, V: int, D: int) -> None:
    """The files that matter here, as Hugging Face lays them out: a tokeniser, a configuration, a table in bfloat16."""
    tokenizer = ByteLevelBPE.train(["\n".join(python_docs())[:1_000_000], "你好，世界！" * 2000], V, pattern="qwen2")
    tokenizer.save(folder / "tokenizer.json")
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2", "vocab_size": len(tokenizer),
                                                    "hidden_size": D}))
    rows = np.random.default_rng(0).normal(0, 0.02, (len(tokenizer), D)).astype(np.float32)
    name = "model.embed_tokens.weight"
    te.files.write_safetensors(folder / "model.safetensors", {name: rows}, dtypes={name: "BF16"})


def show(folder: Path, text: str) -> None:
    """Print the way of a text through the first layer."""
    tokenizer, table = load_tokenizer(folder), te.load_table(folder)
    ids = np.array(tokenizer.encode(text, add_special_tokens=False))
    rows = table.rows(ids)
    print(f"text    {text!r}: {len(text)} characters, {len(text.encode())} bytes")
    print(f"table   {table}")
    print(f"pieces  {len(ids)} of a vocabulary of {len(tokenizer):,}\n")
    print(f"{'piece':<16}{'stands for':<16}{'id':>8}   row")
    for piece, i, row in zip(tokenizer.pieces(text), ids.tolist(), rows):
        numbers = " ".join(f"{x:+.4f}" for x in row[:4])
        print(f"{piece:<16}{tokenizer.decode([i])!r:<16}{i:>8}   {numbers} … ({len(row)} numbers)")
    stored = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}[table.dtype]
    (V, D), n = table.shape, len(set(ids.tolist()))
    print(f"\nx = table[ids] has shape {rows.shape}. Read: {n * D * stored:,} bytes of {V * D * stored:,}, "
          f"{n / V:.3%} of the table.")
    print(f"and back: {tokenizer.decode(ids)!r}")
    layer = table.to_embedding()
    print(f"the same by a layer: {np.array_equal(layer(ids).data, rows)}")


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__, seed=None)
    cli.add_argument("--model", help="folder of a published model: tokenizer.json, config.json, safetensors")
    cli.add_argument("--text", default="Hello, 你好! Embeddings are rows of a table.", help="the text to follow")
    cli.add_argument("--vocab", type=int, default=2000, help="without --model: tokens to train (default %(default)s)")
    cli.add_argument("--dim", type=int, default=64, help="without --model: width of the table (default %(default)s)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    try:
        if o.model:
            show(Path(o.model), o.text)
        else:
            with tempfile.TemporaryDirectory() as folder:
                make_model(Path(folder), o.vocab, o.dim)
                show(Path(folder), o.text)
    except (OSError, ValueError) as error:
        cli.error(str(error))


if __name__ == "__main__":
    main()
