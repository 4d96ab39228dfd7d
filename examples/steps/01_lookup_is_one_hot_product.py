"""Step 1: a lookup is a matrix product, with the zeros left out.

An embedding is a table W with one row for each word; word number 2 is described by row 2. Written as
algebra, word 2 is a vector of zeros with a single one in place 2, and its row is that vector times W.
Both ways give the same numbers. One of them multiplies almost everything by zero.
"""

import numpy as np

import tinyembed as te

W = np.array([[0.1, 0.2, 0.3],  # the
              [1.1, 1.2, 1.3],  # cat
              [2.1, 2.2, 2.3],  # sat
              [3.1, 3.2, 3.3]], np.float32)  # mat
ids = np.array([0, 1, 2, 0, 3])  # the cat sat the mat


def one_hot(ids, V):
    """ids (N,) -> (N, V): row n is zero but for a one in column ids[n]"""
    x = np.zeros((ids.size, V), np.float32)
    x[np.arange(ids.size), ids] = 1
    return x


print("ids", ids)
print("their one-hot rows:")
print(one_hot(ids, len(W)))
print("one_hot(ids) @ W:")
print(one_hot(ids, len(W)) @ W)
print("W[ids] is the same:", np.array_equal(W[ids], one_hot(ids, len(W)) @ W))
print("te.ops.embedding(W, ids) is the same:", np.array_equal(te.ops.embedding(W, ids).data, W[ids]))

# Now at a size somebody might use: 10,000 words, 64 numbers each, 128 words looked up.
V, D, N = 10_000, 64, 128
rng = np.random.default_rng(0)
W = rng.standard_normal((V, D), dtype=np.float32)
ids = rng.integers(V, size=N)
x = one_hot(ids, V)
print()
print(f"table of {V:,} x {D}, {N} words; same rows again:", np.array_equal(W[ids], x @ W))
print(f"  product: {x.nbytes:>9,} bytes of one-hot rows, {N * V * D:>10,} multiplications")
print(f"  lookup:  {ids.nbytes:>9,} bytes of ids,          {0:>10,} multiplications")

# And at GPT-2's, where we only count: nobody would want to run the product.
V, D, N = 50_257, 768, 1024
print(f"table of {V:,} x {D}, {N} words (GPT-2):")
print(f"  product: {N * V * 4:,} bytes of one-hot rows, {N * V * D:,} multiplications")
print(f"  lookup:  {N * 8:,} bytes of ids, 0 multiplications")

# Next: the product has a gradient, so the lookup has one too. What does it look like without the zeros?
