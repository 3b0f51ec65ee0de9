"""What the blob check asks for and what it answers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .types import Bool, Int32

STATUSES = ("empty", "single", "separated", "blob")
"""Status of a component by its number: position in this tuple, as in ``instance_status``."""
EMPTY, SINGLE, SEPARATED, BLOB = range(len(STATUSES))
MAX_REACH = 64
"""Longest ``seam_reach`` in pixels that makes sense: no nucleus is that wide."""


@dataclass(frozen=True)
class BlobParams:
    """When an instance looks like several nuclei.

    An instance collects points, and is suspected from ``threshold`` points on:
    ``area_weight`` for each doubling of the area of one nucleus (and as many off for each
    halving), 1 for each ``solidity_loss`` that its solidity lies below 1, ``neck_points``
    if it has a neck, and 1 for each ``seam_share`` of a nucleus' width along which HV turns
    back inside it. All but the last are shape alone, so they hold with collapsed HV too.

    Parameters
    ----------
    threshold : float
        Points from which an instance is suspected, above 0.
    area_weight : float
        Points per doubling of the area, 0 or more.
    solidity_loss : float
        Loss of solidity that is worth one point, above 0.
    neck_points : float
        Points for an instance of two cores or more, 0 or more.
    neck : float
        Two cores are two if the neck between them is less than this share as wide as the
        narrower of them, in 0..1.
    core_share : float
        A core less than this share as wide as the one it hangs on is a bump, in 0..1.
    least_core : float
        A core of less than this share of a nucleus' area is not counted, in 0..1.
    seam_drop : float
        HV turns back where h falls along a row (v along a column) by this much, above 0.
        In a nucleus it rises from -1 to 1; from one to the next it falls, at most by 2.
        Weak HV never falls so far, so it neither accuses nor clears.
    seam_reach : int
        Pixels within which it must fall, 1..64: about twice the blur of the maps.
    seam_share : float
        Length of such a seam that is worth one point, in widths of a nucleus, above 0.
    min_area : int
        Instances of fewer pixels are debris: never suspected, and not counted when the
        area of one nucleus is estimated.
    largest_area : int
        No nucleus has more pixels: an instance that has is suspected whatever its shape
        (a mask of everything is one convex instance). 10,000 px are a circle 28 µm
        wide at 0.25 µm per pixel.
    nucleus_area : float, optional
        Area of one nucleus in pixels where it is known; None = estimated from the image.

    Raises
    ------
    InputError
        If a value is out of range.

    Examples
    --------
    >>> BlobParams(nucleus_area=400.0).threshold
    1.0
    """

    threshold: float = 1.0
    area_weight: float = 0.4
    solidity_loss: float = 0.2
    neck_points: float = 1.0
    neck: float = 0.75
    core_share: float = 0.4
    least_core: float = 0.15
    seam_drop: float = 0.8
    seam_reach: int = 4
    seam_share: float = 0.5
    min_area: int = 10
    largest_area: int = 10_000
    nucleus_area: float | None = None

    def __post_init__(self) -> None:
        above = ("threshold", "solidity_loss", "seam_drop", "seam_share")
        _check(self, above, lambda x: 0 < x < np.inf, "a finite number above 0")
        weights = ("area_weight", "neck_points")
        _check(self, weights, lambda x: 0 <= x < np.inf, "a finite number, 0 or more")
        shares = ("neck", "core_share", "least_core")
        _check(self, shares, lambda x: 0 <= x <= 1, "a number in 0..1")
        _check(self, ("min_area", "largest_area"), lambda x: x >= 1, "1 or more pixels")
        reach = f"a whole number in 1..{MAX_REACH}"
        _check(self, ("seam_reach",), lambda x: x in range(1, MAX_REACH + 1), reach)
        if self.nucleus_area is not None:
            _check(self, ("nucleus_area",), lambda x: 0 < x < np.inf, "pixels above 0, or None")


def _check(
    params: BlobParams, names: Iterable[str], fits: Callable[[float], bool], wanted: str
) -> None:
    for name in names:
        value = getattr(params, name)
        if not fits(value):
            raise InputError(f"{name} is {value}; give {wanted}.")


@dataclass(frozen=True)
class BlobRow:
    """One connected component.

    Parameters
    ----------
    component : int
        Its number in ``BlobReport.components``, 1..n in reading order.
    bbox : (int, int, int, int)
        row0, col0, row1, col1; half-open, pixels.
    centroid : (float, float)
        x, y of the centre of mass, pixels.
    area : int
        Pixels.
    n_instances : int
        Instances that have pixels in it.
    expected : int
        Nuclei that it looks like: one per instance, more for those that are suspected.
    area_ratio : float
        Area over that of one nucleus.
    solidity : float
        Area over that of the convex hull, in (0, 1]; 1 = convex.
    rim_magnitude : float
        Mean HV magnitude over the pixels that touch something outside the component: near 1
        in a healthy map, near 0 in a collapsed one. NaN without maps, or without a rim.
    worst : int
        Id of the instance that most looks like several nuclei, 0 if there is none.
    worst_area_ratio, worst_solidity : float
        Of that instance; NaN if there is none.
    worst_cores : int
        Compact pieces that it falls into at its necks; 1 = it has none.
    worst_seam : float
        Length along which HV turns back inside it, in widths of a nucleus.
    score : float
        Points of that instance, see :class:`BlobParams`.
    status : {"blob", "separated", "single", "empty"}
        "blob" = holds a suspected instance; "separated" = several instances, none
        suspected; "single" = one, not suspected; "empty" = of the mask alone.
    """

    component: int
    bbox: tuple[int, int, int, int]
    centroid: tuple[float, float]
    area: int
    n_instances: int
    expected: int
    area_ratio: float
    solidity: float
    rim_magnitude: float
    worst: int
    worst_area_ratio: float
    worst_solidity: float
    worst_cores: int
    worst_seam: float
    score: float
    status: str

    @property
    def suspected(self) -> bool:
        """Whether it is a suspected blob."""
        return self.status == STATUSES[BLOB]


@dataclass(frozen=True, eq=False)
class BlobReport:
    """Which connected areas were cut into nuclei, and which still look like several.

    Parameters
    ----------
    rows : tuple of BlobRow
        One per component: suspected ones first, each group by falling score, then area.
    n_components, n_instances, n_suspected : int
        Components, instances (ids) and suspected components.
    median_area : float
        Area of one nucleus in pixels, NaN where there is none; see :func:`blob_report`.
    components : int32 (H, W)
        Number of the component of each pixel, 0 = background.
    instance_ids : int64 (k,)
        Ids of the labels, ascending.
    instance_status : int8 (k,)
        Status of each one's component (the worst, if it lies in several), a position in
        ``STATUSES``.
    instance_suspected : bool (k,)
        Whether the instance itself is suspected.
    n_scattered : int
        Ids that lie on several parts which do not touch.
    """

    rows: tuple[BlobRow, ...]
    n_components: int
    n_instances: int
    n_suspected: int
    median_area: float
    components: Int32
    instance_ids: npt.NDArray[np.int64]
    instance_status: npt.NDArray[np.int8]
    instance_suspected: Bool
    n_scattered: int = 0

    @property
    def largest(self) -> int:
        """Nuclei that the largest suspected blob looks like, 0 if there is none."""
        return max((row.expected for row in self.suspects), default=0)

    @property
    def suspects(self) -> tuple[BlobRow, ...]:
        """Rows of the suspected blobs, the first of ``rows``."""
        return self.rows[: self.n_suspected]

    @cached_property
    def component_status(self) -> npt.NDArray[np.int8]:
        """Status by component number, int8 (n + 1,), positions in ``STATUSES``; [0] is 0."""
        status = np.zeros(self.n_components + 1, np.int8)
        for row in self.rows:
            status[row.component] = STATUSES.index(row.status)
        return status

    def status_of(self, instance: int) -> str:
        """Return the status of the component in which an instance lies.

        Raises
        ------
        InputError
            If there is no such instance.
        """
        at = int(np.searchsorted(self.instance_ids, instance))
        if at == len(self.instance_ids) or self.instance_ids[at] != instance:
            raise InputError(f"There is no nucleus {instance} in these labels.")
        return STATUSES[int(self.instance_status[at])]

    @property
    def summary(self) -> str:
        """The image in one line.

        Examples
        --------
        >>> from napari_hovernet.core.blobs import blob_report
        >>> blob_report(None, [[1, 1, 0], [0, 0, 2]]).summary
        '2 components, 2 nuclei, no suspected blobs'
        """
        if not self.n_components:
            return "No nuclei"
        nuclei = counted(self.n_instances, "nucleus", "nuclei") if self.n_instances else "no nuclei"
        said = [counted(self.n_components, "component", "components"), nuclei]
        if self.n_suspected:
            said.append(counted(self.n_suspected, "suspected blob", "suspected blobs"))
            said.append(f"largest {counted(self.largest, 'nucleus', 'nuclei')}")
        elif self.n_instances:
            said.append("no suspected blobs")
        empty = sum(row.status == STATUSES[EMPTY] for row in self.rows)
        if empty and self.n_instances:
            said.append(f"{empty:,} without a nucleus")
        return ", ".join(said)


def counted(number: int, one: str, many: str) -> str:
    """Put a number before its noun.

    Examples
    --------
    >>> counted(1, "nucleus", "nuclei"), counted(1200, "nucleus", "nuclei")
    ('1 nucleus', '1,200 nuclei')
    """
    return f"{number:,} {one if number == 1 else many}"
