"""Laws of training in several processes: the step is that of one process, all replicas stay the same to the last bit,
and however it ends, nothing remains."""

import contextlib
import functools
import itertools
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from several import (
    CASES,
    GRADIENTS,
    bad_loss,
    clear_beside,
    cores,
    cut,
    cut_all,
    data,
    each,
    fail,
    gather_all,
    gradient,
    in_little_room,
    loss,
    made,
    masks,
    mix_dtypes,
    other_batches,
    refused,
    run,
    sha256,
    sum_all,
    train_all,
)

import tinyembed as te
from tinyembed.core import RowGrad
from tinyembed.optim import AdamW
from tinyembed.train import Group, evaluate, fit, launch, processes
from tinyembed.train.loop import examples_in

pytestmark = pytest.mark.filterwarnings("ignore:.*never touched")
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
TESTS = str(Path(__file__).parent)


@pytest.fixture(autouse=True)
def nothing_remains(tmp_path, monkeypatch):
    """Neither processes nor files, after each test."""
    (tmp_path / "shared").mkdir()
    monkeypatch.setattr(processes, "SHARED", str(tmp_path / "shared"))
    yield
    assert multiprocessing.active_children() == []
    assert list((tmp_path / "shared").iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- the laws


@functools.cache
def in_two():
    """What works give that leave their processes as they were: one after the other in the same two."""
    return launch(each, 2, mix_dtypes, masks, bad_loss, train_all, refused)


@functools.cache
def in_three():
    return launch(each, 3, train_all, sum_all, gather_all)


train_alone = functools.cache(lambda: train_all(Group()))


@pytest.mark.parametrize("trained", [lambda: in_two()[3], lambda: in_three()[0]], ids=["2", "3"])
def test_a_step_of_several_processes_is_that_of_one(trained):
    """For gradients of rows, dense ones and both; parts that differ in length; batches with fewer examples than there
    are processes; accumulated and clipped."""
    for case, one, several in zip(CASES, train_alone(), trained()):
        assert several[3], case
        for x, y in zip(one[:3], several[:3]):
            for a, b in zip(x, y):
                np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-10, err_msg=str(case))
        assert len(one[1]) == len(several[1]) and len(one[2]) == len(several[2])


def test_gradients_of_all_kinds_add_up():
    numbers, together, one_by_one = in_three()[1]
    assert numbers == (3.0, 0.1 + 0.1 + 0.1) and together.pop() == 0.1 + 0.1 + 0.1
    for kinds, *found in zip(GRADIENTS, together, one_by_one):
        terms = [gradient(kind, rank) for rank, kind in enumerate(kinds) if kind != "none"]
        for g in found:
            if not terms:
                assert g is None
                continue
            assert isinstance(g, np.ndarray if "dense" in kinds else RowGrad), kinds
            assert g.dtype == np.float32 and (isinstance(g, np.ndarray) or g.coalesced)
            dense, *rest = (x.to_dense() if isinstance(x, RowGrad) else x for x in [g, *terms])
            np.testing.assert_array_equal(dense, sum(rest), err_msg=str(kinds))


def test_gathered_parts_are_the_whole():
    for found in (gather_all(Group()), in_three()[2]):
        for whole, gathered in zip(*found):
            np.testing.assert_array_equal(gathered, whole, strict=True)


def test_lists_are_divided_as_arrays_are():
    batch = np.arange(3), ["a", "b", "c"], [[1], [], [2, 3]]
    assert [[list(x) for x in Group(rank, 2).part(batch)] for rank in range(2)] == [
        [[0], ["a"], [[1]]], [[1, 2], ["b", "c"], [[], [2, 3]]]]


def test_the_name_of_a_task_goes_to_all_and_counts_for_nothing():
    """However short the rest of the batch is: a rank that gets no example skips it, name and all."""
    batch = "task", ["a", "b", "c"], np.arange(3)
    assert examples_in(batch) == 3 and examples_in(("a longer name", [])) == 0
    assert [[list(x) for x in Group(rank, 2).part(batch)[1:]] for rank in range(2)] == [
        [["a"], [0]], [["b", "c"], [1, 2]]]
    assert [part[0] for rank in range(2) for part in Group(rank, 2).parts([("task", ["a"]), batch])] == ["task"] * 3
    for wrong in [("task",), ("task", ["a"], np.zeros(2)), ("task", ["a"], 5.0)]:
        with pytest.raises(ValueError, match="each item must have an entry"):
            Group(0, 2).part(wrong)
    first, other = Group(0, 2), Group(0, 2)
    first.part(batch), other.part(("other", *batch[1:]))
    assert first._seen != other._seen  # ranks whose tasks differ are noticed when they add up


def test_dtypes_may_differ_between_ranks():
    dense, rows, joined = in_two()[0]
    assert dense.dtype == rows.dtype == np.float32 and joined.tolist() == [1, 2, 1.5]
    assert (dense == 3).all() and rows.tolist() == [[0, 0], [5, 5]]


def test_each_process_draws_masks_of_its_own_and_others_in_each_step():
    first, second = in_two()[1]
    parts = [first[:4], first[4:], second[:4], second[4:]]
    assert all(0.3 < x.mean() < 0.7 for x in parts)
    assert all((x != y).any() for x, y in itertools.combinations(parts, 2))


def test_a_group_of_one_changes_no_bit(tmp_path):
    assert run(Group(), tmp_path / "here") == launch(run, 1, tmp_path / "launched")
    model, gradient = te.Parameter(np.zeros(3)), np.ones(3)
    model.grad = gradient
    assert Group().sum_gradients([model], 1.5) == (1.5,) and model.grad is gradient
    assert Group().part(batch := (1, "a")) is batch
    by_hand, fitted = made("rows"), made("rows")
    adam = AdamW(by_hand.parameters())
    for x, y in data([5, 3]):
        adam.zero_grad()
        loss(by_hand, x, y).backward()
        adam.step()
    history = fit(fitted, data([5, 3]), AdamW(fitted.parameters()), loss=loss, progress=False, group=Group())
    assert sha256(by_hand) == sha256(fitted) and history.steps == 2
    assert evaluate(fitted, data([3]), loss=loss, group=Group()) == loss(fitted, *data([3])[0]).item()


@posix
def test_runs_end_with_the_same_bytes_killed_and_resumed_too(tmp_path):
    whole, killed = str(tmp_path / "whole"), str(tmp_path / "killed")
    expected = launch(run, 2, whole)
    assert expected[-1]
    with pytest.raises(RuntimeError, match="rank 1 died with exit code -9"):
        launch(run, 2, killed, 17)
    assert launch(run, 2, killed) == expected


def test_who_draws_within_a_step_does_not_move_the_batches(tmp_path):
    """Of a shuffle buffer: stopped anywhere and resumed, the same batches and the same bytes; and one process and two
    train on the same order."""
    several = launch(cut_all, 2, str(tmp_path))
    for shared, found in several.items():
        one = cut(Group(), tmp_path, shared, (10,))
        for whole, *cuts in (one, found):
            assert len(whole[0]) == 27 and all(of_cut == whole for of_cut in cuts)
        assert one[0][0] == found[0][0]


def test_a_bad_loss_of_one_process_is_an_error_in_all():
    message, count, same = in_two()[2]
    assert "at step 2: the loss is inf, and nothing was changed" in message and count == 2 and same


@pytest.mark.parametrize(("how", "words"), [
    ("raises", "(?s)rank 1 failed.*KeyError: 'what went wrong'"), ("exits", "rank 1 died with exit code 3"),
    ("returns", "rank 1 has returned, and rank 0 waits"), ("differs", "other gradients, numbers or batches"),
    ("answers", "rank 0 failed"), ("sleeps", "rank 0 failed")])
def test_a_process_that_fails_is_named_and_the_others_end(how, words):
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=words):
        launch(fail, 2, how)
    assert time.monotonic() - began < 10


def test_what_is_refused():
    seeds, lengths, scalar, mapped = in_two()[4]
    assert "same seed" in seeds and "(5,)" in lengths and "float" in scalar and "mapped table" in mapped
    with pytest.raises(ValueError, match="1 or more"):
        launch(refused, 0)
    with pytest.raises(RuntimeError, match="with data in the same order"):
        launch(other_batches, 2)


@posix
def test_where_there_is_no_room_for_sums_the_error_says_how_much_and_where():
    assert re.search(r"65,536 bytes of memory .* do not fit in \S*tinyembed-", launch(in_little_room, 2))


def test_blas_gets_its_share_of_the_cores_and_what_was_set_stays(monkeypatch):
    for name in processes.THREADS:
        monkeypatch.delenv(name, raising=False)
    assert launch(cores, 2) == ([str(max(1, processes.CORES // 2))] * 3, processes.CORES > 3)
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert launch(cores, 2) == ([None, "5", None], processes.CORES > 1)
    assert [os.environ.get(name) for name in processes.THREADS] == [None, "5", None]


@pytest.fixture
def started():
    """Starts a program that launches two endless trainings, once both are on their way; they end with the test."""
    programs = []

    def start(folder, code):
        (folder / "program.py").write_text(f"""
from several import endless
from tinyembed.train import launch, processes
if __name__ == "__main__":
    processes.SHARED = {str(folder / "shared")!r}
    {code}
""")
        program = subprocess.Popen([sys.executable, "program.py"], cwd=folder, text=True, start_new_session=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                   env={**os.environ, "PYTHONPATH": os.pathsep.join([TESTS, *sys.path])},
                                   # as in a terminal, also where tests run in the background
                                   preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
        programs.append(program)
        while not all((folder / name).exists() for name in ("on its way 0", "on its way 1")):
            time.sleep(0.01)
            assert program.poll() is None, program.communicate()[1]
        return program

    yield start
    for program in programs:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(program.pid, signal.SIGKILL)
        program.communicate()


@posix
@pytest.mark.parametrize("kill", [os.killpg, os.kill])
def test_ctrl_c_ends_all_after_the_same_step_and_nothing_is_said_at_exit(tmp_path, kill, started):
    """In a terminal, where all processes are told, and elsewhere, where it is the first alone."""
    program = started(tmp_path, f"print(launch(endless, 2, {str(tmp_path)!r}))")
    kill(program.pid, signal.SIGINT)
    out, err = program.communicate(timeout=20)
    ends = {(tmp_path / f"end {rank}").read_text() for rank in range(2)}
    assert len(ends) == 1 and " True " in ends.pop()
    assert (out, program.returncode) == ("True\n", 0)
    assert err.splitlines() == ["stopping after this step; press Ctrl-C again to stop at once"]


@posix
def test_a_second_ctrl_c_ends_all_at_once(tmp_path, started):
    program = started(tmp_path, f"launch(endless, 2, {str(tmp_path)!r}, 60)")
    os.killpg(program.pid, signal.SIGINT)
    assert "stopping" in program.stderr.readline()
    os.killpg(program.pid, signal.SIGINT)
    assert "KeyboardInterrupt" in program.communicate(timeout=20)[1] and program.returncode
    assert not (tmp_path / "end 0").exists()


@posix
def test_the_processes_end_with_the_one_that_launched_them(tmp_path, started):
    program = started(tmp_path, f"launch(endless, 2, {str(tmp_path)!r})")
    program.kill()
    program.communicate(timeout=20)  # returns when nobody has its output any more
    assert not (tmp_path / "end 0").exists()


@posix
def test_what_a_launch_whose_processes_were_all_killed_has_left_is_cleared_by_the_next(tmp_path, started):
    """And nothing else: no launch beside it, no link, nothing of another user or another name."""
    shared, elsewhere = tmp_path / "shared", tmp_path / "elsewhere"
    program = started(tmp_path, f"launch(endless, 2, {str(tmp_path)!r})")
    os.killpg(program.pid, signal.SIGKILL)
    program.communicate()
    killed, = shared.iterdir()
    assert killed.name.startswith(processes.PREFIX) and (killed / "table").exists()
    others = {shared / "tinyembed-launches", shared / f"{processes.PREFIX}link", elsewhere}
    (shared / "tinyembed-launches").mkdir()
    elsewhere.mkdir()
    (elsewhere / "file").touch()
    (shared / f"{processes.PREFIX}link").symlink_to(elsewhere)
    if os.getuid() == 0:
        others.add(shared / f"{processes.PREFIX}other")
        (shared / f"{processes.PREFIX}other").mkdir()
        os.chown(shared / f"{processes.PREFIX}other", 12345, -1)
    there = launch(clear_beside, 2, str(shared))
    assert len(there) == len(others) and not killed.exists() and (elsewhere / "file").exists()
    for path in others - {elsewhere}:
        path.unlink() if path.is_symlink() else path.rmdir()  # raises unless it is there


@posix
def test_a_folder_that_is_taken_for_one_of_the_dead_is_made_anew(tmp_path, monkeypatch):
    """Another launch may begin after it was made, and before it is held."""
    held, made = processes._held, []

    def late(folder):
        made.append(folder)
        if len(made) < 3:
            processes._clear_killed(processes.SHARED)
        return held(folder)

    monkeypatch.setattr(processes, "_held", late)
    with processes._new_folder() as folder:
        assert os.path.isdir(folder) and folder == made[2]
        processes._clear_killed(processes.SHARED)
        assert os.path.isdir(folder)
