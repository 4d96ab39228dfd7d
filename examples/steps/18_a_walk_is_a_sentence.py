"""Step 18: a walk is a sentence.

Word2Vec needs sentences, and a graph has none. So let somebody walk about on it, from neighbour to neighbour: each walk
is a sentence, each node a word, and nodes that walks visit together get similar vectors. node2vec's walkers know where
they came from: to go back is worth 1/p, to stay near 1, to go on 1/q. By hand first, then thousands at a time.
"""

import numpy as np

import tinyembed as te

# Two groups of four friends, all of whom know each other, and one pair that joins the groups.
edges = [*"ab ac ad bc bd cd".split(), *"ef eg eh fg fh gh".split(), "de"]
graph = te.data.Graph([tuple(edge) for edge in edges])
friends = {node: {a if b == node else b for a, b in edges if node in (a, b)} for node in graph.nodes}


def chances(t, v, p, q):
    """Where a walker at v goes who came from t: {x: probability}"""
    worth = {x: 1 / p if x == t else 1.0 if x in friends[t] else 1 / q for x in sorted(friends[v])}
    return {x: w / sum(worth.values()) for x, w in worth.items()}


def walk(node, length, p, q, rng):
    """One walk, by hand"""
    nodes = [node, str(rng.choice(sorted(friends[node])))]
    while len(nodes) < length:
        options = chances(*nodes[-2:], p, q)
        nodes.append(str(rng.choice(list(options), p=list(options.values()))))
    return nodes


rng = np.random.default_rng(0)
print("sentences by hand:", *("".join(walk(node, 8, 1, 1, rng)) for node in "adh"))
print("at d, having come from c, p = 0.5, q = 2:", {x: round(p, 2) for x, p in chances("c", "d", 0.5, 2).items()})
steps = [nodes[n:n + 3] for nodes in te.data.random_walks(graph, 30, 1000, 0.5, 2, rng=rng) for n in range(28)]
after = [x for t, v, x in steps if (t, v) == ("c", "d")]
shares = {x: round(after.count(x) / len(after), 2) for x in sorted(set(after))}
print("as te.data.random_walks does it:         ", shares)

for q in 4, 1, 0.25:  # a walk from a is among e f g h once it has crossed the one edge between the groups
    walks = [nodes for nodes in te.data.random_walks(graph, 6, 2000, 1, q, rng=rng) if nodes[0] == "a"]
    cross = np.mean([not {*"efgh"}.isdisjoint(nodes) for nodes in walks])
    print(f"q = {q:<4} of walks from a, 6 nodes long, {cross:.0%} cross")

# Now the sentences are read by the model of step 10. That is all there is to DeepWalk and node2vec.
walks = list(te.data.random_walks(graph, 10, 50, rng=rng))
wv = te.models.Word2Vec(walks, vector_size=8, window=2, min_count=1, sample=0, sg=1, epochs=10).wv
for node in "ade":
    print(f"the three nearest to {node}:", *sorted(other for other, _ in wv.most_similar(node, topn=3)))

club = te.data.karate_club()  # 34 members, who met whom, and on which side each was when the club split
wv = te.models.DeepWalk(club, 32, walk_length=10, num_walks=50).fit(window=5).wv
right = sum(club.labels[wv.most_similar(node, topn=1)[0][0]] == club.labels[node] for node in club.nodes)
print(f"the nearest vector is of the same side for {right >= 30 and '30 or more'} of {len(club)} members")
# Next: edges of many kinds, in step 19.
