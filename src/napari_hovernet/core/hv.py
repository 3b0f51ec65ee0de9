"""HV maps: where each pixel of a nucleus lies relative to the nucleus' centre."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import InputError
from .choices import check_choices, choice, described
from .types import Float32, Float64, Int32, Maps, kernel

Array = npt.NDArray[Any]

FIRST_ROOM = 1024
"""Entries that growing tables start with."""


def runs_of(ids: Array, apart: bool) -> Array:
    """List runs of one id along the rows of (H, W), in order: row, first column, end, id.

    ``apart`` gives the number of the 4-connected part instead of the id, 1 to n by first pixel.
    """
    room = int(count_runs(ids)) + 1
    runs = np.empty((room, 4), np.int32)
    parent = np.empty(room, np.int32)
    fill_runs(ids, bool(apart), runs, parent)
    if apart:
        number_parts(parent, runs)
    return runs[1:]


@kernel
def fill_runs(ids: Array, apart: bool, runs: Array, parent: Array) -> None:
    """Write the runs from place 1 on; ``parent`` is room for as many."""
    height, width = ids.shape
    n, above, here = 0, 1, 1  # runs so far; first run of the row above, and of this row
    for r in range(height):
        above, here, near, c = here, n + 1, here, 0
        while c < width:
            i, start = ids[r, c], c
            c += 1
            while c < width and ids[r, c] == i:
                c += 1
            if i == 0:
                continue
            n += 1
            runs[n, 0], runs[n, 1], runs[n, 2], runs[n, 3] = r, start, c, i
            parent[n], near = n, max(near, above)
            while apart and near < here and runs[near, 2] <= start:
                near += 1
            other = near
            while apart and other < here and runs[other, 1] < c:
                if runs[other, 3] == i:  # both get the lower of their roots
                    a, b = n, other
                    while parent[a] != a:
                        a = parent[a]
                    while parent[b] != b:
                        b = parent[b]
                    parent[a] = parent[b] = min(a, b)
                other += 1


@kernel
def number_parts(parent: Array, runs: Array) -> None:
    """Write the number of each run's root among roots; a root is its own parent and comes first."""
    n = 0
    for k in range(1, len(parent)):
        if parent[k] == k:
            n += 1
            parent[k] = n
        else:
            parent[k] = parent[parent[k]]
        runs[k, 3] = parent[k]


@kernel
def count_runs(ids: Array) -> int:
    """Count the runs of one id along the rows."""
    n = 0
    for r in range(ids.shape[0]):
        before = 0
        for c in range(ids.shape[1]):
            n += (ids[r, c] != 0) & (ids[r, c] != before)
            before = ids[r, c]
    return n


@kernel
def doubled(values: Array) -> Array:
    """Twice as much room, zeros behind; numpy's own ways take a second each to be compiled."""
    grown = np.empty(2 * values.size, values.dtype)
    for i in range(grown.size):
        grown[i] = values[i] if i < values.size else 0
    return grown


def label_equal(ids: Array, parts: Array) -> int:
    """Fill ``parts`` with the 4-connected parts of equal id, in order of first pixel."""
    runs = runs_of(ids, True)
    write_numbers(runs, parts)
    return int(runs[:, 3].max(initial=0))


@kernel
def write_numbers(runs: Array, parts: Array) -> None:
    """Write the number of each run where it lies."""
    for k in range(len(runs)):
        for c in range(runs[k, 1], runs[k, 2]):
            parts[runs[k, 0], c] = runs[k, 3]


def moments(ids: Array, n: int) -> tuple[Array, Array, Array]:
    """Count, sum of (row, column) and inclusive box (r0, c0, r1, c1) of every id."""
    return moments_of(runs_of(ids, False), n)


def moments_of(runs: Array, n: int) -> tuple[Array, Array, Array]:
    """Sum up as :func:`moments` does, over runs."""
    count, total = np.zeros(n + 1, np.int64), np.zeros((n + 1, 2), np.float64)
    box = np.zeros((n + 1, 4), np.int64)
    add_moments(runs, count, total, box)
    return count, total, box


@kernel
def add_moments(runs: Array, count: Array, total: Array, box: Array) -> None:
    """Add up runs of each id, in zeros."""
    for k in range(len(runs)):
        row, start, end, i = runs[k, 0], runs[k, 1], runs[k, 2], runs[k, 3]
        if count[i] == 0:
            box[i, 0], box[i, 1], box[i, 3] = row, start, end - 1
        box[i, 1] = min(box[i, 1], start)
        box[i, 2] = row
        box[i, 3] = max(box[i, 3], end - 1)
        count[i] += end - start
        total[i, 0] += row * (end - start)
        total[i, 1] += 0.5 * (start + end - 1) * (end - start)


@kernel
def farthest(runs: Array, centre: Array) -> Array:
    """Largest distance from the centre to a pixel of each id."""
    square = np.zeros(len(centre), np.float64)
    for k in range(len(runs)):
        row, start, end, i = runs[k, 0], runs[k, 1], runs[k, 2], runs[k, 3]
        y = row - centre[i, 0]
        x = max(abs(start - centre[i, 1]), abs(end - 1 - centre[i, 1]))
        square[i] = max(square[i], y * y + x * x)
    radius: Array = np.sqrt(square)
    return radius


@kernel
def write_offsets(runs: Array, centre: Array, inverse: Array, hv: Array) -> None:
    """Write each offset from the centre times the inverse extent of its side."""
    for k in range(len(runs)):
        row, start, end, i = runs[k, 0], runs[k, 1], runs[k, 2], runs[k, 3]
        y = row - centre[i, 0]
        down = y * (inverse[i, 2] if y < 0 else inverse[i, 3])
        for c in range(start, end):
            x = c - centre[i, 1]
            hv[1, row, c] = down
            hv[0, row, c] = x * (inverse[i, 0] if x < 0 else inverse[i, 1])


ORDERS = ("hv", "vh")
SIGNS = ("outward", "inward")
CENTRES = ("mass", "hover_net", "distance_peak")
SCALES = ("axis", "radial", "isotropic")

SPARSE_IDS = 4
"""Ids are renumbered first when the largest exceeds pixels / SPARSE_IDS."""
NO_DIRECTION = 1e-6
"""HV vectors not longer than this have no direction."""
N_EXTENTS = 4
"""Extents kept per nucleus: left, right, up, down of its centre."""


# fmt: off
@described
@dataclass(frozen=True)
class HVConvention:
    """How an HV map is to be read.

    Raises
    ------
    InputError
        If a name is not known or a number is out of range.

    Examples
    --------
    >>> HVConvention.preset("hover_net").centre
    'hover_net'
    """

    order: str = choice(
        "hv", "HV channels", "Which comes first: 'hv' = channel 0 along x (columns), channel 1 "
        "along y (rows).", options=ORDERS)
    sign: str = choice(
        "outward", "HV sign", "'outward' = pixel minus centre (positive to the right and down), "
        "'inward' its negative.", options=SIGNS)
    centre: str = choice(
        "mass", "Centre", "'mass' = the exact centre of mass. 'hover_net' = the pixel one to the "
        "left of and one above the rounded centre of mass, as the published code has it. "
        "'distance_peak' = the pixel deepest inside the nucleus.", options=CENTRES)
    scale: str = choice(
        "axis", "Scale", "What the offsets are divided by. 'axis' = each side of each axis by its "
        "own extreme, so that every nucleus reaches -1 and 1 on both. 'radial' = the largest "
        "distance from the centre, so that the magnitude reaches 1. 'isotropic' = the largest "
        "offset along either axis.", options=SCALES)
    min_area: int = choice(
        0, "Smallest nucleus", "Nuclei of fewer pixels get no value (0).", unit="px", low=0)
    edge: int = choice(
        0, "Border", "Nuclei whose first row or column is below this get no value (0).",
        unit="px", low=0)
    split_parts: bool = choice(
        False, "Parts apart", "Give each 4-connected part of one id its own centre.")
    blur: float = choice(
        0.0, "Blur", "Sigma of a Gaussian over the finished map; 0 = none.", unit="px", low=0)
    resize: float = choice(
        1.0, "Resized", "Size of the map relative to the grid it was computed on; 1 = never "
        "resized. Below 1 the map was computed on a larger grid and then reduced bilinearly.",
        above=0)

    def __post_init__(self) -> None:
        check_choices(self)

    @classmethod
    def preset(cls, name: str = "default") -> HVConvention:
        """Look up a convention met in practice.

        Parameters
        ----------
        name : str
            "default" (ours; what :class:`Maps` holds), "hover_net" (the published code
            with its one-pixel shift and its gaps), "vh_inward_radial" ([V, H] inward,
            radial scale, blurred), "vh_inward_resized" ([V, H] inward, computed at 256
            and reduced to 224) or "hv_inward_peak" ([H, V] inward, one scale for both
            axes, centre deepest inside the nucleus).

        Raises
        ------
        InputError
            If the name is not known.
        """
        if name not in PRESETS:
            raise InputError(
                f"HV convention {name!r} is not known; choose one of {', '.join(PRESETS)}."
            )
        return PRESETS[name]


# fmt: on
PRESETS = {
    "default": HVConvention(),
    "hover_net": HVConvention(centre="hover_net", min_area=30, edge=2, split_parts=True),
    "vh_inward_radial": HVConvention(order="vh", sign="inward", scale="radial", blur=1.0),
    "vh_inward_resized": HVConvention(order="vh", sign="inward", resize=224 / 256),
    "hv_inward_peak": HVConvention(sign="inward", centre="distance_peak", scale="isotropic"),
}
"""Conventions by name."""


def hv_targets(labels: npt.ArrayLike, convention: HVConvention | None = None) -> Float32:
    """Compute the HV map of labelled nuclei.

    Parameters
    ----------
    labels : int array (H, W)
        0 = background; any other ids, consecutive or not, each one nucleus.
    convention : HVConvention, optional
        Default ``HVConvention()``: [H, V] outward, each side scaled to 1.

    Returns
    -------
    float32 array (2, H, W)
        In [-1, 1], 0 outside nuclei.

    Raises
    ------
    InputError
        If ``labels`` is not a 2-D array of whole numbers from 0 on.

    Notes
    -----
    Horizontal and vertical distance maps of Graham et al., Medical Image Analysis 2019,
    with the exact centre of mass. Memory beyond the result is proportional to pixels,
    whatever the ids.

    Examples
    --------
    >>> hv_targets([[7, 7, 7]])[0].tolist()
    [[-1.0, 0.0, 1.0]]
    """
    convention = HVConvention() if convention is None else convention
    ids, n = compact_ids(labels)
    if convention.resize != 1.0 and ids.size:
        return _resized_targets(ids, convention)
    hv: Float32 = np.zeros((2, *ids.shape), dtype=np.float32)
    if n:
        _fill(ids, convention, hv)
    if convention.blur > 0 and ids.size:
        from scipy import ndimage  # noqa: PLC0415 - on first use

        hv = ndimage.gaussian_filter(hv, (0, convention.blur, convention.blur))
    if convention.sign == "inward":
        np.negative(hv, out=hv)
        hv += 0.0  # turns -0.0 into 0.0
    return hv if convention.order == "hv" else np.ascontiguousarray(hv[::-1])


def magnitude(hv: npt.ArrayLike) -> Float32:
    """HV magnitude ``sqrt(h**2 + v**2)`` of a (2, ..., H, W) map, float32; any convention."""
    return np.asarray(length(_as_hv(hv)), np.float32)


def length(hv: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Length of HV vectors (2, ...), in their own precision."""
    found: npt.NDArray[Any] = np.hypot(hv[0], hv[1])
    return found


@kernel
def length_at(hv: Array, r: int, c: int) -> float:
    """Length of HV (2, H, W) at one pixel, for compiled loops."""
    found: float = np.sqrt(hv[0, r, c] * hv[0, r, c] + hv[1, r, c] * hv[1, r, c])
    return found


def cosine(hv: Array, target: Array, short: float = NO_DIRECTION) -> float:
    """Mean cosine, -1..1, between HV vectors (2, ...) and what they should be.

    HV not longer than ``short`` counts as 0; where the target is not, nothing counts. NaN if
    nothing does.
    """
    return float(_mean_cosine(hv.reshape(2, -1), target.reshape(2, -1), short))


@kernel
def _mean_cosine(hv: Array, target: Array, short: float) -> float:
    total, n = 0.0, 0
    for i in range(hv.shape[1]):
        x, y = np.float64(target[0, i]), np.float64(target[1, i])
        wanted = x * x + y * y
        if wanted > short * short:
            n += 1
            h, v = np.float64(hv[0, i]), np.float64(hv[1, i])
            square = h * h + v * v
            if square > short * short:
                total += (h * x + v * y) / np.sqrt(square * wanted)
    return total / n if n else np.nan


def convert(hv: npt.ArrayLike, source: HVConvention, target: HVConvention) -> Float32:
    """Rewrite an HV map (2, H, W) from one convention in another, where that is exact.

    Order and sign can be changed in a finished map; all the rest cannot.
    """
    alike = replace(source, order=target.order, sign=target.sign)
    if alike != target:
        names = [k for k in alike.__dataclass_fields__ if getattr(alike, k) != getattr(target, k)]
        raise InputError(
            f"HV conventions differ in {', '.join(names)}, which a finished map cannot undo; "
            "compute it from the labels: hv_targets(labels, target)."
        )
    array = _as_hv(hv)
    array = array[::-1].copy() if source.order != target.order else array.copy()
    if source.sign != target.sign:
        np.negative(array, out=array)
        array += 0.0  # turns -0.0 into 0.0
    return array


def compact_ids(labels: npt.ArrayLike) -> tuple[Int32, int]:
    """Give labels (H, W) as C-ordered int32 whose largest id is not far above the pixels."""
    array = np.asarray(labels)
    if array.ndim != 2:
        raise InputError(f"labels has shape {array.shape}; give one (H, W) array.")
    if array.dtype.kind not in "iub":
        raise InputError(f"labels has dtype {array.dtype}; give whole numbers, 0 = background.")
    if not array.size:
        return np.zeros(array.shape, np.int32), 0
    if array.dtype.kind == "i" and int(array.min()) < 0:
        raise InputError(f"labels go down to {array.min()}; ids start at 0 = background.")
    largest = int(array.max())
    if largest > max(array.size // SPARSE_IDS, 1):
        return _renumber(array)
    return np.ascontiguousarray(array, dtype=np.int32), largest


def _renumber(array: npt.NDArray[Any]) -> tuple[Int32, int]:
    flat = array.ravel()
    starts = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))
    values, inverse = np.unique(flat[starts], return_inverse=True)
    new = (inverse + (values[0] != 0)).astype(np.int32)
    lengths = np.diff(np.append(starts, flat.size))
    return np.repeat(new, lengths).reshape(array.shape), int(new.max())


def _as_hv(hv: npt.ArrayLike) -> Float32:
    array = np.asarray(hv, dtype=np.float32)
    if array.ndim < 1 or array.shape[0] != 2:
        raise InputError(f"hv has shape {array.shape}; the first axis must be the two channels.")
    return array


def _fill(ids: Int32, convention: HVConvention, hv: Float32) -> None:
    runs = runs_of(ids, convention.split_parts)
    n = int(runs[:, 3].max())
    count, total, box = moments_of(runs, n)
    keep = count > 0
    keep[0] = False
    keep &= (count >= convention.min_area) & (box[:, :2].min(axis=1) >= convention.edge)
    centre = total / np.maximum(count, 1)[:, None]
    if convention.centre == "hover_net":
        centre = np.floor(centre + 0.5) - 1
    elif convention.centre == "distance_peak":
        parts = np.zeros(ids.shape, np.int32)
        n_parts = label_equal(ids, parts) if convention.split_parts else 0
        centre = _deepest(parts if n_parts else ids, n)
    before, after = centre - box[:, :2], box[:, 2:] - centre
    if convention.scale == "axis":
        extent = np.stack((before[:, 1], after[:, 1], before[:, 0], after[:, 0]), axis=1)
    else:
        axes = np.maximum(before, after).max(axis=1)
        reach = axes if convention.scale == "isotropic" else farthest(runs, centre)
        extent = np.repeat(reach[:, None], N_EXTENTS, axis=1)
    inverse = np.zeros(extent.shape)
    np.divide(1.0, extent, out=inverse, where=(extent > 0) & keep[:, None])
    write_offsets(runs, centre, inverse, hv)


def _deepest(ids: Int32, n: int) -> Float64:
    """Row and column of the pixel farthest from the outside of each nucleus."""
    from scipy import ndimage  # noqa: PLC0415 - on first use

    centre = np.zeros((n + 1, 2))
    for index, box in enumerate(ndimage.find_objects(ids), start=1):
        if box is None:
            continue
        inside = np.pad(ids[box] == index, 1)
        peak = np.unravel_index(
            int(np.argmax(ndimage.distance_transform_edt(inside))), inside.shape
        )
        centre[index] = peak[0] - 1 + box[0].start, peak[1] - 1 + box[1].start
    return centre


def _resized_targets(ids: Int32, convention: HVConvention) -> Float32:
    height, width = ids.shape
    size = (max(round(width / convention.resize), 1), max(round(height / convention.resize), 1))
    source = cv2.resize(ids.astype(np.float64), size, interpolation=cv2.INTER_NEAREST)
    hv = hv_targets(source.astype(np.int32), replace(convention, resize=1.0))
    return np.stack([cv2.resize(c, (width, height), interpolation=cv2.INTER_LINEAR) for c in hv])


@described
@dataclass(frozen=True)
class HVReading:
    """How the two channels of stored HV maps are to be understood.

    Raises
    ------
    InputError
        If a name is not known or the scale is out of range.

    Examples
    --------
    >>> HVReading(order="vh").plain
    False
    """

    # fmt: off
    order: str = choice(
        "hv", "HV channels", "'hv' = channel 0 along x (columns), as in Maps; 'vh' = along y.",
        options=ORDERS)
    sign: str = choice(
        "outward", "HV sign", "'outward' = positive to the right of and below the centre; "
        "'inward' = the negative.", options=SIGNS)
    scale: float = choice(
        1.0, "HV times", "HV is multiplied by this. It changes the magnitude, and hardly the "
        "nuclei: separation looks at directions.",
        low=0.02, high=50.0, step=0.01, factors=True)
    # fmt: on

    def __post_init__(self) -> None:
        check_choices(self)

    @property
    def plain(self) -> bool:
        """Whether the maps stay as they are."""
        return self == HVReading()


def read_hv(maps: Maps, reading: HVReading) -> Maps:
    """Give the maps as they are if HV is read so; the maps themselves if nothing changes."""
    if reading.plain:
        return maps
    stored = HVConvention(order=reading.order, sign=reading.sign)
    hv = convert(maps.hv, stored, HVConvention())
    hv *= reading.scale
    return replace(maps, hv=hv)


QUARTERS = 4


@dataclass(frozen=True)
class Turn:
    """A mirroring at the vertical axis, then quarter turns against the clock."""

    flip: bool = False  # Left and right are swapped first
    quarters: int = 0  # 0..3

    def __post_init__(self) -> None:
        if self.quarters not in range(QUARTERS):
            raise InputError(f"quarters is {self.quarters}; give 0, 1, 2 or 3.")

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """2 x 2 matrix that an offset (x to the right, y down) is multiplied with."""
        quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
        mirror = np.diag([-1.0 if self.flip else 1.0, 1.0])
        turned: npt.NDArray[np.float64] = np.linalg.matrix_power(quarter, self.quarters) @ mirror
        return turned


TURNS = tuple(Turn(flip, quarters) for flip in (False, True) for quarters in range(QUARTERS))
"""All eight; the first changes nothing."""


def turn_plane(array: npt.NDArray[Any], turn: Turn, axes: tuple[int, int] = (-2, -1)) -> Any:
    """Turn rows and columns of an array, a view of it."""
    turned = np.flip(array, axes[1]) if turn.flip else array
    return np.rot90(turned, turn.quarters, axes)


def turn_hv(hv: Float32, turn: Turn, order: str = "hv") -> Float32:
    """Turn an HV map: its pixels change place, and its vectors turn with them.

    The order must be the true one: with the other, flips negate the wrong channel and over all
    eight turns nothing is left of the map. The sign does not matter.
    ``hv`` float32 (2, H, W); returns float32 (2, H, W), or (2, W, H) after an odd number of quarter
    turns.
    """
    if order not in ORDERS:
        raise InputError(f"order is {order!r}; choose one of {', '.join(ORDERS)}.")
    moved = turn_plane(hv, turn)
    x, y = moved if order == "hv" else moved[::-1]
    turned = [row[0] * x + row[1] * y for row in turn.matrix.astype(np.float32)]
    return np.stack(turned if order == "hv" else turned[::-1])
