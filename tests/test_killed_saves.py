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
    for seed in range(2):
        assert not killed_saves.kill(name, tmp_path, random.Random(f"{name}{seed}")).startswith("neither")


FULL = """
import os, resource, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import killed_saves
write, read = killed_saves.WRITERS[{name!r}]
path = Path({path!r})
write(path, 1)
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, resource.RLIM_INFINITY))
try:
    write(path, 2)
except OSError as error:
    print(error.errno == 27, os.listdir(path.parent), read(path))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE and SIGXFSZ")
@pytest.mark.parametrize("name", killed_saves.WRITERS)
def test_a_disk_that_is_full_half_way_leaves_the_old_file_and_no_litter(name, tmp_path):
    code = FULL.format(tests=str(Path(__file__).parent), name=name, path=str(tmp_path / "file"))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "True ['file'] 1\n", done.stderr


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
