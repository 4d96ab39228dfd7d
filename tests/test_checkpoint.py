"""A run that was stopped and went on ends with the same bytes as one that never stopped; a file that does not fit
changes nothing."""

import functools
import os
import signal
import sys
import tempfile
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from forged_checkpoints import FORGED, WAYS, false_entries, forgeries, try_forged
from hypothesis import given
from hypothesis import strategies as st
from optimisers import EITHER_WAY
from resume_run import (
    ACCUMULATED,
    BATCHES,
    CUTS,
    OPTIMISERS,
    RUNS,
    STEPS,
    STREAM,
    Killed,
    Model,
    Pairs,
    V,
    everything,
    groups,
    hashes,
    in_process,
    parts,
    sha256,
    trained,
)

import tinyembed as te
from tinyembed import nn, optim
from tinyembed.core import seed_state
from tinyembed.data import NextTokenBatches
from tinyembed.files import FileReference, FormatError, SafeTensors, write_safetensors, write_tree
from tinyembed.train import checkpoint as format
from tinyembed.train import fit, load_checkpoint, save_checkpoint
from tinyembed.train.resume import generators_in

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals as POSIX has them")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """make -> the hashes of its run, never stopped; of each but once."""
    @functools.cache
    def of(make):
        path = tmp_path_factory.mktemp("whole") / "run"
        return hashes(trained(make, path), path)
    return of


def killed(make, path, cut):
    with pytest.raises(Killed):
        trained(make, path, cut=cut)


# -- resuming ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*OPTIMISERS, *ACCUMULATED])
def test_a_run_that_was_killed_ends_as_one_that_never_was(tmp_path, whole, name):
    for cut in CUTS if name == "AdamW" else CUTS[3::5]:
        path = tmp_path / str(cut)
        killed(RUNS[name], path, cut)
        assert hashes(trained(RUNS[name], path), path) == whole(RUNS[name]), cut


@posix
def test_a_process_that_was_killed_goes_on_in_another_under_another_hash_seed(tmp_path, whole):
    assert in_process("AdamW", str(tmp_path / "run"), 0, 25, 2) == whole(RUNS["AdamW"])


@posix
@pytest.mark.parametrize("cut", [2, 9, 22, 56])
def test_ctrl_c_saves_at_once_and_the_run_goes_on_from_there(tmp_path, whole, cut, capsys):
    path, make = tmp_path / "run", RUNS["SGD, Nesterov, decay"]
    run = trained(make, path, cut=cut, die=lambda: os.kill(os.getpid(), signal.SIGINT))
    assert run.history.interrupted and run.history.steps < STEPS + (cut == 56)
    assert load_checkpoint(path).steps == run.history.steps
    assert hashes(trained(make, path), path) == whole(make)


@pytest.mark.parametrize("where", ["loss", "step", "save"])
def test_an_exception_half_way_and_the_run_goes_on_from_the_last_save(tmp_path, whole, monkeypatch, where):
    path, make = tmp_path / "run", RUNS["AdamW"]
    with monkeypatch.context() as patch, pytest.raises(OSError, match="pulled"):
        def pulled(*_):
            raise OSError("pulled")
        if where == "step":  # in the middle of one: some parameters stepped, others not
            rule = optim.AdamW.rule
            patch.setattr(optim.AdamW, "rule", lambda self, o, t, w, *g: (pulled() if t == 17 and w.shape == (V, 4)
                                                                          else rule(self, o, t, w, *g)))
        elif where == "save":
            replace, count = os.replace, iter([None, None, None])  # at steps 0, 7 and 14
            patch.setattr(os, "replace", lambda *a: replace(*a) if next(count, 1) is None else pulled())
        trained(make, path, cut=25, die=pulled)
    assert load_checkpoint(path).steps == 14 and os.listdir(tmp_path) == ["run"]
    assert hashes(trained(make, path), path) == whole(make)


def test_a_finished_run_is_left_as_it_is_and_more_steps_go_on_from_it(tmp_path, whole):
    path, make = tmp_path / "run", RUNS["AdamW"]
    assert trained(make, path, steps=20).history.steps == 20  # no multiple of 7, where it would save anyway
    first = path.read_bytes(), path.stat().st_mtime_ns
    for fewer in (20, 9):
        run = trained(make, path, steps=fewer)
        assert run.history.steps == 20 and (path.read_bytes(), path.stat().st_mtime_ns) == first
    assert hashes(trained(lambda: run, path), path) == whole(make)  # with the objects at hand, as in a notebook
    assert hashes(trained(make, path), path) == whole(make)


def test_epochs_are_counted_over_all_parts_of_a_run(tmp_path):
    make, lengths = RUNS["AdamW"], []
    for name, cuts in (("whole", ()), ("parts", (5, 17, 22))):
        path = tmp_path / name
        for cut in cuts:
            with pytest.raises(Killed):
                trained(make, path, steps=None, epochs=2, cut=cut)
        lengths.append([trained(make, path, steps=None, epochs=epochs).history.steps for epochs in (2, 2, 1, 3)])
    assert lengths == [[28, 28, 28, 42]] * 2
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()


@pytest.mark.parametrize("name", BATCHES)
def test_whatever_the_batches_are_the_place_among_them_is_found_again(tmp_path, whole, name):
    for cut in (11, 44):
        path = tmp_path / str(cut)
        killed(RUNS[name], path, cut)
        assert hashes(trained(RUNS[name], path), path) == whole(RUNS[name]), cut


def test_generators_are_found_wherever_attributes_lead(tmp_path):
    rng, module = [np.random.default_rng(i) for i in range(4)], ModuleType("of others")
    module.rng = rng[3]
    thing = SimpleNamespace(a=[{"b": rng[0]}, (rng[1],)], m=module, again=rng[0], big=[rng[3]] * 1001)
    thing.itself, thing.c = thing, SimpleNamespace(d=rng[2])
    assert generators_in(x=thing) == {"x.a.0.b": rng[0], "x.a.1.0": rng[1], "x.c.d": rng[2]}


# -- what is in the file -----------------------------------------------------------------------------------------------


def short_run(name="AdamW", steps=9):
    """A run of some steps, after which many rows are behind."""
    te.seed(5)
    run = RUNS[name]()
    step(run, steps)
    return run


def cross_entropy(model, x, y):
    return te.ops.cross_entropy(model(x), y)


def step(run, n):
    """Steps without dropout."""
    run.model.eval()
    for x, y in list(NextTokenBatches(STREAM, 5, 2))[:n]:
        run.model.zero_grad()
        cross_entropy(run.model, x, y).backward()
        run.optimizer.step()
    run.model.zero_grad()


def seen(model):
    return {name: p.data.tobytes() for name, p in model.named_parameters()}


@pytest.mark.filterwarnings("ignore:.*dense steps")
@pytest.mark.parametrize("name", OPTIMISERS)
@pytest.mark.parametrize("steps", [0, 9])
def test_saving_changes_nothing_and_loading_gives_what_was_seen(tmp_path, name, steps):
    run, path = short_run(name, steps), tmp_path / "model"
    arrays = {id(p): p._data for p in run.model.parameters()}
    before = sha256(everything(run))
    for optimizer in (None, run.optimizer):
        save_checkpoint(path, run.model, optimizer, about={"n": 3})
        assert sha256(everything(run)) == before and all(p._data is arrays[id(p)] for p in run.model.parameters())
        other = short_run(name, 3)
        found = load_checkpoint(path, other.model)
        assert (found.about, found.steps, found.version) == ({"n": 3}, 0, te.__version__)
        assert seen(other.model) == seen(run.model)
        assert all(p.lazy is None for p in other.model.parameters())
        assert [p._data.tobytes() for p in other.model.parameters()] == list(seen(run.model).values())
    load_checkpoint(path, other.model, other.optimizer)
    assert sha256(everything(other)["parameters"]) == sha256(everything(run)["parameters"])
    assert sha256(everything(other)["optimizer"]) == sha256(everything(run)["optimizer"])
    for again in (run, other):
        step(again, 12)
    assert sha256(everything(other)["parameters"]) == sha256(everything(run)["parameters"])


def test_what_was_loaded_is_where_the_optimiser_that_drove_the_model_goes_on(tmp_path):
    save_checkpoint(tmp_path / "best", Model())
    loaded, assigned = short_run("SGD, momentum, decay"), short_run("SGD, momentum, decay")
    load_checkpoint(tmp_path / "best", loaded.model)
    assigned.model.load_state_dict({name.removeprefix("model.").removesuffix(".stored"): x
                                    for name, x in SafeTensors(tmp_path / "best").items() if name.endswith(".stored")})
    for run in (loaded, assigned):
        step(run, 5)
    assert seen(loaded.model) == seen(assigned.model)


def test_of_two_optimisers_the_file_has_one_and_what_the_other_made(tmp_path):
    model, path = Model(), tmp_path / "model"
    first = optim.AdamW(model.words.parameters(), lr=0.1)
    second = optim.SGD([*model.tags.parameters(), *model.head.parameters()], lr=0.1, momentum=0.9)
    for x, y in NextTokenBatches(STREAM, 5, 2):
        model.zero_grad()
        cross_entropy(model, x, y).backward()
        first.step()
        second.step()
    save_checkpoint(path, model, first)
    other = Model()
    optimizer = optim.AdamW(other.words.parameters(), lr=0.1)
    load_checkpoint(path, other, optimizer)
    assert seen(other) == seen(model) and other.words.token.weight.lazy is optimizer.state[0]
    assert other.words.token.weight._data.tobytes() == model.words.token.weight._data.tobytes()
    assert other.tags.weight._data.tobytes() == model.tags.weight.data.tobytes()


@pytest.mark.parametrize("settings", [{"betas": [0.9, 0.99]}, {"eps": 0}, {"eps": 1}, {"betas": (0, 0.9)},
                                      {"weight_decay": np.float32(0.3)}, {"lr": np.float64(0.1)}, {"weight_decay": 1},
                                      {"betas": (np.float32(0.9), 0.99)}], ids=str)
def test_settings_of_any_type_go_on_as_they_were(tmp_path, settings):
    def make():
        return parts(lambda m: optim.AdamW(m.parameters(), **{"lr": 0.02, **settings}))

    run = trained(make, tmp_path / "a", steps=16)
    trained(make, tmp_path / "b", steps=10)
    assert hashes(trained(make, tmp_path / "b", steps=16), tmp_path / "b") == hashes(run, tmp_path / "a")


@pytest.mark.parametrize(("name", "setting", "value"), [
    ("SGD, momentum, decay", "momentum", 0.0), ("SGD, momentum, decay", "momentum", 0.5),
    ("SGD, Nesterov, decay", "nesterov", False), ("AdamW", "betas", (0.9, 0.95)), ("AdamW", "weight_decay", 0)])
def test_settings_that_were_changed_since_the_last_step_are_changed_after_loading(tmp_path, name, setting, value):
    run, other = short_run(name), short_run(name, 2)
    setattr(run.optimizer.groups[0], setting, value)
    save_checkpoint(tmp_path / "run", run.model, run.optimizer)
    load_checkpoint(tmp_path / "run", other.model, other.optimizer)
    for again in (run, other):
        step(again, 5)
    assert sha256(everything(other)["optimizer"]) == sha256(everything(run)["optimizer"])
    assert seen(other.model) == seen(run.model)


@pytest.mark.filterwarnings("ignore:.*dense steps")
@pytest.mark.parametrize("name", OPTIMISERS)
def test_a_table_that_has_grown_since_the_last_step_goes_on(tmp_path, name):
    run, other = short_run(name), short_run(name, 0)
    for tables in (run.model, other.model):
        tables.tags.grow(2, rng=np.random.default_rng(0))
    save_checkpoint(tmp_path / "run", run.model, run.optimizer)
    load_checkpoint(tmp_path / "run", other.model, other.optimizer)
    for again in (run, other):
        step(again, 3)
    assert sha256(everything(other)) == sha256(everything(run))


def test_mapped_tables_stay_in_their_file(tmp_path):
    def model(file, mode="r"):
        table = nn.Embedding.from_pretrained(np.memmap(tmp_path / file, "f4", mode, shape=(500, 8)))
        return nn.Sequential(table, nn.Linear(8, 2))

    for file in ("words", "others"):
        np.random.default_rng(0).normal(size=(500, 8)).astype("f4").tofile(tmp_path / file)
    save_checkpoint(tmp_path / "model", model("words"))
    assert (tmp_path / "model").stat().st_size < 2000
    other = model("words")
    load_checkpoint(tmp_path / "model", other)
    assert isinstance(FileReference.of(other[0].weight.data), FileReference)
    for misfit in (model("others"), model("words", "c"), nn.Sequential(nn.Embedding(500, 8), nn.Linear(8, 2))):
        before = seen(misfit)
        with pytest.raises(ValueError, match=r"0\.weight is \(500, 8\) <f4 in words, should be"):
            load_checkpoint(tmp_path / "model", misfit)
        assert seen(misfit) == before


def test_a_model_is_saved_over_the_file_that_its_table_is_mapped_from(tmp_path):
    path = tmp_path / "model"
    save_checkpoint(path, nn.Embedding(9, 2))
    table = nn.Embedding.from_pretrained(SafeTensors(path)["model.weight.stored"])
    before = seen(table)
    for _ in range(2):
        save_checkpoint(path, table)
        other = nn.Embedding(9, 2).freeze()
        load_checkpoint(path, other)
        assert seen(other) == seen(table) == before


# -- refusals ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The file of a run of 9 steps."""
    path = tmp_path_factory.mktemp("saved") / "run"
    trained(RUNS["AdamW"], path, steps=9)
    return path


def refused(path, run, error, words, optimizer=True):
    """Neither load_checkpoint nor fit takes the file, and neither has changed anything."""
    before, seed = sha256(everything(run)), seed_state()
    tries = [lambda: fit(run.model, run.batches, run.optimizer, held_out=run.held_out, steps=10, checkpoint=path,
                         resume=True, loss=cross_entropy, progress=False)]
    if optimizer:
        tries.append(lambda: load_checkpoint(path, run.model, run.optimizer))
    for attempt in tries:
        with pytest.raises(error, match=words) as caught:
            attempt()
        assert error is FormatError or type(caught.value) is not FormatError
        assert sha256(everything(run)) == before and seed_state() == seed
        assert all(module.training for _, module in run.model.named_modules())


def changed(change=None, optimizer=None):
    """A run that is not that of the file: `change` is done to it before the optimiser is made."""
    run = parts(lambda m: None)
    (change or (lambda run: None))(run)
    run.optimizer = (optimizer or (lambda m: optim.AdamW(m.parameters())))(run.model)
    for p in run.model.parameters():
        p.grad = np.ones(p.shape, p.dtype)
    run.optimizer.step()  # so that there is something to lose
    run.model.zero_grad()
    return run


def set_(**attributes):
    return lambda run: vars(run.model).update({name: make() for name, make in attributes.items()})


def another_generator(run):
    run.model.dropout.rng = np.random.Generator(np.random.Philox(1))


AdamW = optim.AdamW
MISFITS = {
    "shape": (set_(tags=lambda: nn.Embedding(V + 1, 4)), None, r"tags\.weight is \(50, 4\) float32, should be \(51"),
    "dtype": (set_(tags=lambda: nn.Embedding(V, 4, dtype=float)), None, r"float32, should be \(50, 4\) float64"),
    "more parameters": (set_(more=lambda: nn.Linear(2, 2, bias=False)), None, r"missing more\.weight$"),
    "fewer parameters": (set_(head=lambda: nn.Linear(4, V, bias=False)), None, r"unexpected head\.bias$"),
    "another optimiser": (None, lambda m: optim.Adam(m.parameters()), "'AdamW' was saved, and this .* has 'Adam'"),
    "sparse": (None, lambda m: AdamW(m.parameters(), sparse="touched"), "sparse 'exact' was saved, .* has 'touched'"),
    "groups": (None, lambda m: AdamW(groups(m)), "has the optimiser of .* here it is of"),
    "order": (None, lambda m: AdamW(m.parameters()[::-1]), "has the optimiser of .* here it is of"),
    "fewer driven": (None, lambda m: AdamW(m.parameters()[1:]), "has the optimiser of .* here it is of"),
    "more driven": (None, lambda m: AdamW([*m.parameters(), te.Parameter(np.ones(2))]), "here it is of .*None"),
}


@pytest.mark.parametrize("what", MISFITS)
def test_what_is_not_of_this_model_or_optimiser_is_refused_and_changes_nothing(saved, what):
    change, optimizer, words = MISFITS[what]
    refused(saved, changed(change, optimizer), ValueError, words)


def test_groups_that_are_cut_in_another_place_are_refused(tmp_path):
    def cut(m, i):
        return AdamW([{"params": m.parameters()[:i]}, {"params": m.parameters()[i:], "lr": 0.5}])

    model = Model()
    save_checkpoint(tmp_path / "run", model, cut(model, 1))
    with pytest.raises(ValueError, match="has the optimiser of"):
        load_checkpoint(tmp_path / "run", model, cut(model, 2))
    load_checkpoint(tmp_path / "run", model, cut(model, 1))


def test_momentum_in_the_file_and_none_here_is_refused_and_changes_nothing(tmp_path):
    model = Model()
    save_checkpoint(tmp_path / "run", model, optim.SGD(model.parameters(), 0.1, momentum=0.9))
    run = changed(optimizer=lambda m: optim.SGD(m.parameters(), 0.2))
    before = sha256(everything(run))
    with pytest.raises(ValueError, match="momentum was 0 when this optimiser was made"):
        load_checkpoint(tmp_path / "run", run.model, run.optimizer)
    assert sha256(everything(run)) == before


RUN_MISFITS = {
    "length of the data": (lambda run: vars(run).update(batches=[None] * 3), "14 batches in a pass, and there are 3"),
    "no length": (lambda run: vars(run).update(batches=Pairs(run.batches.rng)), "14 batches .* and there are None"),
    "generator": (another_generator, r"no state of the Philox at model\.dropout\.rng: .*'PCG64', where 'Philox'"),
    "more generators": (set_(more=lambda: nn.Dropout(0.5)), r"generators were saved of .*model\.more\.rng"),
    "fewer generators": (set_(dropout=lambda: nn.Linear(4, 4)), "generators|missing"),
}


@pytest.mark.parametrize("what", RUN_MISFITS)
def test_what_is_not_of_this_data_or_its_generators_is_refused_and_changes_nothing(saved, what):
    change, words = RUN_MISFITS[what]
    refused(saved, changed(change), ValueError, words, optimizer=False)


def test_files_of_other_kinds_are_refused_and_change_nothing(tmp_path, saved):
    run, path, data = changed(), tmp_path / "run", saved.read_bytes()
    for damaged in (b"", data[:-1], data + b"\0", data[:300], b"\0" * 100, data.replace(b".token", b".taken", 1)):
        path.write_bytes(damaged)
        refused(path, run, FormatError, "run")
    path.write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    refused(path, run, FormatError, "checksum does not fit: the file is damaged")
    write_safetensors(path, {name: p.data for name, p in run.model.named_parameters()})
    refused(path, run, FormatError, "kind is None, not 'tinyembed checkpoint'")
    tree, _ = format.read(saved)
    write_tree(path, tree, kind=format.KIND, layout=format.LAYOUT + 1)
    refused(path, run, FormatError, "written in layout 3 by version '0.1.0'; .* update tinyembed")
    write_tree(path, {**tree, "more": 1}, kind=format.KIND, layout=format.LAYOUT)
    refused(path, run, FormatError, "has 'more'")
    save_checkpoint(path, run.model, run.optimizer)
    run.model.train()
    with pytest.raises(ValueError, match="was not saved by fit"):
        fit(run.model, run.batches, run.optimizer, checkpoint=path, resume=True, progress=False)
    save_checkpoint(path, run.model)
    with pytest.raises(ValueError, match="saved without an optimiser"):
        load_checkpoint(path, run.model, run.optimizer)
    with pytest.raises(ValueError, match="give both"):
        load_checkpoint(path, optimizer=run.optimizer)
    with pytest.raises(ValueError, match="checkpoint=path"):
        fit(run.model, run.batches, run.optimizer, resume=True)
    with pytest.raises(ValueError, match="drives a parameter that is not the model's"):
        save_checkpoint(path, nn.Linear(2, 2), run.optimizer)
    with pytest.raises(TypeError, match=r"about\.words is a set"):
        save_checkpoint(path, run.model, about={"words": {"a"}})
    assert os.listdir(tmp_path) == ["run"]


def test_what_could_not_be_so_is_refused_and_changes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda _: None)
    taken = [entry for entry in false_entries() if try_forged(*entry, "fit", tmp_path) != "refused"]
    assert not taken


@given(data=st.data(), name=st.sampled_from(FORGED), way=st.sampled_from(WAYS))
def test_a_forged_file_is_refused_and_nothing_has_changed_or_the_run_goes_on(data, name, way):
    path, value = data.draw(st.sampled_from(forgeries(name)[1]))
    with tempfile.TemporaryDirectory() as folder:
        try_forged(name, path, value, way, Path(folder))


@pytest.mark.filterwarnings("ignore:.*dense steps")
@pytest.mark.parametrize("name", EITHER_WAY)
def test_a_table_that_grew_just_before_the_save_can_be_loaded(tmp_path, name):
    table, optimizer = nn.Embedding(6, 3), EITHER_WAY[name]
    rule = optimizer(table.parameters())
    table([1, 2]).sum().backward()
    rule.step()
    table.grow(2)
    save_checkpoint(tmp_path / "run", table, rule)
    other = nn.Embedding(8, 3)
    load_checkpoint(tmp_path / "run", other, optimizer(other.parameters()))
    assert np.array_equal(other.weight.data, table.weight.data)


def test_what_is_frozen_is_up_to_the_model_that_is_loaded_into(tmp_path):
    plain = nn.Embedding(5, 2)
    plain([0, 1]).sum().backward()
    sgd = optim.SGD(plain.parameters(), lr=0.1, momentum=0.9)
    sgd.step()
    save_checkpoint(tmp_path / "run", plain, sgd)
    other = nn.Embedding(5, 2, padding_idx=0).freeze_rows([1])
    other.weight.requires_grad = False
    load_checkpoint(tmp_path / "run", other)
    assert not other.weight.requires_grad and other.weight.frozen_rows.tolist() == [True, True, False, False, False]
    assert np.array_equal(other.weight.data, plain.weight.data)


def test_rows_that_were_frozen_when_saved_stay_where_they_stopped(tmp_path):
    table = nn.Embedding(5, 2)
    sgd = optim.SGD(table.parameters(), lr=0.1, momentum=0.9)
    for ids in ([0, 1], [2], [3]):
        sgd.zero_grad()
        table(ids).sum().backward()
        sgd.step()
        table.freeze_rows([1])
    now = table.weight.data
    save_checkpoint(tmp_path / "run", table, sgd)
    other = nn.Embedding(5, 2)
    load_checkpoint(tmp_path / "run", other, optim.SGD(other.parameters(), lr=0.1, momentum=0.9))
    assert np.array_equal(other.weight.data, now) and other.weight.frozen_rows is None


def test_a_large_vocabulary_fits_beside_little_else(tmp_path):
    words = [f"naïve{i}" for i in range(200_000)]
    save_checkpoint(tmp_path / "run", nn.Linear(2, 2), about={"tokens": words, "few": ["a", "b"]})
    assert load_checkpoint(tmp_path / "run").about == {"tokens": words, "few": ["a", "b"]}


@pytest.mark.parametrize("options", [{"checkpoint": "nowhere/run"}, {"checkpoint": "run", "about": {"x": object()}}])
def test_what_cannot_be_saved_is_known_before_the_first_step(tmp_path, monkeypatch, options):
    monkeypatch.chdir(tmp_path)
    model = nn.Linear(2, 1)
    before = model.weight.data.copy()
    with pytest.raises((OSError, TypeError)):
        fit(model, [(np.ones((3, 2), np.float32),)], optim.SGD(model.parameters(), lr=0.1), progress=False,
            loss=lambda model, x: model(x).mean(), **options)
    assert np.array_equal(model.weight.data, before)
