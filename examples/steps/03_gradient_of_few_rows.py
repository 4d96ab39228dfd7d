"""Step 3: a gradient of few rows.

A batch looks up a handful of words; the gradient of a table of a million words is zero in all other
rows. So tinyembed never makes that array. It keeps a RowGrad: which rows (ids) and what for each (rows).
The optimiser reads only those rows, and writes only those. The cost of a training step depends on the
batch, not on how many words you know.
"""

import numpy as np

import tinyembed as te

V, D = 1_000_000, 16
table = te.nn.Embedding(V, D, rng=np.random.default_rng(0))
W = table.weight
ids = np.array([[7, 999_999, 7],
                [42, 7, 123_456]])

y = table(ids)  # (2, 3, 16)
y.sum().backward()  # dL/dy is all ones, so the messages are easy to count

g = W.grad
print("W.grad is a", type(g).__name__, "that stands for", g.shape)
print("ids:", g.ids.tolist())
print("rows:", g.rows.shape, "one for each place of the batch, repeats and all")

own = g.coalesce()  # each id once, ascending; rows of the same id summed
print("coalesced ids:", own.ids.tolist())
print("first number of each row:", own.rows[:, 0].tolist(), "(word 7 came three times)")

print()
print(f"bytes of the table:         {W.data.nbytes:>12,}")
print(f"bytes of a dense gradient:  {V * D * 4:>12,}")
print(f"bytes of this RowGrad:      {g.nbytes:>12,}")
print(f"bytes coalesced:            {own.nbytes:>12,}")

# One step. Keep a copy of the whole table, only so that we can see afterwards what moved.
before = W.data.copy()
te.optim.SGD([W], lr=0.5).step()
after = W.data

# Compare bits, not values: "untouched" is to mean untouched.
changed = (before.view(np.uint32) != after.view(np.uint32)).any(axis=1)
print()
print("rows that changed:", np.flatnonzero(changed).tolist())
print("rows with the same bytes as before:", f"{V - changed.sum():,}")
for i in own.ids.tolist():
    print(f"  row {i:>7} moved by {(after[i] - before[i]).mean():+.3f}")

# Weights shared with a dense op get a dense gradient: a sum over the whole table asks something of every row.
table.zero_grad()
(table(ids).sum() + W.sum()).backward()
print("with W.sum() in the loss, W.grad is an", type(W.grad).__name__)

# Next: who calls these gradient rules, and in which order? An engine, which fits on one screen.
