"""What Hugging Face Transformers says of the published all-MiniLM-L6-v2, so that the tests do not need it.

    pip install transformers==5.24.0 torch==2.13.0
    python tests/recorded_minilm.py FOLDER        prints RECORDED anew, to be pasted below

FOLDER holds the model: config.json and model.safetensors. IDS are three sentences in its vocabulary, [CLS] and [SEP]
around them, with padding. Of what the tables give and of each of the six layers are recorded, for each sentence, the
first four entries of its first vector and of its last real one, and the norm of all of its real vectors.
"""

import pprint
import sys

import numpy as np

IDS = np.array([
    [101, 1996, 4937, 2938, 2006, 1996, 13523, 1012, 102],  # the cat sat on the mat .
    [101, 7592, 2088, 102, 0, 0, 0, 0, 0],  # hello world
    [101, 2784, 4083, 2003, 2307, 999, 102, 0, 0]])  # deep learning is great !
REAL = IDS != 0


def of_states(states):
    """What is recorded, of num_layers + 1 arrays (B, T, D): [layer][sentence] -> (first, last, norm)"""
    lengths = REAL.sum(1)
    return [[[x[0, :4].tolist(), x[n - 1, :4].tolist(), float(np.linalg.norm(x[:n]))] for x, n in zip(state, lengths)]
            for state in states]


def record(folder):
    import torch
    from transformers import BertModel

    model = BertModel.from_pretrained(folder, dtype=torch.float32).eval()
    with torch.no_grad():
        said = model(input_ids=torch.tensor(IDS), attention_mask=torch.tensor(REAL.astype(int)),
                     output_hidden_states=True)
    states = [h.numpy() for h in said.hidden_states]
    return [[[[round(x, 7) for x in part] if isinstance(part, list) else round(part, 5) for part in line]
             for line in layer] for layer in of_states(states)]


RECORDED = [[[[-0.1765675, -0.0482364, 0.0376982, -0.0157179], [0.4109727, 0.0388114, -0.2237806, 0.0580841], 27.11528],
  [[-0.1765675, -0.0482364, 0.0376982, -0.0157179], [0.342232, 0.0683382, -0.1938925, -0.1805825], 18.7571],
  [[-0.1765675, -0.0482364, 0.0376982, -0.0157179], [0.3947507, 0.068335, -0.1848233, 0.1602789], 25.43366]],
 [[[-0.0034545, -0.0158257, -0.0156918, 0.0290748], [0.5999839, 0.2552915, -0.1071664, 0.0890482], 33.46087],
  [[-0.0022313, -0.0176246, -0.0148673, 0.0281019], [0.729517, 0.1572496, -0.1652868, -0.2148731], 21.98793],
  [[-0.0012788, -0.0178957, -0.0160368, 0.0275164], [0.6932748, 0.1817476, 0.1962333, 0.0584875], 29.91405]],
 [[[-0.0419014, 0.0106406, -0.0141059, 0.0012343], [0.8688392, 0.15136, -0.0845648, 0.4911734], 33.1849],
  [[-0.0447541, 0.0127227, -0.0132297, 0.0007669], [0.8431237, 0.6592314, 0.2957291, 0.0226198], 21.51881],
  [[-0.0445023, 0.0117788, -0.0130047, 0.001093], [0.8725852, 0.1256452, 0.0890005, 0.1538731], 29.23639]],
 [[[-0.0177289, -0.0118941, -0.0141144, 0.0132166], [0.9516988, 0.0768934, -0.3906552, 0.1318175], 33.47944],
  [[-0.0179777, -0.0124462, -0.014289, 0.012793], [0.3137258, 0.5436309, 0.1595217, 0.1275845], 22.7902],
  [[-0.019927, -0.0114097, -0.0136897, 0.0125112], [0.0819374, -0.1484895, -0.5239922, 0.3291444], 28.62865]],
 [[[-0.004229, 0.0015936, -0.0109945, 0.0141642], [0.8736954, 0.0106989, -0.547932, 0.6504096], 36.71659],
  [[-0.0103245, 0.0108462, 0.0007394, 0.0096592], [-0.118365, 0.2990179, 0.691398, 0.5156178], 24.87509],
  [[-0.0098269, 0.0147792, 0.0034298, 0.0029376], [0.0202807, -0.6530829, 0.413555, -0.2549612], 30.78941]],
 [[[0.0053525, 0.002441, -0.0095723, 0.0044604], [0.2690288, -0.0934037, -0.2434246, 0.3907748], 30.04232],
  [[-0.0220261, -0.0015566, -0.0074336, 0.0085327], [-0.2743309, 0.5423059, -0.0723244, 0.6656398], 24.3635],
  [[-0.0093487, 0.0178567, 0.0056936, -0.0029973], [0.0788108, -0.618928, 0.0373533, -0.2028844], 33.29866]],
 [[[0.4872107, -0.0088047, -0.1636712, 0.2087685], [0.6952812, -0.0633647, -0.1172761, 0.4132052], 25.47732],
  [[0.1764446, 0.0393662, 0.0779016, 0.2585419], [-0.4137961, 0.0775499, -0.1107882, 0.6163336], 18.78986],
  [[-0.1424638, -0.3014406, 0.1542407, -0.0651927], [-0.3221994, -1.5947356, -0.1055109, -0.6301471], 27.66183]]]

if __name__ == "__main__":
    print("RECORDED =", pprint.pformat(record(sys.argv[1]), width=118, compact=True))
