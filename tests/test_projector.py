"""The two files of the Embedding Projector, read again as it reads them."""

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tinyembed.files import write_projector

words = st.text(st.characters(exclude_characters="\t\n\r", codec="utf-8"), min_size=1) | st.just("a b")
BLANKS = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))


def as_the_projector_reads(folder):
    """Vectors and metadata as data-provider.ts has them: lines that are blank are passed over; a tab makes a header."""
    lines = {name: [line for line in Path(folder, f"{name}.tsv").read_text("utf-8").split("\n") if line.strip(BLANKS)]
             for name in ("vectors", "metadata")}
    header = lines["metadata"].pop(0).split("\t") if "\t" in lines["metadata"][0] else ["label"]
    cells = [line.split("\t") for line in lines["metadata"]]
    assert all(len(row) == len(header) for row in cells)
    return [list(map(float, line.split("\t"))) for line in lines["vectors"]], header, list(zip(*cells))


@given(st.data(), st.sampled_from([np.float16, np.float32, np.float64]), st.integers(0, 2))
def test_the_projector_finds_every_word_at_its_vector(data, dtype, extra):
    names = data.draw(st.lists(words.filter(lambda word: word.replace("\ufeff", "").strip()), min_size=1, max_size=5))
    vectors = data.draw(hnp.arrays(dtype, (len(names), data.draw(st.integers(2, 4))),
                                   elements=hnp.from_dtype(np.dtype(dtype), allow_nan=False, allow_infinity=False)))
    columns = {f"column {i}": list(range(i, i + len(names))) for i in range(extra)}
    with tempfile.TemporaryDirectory() as folder:
        write_projector(folder, names, vectors, columns)
        assert sorted(os.listdir(folder)) == ["metadata.tsv", "vectors.tsv"]
        read, header, cells = as_the_projector_reads(folder)
    np.testing.assert_array_equal(np.array(read).astype(dtype), vectors)
    assert header == (["word", *columns] if columns else ["label"])
    assert cells == [tuple(names), *(tuple(map(str, values)) for values in columns.values())]


@pytest.mark.parametrize(("names", "vectors", "columns", "error", "complaint"), [
    (["a", "b\tc"], np.eye(2), None, ValueError, r"word 'b\\tc' at position 1 has '\\t' in it"),
    (["a", "b\n"], np.eye(2), None, ValueError, r"word 'b\\n' at position 1 has '\\n' in it"),
    (["a", "b\r"], np.eye(2), {"n": [1, 2]}, ValueError, r"word 'b\\r' at position 1 has '\\r' in it"),
    (["a", ""], np.eye(2), None, ValueError, "word '' at position 1 is empty"),
    (["a", "\u3000\ufeff"], np.eye(2), None, ValueError, r"word '\\u3000\\ufeff' at position 1 is blank"),
    (["a", "\ud800"], np.eye(2), None, ValueError, "word .* at position 1"),
    (["a", "b"], np.ones((2, 1)), None, ValueError, "2 numbers or more"),
    (["a", "b"], np.float32([[1, 2], [3, np.nan]]), None, ValueError, "number 1 of word 'b', nan, is no finite number"),
    (["a"], np.eye(2), None, ValueError, "1 words need as many vectors, got 2"),
    (["a", "b"], np.eye(2), {"n": [1]}, ValueError, "column 'n' has 1 values for 2 words"),
    (["a", "b"], np.eye(2), {"n": [1, "x\ty"]}, ValueError, r"value 'x\\ty' at position 1 has '\\t' in it"),
    (["a", "b"], np.eye(2), {"n\n": [1, 2]}, ValueError, r"title 'n\\n' at position 0 has '\\n' in it"),
    ("ab", np.eye(2), None, TypeError, "got the string"),
])
def test_what_the_projector_would_misread_is_not_written(tmp_path, names, vectors, columns, error, complaint):
    with pytest.raises(error, match=complaint):
        write_projector(tmp_path, names, vectors, columns)
    assert os.listdir(tmp_path) == []


def test_a_blank_word_beside_another_column_and_a_word_twice_are_written(tmp_path):
    write_projector(tmp_path, iter(["\xa0", "\xa0"]), np.eye(2), {"n": iter([1, 2])})
    assert (tmp_path / "metadata.tsv").read_bytes() == "word\tn\n\xa0\t1\n\xa0\t2\n".encode()
    with pytest.raises(FileNotFoundError):
        write_projector(tmp_path / "nowhere", ["a"], [[1.0, 2.0]])
