"""What examples share: the flags that all of them have, and saving a picture where matplotlib is installed."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any


def parser(about: str | None, seed: int | None = 1, save: str | None = None) -> argparse.ArgumentParser:
    """Reads the flags of an example. `--help` begins with about, the text at the head of its file.

    seed, save   defaults of the flags --seed and --save, both checked; None: there is no such flag
    """
    cli = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    usual = cli.add_argument_group("as in other examples")
    if seed is not None:
        usual.add_argument("--seed", type=natural, default=seed,
                           help="seed of everything random (default %(default)s)")
    if save is not None:
        usual.add_argument("--save", type=new_file, default=save, help="where the picture goes (default %(default)s)")
    return cli


def prompt_of(o: argparse.Namespace, documents: list[str], usual: str) -> str:
    """What a language model goes on from: --prompt, or the usual one, or the beginning of the user's own --text."""
    if o.prompt is None:
        return usual if o.text is None else documents[0].strip()[:12]
    return str(o.prompt)


def natural(text: str) -> int:
    """The type of a flag that takes 0, 1, 2 …"""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a number from 0 on without a fraction")
    return int(text)


def new_file(path: str) -> str:
    """The type of a flag that names a file to write. Hours of training are not to end with an error."""
    if not Path(path).absolute().parent.is_dir():
        raise argparse.ArgumentTypeError(f"{path}: there is no such folder")
    return path


def picture(path: str, draw: Callable[..., None], *what: Any, **options: Any) -> None:
    """Have draw(figure, *what) fill a figure of matplotlib, and save it; or say why there is none.

    options   of the figure, such as figsize=(8, 5), in inches
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        print(f"no {path}: pip install matplotlib for the picture")
        return
    figure = Figure(**{"layout": "constrained", **options})
    FigureCanvasAgg(figure)  # draws without a screen
    draw(figure, *what)
    figure.savefig(path)
    print(f"picture: {path}")
