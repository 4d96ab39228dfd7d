"""The ladder of language models on one text: bigram, neural n-gram, LSTM, GPT; each rung beats the one below.

    bigram        a table: the last token alone decides                          (counts, learned by gradient)
    neural n-gram the rows of the last tokens side by side, an MLP               (Bengio et al. 2003)
    LSTM          all tokens so far, in a state of fixed size                    (Mikolov et al. 2010)
    GPT           all tokens of the context, each looked at when it is needed    (Radford et al. 2019)

All see the same tokens (a byte-level BPE), in the same batches, and all are measured in bits per byte of held-out text.

    python examples/ngram_to_gpt.py                     the Python documentation on this computer, two minutes
    python examples/ngram_to_gpt.py --text my_book.txt  your own text
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from shared import parser, prompt_of

import tinyembed as te
from tinyembed.data import NextTokenBatches, python_docs, split_documents
from tinyembed.models import GPT, Bigram, GPTConfig, LanguageModel, LSTMModel, NeuralNGram
from tinyembed.text import ByteLevelBPE
from tinyembed.train import fit


def ladder(V: int, D: int, T: int, rng: np.random.Generator) -> dict[str, tuple[LanguageModel, float]]:
    """The models, and the learning rate that suits each."""
    return {"bigram": (Bigram(V, rng=rng), 2e-2),
            "neural n-gram": (NeuralNGram(V, D // 2, 3, D, rng=rng), 4e-3),
            "LSTM": (LSTMModel(V, D + D // 3, rng=rng), 5e-3),
            "GPT": (GPT(GPTConfig(V, T, 3, 4, D, std=0.05, token_std=0.1), rng=rng), 4e-3)}


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__)
    cli.add_argument("--text", help="a text file to train on (UTF-8; blank lines separate documents)")
    cli.add_argument("--steps", type=int, default=1500, help="training steps of each (default %(default)s)")
    cli.add_argument("--vocab", type=int, default=1024, help="size of the BPE's vocabulary (default %(default)s)")
    cli.add_argument("--dim", type=int, default=96, help="D, the width (default %(default)s)")
    cli.add_argument("--context", type=int, default=64, help="T, tokens in a window (default %(default)s)")
    cli.add_argument("--batch", type=int, default=16, help="B, windows in a batch (default %(default)s)")
    cli.add_argument("--prompt", help="beginning of the samples (default: Return a list of, or that of --text)")
    return cli


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    try:
        documents = python_docs() if o.text is None else Path(o.text).read_text("utf-8").split("\n\n")
        train, test = split_documents(documents)
        tokenizer = ByteLevelBPE.train(train, o.vocab)
        train_ids, test_ids = (np.array(tokenizer.encode("\n".join(part))) for part in (train, test))
        held_out = list(NextTokenBatches(test_ids, o.context, 32))[:40]
    except (OSError, ValueError) as error:
        cli.error(str(error))
    per_token, prompt = len("\n".join(test).encode()) / len(test_ids), prompt_of(o, documents, "Return a list of")
    print(f"{len(train_ids):,} tokens to train on, V = {len(tokenizer)}, {per_token:.2f} bytes a token\n")
    lines = []
    for name, (model, lr) in ladder(len(tokenizer), o.dim, o.context, np.random.default_rng(o.seed)).items():
        batches = NextTokenBatches(train_ids, o.context, o.batch, rng=np.random.default_rng(o.seed))
        adam = te.optim.AdamW(te.optim.decay_groups(model, 0.01), lr=lr)
        history = fit(model, batches, adam, steps=o.steps, clip_norm=1.0, every=max(o.steps // 4, 1),
                      schedule=te.optim.cosine(max(o.steps, 2), warmup=min(20, o.steps // 2), floor=0.05))
        size = sum(p.size for p in model.parameters())
        lines.append((name, model.bits_per_byte(held_out, per_token), size, history.seconds))
        text = tokenizer.decode(model.generate(tokenizer.encode(prompt), 40, 0.7, seed=o.seed))
        print(f"{name}: {' '.join(text.split())}\n")
    print(f"{'model':<14} {'bits per byte':>13} {'parameters':>11} {'seconds':>8}")
    for name, bits, size, seconds in lines:
        print(f"{name:<14} {bits:>13.3f} {size:>11,} {seconds:>8.0f}")


if __name__ == "__main__":
    main()
