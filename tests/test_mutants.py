"""Every reader of files, on damaged files: taken as they stand, or refused with a FormatError. See mutants.py."""

import time

import mutants_checkpoint  # noqa: F401, for its format
import mutants_models  # noqa: F401, for its formats
import mutants_text  # noqa: F401, for its formats
import mutants_vectors  # noqa: F401, for its formats
import pytest
from hypothesis import settings
from mutants import FORMATS, KINDS, Format, check_mutants, mutants

from tinyembed.files import FormatError


@pytest.mark.parametrize("name", FORMATS)
def test_a_damaged_file_is_refused_with_a_reason_or_read_as_it_stands(name):
    n = 8 * settings.default.max_examples  # 120, and 4,000 in the thorough profile
    outcome = check_mutants(FORMATS[name], n)
    assert outcome.total("taken") + outcome.total("refused") >= 0.95 * n
    assert all(outcome.total(kind) >= 0.07 * n for kind in KINDS)
    assert outcome.total("refused") >= n // 6 and len(outcome.reasons) >= 3


@pytest.mark.parametrize("data", [b"x", b"3 2\na 1 2\nb 3 4\n", bytes(1000)])
def test_mutants_differ_from_the_file_and_are_the_same_in_every_run(data):
    once, again = (list(mutants(data, 100, seed=1)) for _ in range(2))
    assert once == again != list(mutants(data, 100, seed=2))
    assert all(mutant != data for _, mutant in once)


# A file of this toy format is its length and then as many bytes. What check_mutants must notice in a reader of it:


def make(path):
    path.write_bytes(b"\5hello")


def read(path):
    data = path.read_bytes()
    if not data or data[0] != len(data) - 1:
        raise FormatError(path, "offset 0", "not as many bytes as the first says")
    return data[1:]


def check(value, data):
    assert bytes([len(value)]) + value == data


def trusting(path):
    data = path.read_bytes()
    return data[1:1 + data[0]]


def hungry(path):
    bytearray(100 << 20)
    return read(path)


def endless(path):
    end = time.process_time() + 2 * (path.stat().st_size != 6)
    while time.process_time() < end:
        pass
    return read(path)


def test_a_right_reader_passes():
    outcome = check_mutants(Format(".toy", make, read, check), n=100)
    assert outcome.total("taken") > 5 and outcome.total("refused") > 5


WRONG = [(trusting, "IndexError|AssertionError"), (hungry, "refusing it took 1"), (endless, "TimeoutError")]


@pytest.mark.parametrize(("reader", "complaint"), WRONG)
def test_a_wrong_reader_is_noticed(reader, complaint):
    with pytest.raises(AssertionError, match=complaint):
        check_mutants(Format(".toy", make, reader, check), n=100, seconds=0.2)
