"""Predicted maps of each image beside what they should agree with; collected once."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..inference.images import UInt8
from ..types import Bool, Float32, Int32, Progress
from .bench import Bench
from .given_maps import INT8_SCALE, LARGEST_BYTE, SLACK
from .map_limits import MapLimits

PROBABILITY, LOGITS, BYTES, NOT_FINITE = "probability", "logits", "bytes", "not finite"
"""What the numbers of a given NP map can be."""

T = TypeVar("T")
Steps = Generator[Progress, None, T]


@dataclass(frozen=True, eq=False)
class View:
    """Maps of one image, read as the setup says, and the truth where there is one.

    Parameters
    ----------
    index : int
        Number in the case.
    name : str
    prob : float32 (H, W)
        NP in 0..1, whatever it was given as.
    hv : float32 (2, H, W)
    labels : int32 (H, W), optional
        True instances, of the same size.
    dark : float32 (H, W), optional
        Optical density of the red channel: haematoxylin absorbs red, eosin does not.
    kind : str
        What NP was given as.
    whole : bool
        Whether HV was given as whole numbers.
    """

    index: int
    name: str
    prob: Float32
    hv: Float32
    labels: Int32 | None = None
    dark: Float32 | None = None
    kind: str = PROBABILITY
    whole: bool = False

    @property
    def truth(self) -> Bool | None:
        """Where true nuclei are."""
        return None if self.labels is None else self.labels > 0


def kept(bench: Bench, name: str, make: Callable[[Bench], Steps[T]]) -> Steps[T]:
    """Measure something once for all checks that need it."""
    if name not in bench.kept:
        bench.kept[name] = yield from make(bench)
    found: T = bench.kept[name]
    return found


def views(bench: Bench) -> Steps[tuple[View, ...]]:
    """Collect all images that have maps.

    Raises
    ------
    InputError
        If none has; with the reason.
    """
    found = yield from kept(bench, "maps.views", _views)
    if not found:
        reasons = tuple(bench.failures.values())
        raise InputError(reasons[0] if reasons else "there are no maps.")
    return found


def _views(bench: Bench) -> Steps[tuple[View, ...]]:
    found = []
    for done, index in enumerate(bench.map_indices):
        yield Progress(done, len(bench.map_indices), "predicting")
        view = view_of(bench, index, MapLimits())
        if view is not None:
            found.append(view)
    return tuple(found)


def view_of(bench: Bench, index: int, limits: MapLimits) -> View | None:
    """Put the maps of one image beside what they should agree with; None without maps."""
    item, maps, raw = bench.item(index), bench.maps(index), bench.raw(index)
    if item is None or maps is None or raw is None or not maps.np.size:
        return None
    prob, kind, whole = maps.np, PROBABILITY, False
    if bench.case.predictor is None:
        given = np.asarray(raw.np)
        kind = kind_of(given)
        whole = np.asarray(raw.hv).dtype.kind in "iu"
        if kind == BYTES and given.dtype.kind == "f":
            prob = _as_set_up(given.astype(np.float32) / np.float32(LARGEST_BYTE), bench)
    fits = item.labels is not None and item.labels.shape == maps.shape
    image = item.image if item.image is not None and item.image.shape[:2] == maps.shape else None
    return View(
        index=index,
        name=item.name,
        prob=prob,
        hv=maps.hv,
        labels=item.labels if fits else None,
        dark=None if image is None else darkness(image, limits),
        kind=kind,
        whole=whole,
    )


def _as_set_up(prob: Float32, bench: Bench) -> Float32:
    if bench.setup.np_channel == 0:
        prob = 1 - prob
    return np.roll(prob, bench.setup.maps_shift, (0, 1))


def kind_of(given: npt.NDArray[Any]) -> str:
    """Tell what the numbers of a given NP map are.

    Examples
    --------
    >>> kind_of(np.array([[-7.5, 9.0]])), kind_of(np.array([[0, 255]], np.uint8))
    ('logits', 'bytes')
    """
    if given.dtype.kind not in "fiub" or not given.size:
        return PROBABILITY
    values = np.asarray(given, np.float32)
    if not np.isfinite(values).all():
        return NOT_FINITE
    low, high = float(values.min()), float(values.max())
    if low >= -SLACK and high <= 1 + SLACK:
        return PROBABILITY
    return BYTES if low >= 0 and INT8_SCALE / 2 < high <= LARGEST_BYTE else LOGITS


def darkness(image: UInt8, limits: MapLimits) -> Float32 | None:
    """Return how much red light each pixel absorbs; None if it is no stained tissue.

    Parameters
    ----------
    image : uint8 (H, W, 3)
    limits : MapLimits

    Examples
    --------
    >>> picture = np.full((1, 2, 3), 255, np.uint8)
    >>> picture[0, 0] = 90
    >>> bool(darkness(picture, MapLimits())[0, 0] > 1)
    True
    """
    if float(np.median(image)) < limits.dark_image:
        return None
    red = image[..., 0].astype(np.float32) + np.float32(1)
    density: Float32 = -np.log(red / np.float32(256))
    return density


def correlation(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    """Pearson correlation of two planes; 0 where one is constant.

    Examples
    --------
    >>> correlation(np.array([0.0, 1.0]), np.array([3.0, 1.0]))
    -1.0
    """
    x, y = (v.astype(np.float64).ravel() - v.mean(dtype=np.float64) for v in (a, b))
    size = float(np.sqrt((x @ x) * (y @ y)))
    return round(float(x @ y) / size, 9) if size > 0 else 0.0
