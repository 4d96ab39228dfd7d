"""Tables in mapped files: the same numbers as in memory, and nothing touched but the rows of the batch."""

import copy
import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from optimisers import SLOW, touched

import tinyembed as te
from tinyembed import nn
from tinyembed.files import FileReference, FormatError
from tinyembed.train import fit, load_checkpoint, save_checkpoint

RULES = {name: v for name, v in {**SLOW, **touched(SLOW)}.items() if not v.dense}
V, D = 50, 4


def batches(seed, n=12):
    rng = np.random.default_rng(seed)
    return [rng.integers(0, V, rng.integers(1, 9)) for _ in range(n)]


def train(table, optimizer, data):
    for ids in data:
        optimizer.zero_grad()
        (table(ids) ** 2).sum().backward()
        optimizer.step()


def in_memory(table):
    """The same rows in a table of the ordinary kind."""
    return nn.Embedding.from_pretrained(table.weight.data, freeze=False, padding_idx=table.padding_idx)


def digest(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in Path(folder).iterdir()}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rule", RULES)
def test_it_trains_as_in_memory_and_goes_on_when_opened_again(tmp_path, rule, dtype):
    table = nn.Embedding.mapped(tmp_path, V, D, padding_idx=0, seed=1, dtype=dtype)
    plain = in_memory(table)
    train(plain, RULES[rule](plain.parameters()), batches(0) + batches(1))
    train(table, RULES[rule](table.parameters()), batches(0))
    table.flush()
    now = table.weight.data
    again = nn.Embedding.mapped(tmp_path)
    assert again.weight.data.tobytes() == now.tobytes()
    train(again, RULES[rule](again.parameters()), batches(1))
    assert again.weight.dtype == dtype and again.weight.data.tobytes() == plain.weight.data.tobytes()


@pytest.mark.parametrize("rule", RULES)
def test_a_dense_gradient_steps_all_rows_as_in_memory(tmp_path, rule):
    table = nn.Embedding.mapped(tmp_path, V, D, seed=1)
    plain = in_memory(table)
    for layer in (table, plain):
        optimizer = RULES[rule](layer.parameters())
        train(layer, optimizer, batches(0))
        te.ops.sum(te.ops.matmul(np.ones((2, V), np.float32), layer.weight) ** 2).backward()
        optimizer.step()
        train(layer, optimizer, batches(1))
    np.testing.assert_allclose(table.weight.data, plain.weight.data, rtol=2e-5, atol=1e-6)


def test_rows_are_drawn_from_the_seed_and_their_number_alone(tmp_path):
    large, small = (nn.Embedding.mapped(tmp_path / name, n, 6, seed=5) for name, n in (("a", 10**7), ("b", 9)))
    ids = [8, 3, 3, 0]
    assert np.array_equal(large(ids).data, small(ids).data) and np.array_equal(small(ids).data, small.weight.data[ids])
    assert np.array_equal(small([3]).data, large([[3]]).data[0])
    sample = nn.Embedding.mapped(tmp_path / "c", 4000, 16, std=0.5, seed=6).weight.data
    assert abs(sample.mean()) < 0.01 and abs(sample.std() - 0.5) < 0.01
    assert abs(np.corrcoef(sample[:-1].ravel(), sample[1:].ravel())[0, 1]) < 0.02
    other = nn.Embedding.mapped(tmp_path / "d", 9, 6, seed=7, padding_idx=-1)
    assert not np.array_equal(other([3]).data, small([3]).data) and not other([8]).data.any()


def test_reading_writes_nothing(tmp_path):
    table = nn.Embedding.mapped(tmp_path, V, D, padding_idx=0, seed=1)
    train(table, RULES["AdamW"](table.parameters()), batches(0))
    table.flush()
    before = digest(tmp_path)
    table.eval()
    with te.no_grad():
        assert np.array_equal(table(np.arange(V)).data, table.weight.data)
    assert "MappedParameter" in repr(table.weight) and table.state_dict()["weight"].shape == (V, D)
    again = nn.Embedding.mapped(tmp_path)
    assert again.weight.data.tobytes() == table.weight.data.tobytes()
    assert digest(tmp_path) == before


def blocks(folder):
    return {path.stem: path.stat().st_blocks * 512 for path in Path(folder).iterdir()}


@pytest.mark.skipif(not hasattr(os, "statvfs"), reason="no sparse files to speak of")
def test_a_step_takes_room_for_the_rows_it_touches_and_no_more(tmp_path):
    table = nn.Embedding.mapped(tmp_path, 2_000_000, 64, seed=1)  # 512 MB, and as much for each of two states
    optimizer = te.optim.AdamW(table.parameters())
    train(table, optimizer, [np.arange(5) * 300_000])
    table.flush()
    used = blocks(tmp_path)
    assert next(tmp_path.glob("weight_*")).stat().st_size > 512_000_000
    pages = 1 << 16 if sum(used.values()) > 10**6 else 1 << 14  # of the header, and of each row; file systems differ
    assert all(size <= 6 * pages for name, size in used.items() if name != "table"), used


CHILD = """
import resource, sys
import numpy as np, tinyembed as te
def status():
    return {line.split(":")[0]: int(line.split()[1]) // 1024 for line in open("/proc/self/status")
            if line.startswith(("VmHWM", "RssAnon"))}
resource.setrlimit(resource.RLIMIT_DATA, (512 << 20, 512 << 20))
table = te.nn.Embedding.mapped(sys.argv[1], 1 << 24, 64, padding_idx=0, seed=2)
optimizer = te.optim.AdamW(table.parameters(), lr=1e-2)
began, steps = optimizer.state[0].steps, int(sys.argv[2])
rng = np.random.default_rng(began)
while optimizer.state[0].steps != steps:
    optimizer.zero_grad()
    (table(rng.integers(1, 1 << 24, 100)) ** 2).sum().backward()
    optimizer.step()
    if optimizer.state[0].steps % 5 == 0:
        table.flush()
        print(optimizer.state[0].steps, flush=True)
print("began", began, status(), flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts private memory on Linux")
def test_a_table_larger_than_the_memory_limit_is_trained_killed_and_opened_again(tmp_path):
    folder = str(tmp_path / "table")
    endless = subprocess.Popen([sys.executable, "-c", CHILD, folder, "-1"], stdout=subprocess.PIPE, text=True)
    for line in endless.stdout:
        if int(line) >= 10:
            break
    time.sleep(0.05)
    endless.send_signal(signal.SIGKILL)
    flushed = max([10, *map(int, endless.stdout.read().split())])
    endless.wait()
    table = nn.Embedding.mapped(folder)
    assert table.weight.size * table.weight.dtype.itemsize == 4 << 30
    steps = table.weight.storage._lazy.steps
    assert flushed <= steps <= flushed + 5 and steps % 5 == 0
    known = np.flatnonzero(table.weight.storage._known)
    assert 100 * steps * 0.99 <= len(known) <= 100 * (steps + 6) and np.isfinite(table(known).data).all()
    del table
    done = subprocess.run([sys.executable, "-c", CHILD, folder, str(steps + 20)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert f"began {steps}" in done.stdout


@pytest.mark.parametrize("rule", RULES)
def test_rows_stepped_after_the_last_flush_keep_their_values(tmp_path, rule):
    """What a kill leaves: newer rows, an older count."""
    table = nn.Embedding.mapped(tmp_path, V, D, seed=1)
    optimizer = RULES[rule](table.parameters())
    train(table, optimizer, batches(0))
    table.flush()
    train(table, optimizer, [[7, 8]] * 3)
    now, again = table([7, 8]).data, nn.Embedding.mapped(tmp_path)
    assert again.weight.storage._lazy.steps == 12 and np.array_equal(again([7, 8]).data, now)
    train(again, RULES[rule](again.parameters()), batches(2))
    assert np.isfinite(again.weight.data).all()


def test_frozen_rows_and_padding_stay_through_opening_again(tmp_path):
    table = nn.Embedding.mapped(tmp_path, V, D, padding_idx=2, max_norm=1.0, seed=1).train_only_rows([5, 6])
    before = table.weight.data
    train(table, RULES["AdamW"](table.parameters()), batches(0))
    table.flush()
    again = nn.Embedding.mapped(tmp_path, max_norm=1.0)
    assert again.padding_idx == 2 and np.array_equal(again.weight.frozen_rows, table.weight.frozen_rows)
    train(again, RULES["AdamW"](again.parameters()), batches(1))
    moved = (again.weight.data != before).any(1)
    assert np.flatnonzero(moved).tolist() == [5, 6]
    assert not again([2]).data.any()


def test_another_optimiser_is_refused_until_the_first_is_forgotten(tmp_path):
    table = nn.Embedding.mapped(tmp_path, V, D, seed=1)
    train(table, RULES["AdamW"](table.parameters()), batches(0))
    now = table.weight.data
    with pytest.raises(ValueError, match=r"AdamW.*forget_optimizer"):
        te.optim.SGD(table.parameters(), lr=0.1)
    table.weight.forget_optimizer()
    assert sorted(path.stem for path in tmp_path.iterdir()) == ["known", "table", table.weight.storage.table["weight"]]
    assert np.array_equal(table.weight.data, now)
    train(table, te.optim.SGD(table.parameters(), lr=0.1), batches(1))


def test_what_cannot_be_is_refused_before_anything_changes(tmp_path):
    table = nn.Embedding.mapped(tmp_path / "a", V, D, seed=1)
    before = digest(tmp_path / "a")
    with pytest.raises(ValueError, match="does not grow"):
        table.grow(2)
    for wrong in ({"num_embeddings": 51}, {"seed": 2}, {"padding_idx": 3}, {"embedding_dim": 3}):
        with pytest.raises(ValueError, match=r"already, and its .* is"):
            nn.Embedding.mapped(tmp_path / "a", **wrong)
    with pytest.raises(FileNotFoundError, match="num_embeddings"):
        nn.Embedding.mapped(tmp_path / "b")
    with pytest.raises(ValueError, match="outside the table"):
        nn.Embedding.mapped(tmp_path / "b", V, D, padding_idx=V)
    with pytest.raises(ValueError, match="at least one row"):
        nn.Embedding.mapped(tmp_path / "b", 0, D)
    with pytest.raises(TypeError, match="float32 or float64"):
        nn.Embedding.mapped(tmp_path / "b", V, D, dtype=np.float16)
    assert not (tmp_path / "b").exists()
    with pytest.raises(ValueError, match="in memory"):
        nn.Embedding(3, 2).flush()
    coupled = te.optim.Adam(table.parameters(), weight_decay=0.1)
    table([1]).sum().backward()
    with pytest.raises(ValueError, match="dense steps for a mapped table"):
        coupled.step()
    with pytest.raises(ValueError, match="cannot assign"):
        table.weight.data = np.zeros((2, 2))
    table.weight.zero_grad()
    assert {name: h for name, h in digest(tmp_path / "a").items() if name in before} == before


def test_a_copy_is_refused_since_it_would_write_over_the_original(tmp_path):
    table = nn.Embedding.mapped(tmp_path, V, D, seed=1)
    for copier in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="copy its folder"):
            copier(table)


def test_a_change_of_the_working_folder_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = nn.Embedding.mapped("words", V, D, seed=1)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    train(table, RULES["AdamW"](table.parameters()), batches(0))
    table.flush()
    assert np.array_equal(nn.Embedding.mapped(tmp_path / "words").weight.data, table.weight.data)


def test_an_optimiser_that_was_forgotten_steps_no_more(tmp_path):
    table = nn.Embedding.mapped(tmp_path, V, D, seed=1)
    optimizer = RULES["AdamW"](table.parameters())
    train(table, optimizer, batches(0))
    table.weight.forget_optimizer()
    before = table.weight.data
    with pytest.raises(ValueError, match="has forgotten this optimiser"):
        train(table, optimizer, [[1]])
    assert np.array_equal(table.weight.data, before)


def test_settings_that_change_keep_the_values_whenever_the_process_ends(tmp_path):
    table = nn.Embedding.mapped(tmp_path, V, D, seed=1)
    optimizer = RULES["AdamW"](table.parameters(), lr=0.01)
    train(table, optimizer, batches(0))
    table.flush()
    optimizer.groups[0].weight_decay = 0.05
    train(table, optimizer, [[3]])  # commits all rows, and starts anew
    now, again = table.weight.data, nn.Embedding.mapped(tmp_path).weight.data
    known = [i for i in range(V) if i != 3]
    np.testing.assert_allclose(again[known], now[known], atol=0.011)  # less than two steps of lr


def test_fit_keeps_none_of_the_table_in_memory_and_flushes_it(tmp_path):
    table = nn.Embedding.mapped(tmp_path / "table", 5000, 64, seed=1)
    made = table([7]).data
    data = [(np.arange(i, i + 1000),) for i in range(0, 5000, 1000)]
    history = fit(table, data, te.optim.SGD(table.parameters(), lr=0.1, momentum=0.9), epochs=2, progress=False,
                  loss=lambda model, ids: (model(ids) ** 2).sum(), checkpoint=tmp_path / "run")
    assert (tmp_path / "run").stat().st_size < 5000 * 64 * 4 / 4
    report, = history.rows
    np.testing.assert_allclose(report.drift[7], np.linalg.norm(table([7]).data - made), rtol=1e-5)
    assert np.array_equal(nn.Embedding.mapped(tmp_path / "table").weight.data, table.weight.data)


def test_a_file_without_the_optimiser_refers_to_the_table_while_rows_lag(tmp_path):
    table = nn.Embedding.mapped(tmp_path / "table", V, D, seed=1)
    train(table, te.optim.AdamW(table.parameters(), lr=0.01), batches(0))
    assert table.weight.lazy is not None
    now = table.weight.data
    save_checkpoint(tmp_path / "best", table)
    load_checkpoint(tmp_path / "best", table)
    assert np.array_equal(table.weight.data, now)


def test_a_checkpoint_knows_its_table_from_another(tmp_path):
    one, two = (nn.Sequential(nn.Embedding.mapped(tmp_path / name, V, D, seed=1)) for name in "ab")
    save_checkpoint(tmp_path / "run", one)
    load_checkpoint(tmp_path / "run", one)
    with pytest.raises(ValueError, match="is not of this model"):
        load_checkpoint(tmp_path / "run", two)


def test_assigning_writes_the_file(tmp_path):
    table = nn.Embedding.mapped(tmp_path, V, D, seed=1)
    train(table, RULES["AdamW"](table.parameters()), batches(0))
    values = np.random.default_rng(0).normal(size=(V, D)).astype(np.float32)
    table.load_state_dict({"weight": values})
    assert np.array_equal(table.weight.data, values)
    table.flush()
    assert np.array_equal(nn.Embedding.mapped(tmp_path).weight.data, values)


def test_checkpoints_and_states_refer_to_the_files(tmp_path):
    class Model(nn.Module):
        def __init__(self, table):
            self.table = table
            self.head = nn.Linear(D, 2, rng=np.random.default_rng(0))

        def loss(self, ids):
            return (self.head(self.table(ids)) ** 2).mean()

    model = Model(nn.Embedding.mapped(tmp_path / "table", V, D, seed=1))
    data = [(ids,) for ids in batches(0)]
    fit(model, data, te.optim.AdamW(model.parameters(), lr=0.01), epochs=2, checkpoint=tmp_path / "run", progress=False)
    assert (tmp_path / "run").stat().st_size < 20_000
    state = model.state_dict()
    assert isinstance(state["table.weight"], FileReference) and state["table.weight"].shape == (V, D)
    model.load_state_dict(state)
    again = Model(nn.Embedding.mapped(tmp_path / "table"))
    assert np.array_equal(again.table.weight.data, model.table.weight.data)
    history = fit(again, data, te.optim.AdamW(again.parameters(), lr=0.01), epochs=3, checkpoint=tmp_path / "run",
                  resume=True, progress=False)
    assert history.steps == 36
    assert load_checkpoint(tmp_path / "run", again).steps == 36
    with pytest.raises(ValueError, match=r"table.weight is .*, should be"):
        load_checkpoint(tmp_path / "run", Model(nn.Embedding(V, D)))
    save_checkpoint(tmp_path / "plain", Model(nn.Embedding(V, D)))
    with pytest.raises(ValueError, match=r"table.weight is .*, should be .* in weight_"):
        load_checkpoint(tmp_path / "plain", again)


def test_an_adopted_map_is_referred_to_and_not_copied(tmp_path):
    np.save(tmp_path / "rows.npy", np.arange(12, dtype=np.float32).reshape(6, 2))
    layer = nn.Embedding.from_pretrained(np.load(tmp_path / "rows.npy", mmap_mode="r"))
    state = layer.state_dict()
    assert state["weight"].file.endswith("rows.npy") and state["weight"].offset == 128
    layer.load_state_dict(state)
    other = nn.Embedding.from_pretrained(np.load(tmp_path / "rows.npy", mmap_mode="r")[:, :])
    other.load_state_dict(state)
    with pytest.raises(ValueError, match="should be mapped from"):
        nn.Embedding(6, 2).load_state_dict(state)
    np.save(tmp_path / "others.npy", np.zeros((6, 2), np.float32))
    with pytest.raises(ValueError, match="should be mapped from"):
        nn.Embedding.from_pretrained(np.load(tmp_path / "others.npy", mmap_mode="r")).load_state_dict(state)


def test_damaged_files_are_refused(tmp_path):
    table = nn.Embedding.mapped(tmp_path, V, D, seed=1)
    train(table, RULES["AdamW"](table.parameters()), batches(0))
    table.flush()
    del table
    rng = np.random.default_rng(0)
    for path in sorted(tmp_path.iterdir()):
        good = path.read_bytes()
        for bad in (good[:-1], good + b"x", good[:40], b"", good[:8] + b"[" + good[9:], None):
            path.unlink()
            if bad is not None:
                path.write_bytes(bad)
            if bad is None and path.stem == "table":
                continue
            with pytest.raises((FormatError, FileNotFoundError)):
                nn.Embedding.mapped(tmp_path)
            path.write_bytes(good)
        for at in rng.integers(0, len(good), 40):
            path.write_bytes(good[:at] + bytes([good[at] ^ 1 << rng.integers(8)]) + good[at + 1:])
            try:
                nn.Embedding.mapped(tmp_path)
            except FormatError:
                pass
        path.write_bytes(good)
