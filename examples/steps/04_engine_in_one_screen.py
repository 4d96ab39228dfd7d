"""Step 4: an engine in one screen.

An automatic gradient needs two things: each operation knows its own rule, and somebody calls the rules
from the last to the first. Here every Var writes itself on a tape as it is made. What it was made from
always stands before it, so reading the tape backwards is a right order.
"""
import numpy as np

import tinyembed as te

tape = []


class Var:
    def __init__(self, value, *sources):  # sources: pairs of (a Var we read, the rule that sends g back to it)
        self.value, self.sources, self.grad = np.asarray(value), sources, None
        tape.append(self)

    def __sub__(x, y): return Var(x.value - y.value, (x, lambda g: g), (y, lambda g: -g))
    def __mul__(x, y): return Var(x.value * y.value, (x, lambda g: g * y.value), (y, lambda g: g * x.value))
    def __matmul__(x, y): return Var(x.value @ y.value, (x, lambda g: g @ y.value.T), (y, lambda g: x.value.T @ g))
    def __getitem__(W, ids): return Var(W.value[ids], (W, lambda g: np.eye(len(W.value))[ids].T @ g))  # steps 1 and 2
    def sum(x): return Var(x.value.sum(), (x, lambda g: np.full(x.value.shape, g)))

    def tanh(x):
        y = np.tanh(x.value)
        return Var(y, (x, lambda g: g * (1 - y * y)))

    def backward(self):
        self.grad = np.ones(self.value.shape)
        while tape:
            node = tape.pop()
            if node.grad is None: continue  # the result does not depend on it
            for x, rule in node.sources:
                x.grad = rule(node.grad) if x.grad is None else x.grad + rule(node.grad)


def loss_of(W, A, targets):  # runs on either engine
    error = (W[np.array([0, 2, 0, 1])] @ A).tanh() - targets  # word 0 comes twice
    return (error * error).sum()  # error is used twice as well


rng = np.random.default_rng(0)
W, A, targets = rng.normal(size=(3, 2)), rng.normal(size=(2, 2)), np.array([[1, 0], [0, 1], [1, 0], [1, 1.0]])
ours, theirs = (Var(W), Var(A)), (te.Tensor(W, requires_grad=True), te.Tensor(A, requires_grad=True))
loss_of(*ours, Var(targets)).backward()
loss_of(*theirs, te.Tensor(targets)).backward()
for name, g, h in ("W", ours[0].grad, theirs[0].grad.to_dense()), ("A", ours[1].grad, theirs[1].grad):
    print(f"gradient of {name}, this engine and tinyembed agree:", np.allclose(g, h, rtol=1e-12, atol=1e-12))
for step in range(201):
    w, a = Var(W), Var(A)
    loss = loss_of(w, a, Var(targets))
    loss.backward()
    W, A = W - 0.1 * w.grad, A - 0.1 * a.grad
    if step % 50 == 0: print(f"step {step:>3}  loss {loss.value:.4f}")
print("""Like this one, tinyembed/core has no recursion and no reference cycles. What it does beyond this:
  order: birth numbers and a heap find what the result was made from, so there is no global tape
  shapes: a gradient is summed over the axes that broadcasting copied; that of a lookup is a RowGrad, no zeros
  safety: refuses a leaf changed since it was read, and a second walk over a graph that the first has freed""")
# Next: two engines that agree could both be wrong. A judge that knows nothing of rules: finite differences.
