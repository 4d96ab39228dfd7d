"""Step 15: two processes, one model.

A loss that is a mean over examples has a gradient that is a mean over examples. So a batch can be cut in parts, each
worked on by a process of its own, and the gradients added up. If all processes start with the same model and add in
the same order, all take the same step: they need not send each other the model, ever.
"""

import numpy as np

import tinyembed as te

words = "the muddy bank lay under water and the rich bank lent cash to the boats".split()
ids = np.array([sorted(set(words)).index(word) for word in words])
x, y = ids[:-1], ids[1:]  # 14 examples: a word, and the one that follows


class Pairs(te.nn.Module):
    """A score for each next word: the rows of two tables, multiplied"""

    def __init__(self):
        rng = np.random.default_rng(0)  # the same in each process
        self.table = te.nn.Embedding(12, 4, rng=rng, dtype=np.float64)
        self.head = te.nn.Linear(4, 12, rng=rng, dtype=np.float64)

    def loss(self, x, y):
        return te.ops.cross_entropy(self.head(self.table(x)), y)


def gradients(*parts):
    """Of the mean over all 14 examples, computed in parts: each counts for as many as it has, and .grad adds up."""
    model = Pairs()
    for x, y in parts:
        (model.loss(x, y) * (len(x) / 14)).backward()
    return model.table.weight.grad.coalesce(), model.head.weight.grad


def train(group):
    """What each process runs. `fit` takes its part of every batch, and adds the gradients of all up before a step."""
    model = Pairs()
    part = group.part((x, y))[0]
    te.train.fit(model, [(x, y)], te.optim.AdamW(model.parameters(), lr=0.1), epochs=50, progress=False, group=group)
    losses = group.all_gather(np.array([model.loss(x, y).item()]))  # one of each process
    return len(part), losses, model.head.weight.data


if __name__ == "__main__":  # a process imports this file, and must not do this again
    (rows, head), (some, more) = gradients((x, y)), gradients((x[:5], y[:5]), (x[5:], y[5:]))
    print("gradient of the table, at once:   ", rows)
    print("5 examples, then 9, added up:     ", some)
    print("the same numbers:", np.array_equal(rows.ids, some.ids), np.allclose(rows.rows, some.rows),
          np.allclose(head, more))
    answers = {processes: te.train.launch(train, processes) for processes in (1, 2, 3)}
    for processes, (examples, losses, weights) in answers.items():
        print(f"{processes}: {examples} examples for the first, loss {losses[0]:.4f}, in all the same bits "
              f"{bool((losses == losses[0]).all())}, as alone {np.allclose(weights, answers[1][2])}")
# Next: tinyembed/train/group.py; and python examples/gpt.py --processes 2.
