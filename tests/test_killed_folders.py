"""Laws of saves that write several files: after a kill at any moment the folder is all old, all new, or refused by name
until the save is finished; and for no reader, whoever wrote it, do files of two saves stand side by side."""

import os
import sys
from pathlib import Path

import numpy as np
import pytest
from test_encoder import TEXTS, bert, static

from tinyembed.files import FormatError, finish_save, open_file, write_projector, write_together
from tinyembed.models import BERT, GPT, BERTConfig, GPTConfig, SentenceEncoder, load_bert, load_gpt, save_bert, save_gpt
from tinyembed.models import load as load_any
from tinyembed.nn import Dense
from tinyembed.text import ByteLevelBPE, load_tokenizer

CORPORA = ["low lower lowest"] * 3, ["new newer newest"] * 3
BPES = [ByteLevelBPE.train(texts, 260) for texts in CORPORA]
# Of the old and the new one all shapes are the same, so that no reader could tell them by that.
GPTS = [GPT(GPTConfig(260, 8, 1, heads, 8), rng=np.random.default_rng(heads)) for heads in (2, 4)]
BERTS = [BERT(BERTConfig(20, 8, 1, heads, 8, 8), rng=np.random.default_rng(heads)) for heads in (2, 4)]
ENCODERS = [bert(pooling=["cls", "max"], head=[Dense(16, 5, "tanh", rng=np.random.default_rng(1))]),
            bert(pooling=["max", "cls"], head=[Dense(16, 5, "relu", rng=np.random.default_rng(2))], prompt="a ")]
STATICS = [static(head=[Dense(6, 4, rng=np.random.default_rng(seed))]) for seed in (1, 2)]


def state(model):
    return str(model.config), {name: x.tobytes() for name, x in model.state_dict().items()}


def read_bpe(folder):
    tokenizer = load_tokenizer(folder)
    return tokenizer.tokens, tokenizer.merges


def vectors(folder):
    return load_any(folder).encode(TEXTS).tobytes()


# name -> (the old save, the new one: folder -> None; what a reader has of the folder)
WRITERS = {
    "GPT and tokeniser": (*(lambda folder, i=i: save_gpt(folder, GPTS[i], BPES[i]) for i in (0, 1)),
                          lambda folder: (state(load_gpt(folder)), read_bpe(folder))),
    "BERT": (*(lambda folder, i=i: save_bert(folder, BERTS[i]) for i in (0, 1)),
             lambda folder: (state(load_bert(folder)), state(load_any(folder)))),
    "sentence encoder": (ENCODERS[0].save_pretrained, ENCODERS[1].save_pretrained, vectors),
    "static encoder": (STATICS[0].save_pretrained, STATICS[1].save_pretrained, vectors),
    "static, then BERT": (STATICS[0].save_pretrained, ENCODERS[1].save_pretrained, vectors),
    "BERT, then static": (ENCODERS[0].save_pretrained, STATICS[1].save_pretrained,
                          lambda folder: SentenceEncoder(folder).encode(TEXTS).tobytes()),
    "BPE": (BPES[0].save_gpt2, BPES[1].save_gpt2, read_bpe),
    "projector": (lambda folder: write_projector(folder, ["a", "b"], np.eye(2)),
                  lambda folder: write_projector(folder, ["c", "d", "e"], np.eye(3)),
                  lambda folder: [open_file(folder / name).read() for name in ("vectors.tsv", "metadata.tsv")])}
watch = None  # what is called before the operating system is, with what is to be done


def _hook(event, args):
    if watch is not None and (event == "open" or event.startswith("os.")):
        watch(event, args)


sys.addaudithook(_hook)


def watched(folder, save, before):
    """Save, with before() called ahead of each call of the system that has to do with the folder."""
    global watch

    def ahead(event, args):
        global watch
        if any(isinstance(x, str) and x.startswith(str(folder)) for x in args):
            watch = None
            before()
            watch = ahead

    watch = ahead
    try:
        save(folder)
    finally:
        watch = None


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def put(files, folder):
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def seen_by_others(files):
    """Without temporary files, which no reader opens."""
    return {name: data for name, data in files.items() if not name.endswith((".tmp", ".unfinished-save"))}


@pytest.mark.parametrize("fresh", [False, True])
@pytest.mark.parametrize("name", WRITERS)
def test_killed_at_any_moment_the_folder_is_old_or_new_or_refused_by_name(tmp_path, name, fresh):
    old_save, new_save, read = WRITERS[name]
    folder, moments = tmp_path / "folder", []
    folder.mkdir()
    if not fresh:
        old_save(folder)
    before, old = content(folder), None if fresh else read(folder)
    watched(folder, new_save, lambda: moments.append(content(folder)))
    after, new = content(folder), read(folder)
    moments.append(after)
    assert old != new and seen_by_others(after) == after
    count = {"old": 0, "refused": 0, "new": 0}
    for i, (files, earlier) in enumerate(zip(moments, [{}, *moments])):
        if i and files.keys() == earlier.keys():
            continue  # the same files, one of them longer
        kinds = {"old" if data == before.get(file) else "new" for file, data in seen_by_others(files).items()
                 if file in after and before.get(file) != after[file]}
        assert len(kinds) < 2, f"{sorted(files)}: files of both saves"
        killed = put(files, tmp_path / str(i))
        try:
            found = read(killed)
        except FormatError as error:
            assert (error.path == str(killed) and "finish_save" in str(error)) == (".unfinished-save" in files), error
            assert fresh or ".unfinished-save" in files
            count["refused"] += 1
        except FileNotFoundError:
            assert fresh
        else:
            assert found in (old, new)
            count["old" if found == old else "new"] += 1
        if ".unfinished-save" in files:
            finish_save(killed)
            assert content(killed) == after
    new_save(put(moments[len(moments) // 2], tmp_path / "next"))
    assert content(tmp_path / "next") == after
    assert count["refused"] > len(after) / 2 and count["new"] and (fresh or count["old"] > 2), count


@pytest.mark.parametrize("name", ["GPT and tokeniser", "projector"])
def test_whatever_is_raised_on_the_way_leaves_the_old_files_or_the_new_and_no_litter(tmp_path, name):
    """Ctrl-C, or an error of the system, ahead of each of its calls."""
    old_save, new_save, _ = WRITERS[name]
    folder, ends, at, left = tmp_path / "folder", [], 0, 0
    folder.mkdir()
    old_save(folder)
    old = content(folder)
    new_save(folder)
    new = content(folder)

    def strike():
        nonlocal left
        left -= 1
        if left == 0:
            raise (KeyboardInterrupt, OSError)[at % 2]("struck")

    while left <= 0:
        left = at = at + 1
        put(old, folder)
        try:
            watched(folder, new_save, strike)
        except (KeyboardInterrupt, OSError) as error:
            assert str(error) == "struck"
        ends.append(["old", "new"][[old, new].index(content(folder))])
    assert ends.count("old") > 3 * len(new) and ends.count("new") > len(new)


def test_what_two_killed_saves_have_left_is_brought_to_its_end(tmp_path):
    """The first was to be finished; the second, which does that first, is killed before it has anything to say."""
    class Killed(BaseException):
        pass

    def kill(file):
        os.link(tmp_path / "a", tmp_path / "seen")  # a file of the first save, in its place
        raise Killed

    (tmp_path / ".a.0123456789abcdef.tmp").write_text("first")
    (tmp_path / ".unfinished-save").write_text(".a.0123456789abcdef.tmp")
    with pytest.raises(FormatError, match="finish_save"):
        load_tokenizer(tmp_path)
    with pytest.raises(Killed):
        write_together(tmp_path, {"a": b"second", "b": kill})
    assert content(tmp_path) == {"a": b"first", "seen": b"first"}


@pytest.mark.parametrize("line", ["../.a.0123456789abcdef.tmp", "a", "/.a.0123456789abcdef.tmp", "x/../../.a.tmp", ""])
def test_a_list_that_no_save_has_written_moves_nothing(tmp_path, line):
    for folder in (tmp_path, tmp_path / "in"):
        folder.mkdir(exist_ok=True)
        (folder / ".a.0123456789abcdef.tmp").write_text("x")
        (folder / "a").write_text("a")
    (tmp_path / "in" / ".unfinished-save").write_text(f".a.0123456789abcdef.tmp\n{line}\n")
    before = content(tmp_path)
    with pytest.raises(FormatError, match="line 2"):
        finish_save(tmp_path / "in")
    assert content(tmp_path) == before


@pytest.mark.skipif(os.name == "nt", reason="links, pipes and devices as POSIX has them")
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: os.symlink("/dev/zero", path), os.mkdir])
def test_a_list_that_is_no_file_is_refused_by_those_who_read_and_those_who_write(tmp_path, make):
    write_together(tmp_path, {"merges.txt": b"old"})
    make(tmp_path / ".unfinished-save")
    for call in (finish_save, lambda folder: write_together(folder, {"merges.txt": b"new"}), load_tokenizer):
        with pytest.raises((FormatError, IsADirectoryError)):
            call(tmp_path)
    assert (tmp_path / "merges.txt").read_text() == "old"


@pytest.mark.skipif(os.name == "nt", reason="links as POSIX has them")
def test_a_link_gives_its_place_and_what_it_led_to_stays(tmp_path):
    """The folders of Hugging Face's cache link to files that others share."""
    folder = tmp_path / "snapshot"
    folder.mkdir()
    Path(tmp_path, "blob").write_text("shared")
    (folder / "config.json").symlink_to(tmp_path / "blob")
    write_together(folder, {"model": b"new", "config.json": b"new"})
    assert content(folder) == {"model": b"new", "config.json": b"new"} and (tmp_path / "blob").read_text() == "shared"
