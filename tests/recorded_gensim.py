"""What gensim says about one small table and some texts, so that the tests need no gensim.

    pip install gensim==4.4.0
    python tests/recorded_gensim.py        prints RECORDED anew, to be pasted below

The table is a formula. CALLS are methods of KeyedVectors with their arguments; a list stands for an array where
gensim wants one ("vector"). QUESTIONS and PAIRS are files that two of the methods read.
"""

import pathlib
import pprint
import tempfile

import numpy as np

KEYS = ["the", "King", "king", "queen", "man", "woman", "paris", "france", "rome", "italy", "walk", "walked", "naïve",
        "cat", "dog", "up", "down", "red", "blue", "tea"]
TABLE = (np.sin(np.arange(len(KEYS) * 6) ** 1.7) * (1 + np.arange(len(KEYS) * 6) % 7)).reshape(-1, 6).astype("f4")
TABLE[3] = TABLE[2] - TABLE[4] + TABLE[5]  # queen = king - man + woman
TABLE[9] = TABLE[7] - TABLE[6] + TABLE[8]  # italy = france - paris + rome
QUESTIONS = """: royal
man king woman queen
king queen man woman
King Queen Man Woman
walk walked rome italy

: places of the world
paris france rome italy
france paris italy rome
oslo norway rome italy
paris france
cat dog up down
"""
PAIRS = """# a comment
king\tqueen\t8.5
cat\tdog\t7
Paris\tFrance\t7
up\tdown\t3.25
red\ttea\t0.5
oslo\tnorway\t9
no pair
walk\twalked\t9.75
"""
VECTOR = [1.0, -2.0, 0.5, 0.0, 3.0, -1.0]
CALLS = [
    ("similarity", ["king", "queen"], {}), ("similarity", ["the", "the"], {}), ("similarity", ["king", 7], {}),
    ("distance", ["cat", "dog"], {}), ("distances", ["cat"], {}), ("distances", ["cat", ["dog", "tea", 3]], {}),
    ("distances", ["vector", ["dog"]], {}),
    ("n_similarity", [["king", "queen"], ["man", "nobody"]], {}), ("n_similarity", [["nobody"], ["man"]], {}),
    ("most_similar", ["king"], {"topn": 4}), ("most_similar", [["king"]], {"topn": 100}), ("most_similar", [3], {}),
    ("most_similar", [], {"positive": ["king", "woman"], "negative": ["man"], "topn": 5}),
    ("most_similar", [], {"positive": [("king", 2.0), "woman"], "negative": ["man", ("cat", -0.25)], "topn": 5}),
    ("most_similar", [], {"positive": ["vector", "tea"], "topn": 3}),
    ("most_similar", [], {"negative": "tea", "topn": 3}), ("most_similar", ["tea"], {"topn": None}),
    ("most_similar", ["tea"], {"topn": 0}), ("most_similar", ["tea"], {"topn": 5, "restrict_vocab": 4}),
    ("most_similar", ["tea"], {"topn": 5, "clip_start": 3, "clip_end": 9}),
    ("most_similar", ["tea"], {"topn": None, "clip_start": 3, "clip_end": 9}),
    ("most_similar", ["tea"], {"topn": 5, "clip_start": 3, "restrict_vocab": 9}),
    ("similar_by_word", ["dog"], {"topn": 2}), ("similar_by_key", ["dog"], {"topn": 2, "restrict_vocab": 5}),
    ("similar_by_vector", ["vector"], {"topn": 2}),
    ("doesnt_match", [["cat", "dog", "king"]], {}), ("doesnt_match", [["up", "down", "red", "blue", "tea"]], {}),
    ("rank", ["king", "queen"], {}), ("rank", ["king", "king"], {}), ("closer_than", ["king", "queen"], {}),
    ("get_vector", ["naïve"], {"norm": True}), ("get_vector", ["naïve"], {}), ("__getitem__", [["cat", 2]], {}),
    ("get_mean_vector", [["cat", "nobody", "dog"]], {}),
    ("get_mean_vector", [["cat", "dog"], [1.0, -3.0]], {"pre_normalize": False}),
    ("get_mean_vector", [["cat", "vector"]], {"post_normalize": True}),
    ("get_index", ["cat"], {}), ("get_index", ["nobody", 5], {}), ("has_index_for", ["nobody"], {}),
    ("__contains__", ["cat"], {}), ("__contains__", [19], {}), ("__contains__", [20], {}),
    ("evaluate_word_analogies", ["QUESTIONS"], {}),
    ("evaluate_word_analogies", ["QUESTIONS"], {"case_insensitive": False, "restrict_vocab": 8}),
    ("evaluate_word_analogies", ["QUESTIONS"], {"dummy4unknown": True}),
    ("evaluate_word_pairs", ["PAIRS"], {}), ("evaluate_word_pairs", ["PAIRS"], {"dummy4unknown": True}),
    ("evaluate_word_pairs", ["PAIRS"], {"case_insensitive": False, "restrict_vocab": 15}),
]
TEXTS = [
    ("Hello, World! 3-fold a bc __init__ _x x_y 1a2b", {}), ("Žižek naïve ÉCOLE Ångström ß ŒUVRE", {}),
    ("Žižek naïve ÉCOLE Ångström ß ŒUVRE नमस्ते 你好世界 한국어 İstanbul", {"deacc": True}),
    ("नमस्ते 你好世界 한국어 İstanbul ½ ² Ⅷ ๓ don't e\u0301cole", {}), ("a bb ccc dddd", {"min_len": 1, "max_len": 3}),
    ("supercalifragilistic incomprehensibil incomprehensibili", {}), (b"caf\xc3\xa9 \xff caf\xe9", {}), ("", {}),
]


def call(wv, name, args, kwargs, folder):
    """What a method gives, as lists, strings and numbers."""
    def real(x):
        if isinstance(x, str) and x in ("QUESTIONS", "PAIRS"):
            path = pathlib.Path(folder, x)
            path.write_text(globals()[x], "utf-8")
            return str(path)
        if isinstance(x, list):
            return [real(item) for item in x]
        return np.array(VECTOR, np.float32) if isinstance(x, str) and x == "vector" else x

    return plain(getattr(wv, name)(*map(real, args), **{key: real(value) for key, value in kwargs.items()}))


def plain(x):
    if isinstance(x, dict):
        return {key: plain(value) for key, value in x.items()}
    if isinstance(x, (list, tuple)):
        return [plain(item) for item in x]
    if isinstance(x, (np.ndarray, np.generic)):
        return plain(x.tolist())
    return round(x, 8) if isinstance(x, float) else x


def record():
    """What RECORDED holds, made with gensim."""
    from gensim.models import KeyedVectors
    from gensim.utils import simple_preprocess
    wv = KeyedVectors(TABLE.shape[1])
    wv.add_vectors(KEYS, TABLE)
    with tempfile.TemporaryDirectory() as folder:
        calls = [call(wv, *each, folder) for each in CALLS]
    return {"calls": calls, "texts": [simple_preprocess(text, **options) for text, options in TEXTS]}


RECORDED = {'calls': [0.70292771, 0.99999994, 0.74295676, 1.86438978,
           [1.3175714, 0.80900401, 1.80028546, 1.49020147, 0.86918974, 1.31306624, 1.18887186, 1.98086333, 1.3176924,
            1.5726862, 0.67848015, 1.13250363, 1.26352191, -1.2e-07, 1.86438978, 0.81164724, 1.38456726, 1.20006931,
            0.76938707, 1.31698775],
           [1.86438978, 1.31698775, 1.49020147], [1.55273581], -0.7346856, 0.0,
           [['italy', 0.76312572], ['france', 0.74295664], ['rome', 0.71244305], ['queen', 0.70292771]],
           [['italy', 0.76312572], ['france', 0.74295664], ['rome', 0.71244305], ['queen', 0.70292771],
            ['dog', 0.57412064], ['naïve', 0.41417879], ['woman', 0.3912383], ['down', 0.35307422],
            ['tea', 0.30824789], ['the', 0.28148568], ['walk', 0.10813997], ['red', 0.06958], ['blue', 0.06106383],
            ['paris', 0.03003662], ['walked', -0.14679879], ['man', -0.37087452], ['King', -0.6076991],
            ['up', -0.61634636], ['cat', -0.80028534]],
           [['woman', 0.83446229], ['king', 0.70292777], ['france', 0.52980816], ['italy', 0.4531875],
            ['walked', 0.38786468], ['the', 0.29758114], ['dog', 0.22787426], ['rome', 0.20446853],
            ['naïve', 0.20224689], ['down', 0.13504604]],
           [['queen', 0.99736565], ['france', 0.5590294], ['italy', 0.48983115], ['walked', 0.35174036],
            ['the', 0.29809108]],
           [['queen', 0.94972718], ['france', 0.68989408], ['italy', 0.61662388], ['dog', 0.42212716],
            ['rome', 0.41932786]],
           [['paris', 0.71649468], ['man', 0.52888459], ['cat', 0.38632953]],
           [['paris', 0.73751289], ['walked', 0.31841427], ['cat', 0.31698778]],
           [0.88914579, -0.07547393, 0.30824792, 0.12200975, 0.28974029, 0.28987759, -0.73751289, 0.29407701,
            0.22108212, 0.78179985, -0.1242913, -0.31841427, 0.86758107, -0.31698778, 0.59304863, 0.41599834,
            0.41730872, -0.16310583, 0.36524388, 1.0],
           [], [['the', 0.88914579], ['king', 0.30824792], ['queen', 0.12200975], ['King', -0.07547393]],
           [['france', 0.29407701], ['woman', 0.28987759], ['man', 0.28974029], ['rome', 0.22108212],
            ['queen', 0.12200975]],
           [0.12200975, 0.28974029, 0.28987759, -0.73751289, 0.29407701, 0.22108212],
           [['the', 0.88914579], ['king', 0.30824792], ['france', 0.29407701], ['woman', 0.28987759],
            ['man', 0.28974029]],
           [['france', 0.80873686], ['the', 0.6101644]], [['the', 0.6101644], ['king', 0.57412064]],
           [['paris', 0.78075749], ['cat', 0.40032089]], 'cat', 'red', 4, 1, ['france', 'rome', 'italy'],
           [-0.29088128, 0.30267239, -0.33101201, 0.47611716, -0.69406343, 0.07613865],
           [-2.90629601, 3.02410531, -3.30725622, 4.75705242, -6.93462944, 0.76072782],
           [[0.59485626, -2.92790103, -1.76928103, 2.63258195, 5.69155216, 6.98942757],
            [-4.24331856, 1.73375368, 0.74221241, -1.25655806, -2.98616719, -3.37718034]],
           [0.11001357, 0.01392902, 0.09618947, 0.12631336, -0.09372106, 0.14668673],
           [-0.59625649, -2.2176764, -2.15434456, 0.70603704, 4.92918682, 3.62476063],
           [0.24067326, -0.52078789, 0.07344074, 0.05973616, 0.81067348, -0.06857756], 13, 5, False, True, True,
           False,
           [0.28571429,
            [{'section': 'royal',
              'correct': [],
              'incorrect': [['MAN', 'KING', 'WOMAN', 'QUEEN'], ['KING', 'QUEEN', 'MAN', 'WOMAN'],
                            ['KING', 'QUEEN', 'MAN', 'WOMAN'], ['WALK', 'WALKED', 'ROME', 'ITALY']]},
             {'section': 'places of the world',
              'correct': [['PARIS', 'FRANCE', 'ROME', 'ITALY'], ['FRANCE', 'PARIS', 'ITALY', 'ROME']],
              'incorrect': [['CAT', 'DOG', 'UP', 'DOWN']]},
             {'section': 'Total accuracy',
              'correct': [['PARIS', 'FRANCE', 'ROME', 'ITALY'], ['FRANCE', 'PARIS', 'ITALY', 'ROME']],
              'incorrect': [['MAN', 'KING', 'WOMAN', 'QUEEN'], ['KING', 'QUEEN', 'MAN', 'WOMAN'],
                            ['KING', 'QUEEN', 'MAN', 'WOMAN'], ['WALK', 'WALKED', 'ROME', 'ITALY'],
                            ['CAT', 'DOG', 'UP', 'DOWN']]}]],
           [0.5,
            [{'section': 'royal',
              'correct': [['man', 'king', 'woman', 'queen']],
              'incorrect': [['king', 'queen', 'man', 'woman']]},
             {'section': 'places of the world', 'correct': [], 'incorrect': []},
             {'section': 'Total accuracy',
              'correct': [['man', 'king', 'woman', 'queen']],
              'incorrect': [['king', 'queen', 'man', 'woman']]}]],
           [0.25,
            [{'section': 'royal',
              'correct': [],
              'incorrect': [['MAN', 'KING', 'WOMAN', 'QUEEN'], ['KING', 'QUEEN', 'MAN', 'WOMAN'],
                            ['KING', 'QUEEN', 'MAN', 'WOMAN'], ['WALK', 'WALKED', 'ROME', 'ITALY']]},
             {'section': 'places of the world',
              'correct': [['PARIS', 'FRANCE', 'ROME', 'ITALY'], ['FRANCE', 'PARIS', 'ITALY', 'ROME']],
              'incorrect': [['OSLO', 'NORWAY', 'ROME', 'ITALY'], ['CAT', 'DOG', 'UP', 'DOWN']]},
             {'section': 'Total accuracy',
              'correct': [['PARIS', 'FRANCE', 'ROME', 'ITALY'], ['FRANCE', 'PARIS', 'ITALY', 'ROME']],
              'incorrect': [['MAN', 'KING', 'WOMAN', 'QUEEN'], ['KING', 'QUEEN', 'MAN', 'WOMAN'],
                            ['KING', 'QUEEN', 'MAN', 'WOMAN'], ['WALK', 'WALKED', 'ROME', 'ITALY'],
                            ['OSLO', 'NORWAY', 'ROME', 'ITALY'], ['CAT', 'DOG', 'UP', 'DOWN']]}]],
           [[-0.25710461, 0.62284074], [-0.23190841, 0.65837357], 14.28571429],
           [[-0.14169262, 0.76186254], [-0.0360375, 0.93886056], 14.28571429],
           [[0.30786344, 0.80077202], [0.5, 0.66666667], 57.14285714]],
 'texts': [['hello', 'world', 'fold', 'bc', 'x_y'], ['žižek', 'naïve', 'école', 'ångström', 'œuvre'],
           ['zizek', 'naive', 'ecole', 'angstrom', 'œuvre', 'नमसत', '你好世界', '한국어', 'istanbul'],
           ['नमस', '你好世界', '한국어', 'stanbul', 'don', 'cole'], ['a', 'bb', 'ccc'], [], ['café', 'caf'], []]}

if __name__ == "__main__":
    print("RECORDED =", pprint.pformat(record(), width=118, compact=True, sort_dicts=False))
