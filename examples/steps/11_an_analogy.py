"""Step 11: why king - man + woman lies near queen.

A feature of a word, royal or female, makes some words around it likelier and others rarer: it multiplies their chance.
Features multiply, so logarithms add up: king is royal + male, and to take man away and put woman there is arithmetic.
First on counts, with no training at all; then on vectors, whose dot products learn just these logarithms.
"""

import numpy as np

import tinyembed as te

corpus = te.data.planted_corpus(repeats=100)  # in it is known what there is to learn
words = list(corpus.classes)
contexts = sorted({word for sentence in corpus.sentences for word in sentence} - set(words))
row, column = ({word: i for i, word in enumerate(some)} for some in (words, contexts))
N = np.zeros((len(words), len(contexts)))  # N[w, c]: how often c stands in a sentence about w
for sentence in corpus.sentences:
    [about] = [row[word] for word in sentence if word in row]
    np.add.at(N, (about, [column[word] for word in sentence if word in column]), 1)

# Four invented words that tell something: of royals, of people who are none, of men, of women.
four = ["king", "queen", "man", "woman"]
king, queen, man, woman = (N[row[word]] for word in four)
telling = [int(difference.argmax()) for difference in (
    king + queen - man - woman, man + woman - king - queen, king + man - queen - woman, queen + woman - king - man)]


def table(M, title):
    """Print the rows of four words in the columns of the four contexts"""
    print(f"{title:<22}", *(f"{contexts[c]:>6}" for c in telling))
    for word, numbers in zip(four, M):
        print(f"  {word:<20}", *(f"{number:>6.1f}" for number in numbers[telling]))


table(np.array([king, queen, man, woman]), "counts")
# How much likelier than anywhere each context is, as a logarithm; 1 is added to all counts, as 0 has none.
M = np.log((N + 1) / (N + 1).sum(1, keepdims=True)) - np.log((N + 1).sum(0) / (N + 1).sum())
table(M[[row[word] for word in four]], "log-odds")
guess = M[row["king"]] - M[row["man"]] + M[row["woman"]]
print(f"  {'king - man + woman':<20}", *(f"{number:>6.1f}" for number in guess[telling]))
distances = np.linalg.norm(M - guess, axis=1)
print(f"of all rows, {len(contexts)} numbers each, at distance",
      *(f"{distances[i]:.0f} {words[i]}," for i in distances.argsort()[:3]), "…\n")

# A row of 530 numbers, squeezed into 50: Word2Vec. Its dot products are such logarithms, less a constant for each c.
model = te.models.Word2Vec(corpus.sentences, vector_size=50, sg=1, min_count=1, sample=0)
X, Z = model.wv[words], model.network.output.data[[model.vocabulary.index[c] for c in contexts]]
products = X @ Z.T - (X @ Z.T).mean(0)
print(f"dot products and log-odds correlate: {np.corrcoef(products.ravel(), (M - M.mean(0)).ravel())[0, 1]:.1f}")
print("the word nearest to king - man + woman:", model.wv.most_similar(["king", "woman"], ["man"], topn=1)[0][0])
random = te.vectors.KeyedVectors(keys=words, vectors=np.random.default_rng(0).standard_normal((len(words), 50)))
for name, wv in ("log-odds", te.vectors.KeyedVectors(keys=words, vectors=M)), ("vectors", model.wv), ("random", random):
    print(f"  of {sum(map(len, corpus.analogies.values()))} analogies {name} get right: "
          f"{wv.evaluate_word_analogies(corpus.analogies)[0]:.0%}")

# The four words lie in a plane of their own: a parallelogram, one side royal, one female.
flat = te.vectors.pca(X[[row[word] for word in four]])
for word, (x, y) in zip(four, np.sign(flat * flat[0])):  # a component may point either way: king is +, +
    print(f"  {word:<6} first component {x:+.0f}, second {y:+.0f}")
# Next: examples/word2vec.py asks for analogies in real text, where features are not planted and many answers are wrong.
