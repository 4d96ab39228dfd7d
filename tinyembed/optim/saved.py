"""State of an optimiser as plain values and arrays, saved and restored."""

from __future__ import annotations

from typing import Any

from ..rows import LazyRows, saved_rows
from .optimizer import Optimizer

# What `optimizer_tree` gives, in the notation of `files.check_tree`.
OPTIMIZER = {"rule": str, "sparse": str, "groups": [{str: object}], "states": [(None, LazyRows)]}


def optimizer_tree(optimizer: Optimizer) -> dict[str, Any]:
    """The settings, and for each parameter the state, with the arrays in use. It belongs to the rows as they are stored
    (`te.train.save_checkpoint` keeps both). None for tables that keep it themselves (`Embedding.mapped`)."""
    for lazy in optimizer.state:
        lazy.grow()
    return {"rule": type(optimizer).__name__, "sparse": optimizer.sparse,
            "groups": [o.settings() for o in optimizer.groups],
            "states": [None if lazy.p.storage.keeps_state else lazy.to_tree() for lazy in optimizer.state]}


def restore_optimizer(optimizer: Optimizer, tree: dict[str, Any]) -> None:
    """Let it go on from a tree: settings, learning rates included, and states, whose arrays become its own. The rows
    that belong to it are for the caller to put in place (`Parameter.restore`). ValueError with the reason if the tree
    is another optimiser's; then nothing has changed."""
    mine = optimizer_tree(optimizer)
    for name in ("rule", "sparse"):
        if tree[name] != mine[name]:
            raise ValueError(f"{name} {tree[name]!r} was saved, and this optimiser has {mine[name]!r}")
    for name in ("groups", "states"):
        if len(tree[name]) != len(mine[name]):
            raise ValueError(f"{len(tree[name])} {name} were saved, and this optimiser has {len(mine[name])}")
    for i, (theirs, ours) in enumerate(zip(tree["groups"], mine["groups"])):
        if set(theirs) != set(ours):
            raise ValueError(f"group {i} was saved with the settings {sorted(theirs)}, expected {sorted(ours)}")
    before = [o.settings() for o in optimizer.groups]
    optimizer.set_each(tree["groups"])
    groups = (o for o in optimizer.groups for _ in o.params)
    try:
        optimizer.state = [_restored(optimizer, o, lazy, saved) for o, lazy, saved in zip(groups, optimizer.state,
                                                                                          tree["states"])]
    except ValueError:
        optimizer.set_each(before)
        raise


def _restored(optimizer: Optimizer, o: Any, lazy: LazyRows, saved: Any) -> LazyRows:
    """What the optimiser keeps for a parameter of group o, from a file; ValueError if it is not of these."""
    p = lazy.p
    if (saved is None) != p.storage.keeps_state:
        raise ValueError("a table that was mapped is not now, or the other way round")
    if saved is None:
        return lazy
    s = saved_rows(saved, p)
    shapes = [optimizer.state_shape(o, p) for _ in optimizer.states]
    if s.arrays is not None and [a.shape for a in s.arrays] != shapes:
        raise ValueError(f"the optimiser's state does not fit: states {[a.shape for a in s.arrays]}, expected {shapes}")
    exact = optimizer.sparse == "exact"
    if s.by_rows and s.settings == o.settings("lr", "scale") and (s.row_steps is None, s.law is None) != (
            exact, not exact or optimizer.catch_up_law(o, 0, p.dtype) is None):
        raise ValueError("the optimiser's state does not fit: it does not say when rows were stepped")
    return s
