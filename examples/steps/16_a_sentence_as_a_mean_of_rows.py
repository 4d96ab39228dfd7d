"""Step 16: a sentence as a mean of rows.

The shortest way from words to a sentence: the mean of their rows. It says which words are there, and that goes far.
It does not say in which order, and it hardly hears a "not". And words that stand in every sentence drown those that
tell sentences apart, unless each word weighs a / (a + p), p its share of all words (Arora, Liang and Ma 2017).
"""

import numpy as np

import tinyembed as te

# Pairs of sentences, and how alike their meanings are, from 0 to 5: who did what to whom, where, when, whether at all.
texts, others, scores = te.data.similar_pairs(1000, np.random.default_rng(0))
own = ["dog bites man", "man bites dog", "the dog was seen", "the dog was not seen"]
alike = ["the nurse helped the horse on Sunday", "we know that it was the horse that was helped by the nurse on Sunday"]
unlike = "the baker hid the van on the bridge"
vocabulary = te.text.Vocabulary.build(text.split() for text in [*texts, *others, *own, *alike, unlike])
V, D = len(vocabulary), 64
bag = te.nn.EmbeddingBag(V, D, rng=np.random.default_rng(1), dtype=np.float64)  # random rows: nobody has trained them


def vectors(texts, weights):
    """(N, D): of each text the weighted mean of its rows, at length 1, so that a dot product is a cosine"""
    lines = [vocabulary.encode(text.split()) for text in texts]
    ids, starts = np.concatenate(lines), np.cumsum([0, *map(len, lines[:-1])])
    return te.ops.l2_normalise(bag(ids, starts, weights[ids])).data


mean = bag.weight.data[vocabulary.encode(["dog", "bites", "man"])].mean(0)
x = vectors(own, np.ones(V))
print("a bag is the mean of its rows:", np.allclose(x[0], mean / np.linalg.norm(mean)))

# What is lost. Addition knows no order; and one word more, whichever it is, moves a mean by little.
print(f"cosine of '{own[0]}' and '{own[1]}': {x[0] @ x[1]:.2f}")
print(f"cosine of '{own[2]}' and '{own[3]}': {x[2] @ x[3]:.2f}\n")

# What is drowned. Every sentence has a "the" or two; the words that matter are rare.
p = vocabulary.counts / vocabulary.counts.sum()
print("share of all words:", ", ".join(f"{word} {p[vocabulary.index[word]]:.3f}" for word in (
    "the", "was", "that", "it", "nurse", "horse", "helped")))
print(f"  x: {alike[0]}\n  y: {alike[1]}\n  z: {unlike}")
print("                    cosine x, y   cosine x, z   Spearman with the scores of 1000 pairs")
for a in (np.inf, 0.1, 0.03, 0.001):
    weights = np.ones(V) if a == np.inf else a / (a + p)  # near 1 for a rare word, a / p for a frequent one
    x, y, z = vectors([*alike, unlike], weights)
    found = te.vectors.spearman((vectors(texts, weights) * vectors(others, weights)).sum(1), scores).statistic
    print(f"  {'plain mean' if a == np.inf else f'a = {a}':<12}{x @ y:>14.2f}{x @ z:>14.2f}{found:>14.2f}")
print("With a far below p the weights are a / p: a word twice as rare counts twice as much, whether it matters or not.")

# No weight brings the order back: who helped whom is the same mean.
x, y = vectors(["the nurse helped the horse", "the horse helped the nurse"], weights)
print(f"cosine of who helped whom and the other way round, weighted: {x @ y:.2f}")
# Next: random rows know nothing of synonyms. Step 17: a loss that draws sentences of one meaning together.
