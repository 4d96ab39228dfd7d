"""Texts to vectors, and the search among them, beside sentence-transformers, model2vec, NumPy alone and scikit-learn.

1. Encoding 256 sentences of Python's documentation with all-MiniLM-L6-v2, from strings to vectors, beside
   sentence-transformers with two threads. TINYEMBED_MINILM names the model's folder; without it, a model of the same
   shape with random weights, which both read.
2. A training step of the same model on 32 pairs: in-batch softmax, AdamW; beside sentence-transformers'
   MultipleNegativesRankingLoss.
3. Static encoding: the same table and tokenizer in model2vec's StaticModel. Tokens a second, from strings.
4. Exact search, the 10 best of 1,000,000 x 128 for 100 queries: beside one NumPy product with argpartition (cosine,
   rows of length 1), and beside scikit-learn's brute force (Euclidean). And the memory that a search takes beyond the
   table.
5. Vectors made small: recall@10 of int8 and binary codes, and of prefixes, among the documentation's paragraphs as
   MiniLM encodes them (only with its folder: random weights would say nothing).

The contenders' results are compared before anything is timed. Medians, the minimum in brackets. In the last table
"reach" is to be kept under (over for tokens a second), "aim" is hoped for.

    python benchmarks/sentences.py            some eight minutes, 2 GB
    python benchmarks/sentences.py --quick    seconds
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import common
import numpy as np
from language_model import resident

import tinyembed as te
from tinyembed.data import python_docs
from tinyembed.models import BERT, BERTConfig, SentenceEncoder, StaticEmbedding
from tinyembed.nn import EmbeddingBag
from tinyembed.text import WordPiece, simple_preprocess

GOALS = {"encode": (1.0, 0.6), "step": (1.0, 0.7), "static": (1.0, 2.0), "NumPy": (1.0, 0.7),
         "scikit-learn": (1.0, 0.5), "memory": (64, 16)}
LR = 2e-5


def sentences(n: int) -> list[str]:
    """Sentences of the documentation, of 4 to 40 words."""
    texts = [" ".join(part.split()) for text in python_docs() for part in text.replace("\n\n", ". ").split(". ")]
    some = [text for text in dict.fromkeys(texts) if 4 <= len(text.split()) <= 40]
    return [some[i] for i in np.random.default_rng(0).permutation(len(some))[:n]]


def mini_lm(folder: Path) -> Path:
    """The folder of MiniLM, or a new one with a model of its shape."""
    if "TINYEMBED_MINILM" in os.environ:
        return Path(os.environ["TINYEMBED_MINILM"])
    words = list(dict.fromkeys(w for text in python_docs() for w in simple_preprocess(text)))[:25_000]
    characters = [chr(c) for c in range(33, 127)]
    tokens = dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *characters, *(f"##{c}" for c in characters),
                            *words])
    config = BERTConfig(len(tokens), 384, 6, 12, 1536)
    encoder = SentenceEncoder(WordPiece(tokens, list(tokens)[:5]), BERT(config, rng=np.random.default_rng(0)),
                              normalize=True, max_length=256)
    encoder.save_pretrained(folder)
    return folder


def encoding(folder: Path, texts: list[str]) -> dict[str, common.Contender]:
    ours = SentenceEncoder(folder)
    contenders: dict[str, common.Contender] = {common.OURS: lambda i: lambda: ours.encode(texts)}
    if theirs := transformer(folder):
        same(ours.encode(texts), theirs.encode(texts), 1e-5)
        contenders["sentence-transformers"] = lambda i: lambda: theirs.encode(texts)
    return contenders


def training(folder: Path, texts: list[str]) -> dict[str, common.Contender]:
    a, b = texts[:32], texts[32:64]
    ours = SentenceEncoder(folder)
    adam = te.optim.AdamW(ours.parameters(), lr=LR)
    contenders: dict[str, common.Contender] = {
        common.OURS: lambda i: lambda: te.train.train_step(ours, [(a, b)], adam)}
    if theirs := transformer(folder):
        import torch
        from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss
        loss, optimiser = MultipleNegativesRankingLoss(theirs), torch.optim.AdamW(theirs.parameters(), lr=LR)

        def value() -> Any:
            return loss([theirs.tokenize(a), theirs.tokenize(b)], None)

        def step() -> Any:
            optimiser.zero_grad()
            value().backward()
            optimiser.step()

        with ours.evaluating():
            theirs.eval()
            same(np.array(ours.loss(a, b).item()), value().detach().numpy(), 1e-4)
        theirs.train()
        ours.train()
        contenders["sentence-transformers"] = lambda i: step
    return contenders


def transformer(folder: Path) -> Any:
    """sentence-transformers' model, or None."""
    if common.optional("sentence_transformers") is None:
        return None
    from sentence_transformers import SentenceTransformer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return SentenceTransformer(str(folder), device="cpu")


def static(folder: Path, texts: list[str]) -> tuple[dict[str, common.Contender], int]:
    """Encoding with a table of 256 numbers a token; and how many tokens there are."""
    tokenizer = SentenceEncoder(folder).tokenizer
    tokenizer.frame = te.text.PLAIN
    table = np.random.default_rng(0).standard_normal((len(tokenizer), 256), np.float32)
    ours = SentenceEncoder(tokenizer, StaticEmbedding(EmbeddingBag.from_pretrained(table)))
    contenders: dict[str, common.Contender] = {common.OURS: lambda i: lambda: ours.encode(texts, batch_size=256)}
    if common.optional("model2vec"):
        from model2vec import StaticModel
        from tokenizers import Tokenizer
        path = folder / "tokenizer.json"
        theirs = StaticModel(table, Tokenizer.from_file(str(path)), normalize=False)
        unknown = tokenizer.index["[UNK]"]  # which it leaves out
        known = [text for text in texts if unknown not in tokenizer.encode(text)]
        same(ours.encode(known), theirs.encode(known, max_length=None), 1e-4)
        contenders["model2vec"] = lambda i: lambda: theirs.encode(texts, max_length=None)
    return contenders, sum(len(tokenizer.encode(text)) for text in texts)


def search(N: int, score: str) -> dict[str, common.Contender]:
    table, queries = vectors(N)

    def ours() -> Any:
        return te.vectors.semantic_search(queries, table, 10, score)

    found = [{hit["corpus_id"] for hit in hits} for hits in ours()]
    contenders: dict[str, common.Contender] = {common.OURS: lambda i: ours}
    if score == "cos_sim":
        def product() -> Any:
            scores = queries @ table.T
            best = np.argpartition(scores, N - 10, axis=1)[:, -10:]
            values = np.take_along_axis(scores, best, 1)
            order = np.argsort(-values, axis=1)
            return np.take_along_axis(best, order, 1), np.take_along_axis(values, order, 1)

        contenders["NumPy"] = lambda i: product
        if found != [set(line) for line in product()[0].tolist()]:
            raise SystemExit("the two searches do not find the same")
    elif common.optional("sklearn"):
        from sklearn.neighbors import NearestNeighbors
        theirs = NearestNeighbors(n_neighbors=10, algorithm="brute").fit(table)
        contenders["scikit-learn"] = lambda i: lambda: theirs.kneighbors(queries)
        if found != [set(line) for line in theirs.kneighbors(queries)[1].tolist()]:
            raise SystemExit("the two searches do not find the same")
    return contenders


def vectors(N: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    table, queries = rng.standard_normal((N, 128), np.float32), rng.standard_normal((100, 128), np.float32)
    for x in (table, queries):
        x /= np.sqrt(np.einsum("nd,nd->n", x, x))[:, None]
    return table, queries


def memory(N: int) -> None:
    """MiB that a search takes beyond what the process had before: its own peak, whoever frees what."""
    table, queries = vectors(N)
    te.vectors.semantic_search(queries, table[:1000])  # the libraries' own buffers are there
    Path("/proc/self/clear_refs").write_text("5")
    before = resident("VmRSS")
    te.vectors.semantic_search(queries, table)
    print(json.dumps(resident("VmHWM") - before))


def made_small(folder: Path, quick: bool) -> None:
    """Recall@10 against the exact search in float32, and bytes a vector."""
    texts = sentences(300 if quick else 20_300)
    X = SentenceEncoder(folder).encode(texts, batch_size=64)
    queries, corpus = X[:300 if not quick else 50], X[300 if not quick else 50:]

    def ids(found: Any) -> list[set[int]]:
        return [{hit["corpus_id"] for hit in hits} for hits in found]

    exact = ids(te.vectors.semantic_search(queries, corpus))
    lines = [["vectors made small", "bytes a vector", "recall@10"]]
    for precision, rescore in (("int8", 1), ("int8", 4), ("binary", 1), ("binary", 4), ("binary", 16)):
        index = te.vectors.SearchIndex(corpus, precision=precision, rescore=rescore)
        found = ids(index.search(queries, 10))
        lines.append([f"{precision}, the {rescore * 10} best scored again", f"{index.nbytes / len(corpus):.0f}",
                      f"{np.mean([len(a & b) / 10 for a, b in zip(found, exact)]):.3f}"])
    for d in (192, 96, 48):
        found = ids(te.vectors.semantic_search(queries[:, :d], corpus[:, :d]))
        lines.append([f"the first {d} of {X.shape[1]} numbers, float32", str(4 * d),
                      f"{np.mean([len(a & b) / 10 for a, b in zip(found, exact)]):.3f}"])
    common.markdown(lines)


def same(ours: Any, theirs: Any, tolerance: float) -> None:
    if not (difference := abs(ours - theirs).max()) <= tolerance:
        raise SystemExit(f"the two have other results: they differ by {difference:.2g}")


def main() -> None:
    if sys.argv[1:2] == ["--memory"]:
        return memory(int(sys.argv[2]))
    o = common.parser(__doc__, 2).parse_args()
    common.describe(o.threads, ("torch", "sentence_transformers", "model2vec", "sklearn"))
    repeats, N = o.repeats or (3 if o.quick else 15), 20_000 if o.quick else 1_000_000
    texts = sentences(64 if o.quick else 4000)
    with tempfile.TemporaryDirectory() as temporary:
        folder = mini_lm(Path(temporary))
        rows = {"encode 256 sentences": common.timed(encoding(folder, texts[:32] if o.quick else texts[:256]), repeats),
                "training step, 32 pairs": common.timed(training(folder, texts[:64]), repeats)}
        contenders, tokens = static(folder, texts)
        rows[f"static encode, {tokens:,} tokens"] = common.timed(contenders, repeats)
        rows[f"search {N:,} x 128, cosine"] = common.timed(search(N, "cos_sim"), repeats)
        rows[f"search {N:,} x 128, Euclidean"] = common.timed(search(N, "euclidean"), repeats)
        common.table("ms, median (min)", rows)
        if "TINYEMBED_MINILM" in os.environ:
            made_small(folder, o.quick)
    out = subprocess.run([sys.executable, __file__, "--memory", str(N)], stdout=subprocess.PIPE, check=True).stdout

    goals = [["against the reaches", "ratio to the peer's", "reach", "aim"]]
    names = ("encode", "step", "static", "NumPy", "scikit-learn")
    for name, (measure, row) in zip(names, rows.items()):
        ours, *theirs = (statistics.median(seconds) for seconds in row.values())
        ratio = ours / theirs[0] if theirs else np.nan
        goals.append([measure, f"{1 / ratio if name == 'static' else ratio:.2f}", *map("{:g}".format, GOALS[name])])
    goals.append(["memory of a search beyond the table, MiB", f"{json.loads(out):.1f} (MiB)",
                  *map("{:g}".format, GOALS["memory"])])
    common.markdown(goals)
    if o.quick:
        print("\nThe goals are for the full sizes.")


if __name__ == "__main__":
    main()
