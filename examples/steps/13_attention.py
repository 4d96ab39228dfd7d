"""Step 13: attention, a lookup that asks by content.

An embedding fetches the row with a given number. Attention fetches a mixture of rows: each by how well its key answers
a query. In "the cat drank because it was thirsty", what stands at "it" should fetch what stands at "cat".
"""

import numpy as np

import tinyembed as te

words = "the cat drank because it was thirsty".split()
T, d = len(words), 4
rng = np.random.default_rng(0)
q, k, v = (rng.normal(size=(T, d)) for _ in range(3))
it, cat = words.index("it"), words.index("cat")
k /= np.linalg.norm(k, axis=1, keepdims=True)
q[it] = 8 * k[cat]  # a trained model's projections would see to that: "it" asks for what a cat's key says

# By hand: a score for each pair, softmax makes weights of each row, and the values are mixed with them.
scores = q @ k.T / np.sqrt(d)
weights = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
y = weights @ v
print("'it' looks at:", ", ".join(f"{word} {w:.2f}" for word, w in zip(words, weights[it])))

# The op does this for B sequences and H heads at a time, and has a gradient written by hand.
Q, K, X = (te.Tensor(x[None, :, None], requires_grad=True) for x in (q, k, v))  # (B, T, H, d) with B = H = 1
print("the op gives the same:", np.allclose(te.ops.attention(Q, K, X).data[0, :, 0], y))
te.check_gradients(te.ops.attention, Q, K, X)
print("its gradient agrees with finite differences\n")

# A hard choice is a lookup: with a query far along one key, the mixture is that one row.
hard = te.ops.attention(1000 * q[None, it:it + 1, None], k[None, :, None], v[None, :, None]).data[0, 0, 0]
print("with a large query, the row of 'cat' is fetched whole:", np.allclose(hard, v[cat]))

# Causal: a language model may not look at what it is to predict. Later words get weight 0.
layer = te.nn.MultiHeadAttention(d, 2, causal=True, rng=np.random.default_rng(1), dtype=np.float64)
x = rng.normal(size=(1, T, d))
print("causal weights of a head, first three words:")
print(layer.weights(x).data[0, 0, :3, :4].round(2))
changed = x.copy()
changed[0, -1] += 1  # another last word
same = np.abs(layer(changed).data - layer(x).data)[0].max(1)
print("change the last word, and what changes is at:", [w for w, c in zip(words, same) if c > 1e-12])

# What it cannot see is order: move the words about, and each word still finds the same.
free = te.nn.MultiHeadAttention(d, 2, rng=np.random.default_rng(1), dtype=np.float64)
order = rng.permutation(T)
print("without positions, order is invisible:", np.allclose(free(x[:, order]).data, free(x).data[:, order]))
rotary = te.nn.MultiHeadAttention(d, 2, position=te.nn.RotaryEmbedding(d // 2), rng=np.random.default_rng(1),
                                  dtype=np.float64)
print("with rotary positions:", np.allclose(rotary(x[:, order]).data, rotary(x).data[:, order]))
# Next: a stack of such layers gives each word a vector of its own in each sentence. Step 14: context.
