"""What one draw did to labels, image and HV."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from scipy import ndimage

from ..data.samples import TURNS, Turn, turn_plane
from ..hv import hv_targets
from ..types import Bool, Float32, Int32
from .augment_limits import AugmentationLimits
from .augment_moves import (
    Matrix,
    Move,
    Together,
    move_of,
    moved_hv,
    together,
    whole_nuclei,
)
from .augment_probe import Drawn, Probe

AREA = (0.75, 1.33)
"""Area of a whole nucleus after a move, over what the move makes of it."""
RELABELLED = 0.9
"""Share of new ids above which labels were numbered anew and not interpolated."""
MORE_IDS = 1.3
FEWER_IDS = 0.5
LONE_PARTS = 1.5
"""Areas per id up to which few ids are few nuclei, as an enlarged part has."""
EYE = np.eye(2)
SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])
LEAST_PIXELS = 40
EVERY = 3
"""Colours are compared on every third row and column."""
BYTE, TINY = 255.0, 1e-6
LEAST_CHANGE, MUCH_NEARER = 5.0, 0.4
"""Grey levels by which an image must have changed to tell channel orders, and how much nearer
(as a share) it must be in the other one."""


@dataclass(frozen=True, eq=False)
class LabelState:
    """What became of the ids.

    Parameters
    ----------
    labels : int32 (H, W)
        Whole numbers; ids that were never there are taken out.
    fractions : float
        Share of nucleus pixels that are no whole numbers.
    foreign : float
        Share of nucleus pixels with ids that were never there; 0 where all were numbered anew.
    lost : bool
        Whether ids were merged into one or few.
    kind : str
        Name of their type.
    """

    labels: Int32
    fractions: float
    foreign: float
    lost: bool
    kind: str

    def broken(self, limits: AugmentationLimits) -> bool:
        """Whether HV cannot be made of them."""
        return self.lost or max(self.fractions, self.foreign) > limits.foreign


@dataclass(frozen=True, eq=False)
class Draw:
    """One draw, measured.

    Parameters
    ----------
    probe : int
        Number of the crop.
    move : Move, optional
        Of the labels.
    state : LabelState
    image : Together, optional
        None where the move is not known.
    matrix : array (2, 2), optional
        ``returned HV = matrix @ recomputed HV``, (x, y), least squares; None where nothing can
        be compared.
    length : float
        Length of ``matrix @ HV`` over that of HV.
    touching, inner : float
        Mean error where nuclei touch, and elsewhere inside.
    unmoved : bool
        Whether HV came back exactly as it went in though labels moved.
    types_wrong : float
        Share of nuclei with another type; NaN where types take no part.
    looks : tuple of float
        Least, largest value and mean of the image; NaN if not finite.
    image_kind : str
        Type and number of channels.
    jumps : float
        Share of pixels far from what one gain per channel explains; NaN where not known.
    swapped : bool
        Whether its channels fit better in the other order.
    """

    probe: int
    move: Move | None
    state: LabelState
    image: Together | None
    matrix: Matrix | None
    length: float
    touching: float
    inner: float
    unmoved: bool
    types_wrong: float
    looks: tuple[float, float, float]
    image_kind: str
    jumps: float
    swapped: bool

    @property
    def deviation(self) -> float:
        """Distance of the transform of HV from none."""
        return np.inf if self.matrix is None else float(np.linalg.norm(self.matrix - EYE, 2))


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


def measured(probe: Probe, number: int, drawn: Drawn, limits: AugmentationLimits) -> Draw:
    """Measure one draw.

    Parameters
    ----------
    probe : Probe
        What went in.
    number : int
        Of the probe.
    drawn : Drawn
        What came back.
    limits : AugmentationLimits
    """
    state = label_state(probe.labels, drawn.labels)
    move = None if state.lost else move_of(probe.labels, state.labels)
    image = None
    if move is not None and drawn.image.ndim == 3:
        image = together(probe.image, drawn.image, move, limits)
    apart = image is not None and image.apart(limits)
    returned = probe.read(drawn.hv)
    matrix, errors = None, (np.nan, np.nan, np.nan)
    if not state.broken(limits) and not apart:
        matrix, errors = _compared(probe, state.labels, returned, move, limits)
    moved = move is not None and not (move.exact and move.turn == Turn())
    same = returned.shape == probe.outward.shape and bool(np.array_equal(returned, probe.outward))
    jumps, swapped = _colours(probe, drawn, move if not apart else None, limits)
    return Draw(
        number, move, state, image, matrix, errors[0], errors[1], errors[2], moved and same,
        _types_wrong(probe, drawn, state.labels), _looks(drawn.image), _kind(drawn.image), jumps,
        swapped,
    )  # fmt: skip


def label_state(before: Int32, after: npt.NDArray[Any]) -> LabelState:
    """Tell whether ids are still those that went in.

    Examples
    --------
    >>> before = np.array([[0, 301, 305]], np.int32)
    >>> label_state(before, np.array([[0.0, 150.5, 305.0]])).fractions
    0.5
    """
    kind = str(after.dtype)
    plain = np.nan_to_num(np.asarray(after, np.float64))
    inside = plain > 0
    n = max(int(inside.sum()), 1)
    whole = np.rint(plain)
    fractions = float((np.abs(plain - whole) > 0)[inside].sum()) / n
    ids, old = np.unique(whole[inside]), np.unique(before[before > 0])
    new = inside & ~np.isin(whole, old)
    share = float(new.sum()) / n
    renumbered = share > RELABELLED and len(ids) <= MORE_IDS * len(old)
    few = len(ids) < max(FEWER_IDS * _expected(before, after), 2)
    lost = few and len(ids) * LONE_PARTS < int(ndimage.label(inside)[1])
    labels = np.where(new & (not renumbered), 0, whole).astype(np.int32)
    return LabelState(labels, fractions, 0.0 if renumbered else share, lost, kind)


def _expected(before: Int32, after: npt.NDArray[Any]) -> float:
    """Nuclei that a crop of this many nucleus pixels has."""
    pixels = min(int((after > 0).sum()) / max(int((before > 0).sum()), 1), 1.0)
    return pixels * len(np.unique(before[before > 0]))


def _compared(
    probe: Probe,
    labels: Int32,
    returned: Float32,
    move: Move | None,
    limits: AugmentationLimits,
) -> tuple[Matrix | None, tuple[float, float, float]]:
    """Compare returned HV with HV of the returned labels, where nuclei are whole.

    After a free rotation the extents of nuclei along x and y are others, so HV that was moved
    and turned is not quite that of the moved labels. Both are right: the nearer one counts.
    """
    right = hv_targets(labels)
    exact = move is not None and move.exact
    where = labels > 0 if exact else _comparable(probe, labels, move)
    long = np.hypot(*right) > limits.shortest
    edge = touching(labels)
    inner = where & long & (np.bool_(exact) | ~rims(labels))
    if int(inner.sum()) < LEAST_PIXELS:
        return None, (np.nan, np.nan, np.nan)
    if not np.isfinite(returned[:, inner]).all():
        return None, (np.nan, np.nan, np.nan)
    wanted = [right] if move is None or exact else [right, moved_hv(probe.outward, move, right)]
    fits = [_least_squares(returned[:, inner], w[:, inner]) for w in wanted]
    far = [float(np.linalg.norm(fit - EYE, 2)) for fit in fits]
    # where neither fits, the moved one tells the mistake without the shapes of nuclei in it
    best = far.index(min(far)) if min(far) <= limits.deviation else len(fits) - 1
    matrix, a = fits[best], wanted[best][:, inner]
    off = np.hypot(*(returned - wanted[best]))
    border = where & edge
    touch = float(off[border].mean()) if int(border.sum()) >= LEAST_PIXELS else np.nan
    length = float(np.hypot(*(matrix @ a)).mean() / max(float(np.hypot(*a).mean()), TINY))
    return matrix, (length, touch, float(off[inner].mean()))


def _least_squares(returned: Float32, right: Float32) -> Matrix:
    """Fit ``returned = matrix @ right``."""
    a, b = right.astype(np.float64), returned.astype(np.float64)
    matrix: Matrix = (b @ a.T) @ np.linalg.pinv(a @ a.T)
    return matrix


def _comparable(probe: Probe, labels: Int32, move: Move | None) -> Bool:
    """Nuclei that are whole before and after."""
    new = whole_nuclei(labels)
    keep = list(new)
    if move is not None:
        old, gain = whole_nuclei(probe.labels), move.scale**2
        low, high = AREA
        keep = [i for i in new if i in old and low <= new[i][2] / (gain * old[i][2]) <= high]
    return np.isin(labels, np.array(keep, np.int64))


def touching(labels: Int32) -> Bool:
    """Mark pixels of nuclei beside a pixel of another nucleus."""
    out = np.zeros(labels.shape, bool)
    for a, b in _neighbours(labels):
        both = (labels[a] > 0) & (labels[b] > 0) & (labels[a] != labels[b])
        out[a] |= both
        out[b] |= both
    return out


def rims(labels: Int32) -> Bool:
    """Mark pixels of nuclei beside a pixel of anything else."""
    out = np.zeros(labels.shape, bool)
    for a, b in _neighbours(labels):
        differ = labels[a] != labels[b]
        out[a] |= differ
        out[b] |= differ
    return out & (labels > 0)


def _neighbours(labels: Int32) -> tuple[tuple[Any, Any], ...]:
    head, tail, everything = slice(None, -1), slice(1, None), slice(None)
    return (
        ((head, everything), (tail, everything)),
        ((everything, head), (everything, tail)),
    )


def _types_wrong(probe: Probe, drawn: Drawn, labels: Int32) -> float:
    """Share of nuclei whose most frequent type is another than before."""
    if drawn.types is None or drawn.types.shape != labels.shape:
        return np.nan
    ids = np.intersect1d(np.unique(labels[labels > 0]), np.unique(probe.labels))
    if not len(ids):
        return np.nan
    given = np.nan_to_num(np.asarray(drawn.types, np.float64))
    wrong = 0
    for i in ids:
        expected = int(probe.types[probe.labels == i][0])
        right = float((given[labels == i] == expected).mean())
        wrong += right <= 0.5
    return wrong / len(ids)


def _looks(image: npt.NDArray[Any]) -> tuple[float, float, float]:
    plane = np.asarray(image, np.float64)
    if not plane.size or not np.isfinite(plane).all():
        return (np.nan, np.nan, np.nan)
    return (float(plane.min()), float(plane.max()), float(plane.mean()))


def _kind(image: npt.NDArray[Any]) -> str:
    channels = image.shape[2] if image.ndim == 3 else 1
    return f"{image.dtype}, {channels} channel{'s' if channels > 1 else ''}"


def _colours(
    probe: Probe, drawn: Drawn, move: Move | None, limits: AugmentationLimits
) -> tuple[float, bool]:
    """Pixels that jumped, and whether the channels came back in the other order."""
    image = np.asarray(drawn.image, np.float32)
    exact = move is not None and move.exact
    if move is None or not exact or image.ndim != 3 or image.shape[2] != 3:
        return np.nan, False
    was = np.asarray(turn_plane(probe.image, move.turn, (0, 1)), np.float32)
    if was.shape != image.shape or not np.isfinite(image).all():
        return np.nan, False
    was, image = was[::EVERY, ::EVERY], image[::EVERY, ::EVERY]
    worst = 0.0
    for x, y in zip(was.reshape(-1, 3).T, image.reshape(-1, 3).T, strict=True):
        dx, dy = x - x.mean(), y - y.mean()
        gain = float((dx * dy).sum()) / max(float((dx**2).sum()), TINY)
        scale = max(float(np.abs(y).max()) / BYTE, TINY)
        far = np.abs(dy - gain * dx) > limits.jump * scale
        worst = max(worst, float(far.mean()))
    plain = float(np.abs(image - was).mean())
    turned_round = float(np.abs(image - was[..., ::-1]).mean())
    return worst, plain > LEAST_CHANGE and turned_round < MUCH_NEARER * plain


def mean_matrix(draws: Sequence[Draw]) -> Matrix | None:
    """Mean transform E[M] of HV: over turns alike where all eight came, else over the draws."""
    known = [d for d in draws if d.matrix is not None]
    if not known:
        return None
    by_turn: dict[Turn, list[Matrix]] = {}
    for d in known:
        if d.move is not None and d.matrix is not None:
            by_turn.setdefault(d.move.turn, []).append(d.matrix)
    plain = all(d.move is not None and d.move.exact for d in known)
    if plain and len(by_turn) == len(TURNS):
        mean: Matrix = np.mean([np.mean(m, axis=0) for m in by_turn.values()], axis=0)
        return mean
    whole: Matrix = np.mean([d.matrix for d in known if d.matrix is not None], axis=0)
    return whole
