"""Progress bar, and Ctrl-C between two steps."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .history import History

STOPPING = "stopping after this step; press Ctrl-C again to stop at once"


@contextmanager
def handling_ctrl_c(handler: Any) -> Iterator[None]:
    """Let Ctrl-C call `handler(number, frame)` for a while, or with signal.SIG_IGN do nothing. Only the main thread may
    say what signals do; elsewhere nothing is changed."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets, so that a step is never cut in two; the second one raises as usual."""
    event, before = threading.Event(), signal.getsignal(signal.SIGINT)

    def handler(number: int, frame: Any) -> None:
        print(STOPPING, file=sys.stderr)
        event.set()
        signal.signal(signal.SIGINT, signal.default_int_handler if before is None else before)

    with handling_ctrl_c(signal.SIG_IGN if before == signal.SIG_IGN else handler):  # what is ignored stays so
        yield event


class Progress:
    """A tqdm bar where that is installed, else a line at every report."""

    def __init__(self, on: bool, total: int | None, done: int) -> None:
        self.on, self.total, self.done, self.bar = on, total, done, None

    def __enter__(self) -> Progress:
        if self.on:
            try:
                from tqdm import tqdm
                self.bar = tqdm(total=self.total, initial=self.done, unit="step")
            except ImportError:
                pass
        return self

    def __exit__(self, *error: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def step(self) -> None:
        if self.bar is not None:
            self.bar.update()

    def report(self, history: History) -> None:
        losses = "  ".join(f"{name} {entries[-1][1]:.3f}" for name, entries in
                           (("loss", history.train), ("held out", history.held_out)) if entries)
        if self.bar is not None:
            self.bar.set_postfix_str(losses)
        elif self.on:
            of = "" if self.total is None else f" of {self.total}"
            print(f"step {history.steps}{of}  {losses}  {history.seconds:.0f} s", flush=True)
