"""Step 6: write your own op.

An op is one function of arrays: it returns its value, and a rule (the vjp) that turns g = dL/dy into one
gradient for each argument. @te.primitive does the rest: it unwraps tensors, records the node, undoes
broadcasting, and registers the op, so that it is a function, a method, and an entry of te.OPS.
"""

import numpy as np

import tinyembed as te


@te.primitive
def squared_distance(x, y):
    """|x - y|^2 over the last axis          x, y (..., D) -> (...)          gradients 2 g (x - y), -2 g (x - y)"""
    d = x - y
    return (d * d).sum(-1), lambda g: (2 * g[..., None] * d, -2 * g[..., None] * d)


# Check it before you trust it, with shapes that broadcast too: one y against three x.
x = np.array([[0.0, 1.0], [2.0, -1.0], [0.5, 3.0]])
y = np.array([1.0, 1.0])
print("checked, two of a shape: ", te.check_gradients(squared_distance, x, x[::-1]) < 1e-9)
print("checked, broadcasting:   ", te.check_gradients(squared_distance, x, y) < 1e-9)

x = te.Tensor(x, requires_grad=True)
print("as a function:", squared_distance(x, y).data.tolist())
print("as a method:  ", x.squared_distance(y).data.tolist())
print("in te.OPS:    ", te.OPS["squared_distance"] is squared_distance)

# Train with it: four words, told only how far apart each pair should be. The table has to find places for them.
words = ["cat", "dog", "car", "bus"]
pairs = np.array([[0, 1], [2, 3], [0, 2], [1, 3], [0, 3], [1, 2]])
wanted = np.array([1, 1, 9, 9, 10, 10], np.float32)  # a rectangle of 1 by 3, if they work it out

table = te.nn.Embedding(len(words), 2, rng=np.random.default_rng(0))
sgd = te.optim.SGD(table.parameters(), lr=0.01)
for step in range(301):
    y = table(pairs)  # (6, 2, 2): pair, word of the pair, coordinate
    loss = te.ops.mse(squared_distance(y[:, 0], y[:, 1]), wanted)
    if step % 100 == 0:
        print(f"step {step:>3}  loss {loss.item():.3f}")
    sgd.zero_grad()
    loss.backward()
    sgd.step()

print("distances learned, and wanted:")
with te.no_grad():  # only looking: record nothing
    y = table(pairs)
    found = np.sqrt(squared_distance(y[:, 0], y[:, 1]).data)
for (i, j), distance, square in zip(pairs, found, wanted):
    print(f"  {words[i]} {words[j]}  {distance:.2f}  {square ** 0.5:.2f}")

# Next: every file in tinyembed/ops/ is ops like yours. Now that words have rows, step 7: does their order show?
