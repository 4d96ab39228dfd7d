"""Step 17: the wrong answers are the others of the batch.

Pairs of texts that mean the same, and nobody says which do not. So each first text is asked which of the second texts
of the batch is its own: scores of all with all, a softmax over each row, and cross-entropy with the diagonal as the
right class. N pairs give N (N - 1) wrong answers for nothing. By hand, with the gradient; then trained.
"""

import numpy as np

import tinyembed as te

N, D, SCALE = 3, 8, 5.0  # cosines lie in -1 … 1, too close together for a softmax: the scale spreads them
X, Y = np.random.default_rng(5).normal(size=(2, N, D))
a, b = (np.linalg.norm(Z, axis=1, keepdims=True) for Z in (X, Y))
x, y = X / a, Y / b
scores = SCALE * x @ y.T  # (N, N): each first text with each second one
p = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
loss = -np.log(np.diag(p)).mean()
g = (p - np.eye(N)) / N  # of the scores: up with its own, down with the others, by as much as they are taken for it
gx, gy = SCALE * g @ y, SCALE * g.T @ x
gX, gY = ((gz - z * (gz * z).sum(1, keepdims=True)) / c for z, gz, c in ((x, gx, a), (y, gy, b)))  # z has length 1
print("what is taken for its own:", p.round(2), f"loss {loss:.4f}; with no idea log({N}) = {np.log(N):.4f}", sep="\n")


def in_batch(x, y, mask=0.0, scale=SCALE):
    """The same by ops: x (N, D), y (N, D) -> (); mask (N, N) is added to the scores"""
    return te.ops.cross_entropy(scale * te.ops.l2_normalise(x) @ te.ops.l2_normalise(y).T + mask, np.arange(len(x)))


x, y = te.Tensor(X, requires_grad=True), te.Tensor(Y, requires_grad=True)
in_batch(x, y).backward()
print("the engine finds the same gradients:", np.allclose(x.grad, gX), np.allclose(y.grad, gY))


def twins(texts):
    """-inf where another pair has the same text, else 0: what is no wrong answer is left out of the softmax"""
    return np.where(np.equal.outer(texts, texts) & ~np.eye(len(texts), dtype=bool), -np.inf, 0.0)


# A text that is in the batch twice is a wrong answer to itself. Perfect vectors win no more than one half in its rows.
perfect, mask = np.eye(4)[[0, 1, 0]], twins(["hello", "goodbye", "hello"])
print(f"a text twice: perfect vectors have loss {in_batch(perfect, perfect, scale=100).item():.4f}, log 2 in two rows "
      f"of three; with its twin masked {in_batch(perfect, perfect, mask, scale=100).item():.4f}\n")

# Sentences of one meaning, said in other words and another order. A sentence is a mean of rows, and now the rows learn.
pairs = [pair[:2] for pair in zip(*te.data.similar_pairs(3000, np.random.default_rng(0))) if pair[2] == 5]
words = te.text.Vocabulary.build(text.split() for pair in pairs for text in pair)
first, second = (te.text.pad([words.encode(text.split()) for text in side], 0)[0] for side in zip(*pairs))
bag = te.nn.EmbeddingBag(len(words), 32, padding_idx=0, rng=np.random.default_rng(6), dtype=np.float64)
batches = te.data.Batches((first[100:], second[100:], [text for text, _ in pairs[100:]]), 32, np.random.default_rng(2))
synonyms = words.encode("helped pushed mended cleaned assisted shoved repaired washed".split())
adam = te.optim.Adam(bag.parameters(), lr=0.01)
for epochs in 0, 15:
    te.train.fit(bag, batches, adam, epochs=epochs, progress=False,
                 loss=lambda bag, x, y, texts: in_batch(bag(x), bag(y), twins(texts)))
    x, y = (te.ops.l2_normalise(bag(ids[:100])).data for ids in (first, second))
    rows = te.ops.l2_normalise(bag.weight).data[synonyms]
    print(f"{epochs:>2} epochs: {np.mean((x @ y.T).argmax(1) == np.arange(100)):.0%} of 100 new ones find their own, "
          f"mean cosine of synonyms {np.mean((rows[:4] * rows[4:]).sum(1)):.2f}")
# Next: more wrong answers in a batch make a harder question: larger batches are better ones.
