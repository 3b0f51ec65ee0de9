"""How good maps are, however they are read: what a what-if is judged by.

HV may be stored in any order and sign, NP may be that of the background, labels may lie a bit
off: such faults have checks of their own and must not decide here. So everything is measured
by its best reading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..hv import hv_targets
from ..inference.images import UInt8
from ..params import SeparationParams
from ..separation import separate
from ..types import Float32, Int32, Maps

LEVELS = 256
"""Grey levels: light falls off from the brightest of them."""
SHORT = 1e-6
"""HV vectors not longer than this have no direction."""
FLAT = 1e-9
"""Energy of a plane (its values minus their mean, squared) that is the same everywhere."""
HALF = 0.5
FEW_PIXELS = 20


@dataclass(frozen=True)
class PartQuality:
    """How good the maps of one part of an image are.

    Parameters
    ----------
    np : float
        Correlation of NP with the true mask, the best over all shifts (0..1); NaN without.
    hv : float
        Mean cosine of HV to that of the true nuclei, in the best of its eight readings; NaN
        without truth.
    dark : float
        Correlation of NP with how dark the image is; NaN without an image.
    own : float
        Mean cosine of HV to that of the very shapes that are cut with it.
    confidence : float
        Mean of ``|2 p - 1|`` where NP says nucleus.
    n : int
        Nuclei found.
    diameter : float
        Of a typical nucleus found, pixels (weighted by area); 0 without.

    Examples
    --------
    >>> PartQuality(0.9, 0.9, 0.8, 1.0, 0.5, 3, 20.0).truth
    0.9
    """

    np: float
    hv: float
    dark: float
    own: float
    confidence: float
    n: int = 0
    diameter: float = 0.0

    @property
    def truth(self) -> float:
        """Agreement with the truth, 0..1; NaN without one."""
        return (self.np + self.hv) / 2

    @property
    def alone(self) -> float:
        """Agreement with the image and with themselves, 0..1."""
        image = self.own if math.isnan(self.dark) else max(self.dark, 0.0)
        return (image + self.own) / 2 * self.confidence


def part_quality(
    maps: Maps,
    image: UInt8 | None = None,
    labels: Int32 | None = None,
    *,
    anywhere: bool = True,
) -> PartQuality:
    """Measure how good maps are.

    Parameters
    ----------
    maps : Maps
    image : uint8 (H, W, 3), optional
    labels : int32 (H, W), optional
        True instances.
    anywhere : bool
        Whether the truth may lie elsewhere; False: it lies where it lies.
    """
    dark = math.nan
    prob: Any = maps.np
    if image is not None:
        dark = correlation(maps.np, darkness(image))
        if dark < 0:
            prob, dark = 1 - prob, -dark
    own = own_shapes(prob, maps.hv)
    areas = np.bincount(own.ravel())[1:] if own.any() else np.zeros(0, np.int64)
    mask = prob >= HALF
    fit = math.nan, math.nan
    if labels is not None and labels.any():
        fit = _against(maps, labels, anywhere)
    return PartQuality(
        np=fit[0],
        hv=fit[1],
        dark=dark,
        own=alignment(maps.hv, hv_targets(own)) if own.any() else 0.0,
        confidence=float(np.abs(2 * prob[mask] - 1).mean()) if mask.any() else 0.0,
        n=len(areas),
        diameter=_diameter(areas),
    )


def darkness(image: UInt8) -> Float32:
    """Return the optical density of an image (H, W): 0 where it is white."""
    values = (image.astype(np.float32) + 1) / LEVELS
    density: Float32 = -np.log(values).sum(axis=2)
    return density


def correlation(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Return Pearson's correlation of two planes, 0 where one is the same everywhere."""
    x, y = (_centred(plane) for plane in (a, b))
    energy = float((x * x).sum() * (y * y).sum())
    return float((x * y).sum() / math.sqrt(energy)) if energy > FLAT else 0.0


def best_shift(a: npt.ArrayLike, b: npt.ArrayLike) -> tuple[float, tuple[int, int]]:
    """Return the strongest correlation of two planes over all shifts (wrapping), and the shift.

    Returns
    -------
    float, (int, int)
        The correlation, signed, and by how many rows and columns ``b`` has to be moved.

    Examples
    --------
    >>> plane = np.zeros((8, 8)); plane[2:4, 2:4] = 1
    >>> best_shift(np.roll(plane, 3, 1), plane)[1]
    (0, 3)
    """
    x, y = (_centred(plane) for plane in (a, b))
    energy = float((x * x).sum() * (y * y).sum())
    if energy <= FLAT:
        return 0.0, (0, 0)
    product = np.fft.rfft2(x) * np.conj(np.fft.rfft2(y))
    table = np.fft.irfft2(product, s=x.shape) / math.sqrt(energy)
    row, col = np.unravel_index(int(np.abs(table).argmax()), table.shape)
    height, width = table.shape
    shift = (
        int(row) - height * int(row > height // 2),
        int(col) - width * int(col > width // 2),
    )
    return float(table[row, col]), shift


def products(hv: Float32, target: Float32) -> npt.NDArray[np.float64]:
    """Return the mean products of unit vectors, (2, 2): channel of ``hv`` by that of ``target``.

    A map that is right gives a diagonal whose sum is 1 (its mean cosine); channels in the
    other order fill the other diagonal, other signs are negative.
    """
    length, wanted = np.hypot(*hv), np.hypot(*target)
    there = wanted > SHORT
    if there.sum() < FEW_PIXELS:
        return np.zeros((2, 2))
    made = hv[:, there] / np.maximum(length[there], SHORT)
    unit = target[:, there] / wanted[there]
    table: npt.NDArray[np.float64] = np.asarray(made @ unit.T, np.float64) / there.sum()
    return table


def alignment(hv: Float32, target: Float32) -> float:
    """Return the mean cosine of HV to a target in the best of its eight readings, 0..1."""
    m = np.abs(products(hv, target))
    return float(max(m[0, 0] + m[1, 1], m[0, 1] + m[1, 0]))


def best_reading(hv: Float32, target: Float32) -> Float32:
    """Return HV in that reading (order and signs) that fits a target best."""
    m = products(hv, target)
    swapped = abs(m[0, 1]) + abs(m[1, 0]) > abs(m[0, 0]) + abs(m[1, 1])
    if swapped:
        hv, m = hv[::-1], m[::-1]
    signs = np.where(np.diagonal(m) < 0, -1, 1).astype(np.float32)
    read: Float32 = np.ascontiguousarray(hv * signs[:, None, None])
    return read


def own_shapes(prob: Float32, hv: Float32) -> Int32:
    """Cut maps by the default separation, HV in the reading that fits the maps' own mask."""
    mask = prob >= HALF
    areas: Any = ndimage.label(mask)[0]
    if not areas.any():
        return np.zeros(prob.shape, np.int32)
    read = best_reading(hv, hv_targets(areas))
    return separate(Maps(np=np.clip(prob, 0, 1), hv=read), SeparationParams()).labels


def _against(maps: Maps, labels: Int32, anywhere: bool) -> tuple[float, float]:
    inside = (labels > 0).astype(np.float32)
    if not anywhere:
        return abs(correlation(maps.np, inside)), alignment(maps.hv, hv_targets(labels))
    found, (row, col) = best_shift(maps.np, inside)
    moved = np.roll(labels, (row, col), (0, 1))
    return abs(found), alignment(maps.hv, hv_targets(moved))


def _centred(plane: npt.ArrayLike) -> npt.NDArray[np.float64]:
    values = np.asarray(plane, np.float64)
    centred: npt.NDArray[np.float64] = values - values.mean()
    return centred


def _diameter(areas: npt.NDArray[Any]) -> float:
    if not len(areas):
        return 0.0
    return 2 * math.sqrt(float(np.average(areas, weights=areas)) / math.pi)
