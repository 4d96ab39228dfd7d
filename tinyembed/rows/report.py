"""Row report: which rows of a table training touched, how often, and how far they moved."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from ..core import Array, Parameter, Record, RowGrad, blocks, warn

LARGE_SHARE = 0.5  # of rows that never moved: worth a warning


class RowReport(Record):
    """The rows of one table over a run of training.

    updates (V,)   steps at which a row had a gradient
    drift (V,)     Euclidean distance of a row from where its first update found it (of a mapped table from where the
                   row began); 0 for rows never touched

    A row that was never touched still has the random numbers it was made with, and similarities with it mean nothing.
    What is kept grows with the rows that were touched, n of them: ids (n,), times (n,) each was updated, and first
    (n, D), where its first update found it. Of a storage that knows how rows began, `first` is (n, 0).
    """

    FIELDS: ClassVar = {"ids": np.dtype(np.int64), "times": np.dtype(np.int64), "first": np.ndarray}

    def __init__(self, name: str, p: Parameter) -> None:
        self.name, self.p = name, p
        self._slot = np.zeros(len(p), np.int32)  # 0: never touched, k: its numbers stand at k - 1 below
        self._count = 0  # of those, n; the arrays have room for more
        self.ids, self.times = np.zeros((2, 0), np.int64)
        self.first = np.zeros((0, *(p.shape[1:] if p.storage.first is None else [0])), p.dtype)

    def note(self, ids: Array) -> None:
        """A step is about to update these rows, each named once."""
        slots = self._slot.take(ids)
        new = ids[slots == 0]
        if len(new):
            start, self._count = self._count, self._count + len(new)
            if self._count > len(self.ids):
                self._have_room(min(2 * self._count, len(self.p)))
            self._slot[new] = np.arange(start, self._count) + 1
            self.ids[start:self._count] = new
            if self.first.size and self.p.lazy is None:
                self.first[start:self._count] = self.p.rows().take(new, axis=0, mode="clip")
            elif self.first.size:  # ask for all that the step will ask for, so that they are caught up once
                self.first[start:self._count] = self.p.rows().take(ids)[slots == 0]
            slots = self._slot.take(ids)
        self.times[slots - 1] += 1

    def _have_room(self, n: int) -> None:
        """Room for n rows, those that are there first."""
        for name in self.FIELDS:
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.zeros((n - len(array), *array.shape[1:]), array.dtype)]))

    def to_tree(self) -> dict[str, Any]:
        """The rows touched, how often, and where their first update found them."""
        return {name: x[:self._count] if name in self.FIELDS else x for name, x in super().to_tree().items()}

    def check(self) -> None:
        """ValueError if what a file says is not of this parameter."""
        p, n = self.p, len(self.ids.ravel())
        width = p.shape[1:] if p.storage.first is None else (0,)
        if p.ndim == 0 or not self.ids.shape == self.times.shape == (n,) or self.first.shape != (n, *width) or \
                self.first.dtype != p.dtype or len(np.unique(self.ids)) < n or \
                (n and not (0 <= self.ids.min() <= self.ids.max() < len(p) and self.times.min() > 0)):
            raise ValueError(f"the row report that was saved is not of {self.name}, {p.shape}")
        self._slot, self._count = np.zeros(len(p), np.int32), n
        self._slot[self.ids] = np.arange(n) + 1

    @property
    def updates(self) -> Array:
        updates = np.zeros(len(self._slot), np.int64)
        updates[self.ids[:self._count]] = self.times[:self._count]
        return updates

    @property
    def untouched(self) -> Array:
        """The ids of rows that never had a gradient."""
        return np.flatnonzero(self._slot == 0)

    @property
    def drift(self) -> Array:
        drift = np.zeros(len(self._slot))
        for some in blocks(self._count, math.prod(self.p.shape[1:])):
            ids = self.ids[some]
            first = self.first[some] if self.p.storage.first is None else self.p.storage.first(ids)
            drift[ids] = np.linalg.norm(self.p.rows().take(ids, axis=0, mode="clip") - first, axis=1)
        return drift

    def __str__(self) -> str:
        touched = self.updates > 0
        if not touched.any():
            return f"{self.name}: none of {len(touched):,} rows was ever touched"
        updates, drift = self.updates[touched], self.drift[touched]
        return (f"{self.name}: {(~touched).sum():,} of {len(touched):,} rows never touched; the others updated "
                f"{np.median(updates):,.0f} times (median; {updates.min():,} … {updates.max():,}), and moved "
                f"{np.median(drift):.3g} (median; {drift.min():.3g} … {drift.max():.3g})")


class RowTracker:
    """Keeps a RowReport for every table that is looked up in training; `fit` calls `note` before each step.

    >>> import tinyembed as te
    >>> table = te.nn.Embedding(5, 2)
    >>> sgd, tracker = te.optim.SGD(table.parameters(), lr=0.1), RowTracker(table.named_parameters())
    >>> table([1, 3, 3]).sum().backward(); tracker.note(); sgd.step()
    >>> tracker.reports[0].untouched.tolist(), tracker.reports[0].drift.round(3).tolist()
    ([0, 2, 4], [0.0, 0.141, 0.0, 0.283, 0.0])
    """

    def __init__(self, named_parameters: Iterable[tuple[str, Parameter]]) -> None:
        self._parameters = list(named_parameters)
        self._reports: dict[str, RowReport] = {}

    @property
    def reports(self) -> list[RowReport]:
        """One for each table that had a row gradient."""
        return list(self._reports.values())

    def note(self) -> None:
        """Look at the gradients of a step that is about to be taken."""
        for name, p in self._parameters:
            g: Any = p.grad
            if isinstance(g, RowGrad) and p.requires_grad:
                p.grad = g = g.coalesce()  # the step will want it so, too
                ids = g.ids if p.frozen_rows is None else g.ids[~p.frozen_rows[g.ids]]
                if name not in self._reports:
                    self._reports[name] = RowReport(name, p)
                self._reports[name].note(ids)
            elif g is not None and name in self._reports:
                self._reports[name].note(np.arange(len(p)))

    def to_tree(self) -> dict[str, Any]:
        """All reports, for a checkpoint."""
        return {name: report.to_tree() for name, report in self._reports.items()}

    def reports_of(self, tree: dict[str, Any]) -> dict[str, RowReport]:
        """The reports that `tree` tells of; ValueError for one that is of no parameter here."""
        parameters = dict(self._parameters)
        if not set(tree) <= set(parameters):
            raise ValueError(f"row reports were saved of {sorted(tree)}, and there are {sorted(parameters)}")
        return {name: RowReport.from_tree(report, name=name, p=parameters[name]) for name, report in tree.items()}

    def use(self, reports: dict[str, RowReport]) -> None:
        """Go on with these."""
        self._reports = reports

    def warn(self) -> None:
        """Warn of tables of which a large share was never touched."""
        for report in self.reports:
            if len(report.untouched) > LARGE_SHARE * len(report.p):
                warn(f"{report}. Rows never touched are what they were before: random, unless they were loaded")
