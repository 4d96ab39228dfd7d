"""Where a file is expected stands a pipe, a device, or a file of any length: refused at once, by every reader."""

import json
import os
import zipfile
from pathlib import Path

import mutants_checkpoint  # noqa: F401, for its format
import mutants_models  # noqa: F401, for its formats
import mutants_text  # noqa: F401, for its formats
import mutants_vectors  # noqa: F401, for its formats
import pytest
from mutants import FORMATS, MB, memory_limit, time_limit
from test_forged_models import MAKERS, PUBLISHED, forged_models

from tinyembed.data import paragraphs, python_docs
from tinyembed.files import FormatError, read_word2vec
from tinyembed.nn import Embedding
from tinyembed.text import ByteLevelBPE, LineSentences, load_tokenizer
from tinyembed.vectors import KeyedVectors

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and devices have names on POSIX")


def gpt2(folder):
    """vocab.json and merges.txt, as GPT-2 has them."""
    tokenizer = ByteLevelBPE.train(["low lower"], 258)
    (folder / "vocab.json").write_text(json.dumps(tokenizer.index))
    (folder / "merges.txt").write_text("".join(f"{a} {b}\n" for a, b in tokenizer.merges))


def bert_vocabulary(folder):
    (folder / "vocab.txt").write_text("[UNK]\nlow\n")


def one(form):
    """A format of one file, as a folder."""
    name = form.suffix if not form.suffix.startswith(".") else "file" + form.suffix
    return lambda folder: form.make(folder / name), lambda folder: form.read(folder / name)


FOLDERS = {  # name -> (write into a folder, read from it)
    **{name: one(form) for name, form in FORMATS.items()},
    **PUBLISHED,
    "GPT-2's tokeniser": (gpt2, lambda folder: load_tokenizer(folder / "vocab.json")),
    "BERT's vocabulary": (bert_vocabulary, lambda folder: load_tokenizer(folder / "vocab.txt")),
    "tokenizer.json": (lambda folder: ByteLevelBPE.train(["low"], 258).save(folder),
                       lambda folder: load_tokenizer(folder / "tokenizer.json")),
    "sentences": (bert_vocabulary, lambda folder: LineSentences(folder / "vocab.txt", limit=1)),
    "keyed vectors": (lambda folder: KeyedVectors(keys=["a"], vectors=[[1.0]]).save(folder / "wv"),
                      lambda folder: KeyedVectors.load(folder / "wv")),
    "mapped table": (lambda folder: Embedding.mapped(folder, 3, 2).weight.storage.flush(), Embedding.mapped),
    **{name: (lambda folder, make=make: make().save(folder / "model"),
              lambda folder, name=name: type(forged_models._whole(name)).load(folder / "model"))
       for name, make in MAKERS.items() if name == "Word2Vec"}}


def pipe(path):
    os.mkfifo(path)


def device(path):
    os.symlink("/dev/zero", path)


def endless(path):
    """It takes no room on the disk."""
    with open(path, "wb") as file:
        try:
            file.truncate(1 << 38)
        except OSError:
            pytest.skip("the file system has no file of 256 GiB")


@pytest.mark.filterwarnings("ignore:.*ever touched")
@pytest.mark.parametrize("stands_there", [pipe, device, endless])
@pytest.mark.parametrize("name", FOLDERS)
def test_what_is_no_file_or_has_no_end_is_refused_at_once(tmp_path, name, stands_there):
    """One after the other, each file of the folder; what is not needed may be passed over."""
    write, read = FOLDERS[name]
    write(tmp_path)
    read(tmp_path)
    refused = 0
    for path in [path for path in sorted(tmp_path.rglob("*")) if path.is_file()]:
        path.rename(tmp_path / "aside")
        stands_there(path)
        try:
            with time_limit(4), memory_limit(64):
                read(tmp_path)
        except (FormatError, FileNotFoundError) as error:
            refused += 1
            assert str(tmp_path) in str(error)
        path.unlink()
        (tmp_path / "aside").rename(path)
    assert refused or (name, stands_there) == ("sentences", endless) or name == "preprocessor_config"  # not needed


def test_a_library_is_read_without_what_is_no_file_or_has_no_end(tmp_path):
    (tmp_path / "a.py").write_text('"""The text of a."""')
    for name, stands_there in (("b.py", pipe), ("c.py", device), ("d.py", endless)):
        stands_there(tmp_path / name)
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("e.py", b"#" * (96 * MB))
        archive.writestr("f.py", b'"""The text of f."""')
    with time_limit(4), memory_limit(64):
        assert python_docs([tmp_path, tmp_path / "z.zip"]) == ["The text of a.", "The text of f."]
        for name in ("b.py", "c.py", "d.py"):
            with pytest.raises(FormatError, match=name):
                paragraphs(tmp_path / name)
    (tmp_path / "text").write_bytes(b"a text\xff of words")
    with pytest.raises(FormatError, match="text, offset 6"):
        paragraphs(tmp_path / "text")


def test_a_file_read_through_a_descriptor_is_a_file(tmp_path):
    """`< words.txt` and the like: what counts is what is open."""
    path = Path(tmp_path, "words.txt")
    path.write_text("a 1\n")
    with open(path, "rb") as file:
        if os.path.exists(f"/dev/fd/{file.fileno()}"):
            assert read_word2vec(f"/dev/fd/{file.fileno()}", header=False)[0] == ["a"]
    with pytest.raises(TypeError):
        read_word2vec(11111)  # the number of a file that may be open, not a path
