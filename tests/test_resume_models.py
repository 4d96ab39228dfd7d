"""Every model of words: a training that was killed and resumed, in another process too, ends with the same bytes."""

import functools
import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest

import tinyembed as te
from tinyembed.models import Doc2Vec, FastText, GloVe, TaggedDocument, Word2Vec

LINES = [line.split() for line in ("i love programming in python", "python is a versatile language",
                                   "machine learning is fascinating", "deep learning is a subset of machine learning")]
TEXT = LINES * 250  # 5,250 words: three batches
DOCUMENTS = [TaggedDocument(words, [i % 40]) for i, words in enumerate(TEXT)]
SMALL = {"vector_size": 6, "min_count": 1, "seed": 3}
MODELS = {
    "skip-gram": (lambda: Word2Vec(sg=1, sample=1e-2, **SMALL), TEXT),
    "CBOW": (lambda: Word2Vec(sg=0, sample=1e-2, **SMALL), TEXT),
    "FastText": (lambda: FastText(sg=1, sample=1e-2, bucket=99, **SMALL), TEXT),
    "PV-DM": (lambda: Doc2Vec(dm=1, **SMALL), DOCUMENTS),
    "PV-DBOW": (lambda: Doc2Vec(dm=0, dbow_words=1, **SMALL), DOCUMENTS),
    "GloVe": (lambda: GloVe(**SMALL), TEXT),
}


class Killed(BaseException):
    """Stands for the end of a process."""


def trained(name, path, cut=-1, die=None):
    """Train, or go on from the file; `die` in the cut-th call of the loss. The hash of all that was learned, and how
    many calls it took."""
    make, text = MODELS[name]
    te.seed(1)  # its state stands in the file
    model = make()
    model.build_vocab(text)
    loss, calls = model.network.loss, [0]

    def counted(*batch):
        calls[0] += 1
        if calls[0] == cut:
            die()
        return loss(*batch)

    model.network.loss = counted
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model.train(text, epochs=5, checkpoint=path, resume=True)
    parts = [p.data.tobytes() for p in model.network.parameters()] + [model.wv.vectors.tobytes()]
    return hashlib.sha256(b"".join(parts) + Path(path).read_bytes()).hexdigest(), calls[0]


def killed():
    raise Killed


@functools.cache
def whole(name):
    """Of a training that nobody stops."""
    with tempfile.TemporaryDirectory() as folder:
        return trained(name, Path(folder, "whole"))


@pytest.mark.parametrize("name", MODELS)
def test_a_training_that_was_killed_ends_as_one_that_never_was(tmp_path, name):
    result, calls = whole(name)
    for cut in (1, 2, 3, 4, 5):
        path = tmp_path / f"cut{cut}"
        with pytest.raises(Killed):
            trained(name, path, cut, killed)
        again, left = trained(name, path)
        assert again == result, f"killed in step {cut}"
        assert left < calls or cut < 5, "it began anew, and did not go on from the file"


def test_another_process_with_another_hash_seed_goes_on(tmp_path):
    def run(name, path, cut, seed):
        return subprocess.run([sys.executable, __file__, name, str(path), str(cut)], capture_output=True, text=True,
                              env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)})

    for name in ("skip-gram", "GloVe"):
        assert run(name, tmp_path / name, 4, "2").returncode == -signal.SIGKILL
        done = run(name, tmp_path / name, -1, "3")
        assert done.stdout == f"{whole(name)[0]}\n", done.stderr


if __name__ == "__main__":
    name, path, cut = sys.argv[1:]
    print(trained(name, path, int(cut), lambda: os.kill(os.getpid(), signal.SIGKILL))[0])
