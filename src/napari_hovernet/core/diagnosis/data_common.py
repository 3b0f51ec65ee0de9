"""Small things that the checks of data and of stored targets share."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ..hv import compact_ids
from ..masks import count_pixels
from ..types import Int32, Progress
from .bench import Bench
from .items import Item
from .report import NOT_TESTED, Finding, Place

T = TypeVar("T")
SHOWN = 3
"""Names that a sentence lists one by one."""
BOX_EDGE = 96
"""Edge in pixels of a place to fly to."""


def kept(
    bench: Bench, key: str, make: Callable[[Bench], Generator[Progress, None, T]]
) -> Generator[Progress, None, T]:
    """Measure once per bench; later checks get what was measured.

    Parameters
    ----------
    bench : Bench
    key : str
        Of the measurement, "module.name".
    make : callable
        Bench -> generator that returns the measurement.
    """
    if key not in bench.kept:
        bench.kept[key] = yield from make(bench)
    value: T = bench.kept[key]
    return value


def each_item(bench: Bench, what: str, limit: int = 0) -> Iterator[tuple[Progress, Item | None]]:
    """Go through the items, evenly spread if there are more than ``limit`` (0 = all)."""
    indices = spread(bench.indices, limit)
    for number, index in enumerate(indices):
        yield Progress(number, len(indices), what), bench.item(index)


def spread(indices: Sequence[int], limit: int = 0) -> tuple[int, ...]:
    """Return at most ``limit`` of them, evenly spread.

    Examples
    --------
    >>> spread(range(10), 3)
    (0, 3, 6)
    """
    n = len(indices) if not limit else min(limit, len(indices))
    return tuple(indices[k * len(indices) // n] for k in range(n))


def not_tested(finding_id: str, title: str, why: str) -> Finding:
    """Make the finding of a check that could not be made; ``why`` completes "Not tested: "."""
    return Finding(finding_id, NOT_TESTED, title, f"Not tested: {why}.")


def percent(share: float) -> str:
    """Write a share.

    Examples
    --------
    >>> percent(0.127), percent(0.0031)
    ('13 %', '0.3 %')
    """
    value = 100 * share
    if not np.isfinite(value):
        return "unknown"
    return f"{value:.1f} %" if 0 < value < 1 else f"{value:.0f} %"


def listed(names: Sequence[str]) -> str:
    """List the first names, and count the others.

    Examples
    --------
    >>> listed(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


def scaled(value: float, start: float, full: float, low: float, high: float) -> float:
    """Return a certainty between ``low`` (at ``start``) and ``high`` (at ``full`` and beyond).

    Examples
    --------
    >>> scaled(0.5, 0.0, 1.0, 0.8, 0.9)
    0.85
    """
    if not np.isfinite(value) or start == full:
        return low
    part = min(max((float(value) - start) / (full - start), 0.0), 1.0)
    return round(float(low + (high - low) * part), 4)


def whole(item: Item, words: str = "") -> Place:
    """Return a place that is the whole image."""
    height, width = item.shape or (1, 1)
    return Place(item.index, item.name, (0, height, 0, width), words)


def around(item: Item, row: float, col: float, words: str = "", edge: int = BOX_EDGE) -> Place:
    """Return a place around a pixel, cut to the image."""
    height, width = item.shape or (1, 1)
    r0 = int(min(max(row - edge // 2, 0), max(height - edge, 0)))
    c0 = int(min(max(col - edge // 2, 0), max(width - edge, 0)))
    box = (r0, min(r0 + edge, height), c0, min(c0 + edge, width))
    return Place(item.index, item.name, box, words)


def nucleus_mask(item: Item) -> npt.NDArray[np.bool_] | None:
    """Return where nuclei are by labels, else by stored NP, else by stored HV; or None."""
    if item.labels is not None:
        return item.labels > 0
    if item.target_np is not None:
        return item.target_np > 0
    if item.target_hv is not None:
        area: npt.NDArray[np.bool_] = np.abs(item.target_hv).max(axis=0) > 0
        return area
    return None


def count_ids(labels: Int32) -> int:
    """Count the ids of a label image, background apart.

    Examples
    --------
    >>> count_ids(np.array([[0, 7], [7, 9]], np.int32))
    2
    """
    ids, largest = compact_ids(labels)
    return int((count_pixels(ids.ravel(), largest + 1)[1:] > 0).sum()) if ids.size else 0


def size_of(plane: Any) -> tuple[int, int]:
    """Return height and width of a plane, an image (H, W, 3) or HV (2, H, W)."""
    shape = tuple(int(n) for n in plane.shape)
    if len(shape) == 3 and shape[-1] not in (3, 4) and shape[0] == 2:
        shape = shape[1:]
    return (shape[0], shape[1])
