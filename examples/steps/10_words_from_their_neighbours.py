"""Step 10: words from their neighbours.

Skip-gram with negative sampling, the loss of Word2Vec. A word has two rows: one that it is looked up as and one that
it is predicted as. Pairs that stand together in the text are to have a large dot product, pairs with a word drawn at
random a small one. One pair by hand, one step, then all pairs; king and queen never meet, and become alike.
"""

import numpy as np

import tinyembed as te

text = """the king rules his land / the queen rules her land / the king wears a crown / the queen wears a crown /
          the cat chases a mouse / the dog chases a cat / the cat eats a fish / the dog eats a fish"""
sentences = [sentence.split() for sentence in text.split("/")]
words = list(dict.fromkeys(text.replace("/", "").split()))
V, D, K, window = len(words), 8, 3, 2
index, rng = {word: i for i, word in enumerate(words)}, np.random.default_rng(1)
X = te.nn.Parameter(rng.normal(0, 0.3, (V, D)))  # looked up as
Z = te.nn.Parameter(rng.normal(0, 0.3, (V, D)))  # predicted as

# What is seen: every word with each of those at most two places away.
pairs = [(s[i], s[j]) for s in sentences for i in range(len(s)) for j in range(len(s)) if 0 < abs(i - j) <= window]
print(f"{V} words, {len(pairs)} pairs; of the first king:", [c for w, c in pairs[:11] if w == "king"])
print("king and queen are a pair:", ("king", "queen") in pairs)

# One pair that was seen, and K words drawn at random, in proportion to their counts to the power of 3/4.
noise = te.text.noise_distribution([sum(s.count(word) for s in sentences) for word in words])
w, others, seen = index["king"], [index["rules"], *rng.choice(V, K, p=noise)], np.array([1, 0, 0, 0])
print("king is to be near", words[others[0]], "and far from", *(words[i] for i in others[1:]))
x, z = X.data[w], Z.data[others]  # (D,), (1 + K, D)
p = 1 / (1 + np.exp(-z @ x))  # what the model takes to be the chance that each was seen
loss = -np.log(np.where(seen, p, 1 - p)).sum()
u = p - seen  # how far off it is: the gradient of the dot products
gx, gz = u @ z, np.outer(u, x)  # x hears from all, each z from x alone
print("chances", p.round(2), " off by", u.round(2), f" loss {loss:.4f}")


def step(w, others, lr):
    """One step of gradient descent on pairs w (N,), others (N, 1 + K), the first of them seen; their loss before it"""
    x, z = te.ops.embedding(X, np.reshape(w, (-1, 1))), te.ops.embedding(Z, others)  # (N, 1, D), (N, 1 + K, D)
    L = te.ops.negative_sampling(x, z, np.broadcast_to(2.0 * seen - 1, (len(w), 1, 1 + K)))
    X.grad = Z.grad = None
    L.backward()
    te.optim.SGD([X, Z], lr).step()
    return L.item()


before = step([w], [others], lr=1.0)
print("the op agrees:", np.isclose(before, loss), np.allclose(X.grad.to_dense()[w], gx),
      np.allclose(Z.grad.to_dense()[others], gz))
print(f"one step further the loss of this pair is {step([w], [others], lr=0.0):.4f}; now all pairs")
w, c = (np.array([index[pair[k]] for pair in pairs]) for k in (0, 1))
losses = [step(w, np.column_stack((c, rng.choice(V, (len(w), K), p=noise))), lr=0.05) for _ in range(300)]
for i in 0, 100, 200:
    print(f"epochs {i:>3} to {i + 100}: loss of a pair {np.mean(losses[i:i + 100]) / len(w):.2f}")
wv = te.vectors.KeyedVectors(keys=words, vectors=X.data)
print("nearest neighbours:", *(f"{word} {wv.most_similar(word, topn=1)[0][0]}," for word in ("king", "cat", "his")))
alike, company = (wv["king"] @ table.data[index["queen"]] for table in (X, Z))
print(f"king . queen: {alike:+.1f} as both are looked up, {company:+.1f} as queen is predicted")
# Next: step 11, why king - man + woman lies near queen. tinyembed/models/word2vec.py does this step by the block.
