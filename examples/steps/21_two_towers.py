"""Step 21: two towers, one space.

A picture is pixels, a caption is words, and no pixel is like a word. So each kind has a tower of its own: a function
that ends in 16 numbers. One loss makes them meet: among the captions of a batch each picture is to find its own (step
17), and among the pictures each caption. Both towers here are as small as can be. Then a sentence finds a picture, a
caption serves as a class, and words can be taken from a picture and added to it.
"""

import numpy as np

import tinyembed as te

COLOURS = {"red": [1, 0, 0], "green": [0, 1, 0], "blue": [0, 0, 1], "yellow": [0.5, 0.5, 0]}
PLACES = ["top-left", "top-right", "bottom-left", "bottom-right"]
WORDS = te.text.Vocabulary.build([[*COLOURS, *PLACES]])
ALL = [f"{colour} {place}" for colour in COLOURS for place in PLACES]
NEVER = [f"{colour} {place}" for colour, place in zip(COLOURS, PLACES)]  # no picture of these is trained on
rng = np.random.default_rng(0)


def draw(captions):
    """Pictures (N, 3, 16): a spot of this colour in this quarter of 4 x 4 pixels, and noise"""
    x = 0.2 * rng.standard_normal((len(captions), 3, 2, 2, 2, 2))  # half, row in it, half, column in it
    for picture, (colour, place) in zip(x, map(str.split, captions)):
        picture[:, PLACES.index(place) // 2, :, PLACES.index(place) % 2] += np.reshape(COLOURS[colour], (3, 1, 1))
    return x.reshape(len(captions), 3, 16)


class TwoTowers(te.nn.Module):
    def __init__(self):
        self.colour, self.light = (te.nn.Linear(n, 16, rng=rng, dtype=np.float64) for n in (3, 16))
        self.words = te.nn.EmbeddingBag(len(WORDS), 16, rng=rng, dtype=np.float64)
        self.logit_scale = te.Parameter(np.log(1 / 0.07))  # spreads the cosines for a softmax, and learns, too

    def see(self, x):  # which colours, wherever; where the light is, whatever its colour
        return te.ops.l2_normalise(self.colour(x.mean(2)) + self.light(x.mean(1)))

    def read(self, captions):
        return te.ops.l2_normalise(self.words([WORDS.encode(caption.split()) for caption in captions]))

    def loss(self, pictures, captions):
        scores = te.ops.exp(self.logit_scale) * (self.see(pictures) @ self.read(captions).T)  # (N, N): each with each
        twins = np.equal.outer(captions, captions) & ~np.eye(len(captions), dtype=bool)  # are right answers, too
        scores, own = te.ops.where(twins, -np.inf, scores), np.arange(len(captions))
        return (te.ops.cross_entropy(scores, own) + te.ops.cross_entropy(scores.T, own)) / 2  # by rows, by columns


model, captions = TwoTowers(), [str(caption) for caption in rng.choice(sorted(set(ALL) - set(NEVER)), 1000)]
batches, new = te.data.Batches((draw(captions), captions), 50, rng), draw(NEVER * 50)
for epochs in 0, 8:
    te.train.fit(model, batches, te.optim.Adam(model.parameters(), lr=0.02), epochs=epochs, progress=False)
    x, y = model.see(new).data, model.read(ALL).data  # new combinations of known colours and places
    right = [np.mean(np.array(ALL)[(x @ y.T).argmax(1)] == NEVER * 50),
             np.mean((model.read(NEVER).data @ x.T).argmax(1) % 4 == range(4))]
    print(f"{epochs} epochs: {right[0]:.0%} of pictures find their caption among {len(ALL)}, {right[1]:.0%} of "
          f"captions a picture of theirs; scale {np.exp(model.logit_scale.item()):.0f}")
words = dict(zip(COLOURS, model.read(COLOURS).data))
print("captions as classes:", [max(words, key=lambda word: picture @ words[word]) for picture in x[:4]])
print("the first picture - red + blue:", ALL[(y @ (x[0] - words["red"] + words["blue"])).argmax()])
# Next: towers that see shapes as well, and read published weights: examples/clip.py and tinyembed/models/clip.py.
