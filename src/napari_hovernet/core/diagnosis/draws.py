"""Draws of an augmentation, and what is measured of what comes back; see augmentation_given.py."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from ...errors import UserError
from ..data.samples import TURNS, Turn, turn_plane
from ..hv import HVConvention, convert, hv_targets, moments
from ..types import Float32, Int32
from .augmentation_given import (
    Draw,
    Drawn,
    Matrix,
    Probe,
    probes_of,
    read_augmentation,
    synthetic_probes,
)
from .bench import Bench, kept
from .data import detail_of, noise_of
from .placement import band, unit

SWAP, EYE = np.array([[0.0, 1.0], [1.0, 0.0]]), np.eye(2)
N_DRAWS, LEAST_DRAWS, SECONDS = 48, 12, 6.0  # Each of eight turns comes six times

# --- one draw -----------------------------------------------------------------------------

APART, REST, STRAY = 0.84, 0.15, 0.5
"""Agreement of image and labels (1 = as before) below which they lie apart, at this quantile of the
draws; and in single draws. Moved together 0.94 to 1.0 (5 % of the draws down to 0.7); image
alone turned by 8 degrees 0.3 to 0.7, zoomed by 1.1 0.4 to 0.85, elastic by 14 px 0.5 to 0.85."""
FOREIGN = 0.003
"""Share of label pixels with ids that were never there from which they were interpolated."""
SHARE = 0.04
"""Share of wrong draws from which it is a fault: one of 48 may be a nucleus cut in two."""
DEVIATES = 0.3
"""Distance of the transform of HV from none; a flip in the wrong channel has 2, noise 0.1."""
SHORT = 0.2
"""Vectors of HV shorter than this are not compared: near centres directions jump."""
ALIKE, OVER = 0.8, 0.03
"""Agreement (of angles, 256 grey levels a turn) with one gain and offset from which bytes follow
them; and share of pixels whole turns away: bytes that ran over 10 to 60 %, sound ones 0."""
HIDDEN = 0.2
"""Share of label pixels where the image is flat, from which labels stayed on what was cut out."""
SMALL, PASTED, MOSTLY = 20, 0.4, 0.6
"""Pixels of a nucleus, at least; share of the pixels of new ids among their own, from which nuclei
were pasted (0.5 to 0.7; interpolated: 0); and share of new ones from which all ids were changed."""
HAZE = 0.4
"""Share of the fine detail left, below which images were blurred (ours: 0.5)."""
PALE = 0.87
"""Contrast over that before, below which nuclei may have lost their stain (washed out: 0.5 to 0.8;
an image that was moved keeps it)."""
FAINT = 0.15
"""Contrast over that before, below which nothing is left to be seen (jitter leaves 0.5)."""


@dataclass(frozen=True, eq=False)
class Move:
    """A move of the labels that was recognised: new = linear @ old + shift, (x, y)."""

    turn: Turn  # The nearest of the eight
    exact: bool  # Whether labels came back as that turn leaves them
    linear: Matrix
    shift: Matrix

    @property
    def pure(self) -> Matrix:
        """The rotation (and mirroring) alone."""
        u, _, v = np.linalg.svd(self.linear)
        made: Matrix = u @ v
        return made


@dataclass(frozen=True, eq=False)
class Look:
    """One draw, measured."""

    move: Move | None
    foreign: float  # Share of nucleus pixels with ids that were never there
    lost: bool  # Whether ids were merged into one or few
    kind: str  # Name of the labels' type
    hidden: float  # Share of label pixels on what is flat in the image, and was not
    level: float  # Agreement of image and labels, 1 = as before; NaN where it cannot be told
    matrix: Matrix | None  # Returned HV = matrix @ HV of the returned labels, least squares
    still: bool  # Whether HV came back as it went in though labels moved
    types_wrong: float  # Share of nuclei with another type; NaN where types take no part
    image: tuple[float, float, float]  # Least, largest value, contrast over that before
    noise: float  # Grey levels, beyond those before
    haze: float  # Detail over that before
    doubled: float  # Share of ids that stand on several nuclei
    faded: bool  # Whether nuclei are in their place and hardly to be seen
    over: bool  # Whether bytes ran over
    swapped: bool  # Whether channels fit better in another order

    @property
    def off(self) -> float:
        """Distance of the transform of HV from none."""
        return np.inf if self.matrix is None else float(np.linalg.norm(self.matrix - EYE, 2))


def look_at(probe: Probe, drawn: Drawn) -> Look:
    """Measure one draw."""
    labels, foreign, lost = _ids(probe.labels, drawn.labels)
    doubled = 0.0 if lost else _doubled(probe.labels, labels)
    move = None if lost else move_of(probe.labels, labels)
    moved = None if move is None else _as_labels(probe.image, move, labels.shape)
    image = np.asarray(drawn.image, np.float64)
    swapped, over = (False, False) if moved is None else _colours(image, moved)
    level = np.nan if lost or over else _level(probe, drawn, labels, moved)
    looks, noise, haze = (np.nan, np.nan, np.nan), 0.0, 1.0
    if image.size and np.isfinite(image).all():
        unit_range = 255.0 if image.max() <= 2 and drawn.image.dtype.kind == "f" else 1.0
        contrast = float(image.std(axis=(0, 1)).max()) * unit_range
        looks = (float(image.min()), float(image.max()), contrast / max(
            float(probe.image.std(axis=(0, 1)).max()), 1e-6))  # fmt: skip
        grey, before = (unit_range * image.mean(2)).astype("f4"), probe.image.mean(2, dtype="f4")
        noise = noise_of(grey) - noise_of(before)
        now, was = detail_of(grey, None), detail_of(before, None)
        haze = now / was if was > 0 and np.isfinite(now) else 1.0
    faded = bool(
        moved is not None and level < APART and looks[2] < PALE and _in_place(moved, image)
    )
    level = np.nan if faded else level
    flat, on = ~_filled(np.nan_to_num(np.asarray(drawn.image, np.float32)))[1], labels > 0
    hidden = float((flat & on).sum() / max(on.sum(), 1))
    apart = not lost and level < APART
    matrix = None if lost or foreign > FOREIGN or apart else _compared(probe, labels, drawn, move)
    back = convert(drawn.hv, probe.convention, HVConvention())
    still = back.shape == probe.outward.shape and bool(np.array_equal(back, probe.outward))
    plain = move is not None and move.exact and move.turn == Turn()
    return Look(move, foreign, lost, str(drawn.labels.dtype), hidden, level, matrix,
                not plain and still, _types_wrong(probe, drawn, labels), looks, noise, haze,
                doubled, faded and noise < 1 and haze > HAZE, over,
                swapped and not apart)  # fmt: skip


def _ids(before: Int32, after: npt.NDArray[Any]) -> tuple[Int32, float, bool]:
    """Labels of known ids, the share of foreign ones, and whether ids were lost."""
    plain = np.nan_to_num(np.asarray(after, np.float64))
    inside, n = plain > 0, max(int((plain > 0).sum()), 1)
    ids, old = np.unique(plain[inside]), np.unique(before[before > 0])
    new = inside & ~np.isin(plain, old)
    if new.sum() < MOSTLY * n and _inner_share(plain, new) >= PASTED:  # with ids of their own
        new = np.zeros_like(new)
    foreign = float(new.sum()) / n
    if foreign > 0.9 and len(ids) <= 1.3 * len(old):  # Numbered anew
        new, foreign = np.zeros_like(new), 0.0
    expected = min(n / max(int((before > 0).sum()), 1), 1.0) * len(old)
    few = len(ids) < max(0.5 * expected, 2)
    lost = few and len(ids) * 1.5 < int(ndimage.label(inside)[1])
    return np.where(new, 0, np.rint(plain)).astype(np.int32), foreign, lost


def _inner_share(labels: npt.NDArray[Any], new: npt.NDArray[np.bool_]) -> float:
    """Share of the pixels of new ids among their own: what is interpolated has no inside."""
    plane, square = labels.astype(np.float32), np.ones((3, 3), np.uint8)
    inner = cv2.dilate(plane, square) == cv2.erode(plane, square)
    return float(inner[new].mean()) if new.any() else 0.0


def _doubled(before: Int32, after: Int32) -> float:
    """Share of ids on parts further apart than two nuclei, where they were not before."""
    ids = np.intersect1d(before[before > 0], after)
    twice = 0
    for i in ids:
        where = after == i
        parts, n = ndimage.label(where)
        if n > 1:
            areas = np.bincount(parts.ravel())[1:]
            large = np.flatnonzero(areas >= max(SMALL, 0.25 * areas.max())) + 1
            at = np.array(ndimage.center_of_mass(where, parts, large)).reshape(-1, 2)
            twice += int(
                len(large) > 1 and np.hypot(*np.ptp(at, axis=0)) > 2.3 * areas.max() ** 0.5
            )
    return twice / max(len(ids), 1)


def _in_place(moved: Any, image: Any) -> bool:
    """Whether three quarters of an image, moved as labels were, fit best where they are."""
    both = [band(np.nan_to_num(x).mean(2)) for x in (moved, image)]
    if both[0].shape != both[1].shape:
        return False
    still = 0
    for rows in np.array_split(np.arange(both[0].shape[0]), 2):
        for cols in np.array_split(np.arange(both[0].shape[1]), 2):
            a, b = (np.fft.rfft2(x[np.ix_(rows, cols)]) for x in both)
            fits = np.fft.irfft2(a * np.conj(b), (len(rows), len(cols)))
            near = np.roll(fits, (2, 2), (0, 1))[:5, :5]
            still += int(near.max() >= 0.8 * fits.max())
    return still >= 3


def move_of(before: Int32, after: Int32) -> Move | None:
    """Recognise the move of labels; None where it cannot be told."""
    centre = (np.array(before.shape[::-1]) - 1) / 2
    for turn in TURNS:
        moved = turn_plane(before, turn)
        if moved.shape == after.shape and np.array_equal(moved > 0, after > 0):
            new = centre[::-1] if turn.quarters % 2 else centre
            return Move(turn, True, turn.matrix, new - turn.matrix @ centre)
    old, new_ = whole_nuclei(before), whole_nuclei(after)
    both = sorted(set(old) & set(new_))
    keep = np.ones(len(both), bool)
    points = np.array([[*old[i][:2], 1.0] for i in both]).reshape(-1, 3)
    to = np.array([new_[i][:2] for i in both]).reshape(-1, 2)
    solved: Matrix = np.zeros((3, 2))
    for _ in range(3):
        if keep.sum() < 3 or np.linalg.matrix_rank(points[keep]) < 3:
            return None
        solved = np.linalg.lstsq(points[keep], to[keep], rcond=None)[0]
        away = np.linalg.norm(points @ solved - to, axis=1)
        keep = away <= max(3 * float(np.median(away)), 1.0)
    free = Move(Turn(), False, solved[:2].T, solved[2])
    nearest = max(TURNS, key=lambda t: float((t.matrix * free.pure).sum()))
    return Move(nearest, False, free.linear, free.shift)


def whole_nuclei(labels: Int32) -> dict[int, tuple[float, float, int]]:
    """Centre (x, y) and area of the nuclei that do not touch the edge, by id."""
    n = int(labels.max(initial=0))
    if n > labels.size:  # numbered anew, by no order that could be followed
        return {}
    area, total, box = moments(labels, n)
    whole = (area > 0) & (box[:, :2] > 0).all(1) & (box[:, 2:] < np.array(labels.shape) - 1).all(1)
    return {int(i): (total[i, 1] / area[i], total[i, 0] / area[i], int(area[i]))
            for i in np.flatnonzero(whole[1:]) + 1}  # fmt: skip


def _as_labels(planes: npt.NDArray[Any], move: Move, shape: tuple[int, ...]) -> Any:
    """Move an image (H, W, C) as labels were; NaN where nothing came in."""
    source = np.ascontiguousarray(planes, np.float32)
    if move.exact:
        return np.ascontiguousarray(turn_plane(source, move.turn, (0, 1)))
    matrix = np.hstack([move.linear, move.shift[:, None]])
    return cv2.warpAffine(source, matrix, shape[::-1], borderValue=(np.nan,) * 4)


def _level(probe: Probe, drawn: Drawn, labels: Int32, moved: Any) -> float:
    """Agreement of image and labels: that of the image moved alike, or that of both as before."""
    grey, there = _filled(np.nan_to_num(np.asarray(drawn.image, np.float32)))
    alike = 0.0
    if moved is not None:
        both = np.isfinite(moved).all(2) & there
        was, now = (cv2.GaussianBlur(x, (0, 0), 1.5) for x in (np.nan_to_num(moved).mean(2), grey))
        alike = abs(float(np.vdot(unit(was[both]), unit(now[both])))) if both.sum() >= 200 else 0.0
    before = _like(probe.image.mean(2), probe.labels, np.ones(probe.labels.shape, bool))
    return max(alike, _like(grey, labels, there) / before if before > 0.2 else 0.0)


def _like(grey: Any, labels: Int32, there: npt.NDArray[np.bool_]) -> float:
    """Correlation of the darkness of an image with its labels."""
    return float(np.vdot(unit(band(-grey)[there]), unit(band(labels > 0)[there])))


def _filled(image: Float32) -> tuple[Float32, npt.NDArray[np.bool_]]:
    """Grey image, and where it is not what filled up its rim when it was moved."""
    kernel = np.ones((3, 3), np.uint8)
    flat = (cv2.dilate(image, kernel) == cv2.erode(image, kernel)).reshape(*image.shape[:2], -1)
    there = cv2.dilate(flat.all(2).astype(np.uint8), np.ones((9, 9), np.uint8)) == 0
    grey = image.mean(2)
    if there.sum() < 0.2 * there.size:
        return grey, np.ones_like(there)
    return np.where(there, grey, grey[there].mean()), there


def _compared(probe: Probe, labels: Int32, drawn: Drawn, move: Move | None) -> Matrix | None:
    """Compare returned HV with that of the returned labels (or moved along), in whole nuclei."""
    returned, right = convert(drawn.hv, probe.convention, HVConvention()), hv_targets(labels)
    exact = move is not None and move.exact
    new, old = whole_nuclei(labels), whole_nuclei(probe.labels)
    gain = 1.0 if move is None else abs(float(np.linalg.det(move.linear)))
    keep = [i for i in new if move is None or (i in old and 0.75 <= new[i][2] / (
        gain * old[i][2]) <= 1.33)]  # fmt: skip
    where = labels > 0 if exact else np.isin(labels, keep)
    inner = where & (np.hypot(*right) > SHORT) & (np.bool_(exact) | ~_rim(labels))
    if inner.sum() < 40 or not np.isfinite(returned[:, inner]).all():
        return None
    wanted = [right] if move is None or exact else [right, _moved_hv(probe.outward, move, right)]
    fits = [_fit(returned[:, inner], w[:, inner]) for w in wanted]
    far = [float(np.linalg.norm(fit - EYE, 2)) for fit in fits]
    # where neither fits, the moved one tells the mistake without the shapes of nuclei in it
    return fits[far.index(min(far)) if min(far) <= DEVIATES else -1]


def _fit(returned: Float32, right: Float32) -> Matrix:
    a, b = right.astype(np.float64), returned.astype(np.float64)
    return np.asarray((b @ a.T) @ np.linalg.pinv(a @ a.T))


def _moved_hv(hv: Float32, move: Move, like: Float32) -> Float32:
    """Move HV by the nearest pixel and turn its vectors."""
    matrix = np.hstack([move.linear, move.shift[:, None]])
    planes = np.stack([cv2.warpAffine(p, matrix, like.shape[:0:-1], flags=0) for p in hv])
    return np.asarray(np.einsum("ij,jhw->ihw", move.pure, planes), np.float32)


def _rim(labels: Int32) -> npt.NDArray[np.bool_]:
    """Mark pixels of nuclei beside anything else."""
    plane, cross = labels.astype(np.float32), cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    return np.asarray((labels > 0) & (cv2.dilate(plane, cross) != cv2.erode(plane, cross)))


def _types_wrong(probe: Probe, drawn: Drawn, labels: Int32) -> float:
    """Share of nuclei whose most frequent type is another than before."""
    if drawn.types is None or drawn.types.shape != labels.shape:
        return np.nan
    ids = np.intersect1d(labels[labels > 0], probe.labels)
    types = np.nan_to_num(np.asarray(drawn.types, np.float64))
    wrong = [np.mean(types[labels == i] == probe.types[probe.labels == i][0]) <= 0.5 for i in ids]
    return float(np.mean(wrong)) if wrong else np.nan


def _colours(image: Any, moved: Any) -> tuple[bool, bool]:
    """Whether channels came back in another order, and whether bytes ran over."""
    if image.shape != moved.shape or image.shape[2] != 3 or not np.isfinite(image).all():
        return False, False
    there = np.isfinite(moved).all(2)
    was, now = moved[there][::5].astype(np.float64), image[there][::5]
    if len(was) < 40:
        return False, False
    scale = 1.0 if image.max() > 2 else 255.0
    apart = {p: float(np.abs(now * scale - was[:, p]).mean()) for p in permutations(range(3))}
    plain = apart.pop((0, 1, 2))
    over = scale == 1 and _run_over(was, now)
    return plain > 5 and min(apart.values()) < 0.5 * plain and not over, over


def _run_over(was: Any, now: Any) -> bool:
    """Whether bytes explain far more by running over (modulo 256) than by one gain and offset."""
    best = (0.0, 0.0, 0.0)
    for gain in np.linspace(0.4, 2.4, 41):
        mean = complex(np.exp(2j * np.pi * (now - gain * was) / 256).mean())
        best = max(best, (abs(mean), gain, float(np.angle(mean)) * 128 / np.pi))
    off = now - best[1] * was - best[2]
    whole = np.rint(off / 256)
    far = whole != 0
    follows = best[0] >= ALIKE and OVER < float(far.mean()) < 1 - OVER
    # what was cut out is flat, and does not follow the image
    return follows and bool((off - 256 * whole)[far].std() < 0.6 * now[far].std())


# --- all draws ---------------------------------------------------------------------------


@contextmanager
def seeded(number: int) -> Iterator[None]:
    """Make draws the same each time: functions of users' own draw from the global generators."""
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    random.seed(number)
    np.random.seed(number)  # noqa: NPY002
    torch.manual_seed(number)
    try:
        yield
    finally:
        random.setstate(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        torch.set_rng_state(states[2])


@kept
def draws_of(bench: Bench) -> list[Look]:
    """Draw and measure, once; with HV as (H, W, 2) where (2, H, W) fails or comes out wrong."""
    given, probes = read_augmentation(bench.case.augmentation), probes_of(bench)
    best: list[Look] = []
    problem: UserError | None = None
    for draw in filter(None, (given.draw, given.other)):
        made: list[Look] = []
        for crops in (probes, synthetic_probes(bench.setup)):
            try:
                made = _some(draw, crops)
                break
            except UserError as error:
                problem = problem or error
        if made and not any(look.off > DEVIATES for look in made):
            return made
        best = best or made
    if not best and problem is not None:
        raise problem
    return best


def _some(draw: Draw, probes: Sequence[Probe]) -> list[Look]:
    began, made = time.process_time(), []
    for number in range(N_DRAWS):
        if time.process_time() - began > SECONDS and number >= LEAST_DRAWS:
            break
        probe = probes[number % len(probes)]
        with seeded(number):
            drawn = draw(probe, number)
        made.append(look_at(probe, drawn))
    return made
