"""Step 7: where a word stands.

A mean over word vectors is the same for every order of the words, and attention alone cannot tell them
apart either: "dog bites man" and "man bites dog" become one vector. A position has to be told. Three
ways: a learned row for each place, a fixed wave, and a rotation that lets only distances count.
"""

import numpy as np

import tinyembed as te

V, D = 3, 8  # dog bites man
table = te.nn.Embedding(V, D, rng=np.random.default_rng(0), dtype=np.float64)
norm = te.nn.LayerNorm(D, dtype=np.float64)
dog_bites_man, man_bites_dog = [0, 1, 2], [2, 1, 0]


def apart(layer):
    """How far apart the two sentences are, pooled, after a layer"""
    return np.linalg.norm(layer(table(dog_bites_man)).data.mean(0) - layer(table(man_bites_dog)).data.mean(0))


print("the two sentences, pooled, are apart by")
print(f"  without positions          {apart(lambda x: x):.3f}")
learned = te.nn.LearnedPositionalEmbedding(10, D, std=1.0, rng=np.random.default_rng(1), dtype=np.float64)
waves = te.nn.SinusoidalPositionalEncoding(D)
# A mean of sums is a sum of means: merely added, the positions' share is the same for every order.
print(f"  learned, added             {apart(learned):.3f}")
print(f"  learned, then a norm       {apart(lambda x: norm(learned(x))):.3f}")  # not linear: now the pairing counts
print(f"  sinusoidal, then a norm    {apart(lambda x: norm(waves(x))):.3f}")

# Learned: a row for each place, and none beyond. Its gradient is one of few rows, as in step 3.
learned(table([dog_bites_man, man_bites_dog])).sum().backward()
print("rows of the learned table that heard something:", learned.table.weight.grad.coalesce().ids.tolist())
try:
    learned(np.zeros((11, D)))
except ValueError as error:
    print("11 words:", error)

# Sinusoidal: nothing to learn, no end. Row t + k is row t turned by an angle that depends on k alone.
rows = waves(np.zeros((1005, D))).data
print("row 1:", rows[1].round(3).tolist())
print("its parameters:", waves.parameters())
print("row 1004 is row 1000 turned by 4:", np.allclose(te.ops.rotate(rows[1000], -4).data, rows[1004]))

# Rotary: turn queries and keys instead of adding. A score then knows how far apart two words are, not where.
rotary = te.nn.RotaryEmbedding(D)
q, k = table([0]), table([2])
for i, j in (0, 0), (0, 2), (5, 7), (5000, 5002), (2, 0):
    score = (rotary(q, offset=i) * rotary(k, offset=j)).sum().item()
    print(f"  dog at {i:>4}, man at {j:>4}: score {score:+.4f}")

# Next: tinyembed/nn/relative.py adds a number for each distance instead. Step 8: what of rows no batch looked up?
