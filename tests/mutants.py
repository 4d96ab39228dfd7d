"""Damaged files, for every format: a reader takes one as it stands, or refuses it with a FormatError. Nothing else.

    python tests/mutants.py [how many of each format] [format ...]        a table of what became of them

A format joins with one entry in FORMATS: those of word vectors in mutants_vectors.py, models in mutants_models.py,
checkpoints in mutants_checkpoint.py, tokenisers in mutants_text.py. tests/test_mutants.py runs over all of them.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import random
import re
import signal
import struct
import sys
import tempfile
import time
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

import tinyembed as te
from tinyembed.files import FormatError, SafeTensors, write_safetensors

MB = 1 << 20
SECONDS = 5  # that reading and checking one small file may take
KINDS = ("flip", "cut", "repeat", "remove", "swap", "zeros", "ones", "insert", "number", "field")
NUMBERS = (b"-1", b"0", b"1", b"2", b"1e9", b"1_0", b"0.5", b"NaN", b"-0", b"2147483648", b"4294967295", b"100000001",
           b"9223372036854775807", b"9223372036854775808", b"18446744073709551616", b"9" * 400, b"9" * 5000)
JUNK = (b"\0", b"\n", b" ", b"\t", b"\r\n", b"\xff\xfe", b"\xc2\xa0", b'"', b"{", b"[" * 50, b"}", b",", b":", b"\\u",
        b"\\ud800", b"NaN", b"null", b"true", b"../", b"\x80\x04c")


@dataclass(frozen=True)
class Format:
    """How to try one format.

    suffix   of the file's name; all of it, if it does not begin with a dot
    make     writes a valid, small file to the path that it is given (and what must stand beside it, undamaged)
    read     reads all of a file
    check    (what read gave, the file's bytes): asserts what a reader must find, by an independent look at the bytes
    mend     None, or (the valid file, a mutant of it) -> the mutant with its lengths or checksums made right, so that
             the damage is not given away by them; done to every second round of kinds
    """

    suffix: str
    make: Callable[[Path], object]
    read: Callable[[Path], Any]
    check: Callable[[Any, bytes], object]
    mend: Callable[[bytes, bytes], bytes] | None = None


@dataclass
class Outcome:
    """What became of the mutants: (kind, "taken" or "refused") -> how many; and the reasons, as patterns."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)

    def total(self, what: str) -> int:
        return sum(n for (kind, outcome), n in self.counts.items() if what in (kind, outcome))


def mutants(data: bytes, n: int, seed: int,
            mend: Callable[[bytes, bytes], bytes] | None = None) -> Iterator[tuple[str, bytes]]:
    """n damaged copies of data with the kind of damage, each different from data; all kinds come in turn."""
    rng = random.Random(seed)
    for i in range(n):
        for kind in [KINDS[i % len(KINDS)]] * 50 + ["repeat"]:  # what can not be swapped, say, is repeated
            mutant = _damaged(kind, data, rng)
            if mend and i // len(KINDS) % 2:
                mutant = mend(data, mutant)
            if mutant != data:
                break
        yield kind, mutant


def _damaged(kind: str, data: bytes, rng: random.Random) -> bytes:
    def place() -> int:
        """Half of the damage is done near the beginning, where formats say what follows."""
        return rng.randrange(min(len(data), 200) if rng.random() < 0.5 else len(data))

    def stretch() -> tuple[int, int]:
        begin = place()
        return begin, min(len(data), begin + rng.choice((1, 2, 4, 8, 30, 100, max(1, len(data) // 3))))

    a, b = stretch()
    if kind == "flip":
        damaged = bytearray(data)
        for _ in range(rng.choice((1, 1, 1, 2, 8))):
            damaged[place()] ^= rng.choice((1 << rng.randrange(8), rng.randrange(1, 256)))
        return bytes(damaged)
    if kind == "cut":
        end = rng.choice((0, 7, len(data) - 1, len(data) - 4, place(), place()))
        return data[b:] if rng.random() < 0.2 else data[:end]
    if kind == "repeat":
        return data[:b] + data[a:b] * rng.choice((1, 1, 2, 20)) + data[b:]
    if kind == "remove":
        return data[:a] + data[b:]
    if kind == "swap":
        c, d = stretch()
        (a, b), (c, d) = sorted(((a, b), (c, d)))
        c, d = max(b, c), max(b, d)
        return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]
    if kind in ("zeros", "ones"):
        return data[:a] + (b"\0" if kind == "zeros" else b"\xff") * (b - a) + data[b:]
    if kind == "insert":
        at = rng.choice((place(), place(), len(data)))
        return data[:at] + rng.choice((rng.choice(JUNK), rng.randbytes(rng.choice((1, 8, 500))))) + data[at:]
    if kind == "number":
        numbers = [m.span() for m in re.finditer(rb"-?\d+(\.\d+)?", data)]
        a, b = rng.choice(numbers[:50] if rng.random() < 0.7 else numbers) if numbers else (a, b)
        near = [b"%d" % (int(data[a:b]) + rng.choice((-1, 1, 2)))] if data[a:b].isdigit() and b - a < 400 else []
        return data[:a] + rng.choice([*NUMBERS, *near * 8]) + data[b:]
    assert kind == "field"  # a length, a count, an offset: where binary formats have them
    width, code = rng.choice(((4, "<I"), (8, "<Q")))
    at = 4 * rng.randrange(max(1, min(len(data), 64 if rng.random() < 0.5 else 512) // 4))
    old = int.from_bytes(data[at:at + width], "little")
    new = rng.choice((0, 1, len(data), 100_000_001, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1,
                      old - 1, old + 1, old + 8, old * 2))
    return data[:at] + struct.pack(code, new % 256**width) + data[at + width:]


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """TimeoutError if what is inside takes longer: at once where the system has timers, else when it is done. Seconds
    are those that the process works: what else the machine does is not the reader's fault."""
    def late(*_: Any) -> None:
        raise TimeoutError(f"more than {seconds} seconds of work")

    start = time.process_time()
    if hasattr(signal, "setitimer"):
        old = signal.signal(signal.SIGPROF, late)
        signal.setitimer(signal.ITIMER_PROF, seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, old)
    else:
        yield
        if time.process_time() - start > seconds:
            late()


@contextlib.contextmanager
def memory_limit(megabytes: int = 256) -> Iterator[None]:
    """MemoryError, where the system can, for what asks for so much more address space than the process has now."""
    resource = importlib.import_module("resource") if os.path.exists("/proc/self/statm") else None
    if resource is None:
        yield
        return
    old = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + megabytes * MB, old[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, old)


def check_mutants(form: Format, n: int = 300, seed: int = 0, seconds: float = SECONDS) -> Outcome:
    """Write a valid file, read it, then n mutants of it. AssertionError naming the mutant if one is neither taken, and
    found to be what its bytes say, nor refused with a FormatError; or if refusing it took its size + 64 MB."""
    outcome = Outcome()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, form.suffix if not form.suffix.startswith(".") else "file" + form.suffix)
        form.make(path)
        data = path.read_bytes()
        form.check(form.read(path), data)  # the valid file
        tracemalloc.start()
        try:
            for i, (kind, mutant) in enumerate(mutants(data, n, seed, form.mend)):
                path.unlink()  # another file, should the last still be mapped
                path.write_bytes(mutant)
                try:
                    outcome.counts[kind, _one(form, path, mutant, seconds, outcome)] += 1
                except Exception as error:
                    raise AssertionError(f"mutant {i} ({kind}) of {n}, seed {seed}, {len(mutant)} bytes beginning with "
                                         f"{mutant[:80]!r}: {type(error).__name__}: {error}") from error
        finally:
            tracemalloc.stop()
    return outcome


def _one(form: Format, path: Path, mutant: bytes, seconds: float, outcome: Outcome) -> str:
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    try:
        with time_limit(seconds), memory_limit():
            value = form.read(path)
    except FormatError as error:
        peak = tracemalloc.get_traced_memory()[1] - before
        assert peak < len(mutant) + 64 * MB, f"refusing it took {peak / MB:.0f} MB"
        assert error.path and error.where and error.problem
        pattern = re.sub(r"'.*'|\".*\"|\[.*\]|\{.*\}|/\S+", "…", error.problem)
        outcome.reasons[re.sub(r"\d[\d,]*", "#", pattern)[:60]] += 1
        return "refused"
    form.check(value, mutant)
    return "taken"


# -- the formats -------------------------------------------------------------------------------------------------------


def make_safetensors(path: Path) -> None:
    rng = np.random.default_rng(0)
    write_safetensors(path, {
        "wte.weight": rng.standard_normal((70, 6)).astype(np.float32), "half": rng.standard_normal((3, 2)),
        "ids": np.arange(5), "mask": np.array([[True, False, True]]), "none": np.zeros((0, 4), np.float16),
        "scale": np.array(2.5), "bytes": np.arange(9, dtype=np.uint8)}, {"format": "np"}, {"half": "BF16"})


def read_safetensors(path: Path) -> dict[str, Any]:
    file = SafeTensors(path)
    return {name: (file.dtype(name), file.shape(name), file[name], file.rows(name, slice(None)) if file.shape(name) else
                   None) for name in file}


def check_safetensors(value: dict[str, Any], data: bytes) -> None:
    """Dtypes, shapes and bytes are what the header says, which is read once more, plainly."""
    n = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + n])
    header.pop("__metadata__", None)
    assert set(header) == set(value)
    seen = 0
    for name, entry in header.items():
        code, shape, array, rows = value[name]
        begin, end = entry["data_offsets"]
        stored = data[8 + n + begin:8 + n + end]
        seen += len(stored)
        assert (code, list(shape), list(array.shape)) == (entry["dtype"], entry["shape"], entry["shape"])
        if code == "BF16":  # the upper half of a float32, read as such
            assert array.dtype == np.float32
            stored = b"".join(b"\0\0" + stored[i:i + 2] for i in range(0, len(stored), 2))
        else:
            letter = {"F": "f", "I": "i", "U": "u", "B": "b"}[code[0]]
            assert (array.dtype.kind, array.dtype.itemsize) == (letter, 1 if code == "BOOL" else int(code[1:]) // 8)
            assert code != "BOOL" or set(stored) <= {0, 1}
        assert array.tobytes() == stored
        assert rows is None or (rows.shape, rows.tobytes()) == (array.shape, stored)
    assert 8 + n + seen == len(data)


def mend_safetensors(data: bytes, mutant: bytes) -> bytes:
    """As if all that was put in or taken out had been in the header."""
    return struct.pack("<q", struct.unpack("<q", data[:8])[0] + len(mutant) - len(data)) + mutant[8:]


def make_index(path: Path) -> None:
    write_safetensors(path.with_name("1.safetensors"), {"a": np.ones((4, 3)), "b": np.arange(3)})
    write_safetensors(path.with_name("2.safetensors"), {"c": np.zeros(5, np.float32), "a": np.zeros((4, 3))})
    path.write_text(json.dumps({"metadata": {"total_size": 140.0}, "weight_map": {
        "a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"}}, indent=2))


def check_index(value: dict[str, Any], data: bytes) -> None:
    wanted = {name: (shard[0], name) for name, shard in json.loads(data)["weight_map"].items()}
    there = {("1", "a"): np.ones((4, 3)), ("1", "b"): np.arange(3), ("2", "c"): np.zeros(5, np.float32),
             ("2", "a"): np.zeros((4, 3))}
    assert list(wanted) == list(value)
    for name, array in value.items():
        np.testing.assert_array_equal(array[2], there[wanted[name]], strict=True)


def make_config(path: Path) -> None:
    write_safetensors(path.with_name("model.safetensors"), {"wte.weight": np.eye(40, 6), "wpe.weight": np.ones((4, 6))})
    path.write_text(json.dumps({"activation": "gelu", "n_embd": 6, "vocab_size": 38, "dropout": 0.1, "n_ctx": None}))


def check_config(table: Any, data: bytes) -> None:
    """What the table is said to agree with is there; what else the configuration says, it does not contradict."""
    config = json.loads(data)
    assert table.agrees and all(config[key] == int(number) for key, number in map(str.split, table.agrees))
    assert config.get("n_embd") in (6, None) and (config.get("vocab_size") or 1) <= 40
    np.testing.assert_array_equal(table.rows(slice(None)), np.eye(40, 6))


FORMATS = {
    "safetensors": Format(".safetensors", make_safetensors, read_safetensors, check_safetensors, mend_safetensors),
    "safetensors index": Format(".safetensors.index.json", make_index, read_safetensors, check_index),
    "config.json": Format("config.json", make_config, lambda path: te.load_table(path.parent), check_config),
}


def main(n: int, names: list[str]) -> None:
    print(f"{n} mutants of each format: all taken as they stand, or refused with a FormatError\n")
    print(f"{'format':<18}{'taken':>7}{'refused':>9}   refused, of each kind")
    for name in names or FORMATS:
        start = time.monotonic()
        outcome = check_mutants(FORMATS[name], n)
        of_kind = (f"{kind} {outcome.counts[kind, 'refused']}/{outcome.total(kind)}" for kind in KINDS)
        print(f"{name:<18}{outcome.total('taken'):>7}{outcome.total('refused'):>9}   {' '.join(of_kind)}   "
              f"({time.monotonic() - start:.1f} s)")
        print(*(f"    {count:>5}  {reason}" for reason, count in outcome.reasons.most_common(12)), sep="\n")


if __name__ == "__main__":
    import mutants  # this file, as the other modules know it
    import mutants_checkpoint  # noqa: F401, for its format
    import mutants_models  # noqa: F401, for its formats
    import mutants_text  # noqa: F401, for its formats
    import mutants_vectors  # noqa: F401, for its formats

    mutants.main(int(sys.argv[1]) if len(sys.argv) > 1 else 300, sys.argv[2:])
