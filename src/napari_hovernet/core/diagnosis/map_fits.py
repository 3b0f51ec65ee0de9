"""How predicted HV fits the true nuclei and the shapes of NP, image by image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft

from ..data.samples import TURNS, turn_plane
from ..hv import hv_targets
from ..types import Float32, Int32
from .map_lengths import Alignment, on_maps
from .map_lie import NO_SHIFT, Shift
from .map_limits import LIMITS, MapLimits
from .map_np import NPReading
from .map_shapes import convex_parts, worst_boxes
from .map_vectors import NO_FIT, NO_LENGTH, Fit, cosine_matrix, slope_matrix
from .map_views import View
from .report import Place

SMALL_SHIFT = 64
"""Pixels by which HV is tried to lie off NP."""


@dataclass(frozen=True, eq=False)
class Fits:
    """How the HV of one image fits; see :class:`HVTally`.

    Parameters
    ----------
    surface : float64 (H, W), optional
        Mean cosine to the convex parts if HV is moved; None without parts.
    turned : tuple of Fit
        Of each of ``TURNS``, see :class:`HVTally`.
    """

    truth: Fit
    convex: Fit
    slope: Fit
    places: list[tuple[float, Place]]
    surface: npt.NDArray[np.float64] | None
    turned: tuple[Fit, ...] = ()


def measure_fits(
    view: View,
    reading: NPReading,
    alignment: Alignment | None,
    offset: npt.NDArray[np.float64],
    limits: MapLimits = LIMITS,
) -> Fits:
    """Compare the HV of one image with truth and shapes.

    Parameters
    ----------
    view : View
    reading : NPReading
    alignment : (Turn, shift), optional
        How the truth lies on the maps; None = it does not.
    offset : float64 (2,)
        Taken off HV first.
    limits : MapLimits
    """
    hv = view.hv
    if offset.any():
        hv = hv - offset.astype(np.float32)[:, None, None]
    mask = reading.mask(view)
    parts, n = convex_parts(mask, limits)
    target = hv_targets(parts)
    convex = cosine_matrix(hv, target, n)
    length = float(np.hypot(*hv[:, mask]).mean()) if mask.any() else 0.0
    slope = NO_FIT
    if mask.mean() < limits.full:
        slope = slope_matrix(hv, mask, limits.steepest * length)
    truth, ids, wanted = NO_FIT, parts, target
    if alignment is not None and view.labels is not None:
        true_ids, true_target = on_maps(view.labels, alignment)
        if true_ids.shape == mask.shape:
            ids, wanted = true_ids, true_target
            truth = cosine_matrix(hv, wanted, len(np.unique(ids)) - 1)
    return Fits(
        truth=truth,
        convex=convex,
        slope=slope,
        places=_places(view, hv, ids, wanted),
        surface=_surface(hv, target) if n else None,
        turned=_turned(hv, target, n) if n else (),
    )


def _turned(hv: Float32, target: Float32, n: int) -> tuple[Fit, ...]:
    square = hv.shape[1] == hv.shape[2]
    return tuple(
        cosine_matrix(turn_plane(hv, turn), target, n)
        if square or turn.quarters % 2 == 0
        else NO_FIT
        for turn in TURNS
    )


def _places(view: View, hv: Float32, ids: Int32, wanted: Float32) -> list[tuple[float, Place]]:
    size = np.hypot(*hv) * np.hypot(*wanted)
    cosine = np.where(size > NO_LENGTH, (hv * wanted).sum(axis=0) / np.maximum(size, NO_LENGTH), 0)
    area = np.bincount(ids.ravel())
    large = ids * (area[ids] >= LIMITS.min_area)
    return [
        (mean, Place(view.index, view.name, box, f"cosine {mean:.2f} in this nucleus"))
        for mean, box in worst_boxes(large, cosine, 2)
    ]


def _surface(hv: Float32, target: Float32) -> npt.NDArray[np.float64]:
    """Mean cosine of HV to the target, if the target is moved by (rows, columns), wrapping."""
    total = np.zeros(hv.shape[1:])
    a, b = (x / np.maximum(np.hypot(*x), NO_LENGTH) for x in (hv, target))
    for one, other in zip(a, b, strict=True):
        total += fft.irfft2(fft.rfft2(one) * np.conj(fft.rfft2(other)), total.shape)
    return total / max(float((np.hypot(*b) > 0).sum()), 1.0)


def near(surface: npt.NDArray[np.float64], reach: int) -> npt.NDArray[np.float64]:
    """Cut the shifts up to ``reach`` out of a surface; no shift is in the middle."""
    rolled = np.roll(surface, (reach, reach), (0, 1))
    return rolled[: 2 * reach + 1, : 2 * reach + 1]


def best_move(fits: Sequence[Fits]) -> tuple[Shift, float, float]:
    """Return the shift at which HV fits the convex parts best, and the fit here and there."""
    known = [(f.surface, f.convex.n) for f in fits if f.surface is not None and f.convex.n]
    if not known:
        return NO_SHIFT, 0.0, 0.0
    reach = min(SMALL_SHIFT, *((min(s.shape) - 1) // 2 for s, _ in known))
    weight = sum(n for _, n in known)
    whole = np.zeros((2 * reach + 1, 2 * reach + 1))
    for surface, n in known:
        whole += near(surface, reach) * (n / weight)
    at = np.unravel_index(int(np.argmax(np.abs(whole))), whole.shape)
    shift = (int(at[0]) - reach, int(at[1]) - reach)
    return shift, abs(float(whole[reach, reach])), abs(float(whole[at]))
