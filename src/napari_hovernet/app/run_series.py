"""Columns of numbers that grow row by row, handed out without being copied."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float64 = npt.NDArray[np.float64]
FIRST_CAPACITY = 256


@dataclass(frozen=True, eq=False)
class Series:
    """Columns of one length, by name; the arrays must not be written to."""

    columns: Mapping[str, Float64]  # NaN where a value is not known

    def __getitem__(self, name: str) -> Float64:
        """Return a column; an empty one if there is none of this name."""
        found = self.columns.get(name)
        return np.zeros(0) if found is None else found

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def last(self, name: str) -> float:
        """Return the last value of a column, NaN if there is none."""
        column = self[name]
        return float(column[-1]) if len(column) else float("nan")

    def known(self, name: str) -> bool:
        """Tell whether any value of a column is known."""
        return bool(np.isfinite(self[name]).any())


class Growing:
    """Rows of numbers, added one at a time.

    What was handed out by :meth:`series` stays as it was, whatever is added or cut later.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)
        self._values = np.empty((len(self.names), FIRST_CAPACITY))
        self._n = 0

    def add(self, row: Sequence[float]) -> None:
        """Add a row, a value per column."""
        if self._n == self._values.shape[1]:
            self._move(2 * self._n)
        self._values[:, self._n] = row
        self._n += 1

    def cut_from(self, name: str, value: float) -> None:
        """Drop the rows from the first one whose (rising) column is ``value`` or more."""
        column = self._values[self.names.index(name), : self._n]
        if not self._n or column[-1] < value:
            return
        self._n = int(np.searchsorted(column, value))
        self._move(self._values.shape[1])  # earlier series keep the old rows

    def series(self) -> Series:
        """Return what is there now."""
        view = self._values[:, : self._n].view()
        view.flags.writeable = False
        return Series(dict(zip(self.names, view, strict=True)))

    def _move(self, capacity: int) -> None:
        moved = np.empty((len(self.names), max(capacity, FIRST_CAPACITY)))
        moved[:, : self._n] = self._values[:, : self._n]
        self._values = moved
