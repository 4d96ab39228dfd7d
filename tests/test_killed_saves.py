"""A save that is killed leaves the old file or a new one. `python tests/killed_saves.py` kills a hundred times each."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import killed_saves
import pytest


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="kills as POSIX has them")
@pytest.mark.parametrize("name", killed_saves.WRITERS)
def test_a_killed_save_leaves_the_old_file_or_the_new(name, tmp_path):
    assert not killed_saves.kill(name, tmp_path, random.Random(name)).startswith("neither")


FULL = """
import os, resource, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import killed_saves
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
for name, (write, read) in killed_saves.WRITERS.items():
    path = Path({folder!r}, name, "file")
    path.parent.mkdir()
    write(path, 1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, resource.RLIM_INFINITY))
    try:
        write(path, 2)
    except OSError as error:
        print(name, error.errno == 27, os.listdir(path.parent), read(path))
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
"""


@pytest.fixture(scope="module")
def full_disk(tmp_path_factory):
    """What a process printed whose every save found room for half of a file."""
    code = FULL.format(tests=str(Path(__file__).parent), folder=str(tmp_path_factory.mktemp("full")))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE and SIGXFSZ")
@pytest.mark.parametrize("name", killed_saves.WRITERS)
def test_a_disk_that_is_full_half_way_leaves_the_old_file_and_no_litter(name, full_disk):
    assert f"{name} True ['file'] 1" in full_disk.stdout.splitlines(), full_disk.stderr


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["safetensors", "vocabulary"])
def test_ctrl_c_at_any_line_leaves_the_old_file_or_the_new(name, seed, tmp_path, monkeypatch):
    monkeypatch.setattr(killed_saves, "N", 50)
    monkeypatch.setattr(killed_saves, "WORDS", killed_saves.WORDS[:50])
    write, read = killed_saves.WRITERS[name]
    path = tmp_path / "file"

    def interrupted_after(lines):
        """Whether the save ended before so many lines of the package had run."""
        left = lines

        def trace(frame, event, _):
            nonlocal left
            if "tinyembed" not in frame.f_code.co_filename:
                return None
            left -= event == "line"
            if left == 0:
                raise KeyboardInterrupt
            return trace

        before = sys.gettrace()
        sys.settrace(trace)
        try:
            write(path, 2)
        except KeyboardInterrupt:
            return False
        finally:
            sys.settrace(before)
        return True

    write(path, 1)
    lines = 1 + seed
    while not interrupted_after(lines):
        assert read(path) in (1, 2)
        lines += 5
    assert read(path) == 2 and os.listdir(tmp_path) == ["file"] and lines > 40
