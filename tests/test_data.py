"""Laws of the corpus, the split and the batches."""

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from corpus import docs_of_this_python
from hypothesis import given
from hypothesis import strategies as st

from tinyembed.data import Batches, NextTokenBatches, paragraphs, python_docs, python_docstrings, split_documents

# ---------------------------------------------------------------------------------------------- python_docs

LIBRARY = {
    "pydoc_data/topics.py": 'topics = {"assert": "The assert statement\\n*********\\n\\nIt asserts.", "empty": ""}',
    "b.py": '''
"""Module b.

Heading
=======

    >>> 1 + 1
    2

After the example.
"""
class C:
    """A class
    on two lines."""
    if True:
        def method(self):
            "A method."
            def inner(): "An inner function."
        async def later(self): "Later."
def last(): "Last."
''',
    "a/__init__.py": '"""Package a, with \\ud800 inside and \\d."""',
    "a/odd.py": "def (:",
    "a/null.py": "\0",
    "a/latin.py": "# coding: latin-1\n'''Caf\xe9.'''",
    "a/silent.py": "x = 1",
    "test/test_a.py": '"""A test."""',
    "a/tests/__init__.py": '"""A test."""',
    "site-packages/other.py": '"""Not ours."""',
    "readme.txt": '"""No module."""',
}
DOCUMENTS = [
    "Package a, with ? inside and \\d.",
    "Café.",
    "Module b.\n\nHeading\n\nAfter the example.\n\nA class\non two lines.\n\nA method.\n\nAn inner function."
    "\n\nLater.\n\nLast.",
    "The assert statement\n\nIt asserts.",
]

DOCSTRINGS = {"b.C": "A class\non two lines.", "b.C.method": "A method.", "b.C.method.inner": "An inner function.",
              "b.C.later": "Later.", "b.last": "Last."}


def as_folder(root: Path, library: dict[str, str]) -> Path:
    for name, source in library.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(source.encode("latin-1"))
    return root


def as_zip(path: Path, library: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, source in library.items():
            archive.writestr(name, source.encode("latin-1"))
    return path


@pytest.mark.filterwarnings("error")  # parsing odd escapes is silent
def test_docs_of_a_folder_and_of_a_zip(tmp_path):
    folder = as_folder(tmp_path / "lib", LIBRARY)
    archive = as_zip(tmp_path / "python311.zip", dict(reversed(LIBRARY.items())))
    assert python_docs(roots=[folder]) == DOCUMENTS
    assert python_docs(roots=[str(archive)]) == DOCUMENTS
    assert python_docs(roots=[tmp_path / "missing", archive, folder]) == DOCUMENTS  # a module is read once
    assert dict(python_docstrings(roots=[archive])) == DOCSTRINGS


def test_docs_without_the_topics_and_from_unreadable_parts(tmp_path):
    library = {name: source for name, source in LIBRARY.items() if not name.startswith("pydoc_data")}
    folder = as_folder(tmp_path / "lib", library)
    (folder / "dangling.py").symlink_to(tmp_path / "nowhere")
    (folder / "a.zip").write_bytes(b"no zip")
    assert python_docs(roots=[folder, folder / "a.zip"]) == DOCUMENTS[:-1]


def test_docs_pass_over_a_damaged_member_of_a_zip(tmp_path):
    archive = as_zip(tmp_path / "python311.zip", {"bad.py": "'''" + "Damaged text. " * 50 + "'''", **LIBRARY})
    data = bytearray(archive.read_bytes())
    start = data.index(b"bad.py") + len("bad.py")
    data[start : start + 20] = b"\xff" * 20
    archive.write_bytes(data)
    assert python_docs(roots=[archive]) == DOCUMENTS


def test_no_docs_at_all_is_an_error_that_says_what_to_do(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"roots=\[...\]"):
        python_docs(roots=[tmp_path])
    with pytest.raises(TypeError, match="list of folders"):
        python_docs(roots=str(tmp_path))


def test_docs_of_this_python(monkeypatch):
    documents = docs_of_this_python()
    monkeypatch.setattr("tinyembed.data.prose.python_docs", lambda: documents[::5])
    assert any({"returns", "list"} <= set(words) for words in paragraphs())
    part = [Path(json.__file__).parent]
    assert python_docs(part) == python_docs(part)
    assert sum(len(document.split()) for document in documents) > 100_000
    text = "\n".join(documents)
    assert "dictionary" in text
    assert ">>> " not in "".join(line[:4] for line in text.split("\n"))
    text.encode("utf-8")


# ------------------------------------------------------------------------------------------ split_documents

some_documents = st.lists(st.text(max_size=6) | st.sampled_from(["same", "text"]), max_size=12)


@given(some_documents, st.floats(0, 0.99), st.integers(0, 9))
def test_split_shares_no_text_and_loses_none(documents, held_out, seed):
    if held_out > 0 and len(set(documents) - {""}) < 2:
        with pytest.raises(ValueError, match="two different texts"):
            split_documents(documents, held_out)
        return
    train, held = split_documents(documents, held_out, np.random.default_rng(seed))
    assert sorted(train + held) == sorted(documents)
    assert not set(train) & set(held)
    assert train == [document for document in documents if document in set(train)]
    assert held == [document for document in documents if document in set(held)]
    if held_out > 0:
        assert any(train)
        assert any(held)
    assert (train, held) == split_documents(documents, held_out, np.random.default_rng(seed))


@given(st.lists(st.integers(1, 20), min_size=30, max_size=60), st.floats(0.1, 0.9))
def test_split_aims_at_the_length(lengths, held_out):
    documents = [f"{i:03}" + "x" * length for i, length in enumerate(lengths)]
    _, held = split_documents(documents, held_out)
    total = sum(map(len, documents))
    assert abs(sum(map(len, held)) - held_out * total) <= max(map(len, documents))


def test_copies_weigh_what_they_weigh_together():
    documents = ["copy"] * 10 + [f"{i:04}" for i in range(15)]  # 100 characters, 40 of them in the copies
    for seed in range(20):
        assert "copy" not in split_documents(documents, 0.1, np.random.default_rng(seed))[1]


def test_split_is_the_same_each_time_without_a_generator_and_another_with_another():
    documents = [f"document {i}" for i in range(100)]
    assert split_documents(documents) == split_documents(documents)
    assert split_documents(documents) != split_documents(documents, rng=np.random.default_rng(1))
    assert len(split_documents(documents)[1]) == 10


def test_split_refuses_what_it_can_not_split():
    for held_out in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="fraction"):
            split_documents(["a", "b"], held_out)
    with pytest.raises(TypeError, match="document 1 is not a string"):
        split_documents(["a", ["b"]])


# -------------------------------------------------------------------------------------------------- Batches


@given(st.integers(1, 20), st.integers(1, 25), st.none() | st.integers(0, 9), st.booleans())
def test_an_epoch_has_each_example_once_with_all_that_belongs_to_it(N, B, seed, drop_last):
    x, texts, bags = np.arange(2 * N).reshape(N, 2), [f"text {i}" for i in range(N)], [[i] * i for i in range(N)]
    rng = None if seed is None else np.random.default_rng(seed)
    if drop_last and N < B:
        with pytest.raises(ValueError, match=f"{N} examples do not fill a batch of {B}"):
            Batches((x, texts, bags), B, rng, drop_last)
        return
    batches, orders = Batches((x, texts, bags), B, rng, drop_last), []
    for _ in range(2):
        epoch = list(batches)
        assert len(epoch) == len(batches) == (N // B if drop_last else -(-N // B))
        assert [len(some) for some, _, _ in epoch[:-1]] == [B] * (len(epoch) - 1)
        order = []
        for some, their_texts, their_bags in epoch:
            assert isinstance(some, np.ndarray) and not np.shares_memory(some, x)
            ids = (some[:, 0] // 2).tolist()
            assert (their_texts, their_bags) == ([texts[i] for i in ids], [bags[i] for i in ids])
            np.testing.assert_array_equal(some, x[ids])
            order += ids
        assert len(order) == (N // B * B if drop_last else N) == len(set(order))
        assert seed is not None or order == sorted(order)
        orders.append(order)
    assert seed is None or N < 8 or orders[0] != orders[1]


def test_one_array_alone_is_an_item_and_the_same_generator_gives_the_same_order():
    one, other = (Batches(np.arange(30), 7, np.random.default_rng(3)) for _ in range(2))
    for (x,), (y,) in zip(one, other, strict=True):
        np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    (((np.zeros(3), [1, 2]), 1), ValueError, r"need one length.*have \[3, 2\]"),
    (((), 1), ValueError, "have not even an item"),
    ((np.zeros((0, 2)), 1), ValueError, r"have \[0\]"),
    ((["a text", "another"], 1), TypeError, r"item 0 is a string, 'a text'; .* given as \(\[...\],\)"),
    (("text", 1), TypeError, "item 0 is a string, 't'"),
    (((np.zeros(2), 3.0), 1), TypeError, "item 1 must be an array or a list .* got 3.0"),
    ((np.array(3), 1), TypeError, "item 0 must be an array or a list"),
    (((np.zeros(2), {0, 1}), 1), TypeError, "item 1 must be an array or a list"),
    ((np.zeros(2), 0), ValueError, "size must be at least 1, got 0"),
    ((np.zeros(2), 1.0), TypeError, "size must be an integer"),
])
def test_what_cannot_be_cut_into_batches_is_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        Batches(*arguments)


# ----------------------------------------------------------------------------------------- NextTokenBatches


@st.composite
def batch_cases(draw):
    T = draw(st.integers(1, 6))
    N = draw(st.integers(T + 1, 60))
    return N, T, draw(st.integers(1, 5)), draw(st.none() | st.integers(0, 99))


@given(batch_cases())
def test_windows_are_pieces_of_the_stream_and_share_nothing(case):
    N, T, B, seed = case
    rng = None if seed is None else np.random.default_rng(seed)
    batches = NextTokenBatches(np.arange(N), T, B, rng)
    for _ in range(2):  # as many batches in every epoch
        epoch = list(batches)
        assert len(epoch) == len(batches)
        assert [len(x) for x, _ in epoch[:-1]] == [B] * (len(epoch) - 1)
        x, y = (np.concatenate(side) for side in zip(*epoch, strict=True))
        assert x.dtype == y.dtype == np.int64
        assert x.shape == y.shape == (batches.windows, T)
        np.testing.assert_array_equal(y, x + 1)  # the stream is 0, 1, 2, …: the next token is one more
        np.testing.assert_array_equal(np.diff(x, axis=1), 1)
        assert len(np.unique(x)) == x.size
        unused = N - 1 - x.size
        assert unused < (T if seed is None else 2 * T)
        if seed is None:
            np.testing.assert_array_equal(x.ravel(), np.arange(x.size))


@given(batch_cases())
def test_drop_last_leaves_full_batches_only(case):
    N, T, B, seed = case
    every = NextTokenBatches(np.arange(N), T, B, None if seed is None else np.random.default_rng(seed))
    if every.windows < B:
        with pytest.raises(ValueError, match="drop_last"):
            NextTokenBatches(np.arange(N), T, B, every.rng, drop_last=True)
        return
    full = NextTokenBatches(np.arange(N), T, B, None if seed is None else np.random.default_rng(seed), drop_last=True)
    expected = [x for x, _ in every if len(x) == B]
    assert len(full) == len(expected)
    np.testing.assert_array_equal([x for x, _ in full], expected)


def test_every_offset_occurs_and_epochs_differ():
    for N in range(10, 20):
        batches = NextTokenBatches(np.arange(N), 5, 2, np.random.default_rng(0))
        epochs = [np.concatenate([x for x, _ in batches]) for _ in range(200)]
        assert {int(x.min()) % 5 for x in epochs} == set(range(5))
        assert set(np.concatenate(epochs).ravel().tolist()) == set(range(N - 1))  # no position is left out for ever


def test_the_same_generator_gives_the_same_epoch():
    first, second = (NextTokenBatches(np.arange(50), 4, 3, np.random.default_rng(7)) for _ in range(2))
    for (x, y), (x2, y2) in zip(first, second, strict=True):
        np.testing.assert_array_equal(x, x2)
        np.testing.assert_array_equal(y, y2)


@given(
    st.lists(st.lists(st.integers(0, 255), max_size=5), min_size=1), st.sampled_from([np.uint8, np.int32, np.uint64])
)
def test_documents_are_joined(documents, dtype):
    joined = [id for document in documents for id in document]
    if len(joined) < 2:
        return
    for ids in (documents, [np.array(document, dtype) for document in documents], joined, np.array(joined, dtype)):
        ((x, y),) = NextTokenBatches(ids, 1, len(joined))
        assert x.ravel().tolist() == joined[:-1]
        assert y.ravel().tolist() == joined[1:]


def test_batches_own_their_arrays():
    stream = np.arange(9)
    batches = NextTokenBatches(stream, 4, 2)
    stream[:] = 0
    ((x, y),) = batches
    x[:] = -1
    np.testing.assert_array_equal(y, [[1, 2, 3, 4], [5, 6, 7, 8]])
    ((x, _),) = batches
    np.testing.assert_array_equal(x, [[0, 1, 2, 3], [4, 5, 6, 7]])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([], 3, 1), ValueError, "0 ids is too short for a window of 3: it takes 4"),
        ((np.arange(3), 3, 1), ValueError, "3 ids is too short for a window of 3: it takes 4"),
        ((np.arange(9), 0, 1), ValueError, "window must be at least 1, got 0"),
        ((np.arange(9), 3, 0), ValueError, "batch_size must be at least 1, got 0"),
        ((np.arange(9), 3.0, 1), TypeError, "window must be an integer"),
        ((np.arange(9), 3, True), TypeError, "batch_size must be an integer"),
        ((np.arange(9.0), 3, 1), TypeError, "document 0 must hold 64-bit integers, got float64"),
        (([[0, 1], [True, False]], 1, 1), TypeError, "document 1 must hold 64-bit integers, got bool"),
        (([[0], [2**63]], 1, 1), TypeError, "document 1"),
        (([[0], [2**64]], 1, 1), TypeError, "document 1"),
        (([[0], [[1]]], 1, 1), ValueError, r"document 1 must be a 1-D array of ids, got shape \(1, 1\)"),
        ((["a text"], 1, 1), ValueError, "document 0"),
    ],
)
def test_batches_refuse_what_is_no_stream(arguments, error, message):
    with pytest.raises(error, match=message):
        NextTokenBatches(*arguments)
