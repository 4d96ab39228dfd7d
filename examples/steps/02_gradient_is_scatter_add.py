"""Step 2: the gradient of a lookup is a scatter-add.

Going forward, row ids[n] of the table is copied to place n. Going backward, what place n has to say
(row n of g) travels back to row ids[n] of the table. A word that stood in two places hears from both,
and the two messages add up. Forgetting that is the classic bug of hand-written embeddings: nothing
crashes, and frequent words just learn too slowly.
"""

import numpy as np

import tinyembed as te

V, D = 4, 2
ids = np.array([2, 0, 2])  # word 2 comes twice
g = np.array([[1.0, 1.0],  # g = dL/dy: what the loss wants of each place
              [10.0, 10.0],
              [5.0, 5.0]])

# Step 1 said y = X @ W with one-hot rows X. So dL/dW = X.T @ g, by the rule for any matrix product.
X = np.eye(V)[ids]  # (3, 4)
right = X.T @ g
print("one_hot.T @ g, the definition:")
print(right)

# The tempting line. NumPy reads all three rows, adds, then writes all three back: the last writer of row 2 wins.
grad = np.zeros((V, D))
grad[ids] += g
print("grad[ids] += g, wrong: row 2 has lost its first message:")
print(grad)
print("  equal to the definition:", np.array_equal(grad, right))

# np.add.at adds one after the other, so nothing is lost.
grad = np.zeros((V, D))
np.add.at(grad, ids, g)
print("np.add.at(grad, ids, g):")
print(grad)
print("  equal to the definition:", np.array_equal(grad, right))

# The engine: look up, go backward with g, and see what arrived at the table. (It sorts the ids, sums the runs of
# equal ones, and is faster than np.add.at: sum_rows_by_id in tinyembed/core/rowgrad.py.)
W = te.Tensor(np.zeros((V, D)), requires_grad=True)
y = te.ops.embedding(W, ids)
y.backward(g)
print("the engine, y.backward(g):")
print(W.grad.to_dense())
print("  equal to the definition:", np.array_equal(W.grad.to_dense(), right))

# Two lookups in one loss are two messages as well.
W.zero_grad()
loss = te.ops.embedding(W, [1, 1]).sum() + te.ops.embedding(W, [1, 3]).sum()
loss.backward()
print("times each word was looked up, from the gradient of a sum:", W.grad.to_dense()[:, 0].astype(int).tolist())

# Next: why that .to_dense()? Because W.grad is not an array. With a million words it had better not be.
