"""Trees as files: what comes back is what was written, bit for bit, or a refusal that says why."""

import json
import os
import tempfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyembed import __version__
from tinyembed.files import (
    FileReference,
    FormatError,
    SafeTensors,
    check_tree,
    read_tree,
    write_safetensors,
    write_tree,
)

DTYPES = [np.dtype(kind) for kind in "? i1 u1 i2 u2 i4 u4 i8 u8 f2 f4 f8 >i2 >u4 >f4 >f8".split()]
LAYOUTS = [lambda x: x, lambda x: x.T, lambda x: x[::-1], lambda x: np.repeat(x, 2, 0)[::2],
           lambda x: np.asfortranarray(x)]


@st.composite
def arrays(draw):
    """Arrays of any bits, in every dtype and layout: 0-d, empty and big-endian ones, views that are not contiguous."""
    dtype, shape = draw(st.sampled_from(DTYPES)), draw(st.lists(st.integers(0, 3), max_size=3))
    n = dtype.itemsize * int(np.prod(shape))
    bits = np.frombuffer(draw(st.binary(min_size=n, max_size=n)), np.uint8)
    x = (bits & 1 if dtype.kind == "b" else bits).view(dtype).reshape(shape)
    return draw(st.sampled_from(LAYOUTS))(x) if shape else x


KEYS = st.text(max_size=4) | st.sampled_from(["$", "$tensor", "$items", "a", "a.b", "b", "", "tree", "__metadata__"])
SCALARS = st.none() | st.booleans() | st.integers() | st.integers(-2**1299, 2**1299) | st.floats() | st.text() | \
    st.sampled_from([-0.0, 5e-324, 1e308, np.float32(0.1), np.float64(2), np.int8(-3), np.uint64(2**64 - 1), np.True_,
                     np.float16("nan"), np.str_("ß")])
TREES = st.recursive(SCALARS | arrays(), lambda x: st.lists(x, max_size=4) | st.lists(x, max_size=3).map(tuple)
                     | st.dictionaries(KEYS | st.integers(), x, max_size=4), max_leaves=12)


def same(x, y):
    """Whether y, read, is x, written: with its type and bits, NumPy's scalars being Python's."""
    x = x.item() if isinstance(x, np.generic) else x
    if isinstance(x, np.ndarray):
        return type(y) is np.ndarray and y.dtype == x.dtype.newbyteorder("=") and y.dtype.isnative \
            and y.shape == x.shape and y.tobytes() == x.astype(y.dtype).tobytes()
    if type(x) is not type(y):
        return False
    if isinstance(x, dict):
        return list(x) == list(y) and all(type(a) is type(b) and same(x[a], y[b]) for a, b in zip(x, y))
    if isinstance(x, (list, tuple)):
        return len(x) == len(y) and all(map(same, x, y))
    return repr(x) == repr(y) if isinstance(x, float) else x == y


def write(path, tree):
    write_tree(path, tree, kind="a test", layout=3)


def read(path, pattern=object):
    return read_tree(path, pattern, kind="a test", layout=3)


def arrays_in(tree):
    inside = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, (list, tuple)) else ()
    return [tree] if isinstance(tree, np.ndarray) else [array for x in inside for array in arrays_in(x)]


@given(tree=TREES)
def test_what_is_read_is_what_was_written_and_stands_on_its_own(tree):
    with tempfile.TemporaryDirectory() as folder:
        path, again = Path(folder, "tree"), Path(folder, "again")
        write(path, tree)
        found, version = read(path)
        assert same(tree, found) and version == __version__
        write(again, found)
        data = path.read_bytes()
        assert again.read_bytes() == data  # the same tree is the same bytes
        for array in arrays_in(found):
            assert array.flags.writeable and array.flags.c_contiguous
            array.fill(1)
        assert path.read_bytes() == data and same(tree, read(path)[0])


LONG = [np.zeros(2, np.longdouble)] if np.dtype(np.longdouble).itemsize > 8 else []
UNFIT = [{1}, b"bytes", 1j, object(), np.float32, np.zeros(2, complex), np.array(["text"]), np.array([None]),
         np.ma.masked_array([1.0], [True]), np.datetime64("2020"), np.zeros(1, "i4,f4")[0],
         "half a pair \ud800", 2**1300, {"\udfff": 1}, {1.5: 1}, {None: 1}, {True: 1}, {(1, 2): 1}, *LONG]


@pytest.mark.parametrize("leaf", UNFIT, ids=lambda leaf: type(leaf).__name__)
def test_what_has_no_place_in_a_file_is_named_and_nothing_is_written(tmp_path, leaf):
    path = tmp_path / "tree"
    write(path, "old")
    with pytest.raises((TypeError, ValueError), match=r"^a\.b\.1 (is|has)"):
        write(path, {"first": np.ones(3), "a.b": [0, leaf]})
    assert read(path)[0] == "old" and os.listdir(tmp_path) == ["tree"]


def test_another_kind_and_another_layout_are_refused_with_what_to_do(tmp_path):
    path = tmp_path / "tree"
    write(path, 5)
    with pytest.raises(FormatError, match="kind is 'a test', not 'a checkpoint'"):
        read_tree(path, object, kind="a checkpoint", layout=3)
    written = f"written in layout 3 by version '{__version__}'; this version reads layout"
    with pytest.raises(FormatError, match=f"{written} 2: update tinyembed"):
        read_tree(path, object, kind="a test", layout=2)
    with pytest.raises(FormatError, match=f"{written} 4: make the file anew, or read it with that version"):
        read_tree(path, object, kind="a test", layout=4)
    write_safetensors(path, {"w": np.ones(2)})
    with pytest.raises(FormatError, match="kind is None"):
        read(path)


def test_every_flip_of_every_byte_is_refused_or_changes_nothing(tmp_path):
    path, tree = tmp_path / "tree", {"w": np.float32([[1, 2]]), "e": np.zeros((0, 3)), "n": [1.5, (True, None)]}
    write(path, tree)
    data, taken = path.read_bytes(), 0
    for i in range(len(data)):
        for flip in (1, 2, 4, 8, 16, 32, 64, 128, 0xFF, ord("F") ^ ord("I"), ord("I") ^ ord("U"), ord(" ") ^ ord("\t")):
            path.unlink()
            path.write_bytes(data[:i] + bytes([data[i] ^ flip]) + data[i + 1:])
            try:
                found = read(path)
            except FormatError:
                continue
            assert same(tree, found[0]) and found[1] == __version__, (i, flip)
            taken += 1
    assert taken <= 8  # the spaces at the end of the header


def forge(path, text, **metadata):
    """A file of the tree that JSON tells of, and of the tensor w if that is named in it, with checksums that are right:
    W stands for the reference to w, CRC for its checksum."""
    w = np.float64([1, 2])
    text = text.replace("W", '{"$tensor": ["w", CRC]}')
    text = text.replace("CRC", str(zlib.crc32(w.tobytes(), zlib.crc32(b"<f8 (2,)"))))
    found = {"kind": "a test", "layout": "3", "version": "1", "tree": text, **metadata}
    checksum = zlib.crc32(json.dumps(found, sort_keys=True).encode())
    write_safetensors(path, {"w": w} if "w" in text else {}, {"crc32": str(checksum), **found})


def test_forged_files_are_read_if_they_are_right(tmp_path):
    forge(tmp_path / "tree", '{"x": [W, {"$float": "-inf"}, {"$items": [[1, {}]]}]}')
    assert same({"x": [np.float64([1, 2]), -np.inf, {1: {}}]}, read(tmp_path / "tree")[0])


@pytest.mark.parametrize("text", [
    "", "{", "[1,]", "'", "[" * 600 + "]" * 600, "[" * 90_000, "9" * 401, '{"a": 1, "a": 1}', '{"a": "\\ud800"}',
    '{"$new": 1}', '{"$": 1}', '{"$tuple": [], "a": 1}', '{"a": 1, "$tuple": []}', '{"$tuple": {}}', '{"$tuple": "ab"}',
    '{"$float": "1.5"}', '{"$float": 1}', '{"$float": "NaN"}', '{"$items": [[1, 2, 3]]}', '{"$items": [[1.5, 2]]}',
    '{"$items": [[1, 2], [1, 3]]}', '{"$items": [[true, 2]]}', '{"$items": [[null, 2]]}', '{"$items": ["ab"]}',
    '{"$tensor": ["v", CRC]}', '[{"$tensor": ["v", CRC]}, "w"]', '{"$tensor": ["w", 1]}', '{"$tensor": ["w"]}',
    '{"$tensor": "w"}', '{"$tensor": ["w", true]}', '{"$tensor": [0, CRC]}', "[W, W]", '{"w": 1}',
    '{"$file": ["f", "<f4", [1, 2]]}', '{"$file": ["f", "<f4", [1.5], 0]}', '{"$file": ["f", "<f4", [true], 0]}',
    '{"$file": ["f", "<f4", 2, 0]}', '{"$file": [0, "<f4", [2], 0]}', '{"$file": ["f", "<f4", [2], null]}'])
def test_json_that_write_tree_does_not_write_is_refused(tmp_path, text):
    forge(tmp_path / "tree", text)
    with pytest.raises(FormatError):
        read(tmp_path / "tree")


@pytest.mark.parametrize("edit", [{"layout": "4"}, {"layout": "2"}, {"layout": "-1"}, {"layout": "1.0"},
                                  {"layout": "³"}, {"layout": ""}, {"layout": "9" * 5000}, {"kind": "b"},
                                  {"crc32": "0"}, {"crc32": ""}])
def test_metadata_that_write_tree_does_not_write_is_refused(tmp_path, edit):
    forge(tmp_path / "tree", "W", **edit)
    with pytest.raises(FormatError, match="metadata"):
        read(tmp_path / "tree")


# -- patterns ----------------------------------------------------------------------------------------------------------

INT64 = np.dtype(np.int64)
FIT = [(1, int), (1, float), (1.5, float), (True, bool), (None, None), (None, (int, None)), ("a", "a"), ([], [int]),
       ([1, 2.5], [float]), ({}, {str: int}), ({"a": 1}, {str: int}), ({"a": 1, "b": "c"}, {"a": int, "b": str}),
       ((1, 2), tuple), (np.zeros(3), np.ndarray), (np.zeros(3, int), INT64), ({1: None}, object), (6, range(7)),
       ({"a": [{"b": (1,)}]}, {"a": [{"b": (list, tuple)}]}), (2**53, float),
       (False, (True, False)), (0.0, (0, 0.0)), ([1, "a"], [int, str]), ({"b": 1}, {"a?": str, "b": int}),
       ({"type": "b", "y": 1}, ({"type": "a"}, {"type": "b", "y": int}))]
KINDS = (None, {"type": "a", "x": int}, {"type": "b", "y": int})
MISFIT = [(True, int, "True, where an int"), (1, bool, "1, where a bool"), (1.0, int, "1.0, where"),
          (0, None, "0, where"), ("b", "a", "'b', where 'a'"), (None, int, "None, where"),
          (7, range(7), "7, where an int from 0 to 6"), (-1, range(7), "-1, where an int"),
          (True, range(7), "True, where"), (2**53 + 1, float, "float was"),
          ([1, "x"], [int], r"tree\.1: 'x', where"), ((1,), [int], "a tuple, where a list was"),
          ({"a": 1}, {"a": int, "b": int}, "tree: lacks 'b'"), ({1: None}, {str: int}, "key 1"),
          ({1: None}, {str: object}, "key 1"), ({"a": {"b": [1, None]}}, {"a": {"b": [int]}}, r"tree\.a\.b\.1: None"),
          (np.zeros(3, np.int32), INT64, "a ndarray, where an array of int64"), (3, INT64, "3, where"),
          ("a", ("b", int), "'a', where 'b' or an int was"), (True, (False, 1), "True, where False or 1 was"),
          ({"a": [1, {"c": 2}]}, (None, {"a": [(int, {"c": str})]}), r"tree\.a\.1\.c: 2, where"),
          ([1, "a", 2], [int, str], "a list, where a list of 2 was"), (["a", 1], [int, str], r"tree\.0: 'a', where"),
          ({"a": 1}, {"b?": int}, "tree: has 'a', where only b are known"), ({"b": "1"}, {"b?": int}, r"tree\.b: '1'"),
          ({"type": "c"}, KINDS, r"tree\.type: 'c', where 'a' or 'b' was"), ({"type": "b"}, KINDS, "tree: lacks 'y'"),
          ({"type": "b", "y": "1"}, KINDS, r"tree\.y: '1', where an int"),
          ({}, KINDS, r"tree\.type: None, where 'a' or"),
          ({"type": np.arange(2)}, KINDS, r"tree\.type: a ndarray, where 'a'")]


@pytest.mark.parametrize(("tree", "pattern"), FIT)
def test_a_tree_of_the_form_is_taken(tree, pattern):
    check_tree("file", tree, pattern)


@pytest.mark.parametrize(("tree", "pattern", "words"), MISFIT)
def test_a_tree_of_another_form_is_refused_where_it_differs(tmp_path, tree, pattern, words):
    with pytest.raises(FormatError, match=words):
        check_tree("file", tree, pattern)
    write(tmp_path / "tree", tree)
    with pytest.raises(FormatError, match=words):
        read(tmp_path / "tree", pattern)


# -- mapped arrays -----------------------------------------------------------------------------------------------------


LOOKS = [lambda x: x, lambda x: x.T, lambda x: x.view(np.ndarray), lambda x: x.reshape(-1), lambda x: x[..., None]]


@given(mode=st.sampled_from(["r", "r+", "w+", "c"]), offset=st.sampled_from([0, 12, 5000]), columns=st.slices(4),
       rows=st.slices(6) | st.integers(0, 5), look=st.sampled_from(LOOKS))
def test_a_reference_names_just_the_numbers_of_the_view_or_there_is_none(mode, offset, rows, columns, look):
    with tempfile.TemporaryDirectory() as folder:
        file, path = Path(folder, "words"), Path(folder, "tree")
        file.write_bytes(np.arange(6000, dtype=np.uint16).tobytes())
        mapped = np.memmap(file, "<f4", mode, offset, (6, 4))
        if mode == "w+":
            mapped[:] = np.arange(24).reshape(6, 4)
        view = look(mapped[rows, columns])
        numbers, reference = np.array(view), FileReference.of(view)
        assert not numbers.size or (reference is not None) == (
            view.flags.c_contiguous and np.shares_memory(view, mapped) and mode != "c")
        if reference is not None:
            mapped.flush()
            there = np.fromfile(file, reference.dtype, numbers.size, offset=reference.offset)
            assert there.tobytes() == numbers.tobytes() and reference.shape == numbers.shape
        write(path, view)
        del mapped, view
        file.unlink()  # nothing of it is looked at
        assert same(numbers, read(path)[0]) if reference is None else read(path)[0] == reference


def test_computed_from_a_mapped_array_is_not_mapped(tmp_path):
    mapped = np.memmap(tmp_path / "words", "<f4", "w+", shape=(6, 4))
    for x in (mapped + 1, mapped.copy(), mapped[[1, 2]], np.array(mapped), mapped.astype("f8"), np.zeros(3)):
        assert FileReference.of(x) is None


def test_references_are_the_same_in_another_folder_but_not_of_other_numbers():
    a = FileReference("/a/words", "<f4", (3, 2), 8)
    assert a.same(FileReference("/b/words", "<f4", (3, 2), 8))
    others = [("/a/word", "<f4", (3, 2), 8), ("/a/words", "<f8", (3, 2), 8), ("/a/words", "<f4", (2, 3), 8),
              ("/a/words", "<f4", (3, 2), 0)]
    assert not any(a.same(other) for other in [*(FileReference(*x) for x in others), None, "/a/words"])


def test_an_array_mapped_from_the_file_that_is_replaced_is_kept_in_it(tmp_path):
    path = tmp_path / "tree"
    (tmp_path / "link").symlink_to(path)
    for target in (path, tmp_path / "link"):
        write(path, {"w": np.arange(5.0), "n": 1})
        mapped = SafeTensors(path)["w"]
        write(target, {"n": 2, "w": mapped})
        assert same({"n": 2, "w": np.arange(5.0)}, read(path)[0])


def test_a_mapped_read_leaves_the_arrays_in_the_file(tmp_path):
    tree = {"words": [f"w{i}" for i in range(2000)], "x": {"w": np.arange(6.0).reshape(2, 3)}}
    write_tree(tmp_path / "tree", tree, kind="k", layout=1)
    found, _ = read_tree(tmp_path / "tree", object, kind="k", layout=1, mapped=True)
    w = found["x"]["w"]
    assert isinstance(w, np.memmap) and not w.flags.writeable and w.tolist() == tree["x"]["w"].tolist()
    assert found["words"] == tree["words"]


def test_long_lists_of_strings_are_arrays_and_come_back(tmp_path):
    for words in ([f"wörd {i}" for i in range(1001)], ["", "\0", "🙂"] * 400, [""] * 1500):
        write_tree(tmp_path / "a", {"words": words}, kind="a test", layout=1)
        assert read_tree(tmp_path / "a", {"words": [str]}, kind="a test", layout=1)[0] == {"words": words}
