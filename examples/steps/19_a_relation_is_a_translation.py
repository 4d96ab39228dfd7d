"""Step 19: a relation is a translation.

Facts are triples: head, relation, tail. Give each thing a place and each relation an arrow, such that head + arrow is
near tail. Then arrows can be added: a fact that nobody told is where two arrows lead. But some relations are no arrow:
there and back again adds up to nothing. A turn can do that, and go round in a circle (TransE, RotatE).
"""

import numpy as np

import tinyembed as te

# By hand: a fact (h, r, t), a tail that is wrong, and the gradient of max(0, 1 + |h + r - t|^2 - |h + r - wrong|^2).
h, r, t, wrong = np.random.default_rng(2).normal(size=(4, 2))
print("squared distance to the tail, to the wrong one:")
for step in range(11):
    near, far = h + r - t, h + r - wrong
    if step % 5 == 0:
        print(f"  after {step:>2} steps {near @ near:5.2f} {far @ far:5.2f}")
    if 1 + near @ near - far @ far > 0:  # else it is right by a margin, and has learned enough
        h, r, t, wrong = (x - 0.05 * 2 * g for x, g in ((h, near - far), (r, near - far), (t, -near), (wrong, far)))

# A town of 5 x 5 crossings: what is east and north of each is told, what is north-east in the first street alone.
side, relations = 5, ["east", "north", "north-east"]
moves = np.array([(i, r, i + step) for i in range(side * side) for r, step in enumerate((1, side, side + 1))
                  if (r == 1 or i % side < side - 1) and (r == 0 or i // side < side - 1)])
told = (moves[:, 1] < 2) | (moves[:, 0] < side)
places, arrows = (te.nn.Embedding(n, 2, rng=np.random.default_rng(n)) for n in (side * side, 3))
town = te.nn.ModuleList([places, arrows])
rng = np.random.default_rng(0)


def loss(town, facts):
    """The same by ops, each fact with 20 tails drawn at random"""
    h, r, t = facts.T
    x = places(h) + arrows(r)
    near, far = ((x - places(t)) ** 2).sum(-1), te.ops.cdist(x, places(rng.integers(side * side, size=20))) ** 2
    return te.ops.relu(0.5 + near.reshape((-1, 1)) - far).mean()


te.train.fit(town, te.data.Batches(moves[told], 16, rng), te.optim.Adam(town.parameters(), lr=0.1), epochs=100,
             loss=loss, progress=False)
east, north, both = arrows.weight.data
print(f"\neast + north against north-east: {np.linalg.norm(east + north - both) / np.linalg.norm(both):.1f} apart")
found = te.ops.cdist(places(moves[~told, 0]) + arrows(moves[~told, 1]), places.weight).data.argmin(1)
print(f"north-east of the others, which nobody told: {np.mean(found == moves[~told, 2]):.0%} right\n")

# The hours of a clock. Twelve arrows that add up to nothing are nothing each, and so is one that is its own way back.
relations = {"an hour later": 1, "an hour before": -1, "four hours later": 4, "opposite": 6}
clock = np.array([(hour, r, (hour + step) % 12) for hour in range(12) for r, step in enumerate(relations.values())])
for name, kind in ("TransE", te.models.TransE), ("RotatE", te.models.RotatE):
    model = kind(12, 4, 8, facts=te.data.Facts(clock), rng=np.random.default_rng(0))
    te.train.fit(model, [(clock,)], te.optim.Adam(model.parameters(), lr=0.05), steps=200, progress=False)
    hits = te.vectors.evaluate_links(model, clock, clock)["filtered"]["hits@1"]
    print(f"{name}: {hits:.0%} of the clock's {len(clock)} facts")
turns = model.relations.weight.data * 12 / (2 * np.pi)  # (4 relations, 4 complex numbers), in hours
for name, numbers in zip(relations, turns.round().astype(int) % 12):
    print(f"  {name:<17} turns by {numbers} hours")  # the same clock in each: 4 times as far, 6 times as far
# Next: users and items are a net of facts with one relation: who has what.
