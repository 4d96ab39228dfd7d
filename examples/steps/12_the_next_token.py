"""Step 12: a language model predicts the next token, and its loss is how surprised it was.

The simplest one looks at the last token only: a table with a row for each token, of scores for what comes next. Its
best possible rows are known, they can be counted. Training finds them, row by row, from the loss alone.
"""

import numpy as np

import tinyembed as te

text = "the cat sat on the mat and the dog sat on the cat and the mat".split()
words = sorted(set(text))
ids = np.array([words.index(word) for word in text])
V, now, after = len(words), ids[:-1], ids[1:]  # from each token, the next one is to be told

# Counting: how often each word came after "the".
counts = np.zeros((V, V))
np.add.at(counts, (now, after), 1)
p = counts / np.maximum(counts.sum(1, keepdims=True), 1)
the = words.index("the")
print("after 'the', counted: ", {words[j]: round(float(p[the, j]), 2) for j in np.flatnonzero(p[the])})

# The loss of a prediction p is -log p(what came): 0 if it was certain, log V if it had no idea. Here of the counts:
best = -np.log(p[now, after]).mean()
print(f"mean of -log p: the counts {best:.4f}, no idea log({V}) = {np.log(V):.4f}, perplexity {np.exp(best):.2f}\n")

# Learning: the scores of a row become p by softmax. The gradient of the loss in the scores is p - onehot(what came):
# push up what came, push down the rest, and do nothing once p is right on average.
model = te.models.Bigram(V, std=0.0)
loss = model.loss(now[None], after[None])
loss.backward()
g = model.table.weight.grad.to_dense()
print(f"untrained loss {loss.item():.4f}; gradient of the row of 'the' times {len(now)}:")
print(" ", {word: round(float(x), 2) for word, x in zip(words, g[the] * len(now))})
from_counts = counts.sum(1, keepdims=True) / V - counts  # sum over its occurrences of p - onehot, p = 1/V
print("  which is n(the) / V - n(the, next):", np.allclose(g * len(now), from_counts, atol=1e-6))

adam = te.optim.Adam(model.parameters(), lr=0.2)
for _ in range(400):
    model.zero_grad()
    model.loss(now[None], after[None]).backward()
    adam.step()
learned = te.ops.softmax(model(now[None])).data[0]
print(f"\ntrained loss {model.loss(now[None], after[None]).item():.3f}, the counts' {best:.3f}")
print("after 'the', learned: ", {words[j]: round(float(learned[0, j]), 2) for j in np.flatnonzero(p[the])})

# It writes by drawing from these rows. It has seen no further than one word back, and it shows.
start = [words.index("the")]
print("it writes:", " ".join(words[i] for i in model.generate(start, 12, seed=4)))
# Next: a model that looks further back has to choose where to look. Step 13: attention.
