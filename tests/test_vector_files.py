"""Files of word vectors: what is written is read again, here and by gensim; what is not right is refused, and where."""

import contextlib
import gzip
import os
import re
import struct
import tempfile
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import slow_readers
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import tinyembed.files.gzipped
import tinyembed.files.word_rows
from tinyembed.files import FormatError, read_word2vec, write_word2vec

FORMS = [{}, {"header": False}, {"binary": True}]
words = st.text(st.characters(exclude_characters=" \n", codec="utf-8"), min_size=1) | st.sampled_from(
    ["New\xa0York", "\u3000", "\x85", "🙂🙂", "\r", "\ufeff", "a\tb", "\0", "1", "-0.5", "nan", "</s>"])
small_blocks = st.sampled_from([3, 7, 64, 1 << 18])


@st.composite
def tables(draw, dtypes=(np.float16, np.float32, np.float64)):
    names = draw(st.lists(words, min_size=1, max_size=6, unique=True))
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    shape = len(names), draw(st.integers(1, 4))
    return names, draw(hnp.arrays(dtype, shape, elements=hnp.from_dtype(dtype, allow_nan=False, allow_infinity=False)))


def bits(array):
    return array.view(f"u{array.itemsize}")


def same(found, expected):
    """The same words and the same vectors, to the bit."""
    assert list(found[0]) == list(expected[0])
    assert found[1].dtype == expected[1].dtype and found[1].flags.c_contiguous
    np.testing.assert_array_equal(bits(found[1]), bits(expected[1]), strict=True)


def refusal(data, **options):
    """The place and the problem of the FormatError that reading these bytes raises."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "words.vec")
        path.write_bytes(data)
        with pytest.raises(FormatError) as refused:
            read_word2vec(path, **options)
        assert refused.value.path == str(path)
        return f"{refused.value.where}: {refused.value.problem}"


@contextlib.contextmanager
def with_block(size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tinyembed.files.gzipped, "BLOCK", size)
        yield patch


# -- there and back ----------------------------------------------------------------------------------------------------

@given(tables(), st.booleans(), st.sampled_from(["w.vec", "w.vec.gz"]), small_blocks, st.sampled_from([0, 1 << 24]))
def test_text_is_read_as_it_was_written_to_the_bit(table, header, name, block, spare):
    with tempfile.TemporaryDirectory() as folder, with_block(block) as patch:
        patch.setattr(tinyembed.files.word_rows, "SPARE", spare)  # without any, files of short numbers are read twice
        path = Path(folder, name)
        write_word2vec(path, *table, header=header)
        same(read_word2vec(path, header=header, dtype=table[1].dtype), table)
        packed = b"\x1f\x8b\x08\0\0\0\0\0"  # no name, no time: the same bytes every time
        assert (path.read_bytes()[:8] == packed) == name.endswith(".gz")
        same(slow_readers.text(path.read_bytes(), header, table[1].dtype.type), table)


@given(tables([np.float32]), st.sampled_from(["words.bin", "words.bin.gz"]), small_blocks, st.booleans())
def test_the_binary_form_is_read_as_it_was_written_to_the_bit(table, name, block, special):
    if special:
        bits(table[1]).reshape(-1)[0] = 0x7FC12345  # a NaN with a message
    with tempfile.TemporaryDirectory() as folder, with_block(block):
        path = Path(folder, name)
        write_word2vec(path, *table, binary=True)
        same(read_word2vec(path, binary=True), table)
        if not name.endswith(".gz"):
            same(slow_readers.binary(path.read_bytes()), table)
            path.write_bytes(records(*table, end=b""))  # as gensim has it
            same(read_word2vec(path, binary=True), table)


def records(names, vectors, end=b"\n"):
    head = b"%d %d\n" % vectors.shape
    return head + b"".join(name.encode() + b" " + row.tobytes() + end for name, row in zip(names, vectors))


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1) |
       st.lists(st.integers(0, 2**32 - 1), min_size=1).map(lambda bits: np.array(bits, np.uint32).view(np.float32)))
def test_text_of_float32_has_the_digits_that_python_reads_back(numbers):
    odd = np.array([0x15AE43FD], np.uint32).view(np.float32)  # NumPy's digits of it are the next one's as a float64
    vectors = np.concatenate([np.array(numbers, np.float32), odd])[None]
    vectors[~np.isfinite(vectors)] = 0
    with tempfile.TemporaryDirectory() as folder:
        write_word2vec(folder + "/x.txt", ["x"], vectors, header=False)
        digits = Path(folder, "x.txt").read_text().split()[1:]
    np.testing.assert_array_equal(np.float32([float(text) for text in digits]), vectors[0])
    shortest = [len(np.format_float_positional(x).strip("-0.").replace(".", "")) for x in vectors[0]]  # significant
    assert all(len(text.partition("e")[0].strip("-0.").replace(".", "").rstrip("0")) <= most + 3
               for text, most in zip(digits, shortest))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("number", ["0.1", "-1e-3", "3.", ".5", "+7", "1E2", "-0", "5e-324", "1e-400", "1.23e22",
                                    "0.30000001192092896", "1." + "0" * 500, "7.038531e-26", "0.00024420025"])
def test_numbers_are_rounded_as_python_and_numpy_do(tmp_path, number, dtype):
    with np.errstate(over="ignore"):
        expected = np.array([[dtype(float(number))]])
    (tmp_path / "x.vec").write_text(f"x {number}\n")
    if np.isfinite(expected).all():
        same(read_word2vec(tmp_path / "x.vec", header=False, dtype=dtype), (["x"], expected))
    else:
        assert re.match(r"line 1: 1\.23e\+22 is more than float16 can hold", refusal(
            b"x " + number.encode() + b"\n", header=False, dtype=dtype))


@pytest.mark.parametrize(("data", "options"), [
    (b"2 2\na 1 2\nb 3 4\n", {}),
    (b"2 2 \na 1 2 \nb 3 4 \n", {}),  # word2vec's and fastText's line ends
    (b"2 2\r\na 1 2\r\nb 3 4 \r\n", {}),
    (b"2 2\na 1 2 \nb 3 4\n", {}),
    (b"2\t2\na 1 2\nb 3 4\n", {}), (b"  2 \t 2\t\r\na 1 2\nb 3 4\n", {}), (b"\xef\xbb\xbf2 2\na 1 2\nb 3 4\n", {}),
    (b"2\t2\na " + struct.pack("<2f", 1, 2) + b"b " + struct.pack("<2f", 3, 4), {"binary": True}),
    (b"a 1 2\nb 3 4\n", {"header": False}),
    (b"a 1 2\r\nb 3 4\r\n", {"header": False}),
    (b"2 2\na " + struct.pack("<2f", 1, 2) + b"b " + struct.pack("<2f", 3, 4), {"binary": True}),
    (b"2 2\na " + struct.pack("<2f", 1, 2) + b"\nb " + struct.pack("<2f", 3, 4), {"binary": True}),
    (b"2 2\na " + struct.pack("<2f", 1, 2) + b"\nb " + struct.pack("<2f", 3, 4) + b"\n", {"binary": True}),
])
@pytest.mark.parametrize("block", [1, 2, 3, 5, 8, 1 << 18])
@pytest.mark.parametrize("packed", [False, True])
def test_all_line_ends_and_cuts_between_blocks(tmp_path, monkeypatch, data, options, block, packed):
    monkeypatch.setattr(tinyembed.files.gzipped, "BLOCK", block)
    (tmp_path / "x").write_bytes(gzip.compress(data) if packed else data)
    same(read_word2vec(tmp_path / "x", **options), (["a", "b"], np.float32([[1, 2], [3, 4]])))


@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize("limit", [1, 2, 3, 10])
@pytest.mark.parametrize("block", [1, 9, 1 << 18])
def test_limit_reads_the_first_rows_and_no_further(tmp_path, monkeypatch, options, limit, block):
    path = tmp_path / "x"
    monkeypatch.setattr(tinyembed.files.gzipped, "BLOCK", block)
    table = ["a", "b", "c"], np.arange(6, dtype=np.float32).reshape(3, 2)
    write_word2vec(path, *table, **options)
    first = table[0][:limit], table[1][:limit]
    same(read_word2vec(path, limit=limit, **options), first)
    if limit < 3:
        with open(path, "r+b") as file:  # what comes after them is not looked at
            file.seek(-3, os.SEEK_END)
            file.write(b"\xff\n\xff")
        same(read_word2vec(path, limit=limit, **options), first)


def test_the_vectors_are_new_and_may_be_changed(tmp_path):
    write_word2vec(tmp_path / "x", ["a"], [[1.0]])
    vectors = read_word2vec(tmp_path / "x")[1]
    assert vectors.flags.owndata and vectors.flags.writeable


@pytest.mark.parametrize("errors", ["replace", "ignore", "backslashreplace"])
@given(st.lists(st.binary(min_size=1).filter(lambda word: not set(word) & set(b"\x1f \n")), max_size=5, unique=True))
def test_words_that_are_not_utf_8_have_a_way_out(errors, encoded):
    names = [word.decode("utf-8", errors) for word in encoded]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x")
        path.write_bytes(b"".join(word + b" 1\n" for word in encoded))
        if len(set(names)) == len(names) and all(names) and names:
            same(read_word2vec(path, header=False, errors=errors), (names, np.ones((len(names), 1), np.float32)))
        else:
            with pytest.raises(FormatError, match=r"empty|already|after 0 rows"):
                read_word2vec(path, header=False, errors=errors)


# -- refused -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize(("data", "complaint"), [
    # the header
    (b"", "line 1: b'' is no header"),
    (b"a 1 2\n", r"line 1: b'a 1 2\\n' is no header.*header=False"),
    (b"2\na 1\n", "line 1: .* is no header"),
    (b"1 2 3\na 1 2\n", "line 1: .* is no header"),
    (b"-1 2\na 1 2\n", "line 1: .* is no header"),
    (b"1_0 2\na 1 2\n", "line 1: .* is no header"),
    (b"1\xc2\xa02\na 1 2\n", "line 1: .* is no header"),
    (b"1 2", "line 1: .* is no header"),
    (b"9" * 5000 + b" 2\na 1 2\n", "line 1: .* is no header"),
    (b"0 2\n", "line 1: 0 words of 2 numbers are declared"),
    (b"2 0\na\nb\n", "line 1: 2 words of 0 numbers are declared"),
    (b"1 40000\na" + b" 1" * 40000 + b"\n", "line 1: 1 words of 40,000 numbers are declared.*32,768"),
    (b"1000000000000 1000000\na 1 2\n", "line 1: 1,000,000,000,000 words of 1,000,000 numbers"),
    (b"1000000000000 1000\na 1 2\n", "line 1: .* 2,002,000,000,000,000 bytes at least are to be read, and 6 follow"),
    (b"3 2\na 1 2\nb 3 4\n", "line 1: 3 words of 2 numbers are declared, of which 18 bytes at least"),
    # the rows
    (b"3 2\na 1.50 2\nb 3.50 4\n", "line 4: the file ends after 2 rows, where line 1 declares 3"),
    (b"1 2\na 1 2\nb 3 4\n", "line 3: a row more than the 1 that line 1 declares"),
    (b"1 2\na 1 2\n\n", "line 3: a row more"),
    (b"1 2\na 1 2\nb", "line 3: the file ends within this line"),
    (b"2 2\na 1.5 2\nb 3 4", "line 3: the file ends within this line, so digits may be missing"),
    (b"2 2\na 1.5\nb 3 4\n", "line 2: 1 numbers follow b'a', where line 1 declares 2"),
    (b"2 2\na 1 2\nb 3 4 5\n", "line 3: 3 numbers follow b'b', where line 1 declares 2.*none in a word"),
    (b"2 2\nNew York 1 2\nb 3 4\n", "line 2: 3 numbers follow b'New'"),
    (b"2 2\na\t1\t2\nb 3 4\n", r"line 2: 1 numbers follow b'a\\t1\\t2'"),
    (b"2 2\na  1 2\nb 3 4\n", "line 2: 3 numbers follow b'a'"),
    (b"2 2\na 1.5 2\n\nb 3 4\n", "line 3: 1 numbers follow b''"),
    (b"2 2\na 1 2\nb 3  \n", "line 3: b'' is no number"),
    (b"1 3\na 1-2  3\n", "line 2: b'1-2' is no number"),  # as many blanks and numbers as there should be
    (b"1 3\na  1-2 3\n", "line 2: b'' is no number"),
    # the words
    (b"2 2\n 1.5 2\nb 3 4\n", "line 2: the word is empty"),
    (b"2 2\na 1 2\na 3 4\n", "line 3: the word 'a' stands at line 2 already"),
    (b"4 1\nx 1.5\na 1.5\nb 1.5\na 1.5\n", "line 5: the word 'a' stands at line 3 already"),
    (b"2 2\na 1 2\n\xc3 3 4\n", r"line 3: the word b'\\xc3' is not UTF-8.*errors='replace'"),
    (b"2 2\na 1 2\n\xed\xa0\x80 3 4\n", "line 3: the word .* is not UTF-8"),
    # the numbers
    *((b"2 2\nz 1 2\na 1 " + number + b"\n", f"line 3: {re.escape(repr(number))} is no number") for number in (
        b"1_0", b"nan", b"NaN", b"inf", b"-inf", b"Infinity", b"0x1p3", b"1-2", b"1.2.3", b"1e5e5", b"1,5", b"--1",
        b"e5", b".", b"+", b"1e", b"\t1", b"1\x0b", b"\xc2\xa01", b"1\0", b"1j", b"\xd9\xa1", "½".encode())),
    *((b"2 2\nz 1 2\na 1 " + number + b"\n", "line 3: [-+.e0-9inf]+ is more than float32 can hold") for number in (
        b"1e39", b"-3.5e38", b"1e400", b"9" * 39)),
])
def test_text_that_is_not_right_is_refused_with_its_line(data, complaint):
    assert re.match(complaint, refusal(data)), refusal(data)
    packed = refusal(gzip.compress(data))  # how long that will be, only reading tells
    assert re.match(complaint, packed) or ("bytes at least" in complaint and
                                           re.match("line 2: 2 numbers|line .: the file ends", packed))


@pytest.mark.parametrize(("data", "complaint"), [
    (b"", "line 1: the file ends after 0 rows"),
    (b"a", "line 1: the file ends within this line"),
    (b"a\n", "line 1: b'a' has 0 spaces"),
    (b"2 2\na 1 2\nb 3 4\n", "line 2: 2 numbers follow b'a', where line 1 has 1"),
    (b"a 1 2\nb 3\n", "line 2: 1 numbers follow b'b', where line 1 has 2"),
    (b"a 1 2\nb 3 4\na 5 6\n", "line 3: the word 'a' stands at line 1 already"),
    (b"a" + b" 1" * 40000 + b"\n", "line 1: .* has 40,000 spaces"),
    (b"a 1 2\n\n", "line 2: 1 numbers follow b''"),
])
def test_text_without_a_header_is_refused_with_its_line(data, complaint):
    assert re.match(complaint, refusal(data, header=False)), refusal(data, header=False)


ONE = struct.pack("<2f", 1, 2)


@pytest.mark.parametrize(("data", "complaint"), [
    (b"a " + ONE, "offset 0: .* is no header"),
    (b"-1 2\na " + ONE, "offset 0: .* is no header"),
    (b"0 2\n", "offset 0: 0 words of 2 numbers are declared"),
    (b"1000000000000 1000000\na " + ONE, "offset 0: 1,000,000,000,000 words of 1,000,000"),
    (b"1000000000000 1000\na " + ONE, "offset 0: .* 4,002,000,000,000,000 bytes at least .*, and 10 follow"),
    (b"2 2\naaaaaa " + ONE + b"b " + ONE[:-1], "offset 19: row 2 of 2 is not whole: the file ends within it"),
    (b"2 2\naaaaaaaaaaaaaaaa " + ONE, "offset 29: row 2 of 2 is not whole"),
    (b"2 2\na " + ONE + b"b" * 20, "offset 14: row 2 of 2 is not whole"),
    (b"1 2\na " + ONE + b"b", "offset 14: more follows the 1 rows"),
    (b"1 2\na " + ONE + b"\n\n", "offset 14: more follows the 1 rows"),
    (b"2 2\na " + ONE + b"a " + ONE, "offset 14: the word 'a' stands at offset 4 already"),
    (b"2 2\na " + ONE + b"\na " + ONE + b"\n", "offset 15: the word 'a' stands at offset 4 already"),
    (b"2 2\na " + ONE + b" " + ONE + b"b", "offset 14: the word is empty"),
    (b"2 2\na " + ONE + b"\n " + ONE, "offset 15: the word is empty"),
    (b"2 2\na " + ONE + b"\n\nb " + ONE, r"offset 15: the word b'\\nb' has a newline in it"),
    (b"2 2\na " + ONE + b"\xff " + ONE, r"offset 14: the word b'\\xff' is not UTF-8"),
])
@pytest.mark.parametrize("block", [1, 4, 1 << 18])
def test_the_binary_form_that_is_not_right_is_refused_with_its_offset(monkeypatch, data, complaint, block):
    monkeypatch.setattr(tinyembed.files.gzipped, "BLOCK", block)
    assert re.match(complaint, refusal(data, binary=True)), refusal(data, binary=True)
    packed = refusal(gzip.compress(data), binary=True)
    assert re.match(complaint, packed) or ("bytes at least" in complaint and "the file ends within it" in packed)


def test_a_float32_beyond_float16_is_refused_and_infinity_is_not(tmp_path):
    data = b"2 2\na " + struct.pack("<2f", np.inf, 1) + b"b " + struct.pack("<2f", 1, 70000)
    assert refusal(data, binary=True, dtype=np.float16) == "offset 14: 70000.0 is more than float16 can hold"
    (tmp_path / "x").write_bytes(data)
    vectors = read_word2vec(tmp_path / "x", binary=True)[1]
    np.testing.assert_array_equal(vectors, np.float32([[np.inf, 1], [1, 70000]]))


@pytest.mark.parametrize("options", FORMS)
def test_no_file_that_is_cut_off_is_read(tmp_path, options):
    """Without a header whole rows may be missing, which nothing tells; with one, or within a row, no byte may."""
    path = tmp_path / "x"
    write_word2vec(path, ["New\xa0York", "🙂", "b"], np.float32([[0.1, -2e-20], [1e10, -0.0], [7, 1.5]]), **options)
    data = path.read_bytes()
    for end in range(len(data)):
        path.write_bytes(data[:end])
        may_be_whole = data[end:] == b"\n" if options.get("binary") else options and data[:end].endswith(b"\n")
        if not may_be_whole:  # in the binary form the last newline is gensim's to leave out
            with pytest.raises(FormatError):
                read_word2vec(path, **options)


@pytest.mark.parametrize("damage", [lambda data: data[:-9], lambda data: data[:40] + b"?" + data[41:],
                                    lambda data: data + b"?", lambda data: data[:10]])
def test_damaged_gzip_data_are_refused(damage):
    data = gzip.compress(b"".join(b"word%d %r\n" % (i, i / 7) for i in range(100)), mtime=0)
    assert re.match("offset .* of the content: .* damaged or cut off", refusal(damage(data), header=False))


@pytest.mark.parametrize(("options", "complaint"), [
    ({"dtype": np.int32}, "dtype must be float16, float32 or float64, got int32"),
    ({"dtype": "longdouble"}, "dtype must be"),
    ({"limit": 0}, "limit must be at least 1"),
    ({"errors": "surrogateescape"}, "errors must be 'strict'"),
    ({"binary": True, "header": False}, "always has a header"),
])
def test_settings_that_are_none_are_refused(tmp_path, options, complaint):
    with pytest.raises(ValueError, match=complaint):
        read_word2vec(tmp_path / "is not there", **options)


# -- memory ------------------------------------------------------------------------------------------------------------

MB = 1 << 20
UNIT = 1 << 18  # a fourth of a MB: all limits are set to a fourth, and the files that try them are the smaller for it
SHORT = b"".join(b"w%d%s\n" % (i, b" 1" * 200) for i in range(2_000))  # 3 units, which make 12 of float64
MANY = b"".join(b"w%d 1\n" % i for i in range(15_000))  # half a unit, which make 8 of strings and more
WIDE = b"x" + b" 12345" * 7_500 + b"\n"
COSTLY = {
    "a line without end": (b"x" + b"1" * (24 * UNIT), {"header": False}, "has not ended"),
    "a line of blanks without end": (b"x " * (12 * UNIT), {"header": False}, "has not ended"),
    "a word without end": (b"2 2\n" + b"1" * (24 * UNIT), {"binary": True}, "no space comes after its word"),
    "a size that is too large": (b"1000000000000 7500\n" + WIDE, {}, "bytes at least|the file ends after"),
    "short numbers, and a bad row": (b"2001 200\n" + SHORT + b"x 1\n".rjust(500, b"x"), {}, "line 2002: 1 numbers"),
    "short numbers, and a row too few": (b"2001 200\n" + SHORT + b"\n".rjust(500), {}, "line 2002"),
    "many words, and a bad number": (MANY + b"x 1_0\n", {"header": False}, "line 15001: b'1_0' is no number"),
    "many words, and a repeated one": (MANY + b"w14999 1\n", {"header": False}, "line 15001: .* at line 15000"),
    "short numbers as float64": (SHORT + b"x 1\n", {"header": False, "dtype": np.float64}, "line 2001"),
    "long rows": (WIDE * 9, {"header": False}, "line 2: the word 'x' stands at line 1 already"),
}


@pytest.mark.parametrize("kind", COSTLY)
@pytest.mark.parametrize("packed", [False, True])
def test_a_refused_file_takes_no_more_memory_than_its_bytes_and_some(tmp_path, monkeypatch, kind, packed):
    """64 MB are allowed; with limits of a fourth it is a sixteenth of that at most."""
    monkeypatch.setattr(tinyembed.files.word_rows, "SPARE", UNIT)
    monkeypatch.setattr(tinyembed.files.gzipped, "BLOCK", UNIT // 4)
    monkeypatch.setattr(tinyembed.files.word2vec, "_LONGEST", UNIT)
    data, options, complaint = COSTLY[kind]
    path = tmp_path / "x"
    path.write_bytes(gzip.compress(data, 1) if packed else data)
    tracemalloc.start()
    try:
        with pytest.raises(FormatError, match=complaint):
            read_word2vec(path, **options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < (0 if "without end" in kind else len(data)) + (14 if "many" in kind else 6) * UNIT


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("more", [b"", b"".join(b"x%d 1.%s\n" % (i, b"0" * 300) for i in range(2500))])
def test_what_grows_in_memory_is_read_twice_and_right(tmp_path, monkeypatch, packed, more):
    monkeypatch.setattr(tinyembed.files.word_rows, "SPARE", 0)
    (tmp_path / "x").write_bytes(gzip.compress(MANY + more, 1) if packed else MANY + more)
    names, vectors = read_word2vec(tmp_path / "x", header=False)
    assert names == [f"w{i}" for i in range(15_000)] + [f"x{i}" for i in range(2500)][:len(more)]
    assert vectors.shape == (len(names), 1) and (vectors == 1).all()


# -- writing -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", FORMS)
@pytest.mark.parametrize(("names", "vectors", "error", "complaint"), [
    (["a", "b c"], np.eye(2), ValueError, "word 'b c' at position 1 has ' ' in it"),
    (["a", "b\n"], np.eye(2), ValueError, r"word 'b\\n' at position 1 has '\\n' in it"),
    (["a", ""], np.eye(2), ValueError, "word '' at position 1 is empty"),
    (["a", "\ud800"], np.eye(2), ValueError, r"word '\\ud800' at position 1 has '\\ud800' in it"),
    (["a", "a"], np.eye(2), ValueError, "word 'a' at position 1 stands at position 0 already"),
    (["a", b"b"], np.eye(2), TypeError, "word b'b' at position 1 is no string but bytes"),
    ("ab", np.eye(2), TypeError, "got the string 'ab'"),
    (["a"], np.eye(2), ValueError, "1 words need as many vectors, got 2"),
    ([], np.zeros((0, 3)), ValueError, "not empty"),
    (["a"], np.zeros((1, 0)), ValueError, "not empty"),
    (["a"], np.zeros(3), ValueError, r"must be \(V, D\)"),
    (["a"], [[1]], ValueError, "float16, float32 or float64"),
    (["a"], np.zeros((1, 40000)), ValueError, "at most 32,768"),
    (["a", "b"], [[1, 1e39], [1, np.nan]], ValueError, r"number 1 of word ('a', 1e\+39, is more|'b', nan)"),
])
def test_what_could_not_be_read_again_is_not_written(tmp_path, options, names, vectors, error, complaint):
    (tmp_path / "x").write_bytes(b"old")
    with pytest.raises(error, match=complaint):
        write_word2vec(tmp_path / "x", names, vectors, **options)
    assert (tmp_path / "x").read_bytes() == b"old" and os.listdir(tmp_path) == ["x"]


@pytest.mark.parametrize("name", ["x.vec", "x.vec.gz"])
@pytest.mark.parametrize("options", FORMS)
def test_a_write_that_fails_half_way_leaves_nothing_behind(tmp_path, monkeypatch, name, options):
    def failing():
        yield from map(str, range(60_000))
        raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half"):
        write_word2vec(tmp_path / name, failing(), np.ones((60_000, 2)), **options)
    vectors = np.ones((60_000, 2))
    vectors[59_000, 1] = 1e300 if options.get("binary") else np.inf  # found when most is written
    with pytest.raises(ValueError, match=r"number 1 of word '59000', (1e.300|inf), is"):
        write_word2vec(tmp_path / name, map(str, range(60_000)), vectors, **options)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["x.vec", "x.vec.gz"])
@pytest.mark.parametrize("options", FORMS)
def test_a_file_can_be_written_over_just_as_it_was_read(tmp_path, name, options):
    table = [f"w{i}" for i in range(2500)], np.random.default_rng(0).normal(size=(2500, 3)).astype(np.float32)
    write_word2vec(tmp_path / name, iter(table[0]), table[1], **options)
    before = (tmp_path / name).read_bytes()
    write_word2vec(tmp_path / name, *read_word2vec(tmp_path / name, **options), **options)
    assert (tmp_path / name).read_bytes() == before
    same(read_word2vec(tmp_path / name, **options), table)


def test_wide_rows_are_written_in_little_memory(tmp_path):
    vectors = np.full((40, 1 << 13), 1 / 3, np.float32)
    tracemalloc.start()
    try:
        write_word2vec(tmp_path / "x", map(str, range(40)), vectors)
        assert tracemalloc.get_traced_memory()[1] < 14 * MB  # at once it would be 24 MB and more
    finally:
        tracemalloc.stop()
    same(read_word2vec(tmp_path / "x"), ([*map(str, range(40))], vectors))


def test_other_arrays_are_written_as_they_are(tmp_path):
    vectors = np.arange(12, dtype=">f4").reshape(3, 4)[::-1, ::2]
    write_word2vec(tmp_path / "x", ["a", "b", "c"], vectors, header=False)
    assert (tmp_path / "x").read_bytes() == b"a 8.0 10.0\nb 4.0 6.0\nc 0.0 2.0\n"
    write_word2vec(tmp_path / "x", ["a"], [[0.1, 1 / 3]], header=False)
    assert (tmp_path / "x").read_bytes() == b"a 0.1 0.3333333333333333\n"
    write_word2vec(tmp_path / "x", ["a"], np.float16([[0.1, 65504]]), binary=True)
    assert (tmp_path / "x").read_bytes() == b"1 2\na " + struct.pack("<2f", np.float16(0.1), 65504) + b"\n"


def test_progress_is_shown_on_the_error_stream(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tinyembed.files.gzipped, "BLOCK", 7)
    for name in "x", "x.gz":
        write_word2vec(tmp_path / name, map(str, range(50)), np.ones((50, 2)))
        read_word2vec(tmp_path / name, progress=True)
        out, error = capsys.readouterr()
        assert not out and error.endswith(f"{name}: 100 % read\n") and (name != "x" or error.count("\n") >= 9)
        read_word2vec(tmp_path / name)
        assert capsys.readouterr() == ("", "")
    assert refusal(b"", progress=True)


# -- gensim ------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("options", FORMS)
def test_gensim_reads_what_we_write_and_we_what_it_writes(tmp_path, options):
    keyed = pytest.importorskip("gensim.models").KeyedVectors
    rng = np.random.default_rng(0)
    names = ["New\xa0York", "naïve", "🙂", "\u3000x", "</s>", *map(str, range(600))]
    vectors = (rng.normal(size=(605, 7)) * 10.0 ** rng.integers(-30, 30, (605, 7))).astype(np.float32)
    theirs = {"binary": options.get("binary", False), "no_header": not options.get("header", True)}
    for suffix in "", ".gz":
        ours, other = str(tmp_path / f"ours{suffix}"), str(tmp_path / f"gensim{suffix}")
        write_word2vec(ours, names, vectors, **options)
        read = keyed.load_word2vec_format(ours, **theirs)
        same((read.index_to_key, read.vectors), (names, vectors))
        made = keyed(7)
        made.add_vectors(names, vectors)
        made.save_word2vec_format(other, binary=theirs["binary"], write_header=not theirs["no_header"])
        same(read_word2vec(other, **options), (names, keyed.load_word2vec_format(other, **theirs).vectors))
        for limit, dtype in (3, np.float32), (600, np.float64):
            read = keyed.load_word2vec_format(other, limit=limit, datatype=dtype, **theirs)
            same(read_word2vec(other, limit=limit, dtype=dtype, **options), (read.index_to_key, read.vectors))
