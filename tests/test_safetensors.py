"""safetensors: what is written is read, by us and by the reference; what is not right is refused, with a reason."""

import json
import os
import struct
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from mutants import make_safetensors, mend_safetensors, mutants, time_limit

import tinyembed as te
from tinyembed.files import FormatError, SafeTensors, sparse_safetensors, write_safetensors
from tinyembed.files.bfloat import narrow, widen
from tinyembed.files.header import BITS, STORED
from tinyembed.files.untrusted import most_memory, parse_json

MB = 1 << 20
posix = pytest.mark.skipif(os.name != "posix", reason="holes in files, and files replaced while they are mapped")
CODES = [code for code in STORED if code != "BF16"]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ARRAYS = st.sampled_from([np.dtype(STORED[code]) for code in CODES]).flatmap(
    lambda dtype: hnp.arrays(dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)))
TENSORS = st.dictionaries(TEXT, ARRAYS, max_size=5)


def same(a, b):
    return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


def raw(header, data=b"", n=None):
    """A file of this header, which is text or what JSON is made of."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if n is None else n) + text + data


def entry(dtype="F32", shape=(2,), offsets=(0, 8), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


# -------------------------------------------------------------------------------------------------- there and back


@given(tensors=TENSORS, metadata=st.dictionaries(TEXT, TEXT, max_size=3))
def test_what_is_written_is_read(tmp_path_factory, tensors, metadata):
    path = tmp_path_factory.mktemp("files") / "file.safetensors"
    write_safetensors(path, tensors, metadata)
    file = SafeTensors(path)
    assert file.metadata == metadata
    assert set(file) == set(tensors) and len(file) == len(tensors)
    for name, array in tensors.items():
        assert name in file and file.shape(name) == array.shape
        assert STORED[file.dtype(name)] == array.dtype.str.replace("|", "").replace("b1", "?")
        assert same(file[name], array) and not file[name].flags.writeable
        assert file[name].flags.aligned and (isinstance(file[name], np.memmap) or not array.size)
        if array.ndim:
            assert same(file.rows(name, slice(None)), array)
    again = path.with_name("again.safetensors")
    write_safetensors(again, dict(reversed(tensors.items())), dict(reversed(metadata.items())))
    assert again.read_bytes() == path.read_bytes()
    assert len(path.read_bytes()) % 8 == sum(x.nbytes for x in tensors.values()) % 8


def test_metadata_of_null_are_none(tmp_path):
    (tmp_path / "x.safetensors").write_bytes(raw({"__metadata__": None, "a": entry()}, bytes(8)))
    file = SafeTensors(tmp_path / "x.safetensors")
    assert file.metadata == {} and list(file) == ["a"]


@given(array=ARRAYS.filter(lambda x: x.ndim), data=st.data())
def test_rows_are_those_of_the_array(tmp_path_factory, array, data):
    path = tmp_path_factory.mktemp("files") / "file.safetensors"
    write_safetensors(path, {"w": array, "other": np.ones(3)})
    file, V = SafeTensors(path), len(array)
    ids = data.draw(hnp.arrays(np.int64, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3),
                               elements=st.integers(0, V - 1))) if V else np.zeros((2, 0), np.int64)
    piece = data.draw(st.slices(V))
    for rows, wanted in (file.rows("w", ids), array[ids]), (file.rows("w", piece), array[piece]):
        assert same(rows, np.asarray(wanted)) and rows.flags.writeable and rows.flags.aligned
    for wrong in V, -1, 2**40:
        with pytest.raises(IndexError, match=rf"id {wrong} at position \({V},\) is outside tensor 'w'"):
            file.rows("w", [*range(V), wrong])


def test_rows_refuses_what_are_no_ids_or_no_rows(tmp_path):
    path = tmp_path / "file.safetensors"
    write_safetensors(path, {"w": np.eye(3), "one": np.array(1.0)})
    file = SafeTensors(path)
    assert file["one"].shape == () and file["one"] == 1 and file.rows("w", []).shape == (0, 3)
    with pytest.raises(TypeError, match="ids are integers"):
        file.rows("w", [0.5])
    with pytest.raises(ValueError, match="'one' is a single number"):
        file.rows("one", 0)
    for read in file.rows, lambda name, _: file[name], lambda name, _: file.shape(name), lambda n, _: file.dtype(n):
        with pytest.raises(KeyError, match="has no tensor 'W'"):
            read("W", 0)
    assert "W" not in file and file.get("W") is None and repr(file).endswith("file.safetensors', 2 tensors)")


def test_any_layout_and_byte_order_is_written_in_order(tmp_path):
    path, x = tmp_path / "file.safetensors", np.arange(24.0).reshape(2, 3, 4)
    views = {"T": x.T, "step": x[:, ::-2, 1:], "F": np.asfortranarray(x), "all": np.broadcast_to(x[0, 0], (5, 4)),
             "big": x.astype(">f4"), "int": np.arange(5, dtype=">i2"), "zero": np.float32(3)}
    write_safetensors(path, views)
    file = SafeTensors(path)
    for name, view in views.items():
        np.testing.assert_array_equal(file[name], view)
        assert file[name].dtype == view.dtype.newbyteorder("=")
    order = [(-list(BITS).index(file.dtype(name)), name) for name in file]
    assert order == sorted(order)


def test_writing_takes_a_chunk_of_memory_not_a_copy(tmp_path):
    x = np.ones((300, 20_000), np.float32)  # 24 MB
    tracemalloc.start()
    write_safetensors(tmp_path / "file.safetensors", {"x": x, "T": x.T, "flat": x.ravel(), "half": x[None]},
                      dtypes={"half": "BF16"})
    assert tracemalloc.get_traced_memory()[1] < 8 * MB
    tracemalloc.stop()
    file = SafeTensors(tmp_path)
    assert all(np.array_equal(file[name], np.ones(file.shape(name))) for name in file)


def test_a_file_is_written_over_while_its_arrays_are_the_source(tmp_path):
    path = tmp_path / "model.safetensors"
    x = np.random.default_rng(0).standard_normal((700, 300))
    write_safetensors(path, {"w": x, "b": np.arange(3)})
    before = SafeTensors(path)
    write_safetensors(path, {"w": before["w"][::-1], "a": before["b"], "z": before["w"]})
    after = SafeTensors(path)
    assert same(after["w"], x[::-1]) and same(after["z"], x) and same(after["a"], np.arange(3))
    assert same(before["w"], x)  # the old bytes, as long as someone holds them
    assert os.listdir(tmp_path) == ["model.safetensors"]


def test_tensors_that_change_while_they_are_written_leave_the_old_file(tmp_path):
    class Shrinking(dict):
        def __getitem__(self, name):
            self[name] = super().__getitem__(name)[:-1]
            return super().__getitem__(name)

    write_safetensors(tmp_path / "a.safetensors", {"w": np.ones(3)})
    with pytest.raises(RuntimeError, match="the tensors changed meanwhile"):
        write_safetensors(tmp_path / "a.safetensors", Shrinking(w=np.ones(5)))
    assert SafeTensors(tmp_path)["w"].tolist() == [1, 1, 1] and os.listdir(tmp_path) == ["a.safetensors"]


@pytest.mark.parametrize(("tensors", "metadata", "dtypes", "error", "match"), [
    ({"w": np.array([1j])}, None, None, TypeError, "'w' has dtype complex128"),
    ({"w": np.array(["a"])}, None, None, TypeError, "'w' has dtype <U1"),
    ({"w": np.array([None])}, None, None, TypeError, "'w' has dtype object"),
    ({"w": np.zeros(2, np.longdouble)}, None, None, TypeError, "'w' has dtype float128|'w' has dtype longdouble"),
    ({"w": [1.0]}, None, None, TypeError, "'w' is a list; give a NumPy array"),
    ({"w": te.Tensor([1.0])}, None, None, TypeError, "'w' is a Tensor"),
    ({3: np.ones(1)}, None, None, TypeError, "the tensor 3 is no string"),
    ({"\ud800": np.ones(1)}, None, None, ValueError, "no room for the tensor"),
    ({"__metadata__": np.ones(1)}, None, None, ValueError, "where its metadata stand"),
    ({}, {"a": 1}, None, TypeError, "metadata 'a' is 1; only strings"),
    ({}, {1: "a"}, None, TypeError, "metadata 1 is no string"),
    ({}, {"a": "\udfff"}, None, TypeError, "only strings of characters"),
    ({"w": np.ones(1)}, None, {"v": "BF16"}, ValueError, r"not there: \['v'\]"),
    ({"w": np.ones(1, int)}, None, {"w": "BF16"}, TypeError, "'w' has dtype int64, which is not stored as 'BF16'"),
    ({"w": np.ones(1)}, None, {"w": "F16"}, TypeError, "convert it with astype"),
    ({}, {"a": "x" * (20 << 20)}, None, ValueError, "readers would refuse it"),
])
def test_what_can_not_be_written_is_refused_before_a_byte_is(tmp_path, tensors, metadata, dtypes, error, match):
    path = tmp_path / "file.safetensors"
    path.write_bytes(b"old")
    with pytest.raises(error, match=match):
        write_safetensors(path, {"fine": np.ones(2), **tensors}, metadata, dtypes)
    assert path.read_bytes() == b"old" and os.listdir(tmp_path) == ["file.safetensors"]


# -------------------------------------------------------------------------------------------------------- bfloat16


def exact_bfloat(x):
    """The nearest bfloat16 as a float64, ties to even: from the list of all of them, whose middles float64 has."""
    values = np.arange(0x7F80, dtype=np.uint32).astype(np.uint16)
    values = np.append(widen(values).astype(np.float64), 2.0**128)  # one step beyond the largest: infinity
    middles = (values[1:] + values[:-1]) / 2
    i = np.searchsorted(middles, np.abs(x))
    i += (np.append(middles, np.inf)[i] == np.abs(x)) & (i % 2 == 1)  # a middle goes to the even neighbour
    return np.where(np.isnan(x), np.nan, np.copysign(np.where(i < 0x7F80, values[i], np.inf), x))


@given(hnp.arrays(st.sampled_from(["<f8", ">f8", "<f4", "<f2"]), 20))
def test_bfloat_is_the_nearest_ties_to_even(x):
    half = widen(narrow(x))
    assert half.dtype == np.float32
    np.testing.assert_array_equal(half, exact_bfloat(x))
    np.testing.assert_array_equal(narrow(half), narrow(x))  # it is its own nearest


def test_bfloat_around_every_middle():
    edges = widen(np.arange(0, 0x7F80, 7, dtype=np.uint16)).astype(np.float64)
    up = np.append(edges[1:], 2.0**128)
    middle = np.concatenate([(edges + up) / 2, widen(np.arange(0x7F7F)).astype(float) + 2.0**-140, [3.3895e38, 3.4e38]])
    steps = widen(np.arange(0x7F7F).astype(np.uint16)).astype(float), widen(np.arange(1, 0x7F80)).astype(float)
    for x in middle, sum(steps) / 2, np.nextafter(sum(steps) / 2, np.inf), np.nextafter(sum(steps) / 2, 0):
        np.testing.assert_array_equal(widen(narrow(x)), exact_bfloat(x))
        np.testing.assert_array_equal(widen(narrow(-x)), exact_bfloat(-x))


def test_no_nan_becomes_a_number():
    bits = np.array([0x7F800001, 0x7F8000FF, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF, 0x7FC00000], np.uint32)
    with np.errstate(invalid="ignore"):
        for nan in bits.view(np.float32), bits.view(np.float32).astype(np.float64):
            assert np.isnan(widen(narrow(nan))).all()


def test_a_table_stored_as_bfloat(tmp_path):
    x = np.array([[1.0, -0.0, np.nan], [np.inf, 3.3, 1e-45]], ">f4")
    write_safetensors(tmp_path / "a.safetensors", {"w": x.T, "v": x}, dtypes={"w": "BF16"})
    file = SafeTensors(tmp_path)
    assert file.dtype("w") == "BF16" and file.shape("w") == (3, 2) and file.dtype("v") == "F32"
    np.testing.assert_array_equal(file["w"], exact_bfloat(x.T.astype(float)))
    assert type(file["w"]) is np.ndarray and file["w"].flags.writeable  # a copy that looks like one
    np.testing.assert_array_equal(file.rows("w", [[2], [0]]), file["w"][[[2], [0]]])
    assert file["w"].dtype == file.rows("w", 0).dtype == np.float32
    write_safetensors(tmp_path / "a.safetensors", file, dtypes={"w": "BF16"})  # what was rounded stays
    np.testing.assert_array_equal(SafeTensors(tmp_path)["w"], file["w"])


# ---------------------------------------------------------------------------------------------------- the reference


@given(tensors=TENSORS, metadata=st.none() | st.dictionaries(TEXT, TEXT, min_size=1, max_size=1))
def test_we_write_the_bytes_of_the_reference_and_read_them(tmp_path_factory, tensors, metadata):
    reference = pytest.importorskip("safetensors.numpy")
    folder = tmp_path_factory.mktemp("files")
    ours, theirs = folder / "ours.safetensors", folder / "theirs.safetensors"
    write_safetensors(ours, tensors, metadata)
    reference.save_file(tensors, theirs, metadata)
    assert ours.read_bytes() == theirs.read_bytes()
    loaded, file = reference.load_file(ours), SafeTensors(theirs)
    assert loaded.keys() == file.keys() == tensors.keys()
    assert all(same(loaded[name], array) and same(file[name], array) for name, array in tensors.items())
    assert file.metadata == (metadata or {})


def test_what_the_reference_refuses_we_refuse(tmp_path):
    reference = pytest.importorskip("safetensors")
    path, both = tmp_path / "file.safetensors", 0
    make_safetensors(path)
    for kind, mutant in mutants(path.read_bytes(), 2000, seed=7, mend=mend_safetensors):
        try:
            reference.deserialize(mutant)
        except reference.SafetensorError:
            both += 1
            path.unlink(missing_ok=True)
            path.write_bytes(mutant)
            with pytest.raises(FormatError):
                pytest.fail(f"{kind} {mutant[:2000]!r}: {SafeTensors(path)}")
    assert both > 1000


# ----------------------------------------------------------------------------------------------- what is refused

PAIR = {"a": entry(), "b": entry(offsets=(8, 16))}
TRAPS = {
    "empty": (b"", "0 bytes, where the header's length alone takes 8"),
    "no header": (b"\2\0\0\0\0\0\0", "7 bytes"),
    "a header of no bytes": (raw(b""), "begins with b''"),
    "a header larger than the file": (raw({}, n=3), "3 bytes, where 2 follow"),
    "a header of 2^64 - 1 bytes": (raw({}, n=2**64 - 1), "18,446,744,073,709,551,615 bytes, where 2 follow"),
    "a zip": (b"PK\3\4" + bytes(90), "a zip archive"),
    "text before the object": (raw(b" {}"), "begins with b' '"),
    "a list": (raw(b"[]"), r"begins with b'\['"),
    "no UTF-8": (raw(b'{"\xff": 1}'), "byte 0xff after 2 others is not UTF-8"),
    "a surrogate in UTF-8": (raw(b'{"\xed\xa0\x80": 1}'), "not UTF-8"),
    "half of a surrogate pair": (raw({"\ud800": entry()}, bytes(8)), "half of a surrogate pair"),
    "no JSON": (raw(b'{"a": }'), "no JSON at character 6"),
    "JSON cut short": (raw(b'{"a": {"dtype": "F3'), "no JSON"),
    "more after the object": (raw(b"{} {}"), "no JSON at character 3: Extra data"),
    "NaN": (raw(b'{"a": NaN}'), "'NaN' where whole numbers"),
    "a tensor twice": (raw(b'{"a": 1, "a": 1}'), "key 'a' stands twice"),
    "metadata twice": (raw(b'{"__metadata__": {}, "__metadata__": {}}'), "'__metadata__' stands twice"),
    "a key of metadata twice": (raw(b'{"__metadata__": {"k": "1", "k": "2"}}'), "'k' stands twice"),
    "a field twice": (raw(b'{"a": {"dtype": "F32", "dtype": "F32"}}'), "'dtype' stands twice"),
    "metadata of numbers": (raw({"__metadata__": {"a": 1}}), "where an object of strings stands"),
    "metadata a string": (raw({"__metadata__": "a"}), "where an object of strings stands"),
    "nested metadata": (raw({"__metadata__": {"a": {"b": "c"}}}), "where an object of strings stands"),
    "an entry that is no object": (raw({"a": 3}), "tensor 'a': 3 where an object of dtype"),
    "a field missing": (raw({"a": {"dtype": "F32", "shape": []}}), "where an object of dtype"),
    "a field too many": (raw({"a": entry(more=1)}, bytes(8)), "where an object of dtype"),
    "an unknown dtype": (raw({"a": entry("F31")}, bytes(8)), "dtype 'F31' is not one of the format's"),
    "a dtype of another type": (raw({"a": entry(["F32"])}, bytes(8)), "dtype .* is not one"),
    "a shape of fractions": (raw({"a": entry(shape=(2.0,))}, bytes(8)), "'2.0' where whole numbers"),
    "a shape of booleans": (raw({"a": entry(shape=(True, 2))}, bytes(8)), "is not a list of whole numbers"),
    "a shape of strings": (raw({"a": entry(shape="2")}, bytes(8)), "is not a list of whole numbers"),
    "a negative side": (raw({"a": entry(shape=(-2,))}, bytes(8)), "'-2' where whole numbers"),
    "minus nought": (raw(b'{"a": {"dtype": "F32", "shape": [-0], "data_offsets": [0, 0]}}'), "'-0' where whole"),
    "a side of 2^63": (raw({"a": entry(shape=(2**63, 0), offsets=(0, 0))}), "where whole numbers from 0 to 2.63 - 1"),
    "a side of 5,000 digits": (raw(b'{"a": ' + b"9" * 5000 + b"}"), "a number of 5,000 characters"),
    "a product of 2^64": (raw({"a": entry(shape=(2**32, 2**32), offsets=(0, 0))}), "2.63 bytes or more"),
    "an overflow times nought": (raw({"a": entry(shape=(2**62, 2**62, 0), offsets=(0, 0))}), "2.63 bytes or more"),
    "offsets of 2^63": (raw({"a": entry(offsets=(0, 2**63))}, bytes(8)), "where whole numbers"),
    "33 dimensions": (raw({"a": entry(shape=(1,) * 33, offsets=(0, 4))}, bytes(4)), "33 dimensions, more than 32"),
    "three offsets": (raw({"a": entry(offsets=(0, 8, 8))}, bytes(8)), "not a begin and an end"),
    "offsets the wrong way round": (raw({"a": entry(offsets=(8, 0))}, bytes(8)), "not a begin and an end"),
    "offsets of another size": (raw({"a": entry(offsets=(0, 12))}, bytes(12)), "takes 8 bytes, .* have 12"),
    "half a byte": (raw({"a": entry("F4", (3,), (0, 1))}, bytes(1)), "takes 1.5 bytes"),
    "a huge table in a small file": (raw({"a": entry(shape=(10**9, 300), offsets=(0, 12 * 10**11))}, bytes(64)),
                                     "the tensors end at byte .*, the file at .*: cut short"),
    "data cut short": (raw(PAIR, bytes(15)), "cut short"),
    "a tail": (raw(PAIR, bytes(17)), "something follows them"),
    "a file of no tensors with a tail": (raw({}, b"x"), "something follows them"),
    "an overlap": (raw({"a": entry(), "b": entry(offsets=(4, 12))}, bytes(12)), "'b': begins .* they overlap"),
    "two in one place": (raw({"a": entry(), "b": entry()}, bytes(8)), "'b': begins .* they overlap"),
    "a hole": (raw({"a": entry(), "b": entry(offsets=(12, 20))}, bytes(20)), "'b': begins .* a hole"),
    "a hole before the first": (raw({"a": entry(offsets=(4, 12))}, bytes(12)), "the header ends at .* a hole"),
    "nothing, in the middle": (raw({"a": entry(), "b": entry(shape=(0,), offsets=(4, 4))}, bytes(8)), "they overlap"),
    "too deep": (raw(b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"), "nested too deeply"),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_trap_is_refused_with_a_reason(tmp_path, trap):
    path = tmp_path / "file.safetensors"
    data, reason = TRAPS[trap]
    path.write_bytes(data)
    with pytest.raises(FormatError, match=reason) as caught:
        SafeTensors(path)
    assert caught.value.path == str(path) and caught.value.where
    assert len(str(caught.value)) < 500


@posix
@pytest.mark.parametrize("name", ["file.safetensors", "file.safetensors.index.json"])
def test_more_than_100_mb_of_json_are_not_read(tmp_path, name):
    with open(tmp_path / name, "wb") as file:
        file.write(struct.pack("<Q", 100_000_001))
        file.truncate(1 << 31)  # of holes
    with pytest.raises(FormatError, match=r"100,000,001 bytes; the format|2,147,483,648 bytes, where at most"):
        SafeTensors(tmp_path / name)


def test_what_is_right_beside_the_traps_is_taken(tmp_path):
    path = tmp_path / "file.safetensors"
    for header, data in [({}, b""), (PAIR, bytes(16)), ({"b": PAIR["b"], "a": PAIR["a"]}, bytes(16)),
                         (b'{"a":1}'.replace(b"1", json.dumps(entry()).encode()) + b" \n\t", bytes(8)),
                         ({"": entry(shape=(1,) * 32, offsets=(0, 4))}, bytes(4)),
                         ({"a": entry(), "b": entry(shape=(0, 2**60), offsets=(0, 0))}, bytes(8)),
                         ({"a": entry("F4", (4,), (0, 2)), "b": entry("F8_E4M3", (2,), (2, 4)),
                           "c": entry("C64", (1,), (4, 12)), "d": entry("U8", (1,), (12, 13))}, bytes(13))]:
        path.write_bytes(raw(header, data))
        file = SafeTensors(path)
        assert sorted(file) == sorted(json.loads(header) if isinstance(header, bytes) else header)
    assert file["d"].tolist() == file.rows("d", slice(None)).tolist() == [0]
    for name, code in ("a", "F4"), ("b", "F8_E4M3"), ("c", "C64"):
        assert file.dtype(name) == code
        for read in file.__getitem__, lambda name: file.rows(name, 0):
            with pytest.raises(FormatError, match=f"tensor '{name}': dtype {code} is not supported"):
                read(name)


def test_numbers_that_an_old_writer_left_unaligned_are_read(tmp_path):
    path, x = tmp_path / "file.safetensors", np.arange(6.0).reshape(3, 2)
    path.write_bytes(raw(json.dumps({"a": entry("F64", (3, 2), (0, 48))}).encode().ljust(101), x.tobytes()))
    file = SafeTensors(path)
    assert same(file["a"], x) and same(file.rows("a", [2]), x[[2]]) and file["a"].flags.aligned
    assert not file["a"].flags.writeable


def test_a_boolean_is_nought_or_one_when_it_is_read(tmp_path):
    path = tmp_path / "file.safetensors"
    path.write_bytes(raw({"m": entry("BOOL", (2, 2), (0, 4)), "x": entry(offsets=(4, 12))}, b"\1\0\2\1" + bytes(8)))
    file = SafeTensors(path)
    assert file.rows("m", [0]).tolist() == [[True, False]] and file["x"].tolist() == [0, 0]
    for read in lambda: file["m"], lambda: file.rows("m", [0, 1]):
        with pytest.raises(FormatError, match="tensor 'm': byte 2 where a boolean is 0 or 1"):
            read()


# ------------------------------------------------------------------------------------------------------- of memory

PEAK = """
def peak():  # of this process alone: ru_maxrss begins with that of the process that started it
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))
"""
REFUSED = PEAK + """
import sys
from tinyembed.files import FormatError, SafeTensors
before = peak()
try:
    SafeTensors(sys.argv[1])
except FormatError as error:
    print(peak() - before, error.problem)
"""
linux = pytest.mark.skipif(sys.platform != "linux", reason="/proc says how much memory a process has had")


def junk(piece, size=20 * MB):
    """A header of about this size: one object, whose value is a list of pieces."""
    text = b'{"a": [' + b",".join([piece] * (size // (len(piece) + 1))) + b"]}"
    return raw(text)


@linux
@pytest.mark.parametrize(("data", "reason"), [
    (raw({"a": entry(shape=(10**9, 300), offsets=(0, 12 * 10**11))}, bytes(64)), "cut short"),
    (junk(b"[]"), "out of proportion"),
    (junk(b'{"k":1}'), "out of proportion"),
    (junk(b"0", 600_000), "where an object of dtype"),
    (raw(b'{"a": "' + b"x" * (20 * MB) + '\U0001f600"}'.encode()), "out of proportion"),
    (raw(b'{"a": "' + b"x" * (10 * MB) + b'"}'), "where an object of dtype"),
    (raw(b"{" + b",".join(b'"%x":0' % i for i in range(90_000)) + b"}"), "where an object of dtype"),
    (raw(b"{" + b" " * (20 * MB)), "no JSON|out of proportion"),
], ids=lambda x: x if isinstance(x, str) else "")
def test_a_refused_file_takes_no_more_than_its_size_and_64_mb(tmp_path, data, reason):
    path = tmp_path / "file.safetensors"
    path.write_bytes(data)
    run = subprocess.run([sys.executable, "-c", REFUSED, str(path)], capture_output=True, text=True, timeout=60,
                         env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path),
                              "MALLOC_TRIM_THRESHOLD_": "131072"})  # the system's own: what is free is given back
    assert run.returncode == 0, run.stderr
    grown, problem = run.stdout.split(" ", 1)
    assert any(part in problem for part in reason.split("|"))
    # It was read, so that much is to be seen, but for some pages: Linux counts them in batches.
    assert len(data) - MB <= int(grown) < len(data) + 64 * MB


N = 10_000
FACE = "\U0001f600".encode()
HUNGRY = {  # what takes most memory for each byte
    "lists": [b"[]"] * N, "objects": [b"{}"] * N, "lists of one": [b"[1]"] * N, "deep": [b"[" * 20 + b"]" * 20] * 2000,
    "numbers": [b"%d" % (i + 1000) for i in range(N)], "strings": [b'"%x"' % i for i in range(N)],
    "one large object": [b'{"":0' + b"".join(b',"%x":1' % i for i in range(N)) + b"}"],
    "keys": [b'{"%x":[1]}' % i for i in range(N)], "one key": [b'{"a":1}'] * N,
    "wide keys": [b'{"' + FACE + b'%x":"%x"}' % (i, i) for i in range(N)],
    "text": [b'"' + b"x" * 10**6 + b'"'], "escapes": [b'"' + b"x\\n" * 10**6 + b'"'],
    "wide text": [b'"' + b"x" * 10**6 + FACE + b'"'], "wide escapes": [b'"' + b"x" * 10**6 + b'\\ud83d\\ude00"'],
}


@pytest.mark.parametrize("kind", HUNGRY)
def test_what_json_can_take_is_reckoned_high_enough(kind):
    text = b"[" + b",".join(HUNGRY[kind]) + b"]"
    tracemalloc.start()
    parse_json("file", "text", text, most_memory(text))
    peak = tracemalloc.get_traced_memory()[1] + len(text)
    tracemalloc.stop()
    assert peak < most_memory(text) < 6 * peak
    with pytest.raises(FormatError, match="out of proportion"):
        parse_json("file", "text", text, most_memory(text) - 1)


@posix
def test_a_sparse_file_is_a_table_of_zeros_that_takes_no_room(tmp_path):
    path = tmp_path / "table.safetensors"
    sparse_safetensors(path, {"weight": ("F32", (1_000_000, 300)), "n": ("I64", ())}, {"made": "by hand"})
    assert path.stat().st_size > 1_200_000_000 and path.stat().st_blocks * 512 < MB
    file = SafeTensors(path)
    assert file.metadata == {"made": "by hand"} and file.shape("weight") == (1_000_000, 300)
    assert min(file.place(name).begin for name in file) == 4096 and file["n"] == 0
    table = np.memmap(path, np.float32, "r+", file.place("weight").begin, (1_000_000, 300))
    table[777_777] = 7
    table.flush()
    assert file.rows("weight", [777_777, 0]).sum(1).tolist() == [2100, 0]
    assert path.stat().st_blocks * 512 < 2 * MB
    with pytest.raises(TypeError, match="'w': dtype 'F4' is not one of"):
        sparse_safetensors(path, {"w": ("F4", (2,))})
    for shape in (-1, 2), (2**62, 2**62), (1,) * 33:
        with pytest.raises(ValueError, match="no room for the shape"):
            sparse_safetensors(path, {"w": ("F32", shape)})


def test_a_mapped_table_is_adopted_by_a_layer(tmp_path):
    path, x = tmp_path / "table.safetensors", np.random.default_rng(0).standard_normal((50, 4))
    write_safetensors(path, {"weight": x.astype(np.float32), "a": np.ones(3)})
    table = SafeTensors(path)["weight"]
    assert np.fromfile(path, np.float32, offset=table.offset).reshape(50, 4).tobytes() == table.tobytes()
    assert Path(table.filename) == path
    layer = te.nn.Embedding.from_pretrained(table)
    assert np.shares_memory(layer.weight.data, table)
    np.testing.assert_array_equal(layer([3, 49]).data, x[[3, 49]].astype(np.float32))


# -------------------------------------------------------------------------------------------------- shards, folders


def sharded(folder, **shards):
    """Shards a=…, b=…, whose tensors are numbered through; the index that names them."""
    names = {}
    for shard, tensors in shards.items():
        write_safetensors(folder / f"{shard}.safetensors", tensors, {"shard " + shard: "yes"})
        names |= dict.fromkeys(tensors, f"{shard}.safetensors")
    index(folder, {"metadata": {"total_size": 1.5}, "weight_map": names})


def index(folder, content):
    (folder / "model.safetensors.index.json").write_text(content if isinstance(content, str) else json.dumps(content))


def test_shards_are_one_model(tmp_path):
    sharded(tmp_path, a={"w": np.eye(3), "v": np.ones(2)}, b={"u": np.arange(4)})
    write_safetensors(tmp_path / "c.safetensors", {"u": np.zeros(1)})  # not in the index, so not of the model
    for path in tmp_path, tmp_path / "model.safetensors.index.json", str(tmp_path):
        file = SafeTensors(path)
        assert list(file) == ["w", "v", "u"] and file.rows("u", [3]).tolist() == [3]
        assert same(file["w"], np.eye(3)) and file.metadata == {"shard a": "yes", "shard b": "yes"}
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "model.safetensors").symlink_to(tmp_path / "c.safetensors")  # as download caches have them
    assert list(SafeTensors(tmp_path / "link")) == ["u"]


@pytest.mark.parametrize("name", ["../a.safetensors", "/etc/passwd", "x/a.safetensors", "..", "", "C:a", "a\\b", "\0"])
def test_a_shard_is_a_plain_name_in_the_same_folder(tmp_path, name):
    (tmp_path / "in" / "x").mkdir(parents=True)
    for folder in tmp_path, tmp_path / "in" / "x":
        write_safetensors(folder / "a.safetensors", {"w": np.eye(3)})
    index(tmp_path / "in", {"weight_map": {"w": name}})
    with pytest.raises(FormatError, match="is not the name of a file in the same folder"):
        SafeTensors(tmp_path / "in")


@pytest.mark.parametrize(("content", "reason"), [
    ({"weight_map": {"w": "b.safetensors"}}, "weight_map: the shard 'b.safetensors' is not in the folder"),
    ({"weight_map": {"v": "a.safetensors"}}, "the shard 'a.safetensors' has no tensor 'v'"),
    ({"weight_map": {"w": 3}}, "no object weight_map"),
    ({"weight_map": ["w"]}, "no object weight_map"),
    ({}, "no object weight_map"),
    ("[]", "no object weight_map"),
    ("", "no JSON"),
    ('{"weight_map": {"w": "a.safetensors", "w": "a.safetensors"}}', "'w' stands twice"),
])
def test_an_index_that_is_not_right_is_refused(tmp_path, content, reason):
    write_safetensors(tmp_path / "a.safetensors", {"w": np.eye(3)})
    index(tmp_path, content)
    with pytest.raises(FormatError, match=reason):
        SafeTensors(tmp_path)


def test_a_damaged_shard_is_named(tmp_path):
    sharded(tmp_path, a={"w": np.eye(3)}, b={"u": np.arange(4)})
    (tmp_path / "b.safetensors").write_bytes((tmp_path / "b.safetensors").read_bytes()[:-1])
    with pytest.raises(FormatError, match=r"b\.safetensors, offset .* cut short"):
        SafeTensors(tmp_path)


def test_the_file_of_a_folder(tmp_path):
    with pytest.raises(FormatError, match=r"no \.safetensors file in it$"):
        SafeTensors(tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(FormatError, match=r"'pytorch_model\.bin' is a pickle, which can run any code"):
        SafeTensors(tmp_path)
    write_safetensors(tmp_path / "one.safetensors", {"one": np.ones(1)})
    assert list(SafeTensors(tmp_path)) == ["one"]
    write_safetensors(tmp_path / "two.safetensors", {"two": np.ones(1)})
    with pytest.raises(FormatError, match=r"models: 'one\.safetensors', 'two\.safetensors'; give the path of one"):
        SafeTensors(tmp_path)
    index(tmp_path, {"weight_map": {"one": "one.safetensors"}})
    assert list(SafeTensors(tmp_path)) == ["one"]
    write_safetensors(tmp_path / "model.safetensors", {"all": np.ones(1)})
    assert list(SafeTensors(tmp_path)) == ["all"]  # as Transformers chooses
    with pytest.raises(FileNotFoundError):
        SafeTensors(tmp_path / "nowhere")


@posix
def test_what_is_no_regular_file_is_refused_without_waiting_for_it(tmp_path):
    os.mkfifo(tmp_path / "model.safetensors")
    for path in tmp_path, tmp_path / "model.safetensors", "/dev/zero":
        with time_limit(5), pytest.raises(FormatError, match="not a regular file"):
            SafeTensors(path)


def test_the_sizes_of_dtypes_are_those_of_numpy():
    assert all(BITS[code] == 8 * np.dtype(kind).itemsize for code, kind in STORED.items())
