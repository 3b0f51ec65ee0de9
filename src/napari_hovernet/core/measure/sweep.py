"""Try a range of one or two parameters and score every combination."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from ...errors import InputError
from ..separation.tuning import StagedTuner, TuneParams, tunable, with_value
from ..types import Float64, Int32, Int64, Maps, Progress, driven
from .metrics import aji, contingency

MOST_CELLS = 400
"""Combinations tried at most."""


@dataclass(frozen=True)
class SweepAxis:
    """A parameter and the values to try.

    Parameters
    ----------
    name : str
        As in :data:`napari_hovernet.core.separation.tuning.TUNABLES`.
    values : tuple of float
        One or more.

    Raises
    ------
    InputError
        If the name is not known, or there is no value.

    Examples
    --------
    >>> SweepAxis.between("depth", 0.1, 0.3, 3).values
    (0.1, 0.2, 0.3)
    """

    name: str
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        tunable(self.name)
        if not self.values:
            raise InputError(f"No values of {self.name} to try; give one or more.")

    @classmethod
    def between(cls, name: str, low: float, high: float, count: int) -> SweepAxis:
        """Spread up to ``count`` values evenly (by factors for "hv.scale"), each once.

        Values beyond what a slider offers are brought to its ends.
        """
        known = tunable(name)
        if count < 1 or not (low <= high and math.isfinite(low) and math.isfinite(high)):
            raise InputError(
                f"{name} from {low} to {high} in {count} steps; give low <= high and 1 or more."
            )
        least, most = known.offered
        low, high = (min(max(bound, least), most) for bound in (low, high))
        spread = np.geomspace if known.factors else np.linspace
        values = dict.fromkeys(known.snap(float(v)) for v in spread(low, high, count))
        return cls(name, tuple(values))


@dataclass(frozen=True, eq=False)
class Sweep:
    """Scores of all combinations.

    Parameters
    ----------
    start : TuneParams
        What everything else stayed at.
    rows, columns : SweepAxis
        ``columns`` is None for a sweep of one parameter.
    counts : int64 (n_rows, n_columns)
        Nuclei found; -1 where a combination is not allowed.
    aji : float64 (n_rows, n_columns), optional
        Against the truth, NaN where not allowed; None without a truth.
    """

    start: TuneParams
    rows: SweepAxis
    columns: SweepAxis | None
    counts: Int64
    aji: Float64 | None = None

    def params(self, row: int, column: int = 0) -> TuneParams:
        """Parameters of one combination."""
        return _combined(self.start, self.rows, self.columns, (row, column))

    @property
    def best(self) -> tuple[int, int] | None:
        """Row and column of the highest AJI; None without a truth, or if nothing is allowed."""
        if self.aji is None or np.isnan(self.aji).all():
            return None
        row, column = np.unravel_index(int(np.nanargmax(self.aji)), self.aji.shape)
        return int(row), int(column)


def sweep_steps(
    maps: Maps,
    start: TuneParams,
    rows: SweepAxis,
    columns: SweepAxis | None = None,
    truth: Int32 | None = None,
) -> Generator[Progress, None, Sweep]:
    """Try every combination of the values of one or two parameters; ``truth`` int (H, W)."""
    shape = (len(rows.values), len(columns.values) if columns else 1)
    cells = shape[0] * shape[1]
    if cells > MOST_CELLS:
        raise InputError(f"{cells} combinations are too many; up to {MOST_CELLS} are tried.")
    if columns is not None and columns.name == rows.name:
        raise InputError(f"Both parameters are {rows.name}; choose two different ones.")
    if truth is not None and truth.shape != maps.shape:
        raise InputError(
            f"The truth has shape {truth.shape} and the maps {maps.shape}; "
            "give true labels of the same size."
        )
    counts = np.full(shape, -1, np.int64)
    scores = None if truth is None else np.full(shape, np.nan)
    tuner = StagedTuner(maps)
    for done, (row, column) in enumerate(np.ndindex(shape)):
        yield Progress(done, cells, "Trying combinations ...")
        try:
            params = _combined(start, rows, columns, (row, column))
        except InputError:
            continue  # this combination cannot be; the cell stays empty
        found = tuner(params)
        counts[row, column] = found.n
        if scores is not None and truth is not None:
            scores[row, column] = aji(contingency(truth, found.labels))
    yield Progress(cells, cells, "Trying combinations ...")
    return Sweep(start, rows, columns, counts, scores)


def _combined(
    start: TuneParams, rows: SweepAxis, columns: SweepAxis | None, at: tuple[int, int]
) -> TuneParams:
    params = with_value(start, rows.name, rows.values[at[0]])
    return with_value(params, columns.name, columns.values[at[1]]) if columns else params


def sweep(
    maps: Maps,
    rows: SweepAxis,
    columns: SweepAxis | None = None,
    *,
    start: TuneParams | None = None,
    truth: Int32 | None = None,
) -> Sweep:
    """Try every combination of the values of one or two parameters, and wait for it.

    See :func:`sweep_steps`; ``start`` is ``TuneParams()`` by default.

    Examples
    --------
    >>> import numpy
    >>> maps = Maps(np=numpy.ones((8, 8)), hv=numpy.zeros((2, 8, 8)))
    >>> sweep(maps, SweepAxis("min_area", (0, 100))).counts.ravel().tolist()
    [1, 0]
    """
    return driven(sweep_steps(maps, start or TuneParams(), rows, columns, truth))
