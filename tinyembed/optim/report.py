"""What training did to the rows of a table: which were never touched, how often the others were, how far they went."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..core import Array, Parameter, RowGrad

LARGE_SHARE = 0.5  # of rows that never moved: worth a warning


class RowReport:
    """The rows of one table over a run of training.

    updates (V,)   steps at which a row had a gradient
    drift (V,)     Euclidean distance of a row from where its first update found it; 0 for rows never touched

    A row that was never touched still has the random numbers it was made with, and similarities with it mean nothing.
    """

    def __init__(self, name: str, p: Parameter) -> None:
        self.name, self.p = name, p
        self.updates = np.zeros(len(p), np.int64)
        self._first = np.zeros(p.shape, p.dtype)  # pages of rows never touched are never written, and take no memory

    def note(self, ids: Array) -> None:
        """A step is about to update these rows, each named once."""
        new = ids[self.updates[ids] == 0]
        self._first[new] = self.p.rows().take(new, axis=0, mode="clip")
        self.updates[ids] += 1

    @property
    def untouched(self) -> Array:
        """The ids of rows that never had a gradient."""
        return np.flatnonzero(self.updates == 0)

    @property
    def drift(self) -> Array:
        touched = np.flatnonzero(self.updates)
        drift = np.zeros(len(self.updates))
        drift[touched] = np.linalg.norm(self.p.rows().take(touched, axis=0, mode="clip") - self._first[touched], axis=1)
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
                self._reports.setdefault(name, RowReport(name, p)).note(ids)
            elif g is not None and name in self._reports:
                self._reports[name].note(np.arange(len(p)))

    def warn(self) -> None:
        """Warn of tables of which a large share was never touched."""
        for report in self.reports:
            if len(report.untouched) > LARGE_SHARE * len(report.updates):
                warnings.warn(f"{report}. Rows never touched are as random as they were made", stacklevel=3)
