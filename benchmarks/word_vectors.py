"""Word2Vec and FastText beside gensim's: words a second, what the vectors are worth, and memory, in one run.

The text is the Python documentation of this computer (`data.python_docs`), a sentence for each paragraph. Both get the
same lists of words and the same settings: vector_size 100, window 5, negative 5, 5 epochs, min_count 5; gensim trains
with 2 workers. Each training is a process of its own; contenders take turns.

    words/s   words of the text, times epochs, over the seconds from the call to the finished vectors (vocabulary too)
    memory    the largest resident size of the process while it trains; and how much that is more than before the call
    planted   accuracy on the 612 analogies of `data.planted_corpus`, 50 dimensions, and nmi of its classes by k-means
    docs      a real text has no key to it; but whoever learns from company alone should find a noun's plural near it.
              Share of words (seen 20 times or more) of which word + "s" is among the 10 nearest

Quality is the mean over the seeds, ± their standard deviation; the last table sets both against the goals. "reach" is
to be kept, "aim" is hoped for.

    python benchmarks/word_vectors.py            some ten minutes
    python benchmarks/word_vectors.py --quick    seconds
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import common
import numpy as np

import tinyembed as te
from tinyembed.data import planted_corpus, python_docs
from tinyembed.text import simple_preprocess
from tinyembed.vectors import KeyedVectors

gensim = common.optional("gensim.models")
MODELS = {"skip-gram": ("Word2Vec", {"sg": 1}), "CBOW": ("Word2Vec", {"sg": 0}), "FastText": ("FastText", {"sg": 1})}
SPEED = {"skip-gram": (1.0, 2.0), "CBOW": (0.4, 0.8), "FastText": (0.8, 1.5)}  # reach and aim of the ratio
WORKERS = 2
DOCS: list[list[str]] = []  # the documentation, a sentence for each paragraph


def child(contender: str, model: str, text: str, seed: int, epochs: int, path: str) -> None:
    """Train once on a file of sentences; print seconds and memory, and leave the vectors in a file."""
    name, options = MODELS[model]
    settings = {"min_count": 5, "vector_size": 100} if text == "docs" else {"min_count": 1, "vector_size": 50}
    with open(path, encoding="utf-8") as lines:
        sentences = [line.split() for line in lines]
    make = getattr(te.models if contender == common.OURS else gensim, name)
    warnings.simplefilter("ignore")
    small = [["a", "b"]] * 10  # what a first call loads and sets up is not training
    make(small, vector_size=2, min_count=1)
    Path("/proc/self/clear_refs").write_text("5")  # the largest size so far is forgotten
    before = memory("VmRSS")
    start = time.perf_counter()
    trained = make(sentences, window=5, negative=5, epochs=epochs, seed=seed, workers=WORKERS, **settings, **options)
    seconds = time.perf_counter() - start
    peak = memory("VmHWM")
    KeyedVectors(keys=trained.wv.index_to_key, vectors=np.array(trained.wv.vectors)).save(path)
    print(json.dumps({"words/s": epochs * sum(map(len, sentences)) / seconds, "memory": peak,
                      "growth": peak - before}))


def memory(name: str) -> float:
    """MiB, from the system's account of this process."""
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name + ":"))


def run(contender: str, model: str, text: str, seed: int, epochs: int) -> tuple[dict[str, float], dict[str, float]]:
    """What a training took, and what its vectors are worth."""
    corpus = planted_corpus(seed, repeats=100)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "text and then vectors")
        path.write_text("".join(" ".join(words) + "\n" for words in (DOCS if text == "docs" else corpus.sentences)))
        command = [sys.executable, __file__, "--child", contender, model, text, str(seed), str(epochs), str(path)]
        took = json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)
        wv = KeyedVectors.load(path)
    if text == "docs":
        return took, {"docs": plurals(wv)}
    classes = te.vectors.evaluate_clusters(wv[list(corpus.classes)], corpus.classes.values()).vectors
    return took, {"analogies": wv.evaluate_word_analogies(corpus.analogies)[0], "classes": classes["nmi"]}


def plurals(wv: KeyedVectors) -> float:
    """The share of frequent words near which their plural is found."""
    vocabulary = te.text.Vocabulary.build(DOCS, min_count=20, specials=())
    return float(np.mean([f"{word}s" in dict(wv.most_similar(word, topn=10)) for word in vocabulary.tokens
                          if f"{word}s" in vocabulary]))


def search(V: int, D: int, repeats: int) -> dict[str, list[float]]:
    """Seconds of most_similar over V vectors, the same questions to both; the lengths of the rows are known before."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((V, D), np.float32)
    keys = [f"w{i}" for i in range(V)]
    ours = KeyedVectors(keys=keys, vectors=vectors)
    contenders: dict[str, Any] = {common.OURS: ours}
    if gensim:
        theirs = gensim.KeyedVectors(D)
        theirs.key_to_index, theirs.index_to_key, theirs.vectors = ours.key_to_index, keys, vectors
        contenders["gensim"] = theirs
    asked = [f"w{i}" for i in rng.integers(V, size=repeats + 1)]
    answers = {name: wv.most_similar(asked[0]) for name, wv in contenders.items()}
    if gensim and [w for w, _ in answers["gensim"]] != [w for w, _ in answers[common.OURS]]:
        raise SystemExit("gensim and we do not find the same neighbours")
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for i, name in common.turns(list(contenders), repeats):
        if i >= 0:
            start = time.perf_counter()
            contenders[name].most_similar(asked[i + 1])
            seconds[name].append(time.perf_counter() - start)
    return seconds


def main() -> None:
    o = common.parser(__doc__, 1).parse_args()
    common.describe(o.threads, ("gensim",))
    DOCS.extend(words for text in python_docs() for paragraph in text.split("\n\n")
                if len(words := simple_preprocess(paragraph)) > 1)
    who = [common.OURS, "gensim"] if gensim else [common.OURS]
    seeds, repeats, epochs = (1, 1, 1) if o.quick else (5, o.repeats or 5, 5)
    results: dict[tuple[str, str], dict[str, list[float]]] = {}
    for model in MODELS:
        for seed in range(1, max(seeds, repeats) + 1):
            for name in who:
                found = results.setdefault((model, name), {})
                for text in ("docs", "planted") if seed <= seeds else ("docs",):
                    took, worth = run(name, model, text, seed, epochs)
                    if text == "docs":
                        worth = {**worth, **took}
                    for measure, value in worth.items():
                        found.setdefault(measure, []).append(value)
    V = 50_000 if o.quick else 1_000_000
    seconds = search(V, 100, 3 if o.quick else 15)

    lines = [["model", "contender", "words/s", "memory (growth), MiB", "planted analogies", "planted classes", "docs"]]
    for (model, name), found in results.items():
        quality = [f"{statistics.mean(found[m]):.3f} ± {statistics.pstdev(found[m]):.3f}"
                   for m in ("analogies", "classes", "docs")]
        speed, size, growth = (statistics.median(found[m]) for m in ("words/s", "memory", "growth"))
        lines.append([model, name, f"{speed:,.0f}", f"{size:.0f} (+{growth:.0f})", *quality])
    common.markdown(lines)
    common.table(f"most_similar among {V:,} x 100, s", {"most_similar": seconds}, unit=1)

    def ratio(model: str, measure: str) -> str:
        if not gensim:
            return "–"
        ours, theirs = (statistics.median(results[model, name][measure]) for name in who)
        return f"{ours / theirs:.2f}"

    goals = [["against the reaches", "ratio to gensim's", "reach", "aim"]]
    goals += [[f"{model}, words/s", ratio(model, "words/s"), f"{reach:g}", f"{aim:g}"]
              for model, (reach, aim) in SPEED.items()]
    goals += [[f"{model}, peak memory", ratio(model, "memory"), "1.5", "1"] for model in MODELS]
    if gensim:
        ours, theirs = (statistics.median(seconds[name]) for name in who)
        goals.append([f"most_similar among {V:,}", f"{ours / theirs:.2f}", "1", "0.7"])
        for model in MODELS:
            for measure in ("analogies", "classes", "docs"):
                a, b = (results[model, name][measure] for name in who)
                goals.append([f"{model}, {measure}: difference (gensim's spread)",
                              f"{statistics.mean(a) - statistics.mean(b):+.3f} ({statistics.pstdev(b):.3f})",
                              "not below the spread", "above 0"])
    common.markdown(goals)
    if o.quick:
        print("\nThe goals are for the full size.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        contender, model, text, seed, epochs, path = sys.argv[2:]
        child(contender, model, text, int(seed), int(epochs), path)
    else:
        main()
