"""Small tables, row gradients, a look at states, and a model's loss as a module, for the tests of several rooms."""

import numpy as np

import tinyembed as te


def rng(seed=0):
    return np.random.default_rng(seed)


def table(V=6, D=3, seed=0, dtype=np.float64):
    return te.Parameter(rng(seed).normal(size=(V, D)).astype(dtype))


def row_grad(p, ids, seed=0):
    ids = np.asarray(ids)
    return te.RowGrad(p.shape, ids, rng(seed).normal(size=(ids.size, p.shape[1])).astype(p.dtype))


def states(optimiser, i=0):
    """The state arrays of a parameter."""
    return optimiser.state[i].arrays or []


class Loss(te.nn.Module):
    """The loss of a model as a module, whose parameters check_gradients finds."""

    def __init__(self, model):
        self.model = model

    def forward(self, *batch):
        return self.model.loss(*batch)
