"""Every writer of files, killed in the middle: what is found afterwards is the old file, or the whole of a new one. Of
a folder of several files, which may be refused until it is finished, all are of one save.

    python tests/killed_saves.py [how many kills for each format] [format ...]

A child saves one version after the other over the same file, as quickly as it can; SIGKILL comes at a random moment.
Then the file is read: it must be a version, whole. A version is an integer from which all of the content is made.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

import tinyembed as te
from tinyembed import files, nn
from tinyembed.models import GPT, GPTConfig, load_gpt, save_gpt
from tinyembed.text import Vocabulary
from tinyembed.train import load_checkpoint, save_checkpoint
from tinyembed.vectors import KeyedVectors

N = 5_000  # rows: enough bytes for a kill to hit
WORDS = [f"word{i}" for i in range(N)]


def rows(version):
    return np.full((N, 8), version, np.float32)


def version_of(vectors):
    """The version that all numbers are of; AssertionError if they are of two."""
    assert np.asarray(vectors).shape == (N, 8) and np.unique(vectors).size == 1
    return int(np.asarray(vectors).flat[0])


def model(version):
    table = nn.Embedding.from_pretrained(rows(version), freeze=False)
    return table, te.optim.AdamW(table.parameters())


def write_checkpoint(path, version):
    table, adam = model(version)
    table([0]).sum().backward()
    adam.lr = 0.0
    adam.step()
    save_checkpoint(path, table, adam, about=version)


def read_checkpoint(path):
    table, adam = model(0)
    version = load_checkpoint(path, table, adam).about
    assert version == version_of(table.weight.data)
    return version


def read_vocabulary(path):
    counts = Vocabulary.load(path).counts
    assert len(counts) == N and np.unique(counts).size == 1
    return int(counts[0])


def write_gpt(path, version):
    model = GPT(GPTConfig(N, 8 + version % 5, 1, 2, 8))
    model.token.weight.data = rows(version)
    save_gpt(path, model)


def read_gpt(path):
    try:
        model = load_gpt(path)
    except files.FormatError:
        files.finish_save(path)
        model = load_gpt(path)
    version = version_of(model.token.weight.data)
    assert model.config.block_size == 8 + version % 5 and len(os.listdir(path)) < 6  # three temporary
    return version


# name -> (write(path, version), read(path) -> version)
WRITERS = {
    "safetensors": (lambda path, v: files.write_safetensors(path, {"w": rows(v)}),
                    lambda path: version_of(files.SafeTensors(path)["w"])),
    "checkpoint": (write_checkpoint, read_checkpoint),
    "vocabulary": (lambda path, v: Vocabulary(WORDS, [v] * N).save(path), read_vocabulary),
    "word2vec text": (lambda path, v: files.write_word2vec(path, WORDS, rows(v)),
                      lambda path: version_of(files.read_word2vec(path)[1])),
    "word2vec binary": (lambda path, v: files.write_word2vec(path, WORDS, rows(v), binary=True),
                        lambda path: version_of(files.read_word2vec(path, binary=True)[1])),
    "keyed vectors": (lambda path, v: KeyedVectors(keys=WORDS, vectors=rows(v)).save(path),
                      lambda path: version_of(KeyedVectors.load(path).vectors)),
    "GloVe": (lambda path, v: files.write_word2vec(path, WORDS, rows(v), header=False),
              lambda path: version_of(files.read_word2vec(path, header=False)[1])),
    "GPT folder": (write_gpt, read_gpt),
}


def kill(name, folder, rng):
    """Kill one save; "old", "new", or "neither" with the reason."""
    write, read = WRITERS[name]
    path = Path(folder, "file")
    write(path, 1)
    child = subprocess.Popen([sys.executable, __file__, "--save", name, str(path)], stdout=subprocess.PIPE, text=True)
    child.stdout.readline()  # imports are done, the first save begins
    time.sleep(rng.random() * 0.15)
    child.send_signal(signal.SIGKILL)
    child.wait()
    child.stdout.close()
    try:
        found = read(path)
    except Exception as error:
        return f"neither: {error!r}"
    litter = len(os.listdir(folder)) - 1
    write(path, 1)
    assert os.listdir(folder) == ["file"], "the next save left litter"
    return ("old" if found == 1 else "new") + ", killed in the middle" * bool(litter)


def main(n, names):
    for name in names:
        rng, counts = random.Random(name), {}
        with TemporaryDirectory() as folder:
            for _ in range(n):
                outcome = kill(name, folder, rng)
                counts[outcome] = counts.get(outcome, 0) + 1
        print(f"{name:16} {n} kills:", ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items())))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--save"]:
        print("ready", flush=True)
        version = 1
        while True:
            version += 1
            WRITERS[sys.argv[2]][0](Path(sys.argv[3]), version)
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, sys.argv[2:] or list(WRITERS))
