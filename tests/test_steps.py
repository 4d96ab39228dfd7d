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
# number that did not, what the checker says of a wrong rule. All rounded: the same on NumPy 1.26 and 2.
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
}


@pytest.mark.parametrize("path", STEPS, ids=lambda path: path.stem)
def test_a_step_prints_what_it_should_and_nothing_to_stderr(path):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}
    done = subprocess.run([sys.executable, str(path)], cwd=ROOT, env=env, capture_output=True, text=True, timeout=120)
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
    imports = [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert {ast.unparse(node) for node in imports} == {"import numpy as np", "import tinyembed as te"}


def test_no_expected_output_is_without_its_step():
    assert [path.name for path in STEPS] == list(EXPECTED)
