"""Every step of the learning path runs, is short, needs numpy and tinyembed alone, and prints what it should."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
STEPS = sorted((ROOT / "examples" / "steps").glob("*.py"))

# The whole output of each step. Facts to watch: the sums (6 for a repeated id, not 5), the rows that changed and the
# number that did not, what the checker says of a wrong rule, the scores of step 7 that are equal, dense and exact of
# step 8 that are equal; in step 9, where row 42 lies, and that it is there. All rounded: the same on NumPy 1.26 and 2.
EXPECTED = {
    "01_lookup_is_one_hot_product.py": """\
ids [0 1 2 0 3]
their one-hot rows:
[[1. 0. 0. 0.]
 [0. 1. 0. 0.]
 [0. 0. 1. 0.]
 [1. 0. 0. 0.]
 [0. 0. 0. 1.]]
one_hot(ids) @ W:
[[0.1 0.2 0.3]
 [1.1 1.2 1.3]
 [2.1 2.2 2.3]
 [0.1 0.2 0.3]
 [3.1 3.2 3.3]]
W[ids] is the same: True
te.ops.embedding(W, ids) is the same: True

table of 10,000 x 64, 128 words; same rows again: True
  product: 5,120,000 bytes of one-hot rows, 81,920,000 multiplications
  lookup:      1,024 bytes of ids,                   0 multiplications
table of 50,257 x 768, 1024 words (GPT-2):
  product: 205,852,672 bytes of one-hot rows, 39,523,713,024 multiplications
  lookup:  8,192 bytes of ids, 0 multiplications
""",
    "02_gradient_is_scatter_add.py": """\
one_hot.T @ g, the definition:
[[10. 10.]
 [ 0.  0.]
 [ 6.  6.]
 [ 0.  0.]]
grad[ids] += g, wrong: row 2 has lost its first message:
[[10. 10.]
 [ 0.  0.]
 [ 5.  5.]
 [ 0.  0.]]
  equal to the definition: False
np.add.at(grad, ids, g):
[[10. 10.]
 [ 0.  0.]
 [ 6.  6.]
 [ 0.  0.]]
  equal to the definition: True
the engine, y.backward(g):
[[10. 10.]
 [ 0.  0.]
 [ 6.  6.]
 [ 0.  0.]]
  equal to the definition: True
times each word was looked up, from the gradient of a sum: [0, 3, 0, 1]
""",
    "03_gradient_of_few_rows.py": """\
W.grad is a RowGrad that stands for (1000000, 16)
ids: [7, 999999, 7, 42, 7, 123456]
rows: (6, 16) one for each place of the batch, repeats and all
coalesced ids: [7, 42, 123456, 999999]
first number of each row: [3.0, 1.0, 1.0, 1.0] (word 7 came three times)

bytes of the table:           64,000,000
bytes of a dense gradient:    64,000,000
bytes of this RowGrad:               432
bytes coalesced:                     288

rows that changed: [7, 42, 123456, 999999]
rows with the same bytes as before: 999,996
  row       7 moved by -1.500
  row      42 moved by -0.500
  row  123456 moved by -0.500
  row  999999 moved by -0.500
with W.sum() in the loss, W.grad is an ndarray
""",
    "04_engine_in_one_screen.py": """\
gradient of W, this engine and tinyembed agree: True
gradient of A, this engine and tinyembed agree: True
step   0  loss 5.3159
step  50  loss 0.0115
step 100  loss 0.0047
step 150  loss 0.0028
step 200  loss 0.0020
Like this one, tinyembed/core has no recursion and no reference cycles. What it does beyond this:
  order: birth numbers and a heap find what the result was made from, so there is no global tape
  shapes: a gradient is summed over the axes that broadcasting copied; that of a lookup is a RowGrad, no zeros
  safety: refuses a leaf changed since it was read, and a second walk over a graph that the first has freed
""",
    "05_checking_a_gradient.py": """\
tanh at -2: nudging gives 0.070651, the rule 1 - y^2 gives 0.070651
a right function: largest difference below 1e-9: True
wrong_cube:
  input 0 (1,), at (0,): backward gives 8, differences give 12; tolerance 1.2e-05
wrong_lookup, ids 2 0 1, passes: True
wrong_lookup, ids 2 0 2:
  input 0 (4, 2), at (2, 0), output entry 0: backward gives 0, differences give 1; tolerance 1e-06
relu beside its corner passes: True
relu at its corner:
  at a kink, a tie or a jump: input 0 (3,) near (1,) has slope 0 on one side and 1 on the other; check at another point
""",
    "06_write_your_own_op.py": """\
checked, two of a shape:  True
checked, broadcasting:    True
as a function: [1.0, 5.0, 4.25]
as a method:   [1.0, 5.0, 4.25]
in te.OPS:     True
step   0  loss 39.958
step 100  loss 0.001
step 200  loss 0.000
step 300  loss 0.000
distances learned, and wanted:
  cat dog  1.00  1.00
  car bus  1.00  1.00
  cat car  3.00  3.00
  dog bus  3.00  3.00
  cat bus  3.16  3.16
  dog car  3.16  3.16
""",
    "07_positions.py": """\
the two sentences, pooled, are apart by
  without positions          0.000
  learned, added             0.000
  learned, then a norm       0.421
  sinusoidal, then a norm    0.213
rows of the learned table that heard something: [0, 1, 2]
11 words: 11 positions from 0 on do not fit LearnedPositionalEmbedding(10 positions): it has 10
row 1: [0.841, 0.54, 0.1, 0.995, 0.01, 1.0, 0.001, 1.0]
its parameters: []
row 1004 is row 1000 turned by 4: True
  dog at    0, man at    0: score +0.3748
  dog at    0, man at    2: score +0.3940
  dog at    5, man at    7: score +0.3940
  dog at 5000, man at 5002: score +0.3940
  dog at    2, man at    0: score +0.4160
""",
    "08_lazy_adam_is_not_adam.py": """\
a row seen at steps 1-5 and 36-40; how far it has moved, in units of lr
  dense     step 5:  5.00   step 35: 12.99   step 40: 15.99   step 70: 24.03
  exact     step 5:  5.00   step 35: 12.99   step 40: 15.99   step 70: 24.03
  touched   step 5:  5.00   step 35:  5.00   step 40: 10.00   step 70: 10.00
  largest difference from dense: exact below 1e-12: True; touched 14.03 lr
  reading the whole table after every step changed no stored byte: True
a row first seen at step 1001; how far it has moved, in units of lr
  dense     step 1001:  2.52   step 1051: 25.21
  exact     step 1001:  2.52   step 1051: 25.21
  touched   step 1001:  1.00   step 1051:  1.00
  largest difference from dense: exact below 1e-12: True; touched 24.21 lr
  reading the whole table after every step changed no stored byte: True
Momentum goes on moving a row that is absent; touched leaves it where it was last seen.
touched also counts each row's own steps: at step 1001 it corrects m and v as Adam does at step 1.
""",
    "09_what_is_in_a_model_file.py": """\
__metadata__ {'made by': 'step 9'}
norm         {'dtype': 'F32', 'shape': [8], 'data_offsets': [0, 32]}
wte.weight   {'dtype': 'F32', 'shape': [1000, 8], 'data_offsets': [32, 32032]}
small        {'dtype': 'BF16', 'shape': [1000, 8], 'data_offsets': [32032, 48032]}
8 + 240 + data = 48,280 bytes, all of the file: True
row 42 is bytes 1,624 to 1,656; that is row 42: True
SafeTensors reads the same: True
0.320361 as float32: 3e a4 06 62   as bfloat16: 3e a4
with two bytes of zeros: 0.320312; SafeTensors reads 0.320312
relative error of all numbers below 2^-8, half a step: True
Embedding(1000 x 8) looks it up: True
reading a pickle:
  a line that the file had printed; it might as well have deleted yours
""",
    "10_words_from_their_neighbours.py": """\
16 words, 112 pairs; of the first king: ['the', 'rules', 'his']
king and queen are a pair: False
king is to be near rules and far from wears dog land
chances [0.49 0.55 0.5  0.48]  off by [-0.51  0.55  0.5   0.48]  loss 2.8450
the op agrees: True True True
one step further the loss of this pair is 2.2334; now all pairs
epochs   0 to 100: loss of a pair 1.78
epochs 100 to 200: loss of a pair 1.66
epochs 200 to 300: loss of a pair 1.65
nearest neighbours: king queen, cat dog, his her,
king . queen: +5.6 as both are looked up, -5.8 as queen is predicted
""",
    "11_an_analogy.py": """\
counts                   bapo   bepe   bako   bamu
  king                   24.0    0.0   35.0    0.0
  queen                  37.0    0.0    0.0   27.0
  man                     0.0   39.0   31.0    0.0
  woman                   0.0   29.0    0.0   38.0
log-odds                 bapo   bepe   bako   bamu
  king                    2.7   -0.6    1.9   -1.6
  queen                   3.1   -0.6   -1.6    1.8
  man                    -0.5    3.1    1.8   -1.6
  woman                  -0.5    2.8   -1.6    2.1
  king - man + woman      2.7   -0.9   -1.5    2.1
of all rows, 530 numbers each, at distance 2 queen, 15 daughter, 15 baroness, …

dot products and log-odds correlate: 0.6
the word nearest to king - man + woman: queen
  of 612 analogies log-odds get right: 100%
  of 612 analogies vectors get right: 100%
  of 612 analogies random get right: 1%
  king   first component +1, second +1
  queen  first component +1, second -1
  man    first component -1, second +1
  woman  first component -1, second -1
""",
    "12_the_next_token.py": """\
after 'the', counted:  {'cat': 0.4, 'dog': 0.2, 'mat': 0.4}
mean of -log p: the counts 0.4441, no idea log(7) = 1.9459, perplexity 1.56

untrained loss 1.9459; gradient of the row of 'the' times 15:
  {'and': 0.71, 'cat': -1.29, 'dog': -0.29, 'mat': -1.29, 'on': 0.71, 'sat': 0.71, 'the': 0.71}
  which is n(the) / V - n(the, next): True

trained loss 0.445, the counts' 0.444
after 'the', learned:  {'cat': 0.4, 'dog': 0.2, 'mat': 0.4}
it writes: the mat and the cat sat on the cat sat on the dog
""",
    "13_attention.py": """\
'it' looks at: the 0.01, cat 0.49, drank 0.09, because 0.33, it 0.06, was 0.01, thirsty 0.02
the op gives the same: True
its gradient agrees with finite differences

with a large query, the row of 'cat' is fetched whole: True
causal weights of a head, first three words:
[[1.   0.   0.   0.  ]
 [0.55 0.45 0.   0.  ]
 [0.33 0.33 0.34 0.  ]]
change the last word, and what changes is at: ['thirsty']
without positions, order is invisible: True
with rotary positions: False
""",
    "14_context.py": """\
18 sentences, such as: the muddy bank under water; the private bank has notes
  untrained, in the table  within a sense 1.0, between the two 1.0, bit-equal True
  untrained, in context    within a sense 0.8, between the two 0.8, bit-equal False
  trained,   in the table  within a sense 1.0, between the two 1.0, bit-equal True
  trained,   in context    within a sense 1.0, between the two -0.1, bit-equal False
after 'the muddy bank': under with
after 'the rich bank': about has
""",
    "15_two_halves_of_a_batch.py": """\
gradient of the table, at once:    RowGrad(shape=(12, 4), 11 rows, float64)
5 examples, then 9, added up:      RowGrad(shape=(12, 4), 11 rows, float64)
the same numbers: True True True
1: 14 examples for the first, loss 0.3352, in all the same bits True, as alone True
2: 7 examples for the first, loss 0.3352, in all the same bits True, as alone True
3: 4 examples for the first, loss 0.3352, in all the same bits True, as alone True
""",
    "16_a_sentence_as_a_mean_of_rows.py": """\
a bag is the mean of its rows: True
cosine of 'dog bites man' and 'man bites dog': 1.00
cosine of 'the dog was seen' and 'the dog was not seen': 0.87

share of all words: the 0.222, was 0.076, that 0.077, it 0.038, nurse 0.011, horse 0.008, helped 0.001
  x: the nurse helped the horse on Sunday
  y: we know that it was the horse that was helped by the nurse on Sunday
  z: the baker hid the van on the bridge
                    cosine x, y   cosine x, z   Spearman with the scores of 1000 pairs
  plain mean            0.48          0.42          0.63
  a = 0.1               0.58          0.08          0.74
  a = 0.03              0.78          0.01          0.77
  a = 0.001             0.99         -0.04          0.53
With a far below p the weights are a / p: a word twice as rare counts twice as much, whether it matters or not.
cosine of who helped whom and the other way round, weighted: 1.00
""",
    "17_in_batch_negatives.py": """\
what is taken for its own:
[[0.15 0.54 0.31]
 [0.18 0.08 0.74]
 [0.14 0.51 0.35]]
loss 1.8340; with no idea log(3) = 1.0986
the engine finds the same gradients: True True
a text twice: perfect vectors have loss 0.4621, log 2 in two rows of three; with its twin masked 0.0000

 0 epochs: 66% of 100 new ones find their own, mean cosine of synonyms 0.05
15 epochs: 96% of 100 new ones find their own, mean cosine of synonyms 0.69
""",
    "18_a_walk_is_a_sentence.py": """\
sentences by hand: adbabdeg dcdcdede hfhehfef
at d, having come from c, p = 0.5, q = 2: {'a': 0.22, 'b': 0.22, 'c': 0.44, 'e': 0.11}
as te.data.random_walks does it:          {'a': 0.22, 'b': 0.23, 'c': 0.43, 'e': 0.11}
q = 4    of walks from a, 6 nodes long, 8% cross
q = 1    of walks from a, 6 nodes long, 26% cross
q = 0.25 of walks from a, 6 nodes long, 52% cross
the three nearest to a: b c d
the three nearest to d: a b c
the three nearest to e: f g h
the nearest vector is of the same side for 30 or more of 34 members
""",
    "19_a_relation_is_a_translation.py": """\
squared distance to the tail, to the wrong one:
  after  0 steps 20.97 13.98
  after  5 steps 15.08 16.59
  after 10 steps 15.08 16.59

east + north against north-east: 0.1 apart
north-east of the others, which nobody told: 100% right

TransE: 44% of the clock's 48 facts
RotatE: 100% of the clock's 48 facts
  an hour later     turns by [1 9 4 7] hours
  an hour before    turns by [11  3  8  5] hours
  four hours later  turns by [4 4 4 4] hours
  opposite          turns by [6 0 0 6] hours
""",
    "20_a_convolution_is_a_lookup_of_patches.py": """\
the first window, and the last, look up [0 1 4 5] and [10 11 14 15]
the product of patches and kernel is conv2d: True
how often each pixel was looked up:
[[1 2 2 1]
 [2 4 4 2]
 [2 4 4 2]
 [1 2 2 1]]
rows that the lookup sends back: 36 for 16 pixels
added up, they are conv2d's gradient: True

one number for each pixel         194 parameters; share of bars told right: on the left 0.8, on the right 0.4
kernels, and the maximum of each   50 parameters; share of bars told right: on the left 1.0, on the right 1.0
""",
    "21_two_towers.py": """\
0 epochs: 0% of pictures find their caption among 16, 50% of captions a picture of theirs; scale 14
8 epochs: 96% of pictures find their caption among 16, 100% of captions a picture of theirs; scale 35
captions as classes: ['red', 'green', 'blue', 'yellow']
the first picture - red + blue: blue top-left
""",
}


def run(path, *args, first_on_path=ROOT):
    found = [str(first_on_path), str(ROOT), os.environ.get("PYTHONPATH")]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, found)), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, str(path), *args], cwd=ROOT, env=env, capture_output=True, text=True,
                          timeout=120)


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_a_step_prints_what_it_should_and_nothing_to_stderr(path):
    done = run(path)
    assert done.stderr == ""
    assert done.returncode == 0
    assert done.stdout == EXPECTED[path.name]


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_a_step_is_short_opens_with_its_idea_and_ends_with_the_next(path):
    source = path.read_text(encoding="utf-8")
    lines = source.splitlines()
    assert len(lines) <= 60
    tree = ast.parse(source)
    docstring = ast.get_docstring(tree)
    assert docstring.startswith(f"Step {int(path.name[:2])}: ")
    assert 3 <= len(docstring.splitlines()) <= 8
    assert lines[-1].startswith("# Next: ")
    at_import, all_of_it = ({ast.unparse(node) for node in nodes if isinstance(node, (ast.Import, ast.ImportFrom))}
                            for nodes in (tree.body, ast.walk(tree)))
    library = {line for line in at_import if line.split()[1] in sys.stdlib_module_names}
    assert at_import - library == {"import numpy as np", "import tinyembed as te"}
    assert all_of_it - at_import <= {"from matplotlib.figure import Figure"}  # for a picture, if asked


def test_no_expected_output_is_without_its_step():
    assert [path.name for path in STEPS] == list(EXPECTED)


def test_step_8_draws_its_picture_when_asked(tmp_path):
    pytest.importorskip("matplotlib")
    done = run(STEPS[7], "--picture", str(tmp_path / "lazy_adam.png"))
    assert done.returncode == 0, done.stderr
    assert done.stdout == EXPECTED[STEPS[7].name]
    assert (tmp_path / "lazy_adam.png").read_bytes().startswith(b"\x89PNG\r\n")


def test_step_8_says_so_where_matplotlib_is_missing(tmp_path):
    (tmp_path / "matplotlib.py").write_text("raise ImportError('not here')")
    done = run(STEPS[7], "--picture", str(tmp_path / "lazy_adam.png"), first_on_path=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == EXPECTED[STEPS[7].name] + "no picture: pip install matplotlib\n"
    assert not (tmp_path / "lazy_adam.png").exists()
