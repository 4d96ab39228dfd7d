"""A file is the old one or the new one, whatever interrupts the save."""

import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinyembed.files import atomic_write

posix = pytest.mark.skipif(os.name != "posix", reason="permissions, links and folders as POSIX has them")


@given(old=st.none() | st.binary(), new=st.binary(), by_function=st.booleans())
def test_the_file_holds_the_new_bytes_and_the_folder_nothing_else(old, new, by_function):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "file.bin")
        if old is not None:
            path.write_bytes(old)
        atomic_write(path, (lambda file: file.write(new)) if by_function else new)
        assert path.read_bytes() == new
        assert os.listdir(folder) == ["file.bin"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("old", [None, b"old"])
def test_an_exception_half_way_leaves_the_old_bytes_and_no_litter(tmp_path, error, old):
    path = tmp_path / "file.bin"
    if old is not None:
        path.write_bytes(old)

    def half(file: BinaryIO) -> None:
        file.write(b"x" * 100_000)
        raise error("half-way")

    with pytest.raises(error, match="half-way"):
        atomic_write(path, half)
    assert os.listdir(tmp_path) == ([] if old is None else ["file.bin"])
    assert old is None or path.read_bytes() == old


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failing_system_call_leaves_the_old_bytes_and_no_litter(tmp_path, monkeypatch, step):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(OSError, match="disk full"):
        atomic_write(path, b"new")
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file.bin"]


@posix
def test_bytes_reach_the_disk_before_the_name_and_the_name_before_the_return(tmp_path, monkeypatch):
    path = tmp_path / "file.bin"
    calls = []
    fsync, replace = os.fsync, os.replace

    def recorded_fsync(descriptor):
        status = os.fstat(descriptor)
        is_folder = stat.S_ISDIR(status.st_mode)
        calls.append("fsync folder" if is_folder else f"fsync {status.st_size} bytes")
        fsync(descriptor)

    def recorded_replace(source, target):
        assert Path(source).parent == Path(target).parent == tmp_path
        calls.append("replace")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", recorded_fsync)
    monkeypatch.setattr(os, "replace", recorded_replace)
    atomic_write(path, b"seven b")
    assert calls == ["fsync 7 bytes", "replace", "fsync folder"]


def test_a_killed_save_leaves_the_old_bytes_and_the_next_save_clears_its_litter(tmp_path):
    path = tmp_path / "file.bin"
    path.write_bytes(b"old")
    (tmp_path / "file").write_bytes(b"neighbour")
    script = (
        "import os, sys\n"
        "from tinyembed.files import atomic_write\n"
        "def die(file):\n"
        "    file.write(b'half'); file.flush(); os._exit(9)\n"
        "atomic_write(sys.argv[1], die)\n"
    )
    environment = dict(os.environ, PYTHONPATH=os.pathsep.join(sys.path))
    assert subprocess.run([sys.executable, "-c", script, str(path)], env=environment, check=False).returncode == 9
    assert path.read_bytes() == b"old"
    assert len(os.listdir(tmp_path)) == 3  # the two files and the litter
    atomic_write(tmp_path / "file", b"neighbour")
    assert len(os.listdir(tmp_path)) == 3  # a save clears what is its own, not a neighbour's
    atomic_write(path, b"new")
    assert path.read_bytes() == b"new"
    assert sorted(os.listdir(tmp_path)) == ["file", "file.bin"]


def test_a_save_inside_a_save_to_the_same_path_tears_nothing(tmp_path):
    path = tmp_path / "file.bin"

    def interrupted_by_another_save(file: BinaryIO) -> None:
        file.write(b"first half ")
        atomic_write(path, b"the other save")
        file.write(b"second half")

    try:
        atomic_write(path, interrupted_by_another_save)
    except FileNotFoundError:
        assert path.read_bytes() == b"the other save"
    else:
        assert path.read_bytes() == b"first half second half"
    assert os.listdir(tmp_path) == ["file.bin"]


@posix
def test_permissions_are_kept_and_a_link_is_followed(tmp_path):
    path, link = tmp_path / "file.bin", tmp_path / "link"
    path.write_bytes(b"old")
    path.chmod(0o600)
    link.symlink_to(path)
    atomic_write(link, b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("where", ["", "/dev/null"])
def test_a_folder_or_a_device_is_not_replaced(tmp_path, where):
    with pytest.raises(OSError, match="regular file"):
        atomic_write(where or tmp_path, b"new")
    assert os.listdir(tmp_path) == []


def test_a_missing_folder_and_text_instead_of_bytes_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        atomic_write(tmp_path / "nowhere" / "file.bin", b"new")
    with pytest.raises(TypeError):
        atomic_write(tmp_path / "file.bin", "text")  # type: ignore[arg-type]
    assert os.listdir(tmp_path) == []
