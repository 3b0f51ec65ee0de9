"""What predicted maps are held against: labels and image, shapes of NP, readings of HV.

Nothing here judges. The measurements are shared by the checks of maps, of the network and of the
separation; what is costly is kept by the bench.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from ...errors import UserError
from ..data.samples import TURNS, Turn, turn_hv, turn_plane
from ..hv import NO_DIRECTION, compact_ids, hv_targets
from ..inference.images import UInt8
from ..masks import label_parts
from ..separation import separate
from ..types import Bool, Float32, Float64, Int32, Maps, Progress
from .bench import Bench, Box
from .report import Place

HALF = 0.5
DARK_IMAGE = 50
"""Median grey level below which an image is no stained tissue in bright field."""
LARGEST = 1024
"""Edge in pixels of the middle of an image that is correlated; it bounds time and memory."""
SMALL_PART, LARGE_PART, SOLID = 30, 0.1, 0.9
"""Pixels, share of the image, and area over that of the convex hull of what may be one nucleus."""
PEAK = 0.3
"""Correlation from which on an image has a say in where maps lie."""


@dataclass(frozen=True, eq=False)
class View:
    """Maps of one image beside what they should show."""

    index: int
    name: str
    prob: Float32
    hv: Float32
    labels: Int32 | None  # True nuclei; None if there are none, or of another size
    dark: Float32 | None  # How much light each pixel absorbs

    def place(self, words: str = "", box: Box | None = None) -> Place:
        """Name the image, or a part of it."""
        return Place(self.index, self.name, box or (0, len(self.prob), 0, len(self.prob.T)), words)


def view_steps(bench: Bench) -> Generator[Progress, None, tuple[View, ...]]:
    """Predict all images; returns those that have maps."""
    for done, index in enumerate(bench.map_indices):
        yield Progress(done, len(bench.map_indices), "maps")
        bench.maps(index)
    return bench.once("views", lambda: tuple(_views(bench)))


def _views(bench: Bench) -> Generator[View, None, None]:
    for item, maps in bench.predictions():
        if not maps.np.size:
            continue
        labels, image = item.labels, item.image
        fits = labels is not None and labels.shape == maps.shape and bool(labels.any())
        dark = image is not None and image.shape[:2] == maps.shape
        small = compact_ids(labels)[0] if fits and labels is not None else None
        yield View(item.index, item.name, maps.np, maps.hv, small,
                   darkness(image) if dark and image is not None else None)  # fmt: skip


def darkness(image: UInt8) -> Float32 | None:
    """How much red light each pixel absorbs: nuclei do most in every usual stain."""
    if not image.size or float(np.median(image)) < DARK_IMAGE:
        return None
    density: Float32 = -np.log((image[..., 0].astype(np.float32) + 1) / 256)
    return density


def correlation(a: npt.ArrayLike, b: npt.ArrayLike) -> float:
    """Pearson's correlation of two planes; 0 where one is the same everywhere."""
    x, y = (np.asarray(v, np.float64).ravel() for v in (a, b))
    x, y = x - x.mean(), y - y.mean()
    size = float((x @ x) * (y @ y))
    return float(x @ y) / size**0.5 if size > 1e-9 else 0.0


# --- where maps lie --------------------------------------------------------------------


@dataclass(frozen=True)
class Lies:
    """Where NP lies against labels (or darkness), all images together; correlations."""

    n: int
    sign: int  # -1 if NP fits best inverted; what follows is of NP read so
    here: float
    there: float  # With NP moved back by ``shift``
    shift: tuple[int, int]  # Rows and columns by which NP lies off
    agree: float  # Share of the images that say so
    turns: tuple[float, ...]  # With the reference turned by each of TURNS

    @property
    def turn(self) -> Turn:
        """How the reference has to be turned to fit best."""
        return TURNS[int(np.argmax(self.turns))]

    @property
    def best(self) -> float:
        """The highest correlation that moving or turning reaches."""
        return max(self.here, self.there, *self.turns)


def lies_of(pairs: Sequence[tuple[Float32, npt.NDArray[Any]]]) -> Lies | None:
    """Find what all images agree on, of NP and its reference; None without any."""
    made = [_surface(*pair) for pair in pairs]
    made = [(surface, turns) for surface, turns in made if surface.any()]
    if not made:
        return None
    high, low = (float(np.mean([f(s) for s, _ in made])) for f in (np.max, np.min))
    sign = -1 if -low > high else 1
    made = [(sign * surface, sign * turns) for surface, turns in made]
    peaks = [_peak(s) for s, _ in made if s.max() >= PEAK]
    shift = max(peaks, key=lambda p: (sum(_near(p, q) for q in peaks), peaks.count(p)),
                default=(0, 0))  # fmt: skip
    with np.errstate(invalid="ignore"):
        turns = np.nan_to_num(np.mean([t for _, t in made], axis=0), nan=-1.0)
    return Lies(
        len(made), sign,
        float(np.mean([s[0, 0] for s, _ in made])),
        float(np.mean([s[shift] for s, _ in made])),
        shift, sum(_near(p, shift) for p in peaks) / len(made), tuple(map(float, turns)),
    )  # fmt: skip


def _surface(prob: Float32, reference: npt.NDArray[Any]) -> tuple[Float32, Float64]:
    """Correlation of two planes over all shifts (wrapping), and over all turns."""
    a, b = (_middle(np.asarray(x, np.float32)) for x in (prob, reference))
    square = a.shape[0] == a.shape[1]
    turns = [correlation(a, turn_plane(b, turn)) if square or not turn.quarters % 2 else np.nan
             for turn in TURNS]  # fmt: skip
    a, b = a - a.mean(dtype=np.float64), b - b.mean(dtype=np.float64)
    size = float(np.sqrt((a * a).sum(dtype=np.float64) * (b * b).sum(dtype=np.float64)))
    if size < 1e-6:
        return np.zeros(a.shape, np.float32), np.array(turns)
    surface = fft.irfft2(fft.rfft2(a) * np.conj(fft.rfft2(b)), a.shape) / size
    return surface.astype(np.float32), np.array(turns)


def _middle(plane: Float32) -> Float32:
    r, c = (max(n - LARGEST, 0) // 2 for n in plane.shape)
    return plane[r : r + LARGEST, c : c + LARGEST]


def _peak(surface: Float32) -> tuple[int, int]:
    at = np.unravel_index(int(surface.argmax()), surface.shape)
    r, c = (int(i) - n if i > n // 2 else int(i) for i, n in zip(at, surface.shape, strict=True))
    return r, c


def _near(a: tuple[int, int], b: tuple[int, int]) -> bool:
    return max(abs(a[0] - b[0]), abs(a[1] - b[1])) <= 1


# --- shapes in NP ----------------------------------------------------------------------


def convex_parts(mask: Bool) -> tuple[Int32, int]:
    """Count the parts of a mask that look like one whole nucleus: they need no separation."""
    ids, _ = label_parts(np.ascontiguousarray(mask), SMALL_PART)
    found, n = np.zeros(ids.shape, np.int32), 0
    height, width = ids.shape
    for number, box in enumerate(ndimage.find_objects(ids), start=1):
        if box is None or 0 in (box[0].start, box[1].start):
            continue
        if box[0].stop == height or box[1].stop == width:
            continue
        part = (ids[box] == number).astype(np.uint8)
        if part.size > 2 * LARGE_PART * ids.size or part.sum() > LARGE_PART * ids.size:
            continue
        outline, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        hull = np.zeros(part.shape, np.uint8)
        cv2.fillConvexPoly(hull, cv2.convexHull(np.concatenate(outline)), 1)
        if part.sum() >= SOLID * hull.sum():
            n += 1
            found[box][part > 0] = n
    return found, n


def whole_nuclei(labels: Int32) -> Int32:
    """Labels without those that the border cuts: how a network takes them is open."""
    keep = np.ones(int(labels.max(initial=0)) + 1, bool)
    for edge in (labels[0], labels[-1], labels[:, 0], labels[:, -1]):
        keep[edge] = False
    return np.where(keep[labels], labels, 0).astype(np.int32)


def on_maps(labels: Int32, lies: Lies) -> tuple[Int32, Float32]:
    """Return true whole nuclei and their HV, turned or moved to where the maps have them."""
    ids = whole_nuclei(labels)
    target = hv_targets(ids)
    turned = lies.turns[TURNS.index(lies.turn)] > lies.there + 0.1
    if turned and lies.turn != TURNS[0]:
        return np.ascontiguousarray(turn_plane(ids, lies.turn)), turn_hv(target, lies.turn)
    if lies.shift != (0, 0) and lies.there > lies.here + 0.03:
        return np.roll(ids, lies.shift, (0, 1)), np.roll(target, lies.shift, (1, 2))
    return ids, target


# --- how HV is meant -------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """One of the eight ways in which HV may be meant."""

    order: str = "hv"
    x: int = 1  # What the channel along x has to be multiplied with to point outward
    y: int = 1

    @property
    def words(self) -> str:
        """Short, "[H, V], inward"."""
        name = "[V, H]" if self.order == "vh" else "[H, V]"
        if self.x != self.y:
            return f"{name}, {'horizontal' if self.x < 0 else 'vertical'} negated"
        return f"{name}, {'outward' if self.x > 0 else 'inward'}"

    def of(self, matrix: Float64) -> float:
        """Mean cosine if HV is read so, out of a matrix of :func:`fit`."""
        first, second = (0, 1) if self.order == "hv" else (1, 0)
        return float(self.x * matrix[first, 0] + self.y * matrix[second, 1])

    def read(self, hv: Float32) -> Float32:
        """HV that is meant so, as [H, V] outward."""
        read: Float32 = (hv if self.order == "hv" else hv[::-1]) * self._signs
        return read

    def written(self, hv: Float32) -> Float32:
        """[H, V] outward, written in this way."""
        signed = hv * self._signs
        return np.ascontiguousarray(signed if self.order == "hv" else signed[::-1])

    @property
    def _signs(self) -> Float32:
        return np.array([self.x, self.y], np.float32)[:, None, None]


READINGS = tuple(Reading(o, x, y) for o, x, y in product(("hv", "vh"), (1, -1), (1, -1)))
"""All eight; the first is what HV claims to be."""


@dataclass(frozen=True, eq=False)
class Fit:
    """How HV fits a target: mean product of unit vectors, row = channel, column = axis."""

    matrix: Float64
    n: int  # Pixels
    parts: int = 0  # Nuclei

    @property
    def best(self) -> Reading:
        """The reading that fits best."""
        return max(READINGS, key=lambda reading: reading.of(self.matrix))

    @property
    def score(self) -> float:
        """Mean cosine in the best reading."""
        return self.best.of(self.matrix)

    @property
    def claimed(self) -> float:
        """Mean cosine in the reading that HV claims."""
        return READINGS[0].of(self.matrix)

    @property
    def lead(self) -> float:
        """By how much the best reading leads the next."""
        first, second = sorted((r.of(self.matrix) for r in READINGS), reverse=True)[:2]
        return first - second


NO_FIT = Fit(np.zeros((2, 2)), 0)


def fit(hv: Float32, target: Float32, parts: int = 0) -> Fit:
    """Hold each channel of HV against each axis of a target, where that is not 0."""
    wanted = np.hypot(*target)
    use = wanted > NO_DIRECTION
    n = int(use.sum())
    if not n:
        return NO_FIT
    p, t = hv[:, use].astype(np.float64), target[:, use].astype(np.float64)
    length = np.hypot(*p)
    return Fit(p / np.where(length > NO_DIRECTION, length, np.inf) @ (t / wanted[use]).T / n, n,
               parts)  # fmt: skip


def pooled(fits: Sequence[Fit]) -> Fit:
    """Put fits of several images together, by pixels."""
    n = sum(f.n for f in fits)
    if not n:
        return NO_FIT
    return Fit(sum((f.matrix * (f.n / n) for f in fits), np.zeros((2, 2))), n,
               sum(f.parts for f in fits))  # fmt: skip


# --- how good maps are, however they are read ------------------------------------------


@dataclass(frozen=True)
class Quality:
    """How good the maps of a part are, by labels, or by image and themselves, in any reading."""

    np: float  # Correlation of NP with labels (or with darkness)
    hv: float  # Mean cosine of HV to that of the nuclei (or of the shapes cut with it)
    by_labels: bool
    diameter: float = 0.0  # Of a typical nucleus that is found, pixels

    @property
    def both(self) -> float:
        """Mean of both."""
        return (self.np + self.hv) / 2


def quality(
    maps: Maps, labels: Int32 | None, image: UInt8 | None, *, fixed: bool = False
) -> Quality:
    """Measure how good maps are; ``fixed``: labels and image lie where they lie."""
    reference: Any = None if image is None else darkness(image)
    if labels is None or not labels.any():
        if reference is None:
            return Quality(0.0, 0.0, False)
        found = correlation(maps.np, reference)
        upright = maps if found >= 0 else Maps(np=1 - maps.np, hv=maps.hv)
        target, by_labels = own_shapes(upright), False
    else:
        surface, _ = _surface(maps.np, (labels > 0).astype(np.float32))
        most = surface.flat[0 if fixed else np.abs(surface).argmax()]
        surface *= np.sign(most) or 1
        found, by_labels = abs(float(most)), True
        labels = compact_ids(labels)[0]
        target = labels if fixed else np.roll(labels, _peak(surface), (0, 1))
    score = fit(maps.hv, hv_targets(target)).score if target.any() else 0.0
    areas = np.bincount(target.ravel())[1:]
    typical = float(np.average(areas, weights=areas)) if areas.sum() else 0.0
    return Quality(abs(found), score, by_labels, 2 * (typical / np.pi) ** 0.5)


def own_shapes(maps: Maps) -> Int32:
    """Cut maps by the default separation, HV in the reading that fits their own mask."""
    parts, n = label_parts(maps.np >= HALF)
    if not n:
        return np.zeros(maps.shape, np.int32)
    try:
        return separate(Maps(np=maps.np, hv=fit(maps.hv,
            hv_targets(parts)).best.read(maps.hv))).labels  # fmt: skip
    except UserError:
        return parts
