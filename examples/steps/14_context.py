"""Step 14: one word, two meanings, and where they part.

A table has one row for "bank". Whatever a sentence says, the lookup gives the same numbers, bit for bit. A transformer
adds to that row what the words before it tell. Trained to predict the next token it learns to tell the two banks
apart, since different words follow them: nobody says that there are two.
"""

import itertools

import numpy as np

import tinyembed as te

senses = {"river": (["muddy", "green", "steep"], ["under water", "under trees", "with boats"]),
          "money": (["rich", "central", "private"], ["about cash", "about loans", "has notes"])}
texts, sense = [], []
for name, (before, after) in senses.items():
    for adjective, end in itertools.product(before, after):
        texts.append(["the", adjective, "bank", *end.split()])
        sense.append(name)
words = sorted({word for text in texts for word in text})
ids = np.array([[words.index(word) for word in text] for text in texts])  # (18, 5)
new = [["the", adjective, "bank"] for before, _ in senses.values() for adjective in before]
print(f"{len(texts)} sentences, such as: {' '.join(texts[0])}; {' '.join(texts[-1])}")

sizes = te.models.GPTConfig(len(words), block_size=5, n_layer=2, n_head=2, n_embd=32, std=0.1, token_std=0.1)
model = te.models.GPT(sizes, rng=np.random.default_rng(0))
asked = np.array([[words.index(word) for word in text] for text in new])  # (6, 3): "bank" stands last


def compare(title):
    """The vector of "bank" in six contexts: cosines within a sense, and between the two"""
    with te.no_grad():
        table, *_, last = model.hidden_states(asked)
    for where, x in ("in the table", table.data[:, 2]), ("in context", last.data[:, 2]):
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        cosines, same = unit @ unit.T, np.kron(np.eye(2), np.ones((3, 3))) > 0
        print(f"  {title} {where:<13} within a sense {cosines[same].mean():.1f}, between the two "
              f"{cosines[~same].mean():.1f}, bit-equal {(x == x[0]).all()}")


compare("untrained,")
adam = te.optim.AdamW(model.parameters(), lr=3e-3)
for _ in range(150):
    model.zero_grad()
    model.loss(ids[:, :-1], ids[:, 1:]).backward()
    adam.step()
compare("trained,  ")

# What comes next, after a bank of each kind: the model's two best guesses.
for text, row in zip(new[::3], asked[::3]):
    best = np.argsort(-model(row[None]).data[0, -1], kind="stable")[:2]
    print(f"after '{' '.join(text)}':", *sorted({words[i] for i in best}))
# Next: examples/bert_senses.py: both neighbours, English and Chinese, new sentences, and a picture of the two senses.
