"""Archives of vectors, and tables in files, in whose trees something else stands: used as they stand, or refused."""

import functools
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from forged_checkpoints import JUNK, near, places, put
from mutants import memory_limit, time_limit
from mutants_checkpoint import mend

import tinyembed as te
from tinyembed.files import FileReference, FormatError, SafeTensors, read_tree, strings_of, write_tree
from tinyembed.nn import Embedding
from tinyembed.rows import mapped
from tinyembed.vectors import KeyedVectors, SearchIndex, index, keyed_table

BIG = [10**9, 2**62, np.full(3, 2**62), np.array([-1, 1, 2])]


def trained(folder, make=te.optim.AdamW):
    """A table of 9 rows, with rows that lag behind."""
    layer = Embedding.mapped(folder, 9, 2, padding_idx=0, seed=1)
    optimizer = make(layer.parameters())
    for ids in ([1, 2], [2, 3], [1, 8]):
        optimizer.zero_grad()
        layer(ids).sum().backward()
        optimizer.step()
    layer.weight.storage.flush()


def use_table(folder):
    layer = Embedding.mapped(folder)
    assert layer(np.arange(9)).shape == (9, 2)
    layer.weight.storage.flush()
    assert layer.weight.data.shape == (9, 2)


def use_vectors(wv):
    assert len(wv.most_similar(wv.index_to_key[0], topn=2)) == 2 and wv.vectors.shape == (3, 2)
    assert all(wv.key_to_index[key] == i for i, key in enumerate(wv.index_to_key))


def some_vectors(path):
    wv = KeyedVectors(keys=["a", 33, "naïve"], vectors=np.eye(3, 2) + 1)
    wv.set_vecattr("a", "count", 3) if hasattr(wv, "set_vecattr") else wv.expandos.update(count=np.array([3, 2, 1]))
    wv.save(path / "file")


ARCHIVES = {  # name -> (write into a folder, name of the file, its kind and layout, read and use)
    "mapped table": (trained, "table.safetensors", mapped, use_table),
    "mapped table, SGD": (lambda folder: trained(folder, lambda p: te.optim.SGD(p, lr=0.1, momentum=0.5)),
                          "table.safetensors", mapped, use_table),
    "keyed vectors": (some_vectors, "file", keyed_table,
                      lambda folder: use_vectors(KeyedVectors.load(folder / "file"))),
    "keyed vectors, mapped": (some_vectors, "file", keyed_table,
                              lambda folder: use_vectors(KeyedVectors.load(folder / "file", mmap="r"))),
    "search index": (lambda folder: SearchIndex(np.eye(3, 8), "dot", "int8").save(folder / "file"), "file", index,
                     lambda folder: SearchIndex.load(folder / "file").search(np.ones(8), 2))}


@functools.cache
def written(name):
    """The folder's files, and the tree in one of them."""
    write, file, room, _ = ARCHIVES[name]
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder))
        tree, _ = read_tree(Path(folder, file), object, kind=room.KIND, layout=room.LAYOUT)
        return {path.name: path.read_bytes() for path in Path(folder).iterdir()}, tree


def try_forged(folder, name, path, value):
    """"taken", and then it can be used; or "refused"."""
    _, file, room, use = ARCHIVES[name]
    files, tree = written(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for other, data in files.items():
        (folder / other).write_bytes(data)
    write_tree(folder / file, put(tree, path, value), kind=room.KIND, layout=room.LAYOUT)
    try:
        with time_limit(4), memory_limit(64), np.errstate(all="ignore"):
            use(folder)
    except FormatError as error:
        assert str(folder) in str(error) and error.where and error.problem
        return "refused"
    return "taken"


def forgeries(name):
    for path, x in places(written(name)[1]):
        for value in [*JUNK, *BIG, *near(x)]:
            if not isinstance(value, FileReference) or not isinstance(x, FileReference):
                yield path, value


@pytest.mark.parametrize("name", ARCHIVES)
def test_what_stands_in_a_tree_is_used_as_it_stands_or_refused(tmp_path, name):
    outcome = Counter(try_forged(tmp_path / "forged", name, path, value)
                      for i, (path, value) in enumerate(forgeries(name)) if i % 17 == 0)
    assert outcome["refused"] > 10


@pytest.mark.parametrize(("name", "place", "value", "reason"), [
    ("mapped table", "lazy", None, "an optimiser without what it keeps"),
    ("mapped table", "rule", None, "an optimiser without what it keeps"),
    ("mapped table", "frozen_rows", np.ones(2, np.float32), "frozen_rows"),
    ("mapped table", "frozen_rows", np.ones(1, np.uint8), "frozen_rows or padding_idx are not of 9 rows"),
    ("mapped table", "padding_idx", 9, "frozen_rows or padding_idx are not of 9 rows"),
    ("mapped table", "lazy.law.class", "NoSuchCatchUp", "law"), ("mapped table", "std", np.nan, "no table"),
    ("keyed vectors", "lengths", np.array([2**62] * 4 + [8]), "do not divide"),
    ("keyed vectors", "lengths", np.array([1, 2, 100]), "do not divide"),
    ("keyed vectors", "lengths", np.array([3, -1, 6]), "do not divide"),
    ("keyed vectors", "integers", np.array([-2]), "no places"),
    ("keyed vectors", "integers", np.array([0]), "is no integer")])
def test_forms_that_went_unnoticed(tmp_path, name, place, value, reason):
    path = tuple(place.split("."))
    assert try_forged(tmp_path / "forged", name, path, value) == "refused"
    with pytest.raises(FormatError, match=reason):
        ARCHIVES[name][3](tmp_path / "forged")


def test_a_table_under_another_name_is_mapped_as_well(tmp_path):
    """The tree says which tensor it is: mapped, the table was read under its usual name."""
    some_vectors(tmp_path)
    path, data = tmp_path / "file", (tmp_path / "file").read_bytes()
    path.write_bytes(mend(data, data.replace(b'"vectors":{"dtype"', b'"VECTORS":{"dtype"').replace(
        b'{\\"$tensor\\":[\\"vectors\\"', b'{\\"$tensor\\":[\\"VECTORS\\"')))
    assert "VECTORS" in SafeTensors(path) and "vectors" not in SafeTensors(path)
    for wv in (KeyedVectors.load(path, mmap="r"), KeyedVectors.load(path)):
        assert wv.vectors.tolist() == (np.eye(3, 2) + 1).tolist()


@pytest.mark.parametrize("lengths", [[2**62] * 4 + [4], [2**63 - 1, 1, 2**63 - 1, 5], [5, -1], [4, 1], [], [1.0, 3.0]])
def test_lengths_of_strings_add_up_to_their_text(lengths):
    with pytest.raises(ValueError, match=r"do not divide|a list of lengths"):
        strings_of(np.frombuffer(b"abcd", np.uint8), np.array(lengths))
    with pytest.raises(ValueError, match="a list of lengths"):
        strings_of("abcd", np.array([4]))
