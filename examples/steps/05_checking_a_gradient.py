"""Step 5: checking a gradient.

A derivative says how much the output moves when an input is nudged. So nudge it and look. That is slow
and a little inexact, but it knows nothing of our rules, which makes it a fair judge of them.
te.check_gradients(f, inputs ...) does so for every input, in float64, and says where a rule is wrong.
"""

import numpy as np

import tinyembed as te

x = np.array([0.5, -2.0, 1.0])

# By hand first, for one entry: nudge x[1] both ways and compare.
nudge = np.array([0, 1e-5, 0])
slope = (np.tanh(x + nudge) - np.tanh(x - nudge))[1] / 2e-5
print(f"tanh at -2: nudging gives {slope:.6f}, the rule 1 - y^2 gives {1 - np.tanh(-2.0) ** 2:.6f}")

worst = te.check_gradients(lambda x: (x.tanh() * x).sum(), x)
print("a right function: largest difference below 1e-9:", worst < 1e-9)


@te.primitive
def wrong_cube(x):
    """x^3 with a slip in its gradient: 2 x^2 where 3 x^2 is right"""
    return x * x * x, lambda g: (g * 2 * x * x,)


try:
    te.check_gradients(wrong_cube, np.array([2.0]))
except te.GradientError as error:
    print("wrong_cube:", error, sep="\n  ")


@te.primitive
def wrong_lookup(W, ids):
    """W[ids] with the bug of step 2 in its gradient"""
    def vjp(g):
        gW = np.zeros_like(W)
        gW[ids] += g
        return (gW,)
    return W[ids], vjp


# A check sees only the inputs it is given. Without a repeated id, this bug does not show.
W = np.arange(8.0).reshape(4, 2)
print("wrong_lookup, ids 2 0 1, passes:", te.check_gradients(wrong_lookup, W, np.array([2, 0, 1])) < 1e-9)
try:
    te.check_gradients(wrong_lookup, W, np.array([2, 0, 2]))
except te.GradientError as error:
    print("wrong_lookup, ids 2 0 2:", error, sep="\n  ")

# relu has a corner at 0: slope 0 on the left, 1 on the right. There is nothing to compare with, and it says so.
print("relu beside its corner passes:", te.check_gradients(te.ops.relu, np.array([-1.0, 0.1, 1.0])) < 1e-9)
try:
    te.check_gradients(te.ops.relu, np.array([-1.0, 0.0, 1.0]))
except te.KinkError as error:
    print("relu at its corner:", error, sep="\n  ")

# Next: now that a judge is at hand, write an op of your own.
