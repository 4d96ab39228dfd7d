"""English prose that needs no download: the documentation inside Python's standard library.

Source files are parsed, never imported, so nothing of the library runs.
"""

import ast
import os
import re
import sys
import sysconfig
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..files import FormatError, read_file
from ..text import words_of

LONGEST = 1 << 22  # bytes of a module: five times the library's longest
Roots = Iterable[str | os.PathLike[str]] | None
_NOT_LIBRARY = {"test", "tests", "idle_test", "site-packages", "dist-packages"}  # folders that are left out
_TOPICS = "pydoc_data/topics.py"  # a dict from each topic of help() to its text
# A doctest's example is code and its answer: it ends at the first blank line, as doctest itself has it.
_EXAMPLE = re.compile(r"^[ \t]*>>>(?: .*)?$(?:\n[ \t]*\S.*)*", re.MULTILINE)
_RULE = re.compile(r"^[ \t]*[-=~^*+#_|][-=~^*+#_| \t]{2,}$", re.MULTILINE)  # under headings, in and around tables
_BLANK_LINES = re.compile(r"\n\s*\n")


def python_docs(roots: Roots = None) -> list[str]:
    """Collect the English prose of Python's own documentation as a list of documents.

    roots  folders or zip files that hold a standard library; None for the one of the Python that runs. A module that
           is in two of them is read from the first

    A document is one topic of `help()` (from `pydoc_data`) or all docstrings of one module, its classes and functions,
    in the order of the source, without doctest examples and the rules under headings. Modules come sorted by path, so
    a Python gives the same list every time; another version, or an installation that lacks parts, gives another.
    Tests and installed packages are left out; what can not be read or parsed, or has more than 4 MB, is passed over.
    CPython 3.11 gives about 720 documents and 327,000 words, in one or two seconds; nothing is kept on disk.

    Raises FileNotFoundError if there is no documentation at all, as in a Python that is shipped without its source.

    >>> import json
    >>> documents = python_docs([Path(json.__file__).parent])      # of json alone; python_docs() reads all, in seconds
    >>> documents[0][:33]
    'JSON (JavaScript Object Notation)'
    """
    documents = [text for name, source in library_sources(roots) for text in map(_prose, _texts(name, source)) if text]
    return documents or nothing_found(roots)


def python_docstrings(roots: Roots = None) -> list[tuple[str, str]]:
    """Collect (name, docstring) of the functions, classes and methods of Python's own library, sorted by module.

    Names are dotted, from the root on: "json.dumps" in the library. Roots and errors are those of `python_docs`, and so
    is what is left out.

    >>> import json
    >>> dict(python_docstrings([Path(json.__file__).parent]))["decoder.JSONDecoder.raw_decode"][:22]
    'Decode a JSON document'
    """
    entries = []
    for file, source in library_sources(roots):
        module = file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if (tree := syntax_tree(source)) is not None:
            entries += [(f"{module}.{name}", text) for name, docstring in _docstrings(tree)
                        if name and (text := _prose(docstring))]
    return entries or nothing_found(roots)


def paragraphs(path: str | os.PathLike[str] | None = None) -> list[list[str]]:
    """The paragraphs of a text as lists of words (`text.words_of`): of the file at path, in UTF-8, or of
    `python_docs()` if that is None. Blank lines part paragraphs; those of less than two words are left out.

    Raises OSError and FormatError for files that cannot be read, ValueError for a text without paragraphs.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "text.txt")
    ...     _ = path.write_text("The cat purrs.\\n\\nThe dog does not.\\n\\nEnd.")
    ...     paragraphs(path)
    [['the', 'cat', 'purrs'], ['the', 'dog', 'does', 'not']]
    """
    texts = python_docs() if path is None else [_text(path)]
    found = [words for text in texts for part in _BLANK_LINES.split(text) if len(words := words_of(part)) > 1]
    if not found:
        raise ValueError(f"{path}: there is no paragraph of two words or more")
    return found


def _text(path: str | os.PathLike[str]) -> str:
    data = read_file(path)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise FormatError(path, f"offset {error.start}", "this is not UTF-8") from None


def nothing_found(roots: Any) -> Any:
    """Raise the error of readers of a library that is not there."""
    places = list(map(str, _standard_library() if roots is None else roots))
    raise FileNotFoundError(f"no documentation found in {places}: this Python may come without its source files. Pass "
                            "roots=[...] with a folder or zip file that holds a standard library, or use a list of "
                            "texts of your own instead")


def library_sources(roots: Roots) -> Iterator[tuple[str, bytes]]:
    """The modules of all roots; of those that are in two, the first."""
    if isinstance(roots, (str, os.PathLike)):
        raise TypeError(f"roots takes a list of folders or zip files, got {roots!r} alone: write [{roots!r}]")
    seen: set[str] = set()
    for place in _standard_library() if roots is None else roots:
        for name, source in _modules(Path(place)):
            if name not in seen:
                seen.add(name)
                yield name, source


def _standard_library() -> list[str]:
    """Where Python looks for its own library: a zip file such as python311.zip, then a folder."""
    zip_name = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    zips = [path for path in sys.path if os.path.basename(path) == zip_name]
    return [*zips, sysconfig.get_path("stdlib")]


def _modules(root: Path) -> Iterator[tuple[str, bytes]]:
    """The modules below a root as (path from the root, bytes), sorted by path; what can not be read is passed over."""
    if os.path.isdir(root):
        names = []
        for folder, subfolders, files in os.walk(root):
            subfolders[:] = [subfolder for subfolder in subfolders if subfolder not in _NOT_LIBRARY]
            names += [Path(folder, file).relative_to(root).as_posix() for file in files if file.endswith(".py")]
        for name in sorted(names):
            try:
                source = read_file(root / name, LONGEST)
            except (OSError, FormatError):
                continue
            yield name, source
    elif zipfile.is_zipfile(root):
        try:
            archive = zipfile.ZipFile(root)
        except (OSError, zipfile.BadZipFile):
            return
        with archive:
            for name in sorted(archive.namelist()):
                if not name.endswith(".py") or _NOT_LIBRARY.intersection(name.split("/")):
                    continue
                if archive.getinfo(name).file_size > LONGEST:
                    continue
                try:
                    source = archive.read(name)
                except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error):
                    continue
                yield name, source


def _texts(name: str, source: bytes) -> list[str]:
    """The texts of one module: its topics if it is the module of the topics, else its docstrings as one text."""
    if (tree := syntax_tree(source)) is None:
        return []
    if name != _TOPICS:
        return ["\n\n".join(text for _, text in _docstrings(tree))]
    dicts = [node.value for node in tree.body if isinstance(node, (ast.Assign, ast.AnnAssign))]
    values = [value for topics in dicts if isinstance(topics, ast.Dict) for value in topics.values]
    return [value.value for value in values if isinstance(value, ast.Constant) and isinstance(value.value, str)]


def syntax_tree(source: bytes) -> ast.Module | None:
    """The syntax tree of a module, or None for what is none."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # odd escapes in somebody else's strings
            return ast.parse(source)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return None


def _docstrings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """The docstrings of a module ("") and of what it defines (its dotted name there), in the order of the source,
    without their indentation."""
    stack: list[tuple[str, ast.AST]] = [("", tree)]
    while stack:
        name, node = stack.pop()
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            name = f"{name}.{node.name}".lstrip(".")
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            docstring = ast.get_docstring(node)
            if docstring:
                yield name, docstring
        for field in ("cases", "finalbody", "orelse", "handlers", "body"):  # the last on the stack is the first read
            stack.extend((name, child) for child in reversed(getattr(node, field, [])))


def _prose(text: str) -> str:
    """A text without doctest examples, rules and runs of blank lines, fit for UTF-8."""
    text = _RULE.sub("", _EXAMPLE.sub("", text))
    text = text.encode("utf-8", "replace").decode("utf-8")  # a docstring's escapes can make lone surrogates
    return _BLANK_LINES.sub("\n\n", text).strip()
