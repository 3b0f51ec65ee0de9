"""How long predicted HV is, image by image, and how true nuclei lie on the maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..data.samples import Turn, turn_hv, turn_plane
from ..hv import hv_targets
from ..types import Bool, Float32, Int32
from .map_lie import NO_SHIFT, Shift
from .map_limits import LIMITS, MapLimits
from .map_np import NPReading
from .map_shapes import convex_parts
from .map_views import View

Alignment = tuple[Turn, Shift]
TAILS = (0.005, 0.995)
"""Quantiles between which HV lies, whatever single pixels hold."""
ROOT_SIX = 6.0**0.5
"""Standard deviation of a second difference of independent noise."""
NORMAL_MEDIAN = 0.6745
"""Median absolute value of a normal variable."""


@dataclass(frozen=True, eq=False)
class Lengths:
    """Sums over nucleus pixels (true ones, else those of NP), and over all others.

    Parameters
    ----------
    n, n_outside : int
        Pixels.
    length, length_outside : float
        Sum of the lengths.
    channel : float64 (2,)
        Sum of each channel over convex parts of NP that the border does not cut.
    n_channel, parts : int
        Pixels and number of these.
    low, high : float
        Smallest and largest value inside, but for the tails.
    saturated : int
        Pixels at which a channel is at the end of tanh.
    noise : float
        Standard deviation of the noise from pixel to pixel.
    squares, true_squares : float
        Sums of squares of both channels, of HV and of the truth.
    products : float64 (2, 2)
        Sums of channel as given times channel of the truth.
    true_length : float
        Sum of the true lengths; 0 without truth.
    """

    n: int
    n_outside: int
    length: float
    length_outside: float
    channel: npt.NDArray[np.float64]
    low: float
    high: float
    saturated: int
    noise: float
    squares: float
    n_channel: int = 0
    parts: int = 0
    true_squares: float = 0.0
    products: npt.NDArray[np.float64] = field(default_factory=lambda: np.zeros((2, 2)))
    true_length: float = 0.0


def lengths_of(
    hv: Float32, inside: Bool, parts: Int32 | None = None, limits: MapLimits = LIMITS
) -> Lengths | None:
    """Measure HV without truth; None where there is no nucleus.

    Parameters
    ----------
    hv : float32 (2, H, W)
    inside : bool (H, W)
        Nucleus pixels.
    parts : int32 (H, W), optional
        Single whole nuclei, in which HV must lie around 0.
    limits : MapLimits

    Examples
    --------
    >>> hv = np.zeros((2, 8, 8), np.float32)
    >>> hv[0], inside = 0.5, np.ones((8, 8), bool)
    >>> lengths_of(hv, inside).length / 64
    0.5
    """
    n = int(inside.sum())
    if not n:
        return None
    p = hv[:, inside].astype(np.float64)
    whole = np.zeros((2, 0)) if parts is None else hv[:, parts > 0].astype(np.float64)
    magnitude = np.hypot(*hv)
    low, high = np.quantile(p, TAILS)
    return Lengths(
        n=n,
        n_outside=inside.size - n,
        length=float(np.hypot(*p).sum()),
        length_outside=float(magnitude[~inside].sum(dtype=np.float64)),
        channel=whole.sum(axis=1),
        n_channel=whole.shape[1],
        parts=0 if parts is None else int(parts.max(initial=0)),
        low=float(low),
        high=float(high),
        saturated=int((np.abs(p) >= limits.saturated_at).any(axis=0).sum()),
        noise=noise(hv, inside),
        squares=float((p * p).sum()),
    )


def noise(hv: Float32, inside: Bool) -> float:
    """Return the standard deviation of the noise of HV from pixel to pixel.

    Inside a nucleus HV runs straight, so that a second difference is noise; jumps between
    nuclei are few, and the median does not see them.
    """
    found = []
    for channel, axis in ((0, 1), (1, 0), (0, 0), (1, 1)):
        values: Any = hv[channel] if axis == 1 else hv[channel].T
        within: Any = inside if axis == 1 else inside.T
        use = within[:, 2:] & within[:, 1:-1] & within[:, :-2]
        if use.any():
            second = np.diff(values, 2, axis=1)[use]
            found.append(float(np.median(np.abs(second))) / (NORMAL_MEDIAN * ROOT_SIX))
    return float(np.mean(found)) if found else 0.0


def on_maps(labels: Int32, alignment: Alignment) -> tuple[Int32, Float32]:
    """Return true labels and their HV, turned and moved (wrapping) onto the maps.

    Nuclei that the border cuts are left out: how a network takes them is open.
    """
    turn, shift = alignment
    labels = whole_nuclei(labels)
    target = hv_targets(labels)
    turned = np.ascontiguousarray(turn_plane(labels, turn))
    if any((turn.flip, turn.quarters)):
        target = turn_hv(target, turn)
    if shift != NO_SHIFT:
        turned, target = np.roll(turned, shift, (0, 1)), np.roll(target, shift, (1, 2))
    return turned, target


def whole_nuclei(labels: Int32) -> Int32:
    """Return labels without those that the border cuts.

    Examples
    --------
    >>> whole_nuclei(np.array([[0, 1, 0], [0, 2, 0], [0, 0, 0]], np.int32)).tolist()
    [[0, 0, 0], [0, 2, 0], [0, 0, 0]]
    """
    keep = np.ones(int(labels.max(initial=0)) + 1, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        keep[edge] = False
    return np.where(keep[labels], labels, 0).astype(np.int32)


def measure_lengths(
    view: View, reading: NPReading, alignment: Alignment | None, limits: MapLimits = LIMITS
) -> Lengths | None:
    """Measure the lengths of one image, over true nuclei if the truth lies on the maps."""
    labels, mask = view.labels, reading.mask(view)
    parts, _ = convex_parts(mask, limits)
    if alignment is None or labels is None or not labels.any():
        return lengths_of(view.hv, mask, parts, limits)
    ids, target = on_maps(labels, alignment)
    if ids.shape != view.prob.shape:
        return lengths_of(view.hv, mask, parts, limits)
    made = lengths_of(view.hv, ids > 0, parts, limits)
    if made is None:
        return None
    p, t = (x[:, ids > 0].astype(np.float64) for x in (view.hv, target))
    return Lengths(**{
        **vars(made), "true_squares": float((t * t).sum()), "products": p @ t.T,
        "true_length": float(np.hypot(*t).sum()),
    })  # fmt: skip
