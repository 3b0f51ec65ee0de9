"""Row bands: filter a large image piece by piece with the result of filtering it whole."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Band:
    """Rows to read (with halo) and rows to keep.

    Parameters
    ----------
    read : slice
        Rows of the image to filter.
    keep : slice
        Rows of the image whose result is kept.
    inner : slice
        The rows to keep, counted from the start of ``read``.
    """

    read: slice
    keep: slice
    inner: slice


def row_bands(height: int, rows: int, halo: int) -> Iterator[Band]:
    """Cut ``height`` rows into bands of up to ``rows`` that overlap by ``halo`` on each side.

    Examples
    --------
    >>> [(b.read, b.inner) for b in row_bands(10, 6, 2)]
    [(slice(0, 8, None), slice(0, 6, None)), (slice(4, 10, None), slice(2, 6, None))]
    """
    for start in range(0, height, rows):
        stop = min(start + rows, height)
        first, last = max(start - halo, 0), min(stop + halo, height)
        yield Band(slice(first, last), slice(start, stop), slice(start - first, stop - first))
