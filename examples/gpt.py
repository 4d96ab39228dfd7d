"""Train a small GPT on text, and let it write: tokens, blocks, a loss, a sample.

The text is cut into tokens by a byte-level BPE that is trained on it first (--characters: each character is a token).
The GPT learns to predict the next token. Bits per byte say how well, whatever the tokens are: gzip needs about two.

    python examples/gpt.py                                 the Python documentation on this computer, two minutes
    python examples/gpt.py --text my_book.txt              your own text
    python examples/gpt.py --checkpoint run.safetensors    kill it, run it again: it goes on, and ends the same
    python examples/gpt.py --processes 2                   in two processes, each with half of every batch
"""

from __future__ import annotations

import argparse
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from shared import new_file, parser, prompt_of

import tinyembed as te
from tinyembed.data import NextTokenBatches, python_docs, split_documents
from tinyembed.models import GPT, GPTConfig, save_gpt
from tinyembed.text import ByteLevelBPE, CharacterTokenizer
from tinyembed.train import Group, History, fit, launch

END = "<end>"  # between two documents


def bits_per_byte_of_zlib(text: str) -> float:
    data = text.encode()
    return 8 * len(zlib.compress(data, 9)) / len(data)


def streams(tokenizer: Any, parts: tuple[list[str], list[str]], characters: bool) -> list[np.ndarray]:
    """The ids of the training and of the held-out documents, one line each, an end after each document."""
    end = [] if characters else [tokenizer.special[END]]
    return [np.concatenate([np.array(tokenizer.encode(text) + end) for text in part]) for part in parts]


def arguments() -> argparse.ArgumentParser:
    """The flags."""
    cli = parser(__doc__)
    cli.add_argument("--text", help="a text file to train on (UTF-8; blank lines separate documents)")
    cli.add_argument("--characters", action="store_true", help="a token is a character, not a piece of a word")
    cli.add_argument("--vocab", type=int, default=2048, help="size of the BPE's vocabulary (default %(default)s)")
    cli.add_argument("--steps", type=int, default=2000, help="training steps (default %(default)s)")
    cli.add_argument("--layers", type=int, default=4, help="blocks (default %(default)s)")
    cli.add_argument("--heads", type=int, default=4, help="attention heads in each (default %(default)s)")
    cli.add_argument("--dim", type=int, default=128, help="D, the width (default %(default)s)")
    cli.add_argument("--context", type=int, default=64, help="T, tokens that are looked at (default %(default)s)")
    cli.add_argument("--batch", type=int, default=12, help="B, windows in a batch (default %(default)s)")
    cli.add_argument("--accumulate", type=int, default=1, help="batches that make one step (default %(default)s)")
    cli.add_argument("--processes", type=int, default=1, help="they divide each batch (default %(default)s)")
    cli.add_argument("--lr", type=float, default=4e-3, help="highest learning rate of AdamW (default %(default)s)")
    cli.add_argument("--dropout", type=float, default=0.0, help="dropout probability (default %(default)s)")
    cli.add_argument("--sampled", type=int, default=0, help="tokens to sample for the loss; 0: all of the vocabulary")
    cli.add_argument("--prompt", help="beginning of the sample (default: The function returns, or that of --text)")
    cli.add_argument("--tokens", type=int, default=150, help="tokens to write (default %(default)s)")
    cli.add_argument("--temperature", type=float, default=0.8, help="0 is greedy (default %(default)s)")
    cli.add_argument("--top-p", type=float, default=0.95, help="draw from the likeliest so much (default %(default)s)")
    cli.add_argument("--checkpoint", type=new_file,
                     help="file to keep the run in, every 100 steps; if it is there, go on from it")
    cli.add_argument("--best", type=new_file, help="file for the model with the lowest held-out loss so far")
    cli.add_argument("--patience", type=int, help="stop after so many measurements (100 steps) without a better one")
    cli.add_argument("--export", help="folder for the model and its tokeniser, as Hugging Face's GPT-2 has them")
    return cli


def train(group: Group, o: argparse.Namespace, config: GPTConfig, batches: NextTokenBatches,
          held_out: list[Any]) -> tuple[dict[str, np.ndarray], History]:
    """What each process does: the weights of a trained GPT, and what was measured."""
    te.seed(o.seed)
    model = GPT(config)
    adam = te.optim.AdamW(te.optim.decay_groups(model), lr=o.lr, betas=(0.9, 0.98))
    history = fit(model, batches, adam, steps=o.steps, held_out=held_out, every=100, clip_norm=1.0,
                  accumulate=o.accumulate, patience=o.patience, best=o.best,
                  schedule=te.optim.cosine(max(o.steps, 2), warmup=min(50, o.steps // 2), floor=0.05),
                  checkpoint=o.checkpoint, resume=o.checkpoint is not None, about={"options": vars(o)}, group=group)
    return model.state_dict(), history


def main() -> None:
    cli = arguments()
    o = cli.parse_args()
    te.seed(o.seed)
    try:
        documents = python_docs() if o.text is None else Path(o.text).read_text("utf-8").split("\n\n")
        parts = split_documents(documents)
        tokenizer: Any = CharacterTokenizer.train(documents) if o.characters else ByteLevelBPE.train(
            parts[0], o.vocab, [END])
        train_ids, test_ids = streams(tokenizer, parts, o.characters)
        batches = NextTokenBatches(train_ids, o.context, o.batch, rng=np.random.default_rng(o.seed))
        held_out = list(NextTokenBatches(test_ids, o.context, 16))
        prompt = tokenizer.encode(prompt_of(o, documents, "The function returns"))
        config = GPTConfig(len(tokenizer), o.context, o.layers, o.heads, o.dim, o.dropout, std=0.05,
                           token_std=0.1, sampled=o.sampled)
        model = GPT(config)
        model.generate(prompt, 1, o.temperature, top_p=o.top_p)  # what cannot be written is better known now
    except (OSError, ValueError) as error:
        cli.error(str(error))
    per_token = sum(len(text.encode()) for text in parts[1]) / len(test_ids)
    print(f"{len(documents)} documents, {len(train_ids):,} tokens to train on, {len(test_ids):,} held out, V = "
          f"{len(tokenizer)}, {per_token:.2f} bytes a token")
    print(" ".join(tokenizer.pieces(documents[0][:60].strip())))
    print(f"{sum(p.size for p in model.parameters()):,} parameters\n")

    some, rest = held_out[:6], held_out[6:36] or held_out[:6]
    weights, history = launch(train, o.processes, o, config, batches, some)
    model.load_state_dict(weights)
    model.eval()
    targets = np.concatenate([targets.reshape(-1) for _, targets in rest])
    judged = tokenizer.decode(targets, skip_special_tokens=True)  # by both
    per_token = len(judged.encode()) / len(targets)
    print(f"\n{history.steps} steps in {history.seconds:.0f} s; bits per byte of {len(judged):,} characters held out")
    print(f"  zlib             {bits_per_byte_of_zlib(judged):.3f}")
    print(f"  GPT, trained     {model.bits_per_byte(rest, per_token):.3f}\n")
    ids = model.generate(prompt, o.tokens, o.temperature, top_p=o.top_p, seed=o.seed)
    print(tokenizer.decode(ids))
    if o.export:
        save_gpt(o.export, model, tokenizer)
        print(f"\nexported to {o.export}")


if __name__ == "__main__":
    main()
