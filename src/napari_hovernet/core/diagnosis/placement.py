"""The check that labels lie on their image: not moved, turned, resized, or those of another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.optimize import linear_sum_assignment

from ..data.items import listed
from ..data.samples import TURNS, Turn, turn_plane
from ..inference.images import UInt8
from ..types import Float32, Progress
from .bench import Bench, Item, kept
from .data import DENSITY, places_of, scaled
from .engine import Steps, check, fault, ok, skip, told
from .report import Plot, Remedy

EDGE = 512
"""Pixels along an edge, about the middle, that are compared."""
REACH = 128
"""Largest shift that is tried, pixels."""
ITEMS, RUN = 32, 8
"""Images compared, in runs of neighbours, among which labels are mixed up."""
SMALL, LARGE = 2.0, 20.0
"""Sigmas of the Gaussians between which structures of the size of nuclei lie."""
NEAR = 2
"""Pixels off that are none: outlines drawn by hand are no more exact."""
MATCH, CHANCE = 0.2, 2.5
"""Correlation from which labels and image belong together (in place 0.3 to 0.8 on six sources),
and what chance reaches, times the root of the number of nuclei."""
BETTER, MOVED, MOVED_ALONE = 0.12, 0.005, 0.015
"""By how much another turn, image or size must fit better; a shift of all, and of one image."""
AGREE = 0.6
"""Share of the images that must agree on a shift, to 2 px."""
NOWHERE = 0.12
"""Correlation below which labels do not fit, if nothing else fits either."""
ZOOMS = tuple(float(z) for z in np.exp(np.linspace(-np.log(2), np.log(2), 35)))
"""Sizes that are tried, in steps of 4 %: nuclei at the rim of 320 px move by 6 px in one."""
HARDLY = 0.03
"""Difference of size that is none (0.015 is as far as sound labels were off)."""
ANGLES = tuple(float(a) for a in range(-30, 31, 3) if a)
"""Angles in degrees that are tried."""
ODD = 0.2
"""Share of images at another place from which it is a fault."""
TORN = 48
"""Pixels by which a half of an image may lie off the other half, at most."""


def unit(plane: npt.NDArray[Any]) -> Float32:
    """Return a plane of mean 0 and length 1."""
    centred = np.asarray(plane - plane.mean(dtype=np.float64), np.float32)
    return centred / np.float32(max(float(np.linalg.norm(centred)), 1e-9))


def band(plane: Any) -> Float32:
    """Keep structures of the size of nuclei."""
    source = np.ascontiguousarray(plane, np.float32)
    small = tuple(max(n // 4, 1) for n in source.shape[::-1])
    coarse = cv2.GaussianBlur(cv2.resize(source, small, interpolation=3), (0, 0), LARGE / 4)
    coarse = cv2.resize(coarse, source.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(cv2.GaussianBlur(source, (0, 0), SMALL) - coarse, np.float32)


def likeness(image: UInt8) -> Float32:
    """How much each pixel looks like nucleus: density of red, or of blue where that shows more."""
    planes = [band(DENSITY[np.ascontiguousarray(image[..., c])]) for c in (0, 2)]
    return max(planes, key=lambda plane: float(plane.std()))


def middle(plane: Any) -> Any:
    """Cut the middle of a plane."""
    rows, cols = (max(n - EDGE, 0) // 2 for n in plane.shape)
    return plane[rows : rows + EDGE, cols : cols + EDGE]


@dataclass(frozen=True, eq=False)
class Pair:
    """An image and labels that are said to be its own."""

    item: Item
    plane: Float32  # Likeness, of mean 0 and length 1
    mask: Float32  # Nuclei, alike; mostly of the same size
    nuclei: int
    window: Float32 | None  # Correlation for all shifts up to REACH; None if sizes differ
    turns: dict[Turn, float]
    zooms: npt.NDArray[np.float64]  # Correlation at each of ZOOMS

    @property
    def own(self) -> float:
        """Correlation where labels are, or next to it."""
        near = slice(REACH - NEAR, REACH + NEAR + 1)
        return 0.0 if self.window is None else float(np.nanmax(self.window[near, near]))

    @property
    def best(self) -> tuple[tuple[int, int], float]:
        """Shift that fits best, and the correlation there."""
        return ((0, 0), 0.0) if self.window is None else _peak(self.window)

    @property
    def sure(self) -> float:
        """Correlation that chance does not reach, in this image alone."""
        return float(max(2 * MATCH, CHANCE / max(self.nuclei, 1) ** 0.5))


def _peak(window: npt.NDArray[Any]) -> tuple[tuple[int, int], float]:
    known = np.where(np.isfinite(window), window, -np.inf)
    r, c = np.unravel_index(int(known.argmax()), known.shape)
    return (int(r) - window.shape[0] // 2, int(c) - window.shape[1] // 2), float(known[r, c])


def pair_of(item: Item, plane: Float32, mask: Any, nuclei: int) -> Pair:
    """Compare a plane with a mask in all places; both filtered."""
    a, b = unit(middle(plane)), unit(middle(mask))
    turns = dict.fromkeys(TURNS, 0.0)
    for turn in TURNS:
        turned = turn_plane(b, turn)
        if turned.shape == a.shape:
            turns[turn] = float(np.vdot(a, turned))
    fits = a.shape == b.shape and min(a.shape) >= 16
    zooms = np.array([float(np.vdot(a, unit(zoomed(b, z)))) if fits else 0.0 for z in ZOOMS])
    return Pair(item, a, b, min(nuclei, max(b.size // 100, 1)), _window(a, b) if fits else None,
                turns, zooms)  # fmt: skip


def zoomed(plane: Float32, factor: float, angle: float = 0.0) -> Float32:
    """Resize a plane about its centre, and turn it by an angle in degrees."""
    y, x = ((n - 1) / 2 for n in plane.shape)
    matrix = cv2.getRotationMatrix2D((x, y), angle, factor)
    return np.asarray(cv2.warpAffine(plane, matrix, plane.shape[::-1]), np.float32)


def _window(a: Float32, b: Float32) -> Float32:
    """Correlation for all shifts; the image goes on at its other side, as rolled labels do."""
    found = fft.irfft2(fft.rfft2(a) * np.conj(fft.rfft2(b)), a.shape)
    rows, cols = (min(n // 2 - 1, REACH) for n in a.shape)
    out = np.full((2 * REACH + 1, 2 * REACH + 1), np.nan, np.float32)
    rolled = np.roll(found, (rows, cols), (0, 1))[: 2 * rows + 1, : 2 * cols + 1]
    out[REACH - rows : REACH + rows + 1, REACH - cols : REACH + cols + 1] = rolled
    return out


def count_nuclei(labels: Any) -> int:
    """Count ids, or areas where these are more (of a mask)."""
    areas = cv2.connectedComponents((labels > 0).astype(np.uint8), connectivity=4)[0] - 1
    return max(len(np.unique(labels)) - 1, int(areas))


@kept
def _pair(bench: Bench, item: Item) -> Pair | None:
    """Compare an image with its labels, once; None where one of them shows nothing."""
    if item.image is None or item.labels is None or not item.labels.any():
        return None
    plane, inside = likeness(item.image), item.labels > 0
    if plane.std() < 0.008 or inside.mean() > 0.97:  # blank; full of nuclei
        return None
    return pair_of(item, plane, band(inside), count_nuclei(item.labels))


@dataclass(frozen=True)
class Where:
    """Where labels belong: "fits", "shift", "turn", "zoom", "order", "nowhere", "inverted", ""."""

    kind: str
    own: float = 0.0
    value: float = 0.0  # Correlation there
    at: Any = None  # Shift, turn, factor or order
    odd: tuple[int, ...] = ()  # Pairs that fit elsewhere, while most are in order


def where_of(pairs: Sequence[Pair]) -> Where:
    """Tell where labels belong: the one explanation that fits best."""
    n = sum(p.nuclei for p in pairs)
    windows = [p.window for p in pairs if p.window is not None]
    own = float(np.mean([p.own for p in pairs])) if pairs else 0.0
    if n < 5:
        return Where("", own)
    floor = max(MATCH, CHANCE / n**0.5)
    centre = float(np.mean([w[REACH, REACH] for w in windows])) if windows else 0.0
    if centre <= -MATCH:
        return Where("inverted", centre)
    found = [w for w in (_shift(pairs, windows, own), _turn(pairs, own), _zoom(pairs, own))
             if w is not None and w.value >= floor]  # fmt: skip
    found += [w for w in (_order(pairs),) if w is not None]
    if found:
        return max(found, key=lambda w: w.value)
    elsewhere = _warped(pairs, own < floor) if windows else None
    if elsewhere is not None:
        return elsewhere
    if own >= floor or not windows:
        return Where("fits", own, own, odd=_odd(pairs))
    return Where("nowhere" if own < NOWHERE and floor <= MATCH else "", own)


def _shift(pairs: Sequence[Pair], windows: Sequence[Float32], own: float) -> Where | None:
    if not windows:
        return None
    stack = np.stack(windows)
    known = np.isfinite(stack).sum(0)
    total = np.where(known * 2 >= len(windows), np.nansum(stack, 0) / np.maximum(known, 1), -1)
    at, best = _peak(total)
    each = [p.best for p in pairs if p.best[1] >= MATCH]
    near = [np.hypot(a[0] - at[0], a[1] - at[1]) <= NEAR for a, _ in each]
    agree = len(windows) == 1 or (bool(near) and np.mean(near) >= AGREE)
    better = MOVED_ALONE if len(windows) == 1 else MOVED
    far = np.hypot(*at) > NEAR + 0.5
    return Where("shift", own, best, at) if far and agree and best - own >= better else None


def _turn(pairs: Sequence[Pair], own: float) -> Where | None:
    scores = {turn: float(np.mean([p.turns[turn] for p in pairs])) for turn in TURNS}
    turn = max(scores, key=lambda t: scores[t])
    better = turn != Turn() and scores[turn] - own >= BETTER
    return Where("turn", own, scores[turn], turn) if better else None


def _zoom(pairs: Sequence[Pair], own: float) -> Where | None:
    """Find the size of labels that fits best, between the steps by a parabola."""
    scores = np.mean([p.zooms for p in pairs], 0)
    k = int(np.clip(scores.argmax(), 1, len(ZOOMS) - 2))
    a, b, c = scores[k - 1 : k + 2]
    off = 0.5 * (a - c) / (a - 2 * b + c) if a - 2 * b + c < 0 else 0.0
    factor = float(ZOOMS[k] * (ZOOMS[1] / ZOOMS[0]) ** np.clip(off, -1, 1))
    better = abs(np.log(factor)) > HARDLY and scores[k] - own >= BETTER / 2
    return Where("zoom", own, float(scores[k]), factor) if better else None


def _order(pairs: Sequence[Pair]) -> Where | None:
    """Find the images that labels fit so that the correlations add up to most."""
    if len(pairs) < 2:
        return None
    scores = np.array([[_beside(p.mask, q.plane) for q in pairs] for p in pairs])
    rows, cols = linear_sum_assignment(-scores)
    own, value = scores[rows, rows], scores[rows, cols]
    least = [max(MATCH, CHANCE / max(p.nuclei, 1) ** 0.5) for p in pairs]
    other = (cols != rows) & (value >= least) & (value - own >= BETTER)
    if other.sum() < 2:
        return None
    order = tuple(int(j) if o else int(i) for i, j, o in zip(rows, cols, other, strict=True))
    return Where("order", float(own[other].mean()), float(value[other].mean()), order)


def _beside(mask: Float32, plane: Float32) -> float:
    """Correlation of one image's labels with another image; of unequal sizes the common corner."""
    if mask.shape == plane.shape:
        return float(np.vdot(mask, plane))
    h, w = (min(a, b) for a, b in zip(mask.shape, plane.shape, strict=True))
    return float(np.vdot(unit(mask[:h, :w]), unit(plane[:h, :w])))


def _odd(pairs: Sequence[Pair]) -> tuple[int, ...]:
    """Pairs that fit elsewhere: moved, turned or of another size, while most are in order."""
    odd = []
    for i, p in enumerate(pairs):
        at, moved = p.best
        moved = moved if np.hypot(*at) > NEAR + 0.5 else 0.0
        value = max(moved, *p.turns.values(), float(p.zooms.max()))
        if value >= p.sure and value - p.own >= BETTER:
            odd.append(i)
    return tuple(odd)


def torn(p: Pair) -> int:
    """Pixels by which labels of one half of an image fit elsewhere than those of the other."""
    if p.window is None or min(p.plane.shape) < 4 * TORN:
        return 0
    for axis in (0, 1):
        halves = zip(*(np.array_split(x, 2, axis) for x in (p.plane, p.mask)), strict=True)
        near = slice(REACH - TORN, REACH + TORN + 1)
        windows = [_window(unit(a), unit(b))[near, near] for a, b in halves]
        (one, fits), (other, too) = map(_peak, windows)
        apart = int(max(abs(a - b) for a, b in zip(one, other, strict=True)))
        (r, c), (s, d) = ((k[0] + TORN, k[1] + TORN) for k in (one, other))
        gain = min(fits - windows[0][s, d], too - windows[1][r, c])
        if apart > 2 * NEAR and min(fits, too) >= p.sure and gain >= BETTER:
            return apart
    return 0


def _warped(pairs: Sequence[Pair], lost: bool) -> Where | None:
    """Find an angle (where nothing fits, a size) where labels fit, moved too, on small planes."""
    sizes = [z for z in ZOOMS if lost and abs(np.log(z)) > HARDLY]
    ways = [(1.0, 0.0), *((1.0, a) for a in ANGLES), *((z, 0.0) for z in sizes)]
    scores = np.zeros((len(pairs), len(ways)))
    for i, p in enumerate(pairs):
        if p.window is None:
            continue
        size = tuple(int(n * min(160 / max(p.plane.shape), 1)) for n in p.plane.shape[::-1])
        a, b = (unit(cv2.resize(x, size, interpolation=3)) for x in (p.plane, p.mask))
        seen = fft.rfft2(a)
        for k, (zoom, angle) in enumerate(ways):
            there = np.conj(fft.rfft2(unit(zoomed(b, zoom, angle))))
            scores[i, k] = float(fft.irfft2(seen * there, a.shape).max())
    mean = scores.mean(0)
    k = int(mean.argmax())
    zoom, angle = ways[k]
    clear = mean[k] >= 1.5 * np.median(mean) and mean[k] >= MATCH + NOWHERE
    if not clear or mean[k] - mean[0] < BETTER:
        return None
    kind, at = ("angle", angle) if zoom == 1 else ("zoom and shift", zoom)
    return Where(kind, float(mean[0]), float(mean[k]), at)


def _spread(indices: Sequence[int]) -> list[int]:
    """Return at most ITEMS of them, in runs of neighbours."""
    if len(indices) <= ITEMS:
        return list(indices)
    starts = [k * len(indices) * RUN // ITEMS for k in range(ITEMS // RUN)]
    return [i for s in starts for i in indices[s : s + RUN]]


@kept
def placement(bench: Bench) -> tuple[list[Pair], Where]:
    """Compare images with their labels, once."""
    items = filter(None, map(bench.item, _spread(bench.indices)))
    pairs = [pair for pair in (_pair(bench, item) for item in items) if pair is not None]
    return pairs, where_of(pairs)


TOGETHER = "Look where image and label files are cut, resized or flipped: both must get the same."


BY_LABELS = ("model.np", "model.place", "model.hv_*", "model.score", "model.input", "model.mpp",
             "model.types")  # fmt: skip
"""What is judged by labels. Weights, layers and tiles are not: they are causes of their own."""


@check("data.place", "Labels lie on their image", needs=("image", "labels"),
       explains=("data.complete", "data.coverage", "data.targets", *BY_LABELS))  # fmt: skip
def place(bench: Bench) -> Steps:
    """Say whether labels are moved, turned, of another size, or those of another image."""
    for number, index in enumerate(_spread(bench.indices)):
        yield Progress(number, ITEMS, "Comparing labels with images")
        item = bench.item(index)
        if item is not None:
            _pair(bench, item)
    pairs, where = placement(bench)
    if not pairs or where.kind in ("", "inverted"):
        n = sum(p.nuclei for p in pairs)
        return skip("labels are on what is lighter than the rest (see what labels cover)"
                    if where.kind else f"{n} nuclei in images that show any: too few")  # fmt: skip
    moved = [i for i, j in enumerate(where.at) if i != j] if where.kind == "order" else []
    which = [pairs[i] for i in where.odd or moved or range(len(pairs))]
    apart = [torn(p) for p in which] if where.kind == "fits" and not where.odd else []
    which = [p for p, far in zip(which, apart, strict=True) if far] if any(apart) else which
    common = {"unit": "correlation", "places": places_of(bench, (p.item for p in which)),
              "layers": ("image", "truth"), "plot": Plot(
                  "lines", "How well labels fit when they are resized", ZOOMS,
                  (("correlation", tuple(np.mean([p.zooms for p in pairs], 0).tolist())),),
                  "times their size", "correlation", 1.0, on_x=True)}  # fmt: skip
    if (share := np.mean(np.array(apart or [0]) > 0)) >= AGREE:
        far = float(np.median([x for x in apart if x]))
        return fault(f"In {share:.0%} of {len(pairs)} images labels of one half fit {far:.0f} px "
                     "away from where those of the other do.", title="Parts of the images are "
                     "moved against the others", certainty=0.9, value=far, threshold=2 * NEAR,
                     remedy=Remedy("Look at how images are put together: strips or tiles of a scan "
                                   "lie apart; or register labels (turn, scale, shift) that were "
                                   "drawn on another scan. Align them, or label what there is."),
                     **{**common, "unit": "px"})  # fmt: skip
    if where.kind == "fits" and not where.odd:
        return ok(f"Labels fit {len(pairs)} images with correlation {where.own:.2f}, better than "
                  "moved, turned, resized, or on another image.", value=where.own, threshold=MATCH,
                  **common)  # fmt: skip
    title, remedy, sure = _explained(bench, pairs, where)
    said = (f"Labels fit their images with correlation {where.own:.2f}; as said, with "
            f"{where.value:.2f} (chance: 0, in place 0.3 to 0.9).")  # fmt: skip
    if where.odd:
        said = (f"In {len(which)} of {len(pairs)} images ({listed(p.item.name for p in which)}) "
                f"labels fit better elsewhere: {_elsewhere(which[0])}.")  # fmt: skip
    yield from told(
        [(True, sure, title, said, where.own, MATCH, remedy)],
        decisive=sure > 0.8 and not where.odd, plain="Labels do not lie on nuclei.",
        **common)  # fmt: skip


def turn_words(turn: Turn) -> str:
    """Name a turn."""
    plain = ("as it is", *(f"turned by {a} degrees" for a in (90, 180, 270)))
    flipped = ("mirrored left to right", "transposed", "mirrored top to bottom",
               "transposed over the other diagonal")  # fmt: skip
    return (flipped if turn.flip else plain)[turn.quarters]


def _elsewhere(p: Pair) -> str:
    """Say where the labels of one image fit, in words."""
    turn = max(p.turns, key=lambda t: p.turns[t])
    (r, c), moved = p.best
    if p.turns[turn] > moved:
        return f"{turn_words(turn)} ({p.own:.2f} as they are, {p.turns[turn]:.2f} so)"
    return f"moved by {r} rows and {c} columns ({p.own:.2f} as they are, {moved:.2f} so)"


def _explained(bench: Bench, pairs: Sequence[Pair], where: Where) -> tuple[str, Remedy, float]:
    """Title, remedy and certainty of labels that are somewhere else."""
    sure, at = scaled(where.value - where.own, 0.05, 0.3, 0.88, 0.98), where.at
    action: tuple[Any, ...] = ()
    if where.odd:
        share = len(where.odd) / len(pairs)
        title = f"Labels of {len(where.odd)} images are moved or turned"
        text = "Correct (shift or turn back) the labels of these images."
        sure = scaled(share, ODD, 0.5, 0.85, 0.95) if share >= ODD else 0.45
    elif where.kind == "shift":
        title = f"Labels are moved by {-at[0]} rows and {-at[1]} columns"
        text, action = f"Move labels by {at[0]} rows and {at[1]} columns.", ("labels_shift", [*at])
    elif where.kind == "turn":
        done = at if at.flip else Turn(False, -at.quarters % 4)
        title, text = f"Labels are {turn_words(done)}", "Turn labels back, onto their image."
        if not any(bench.setup.labels_turn):
            action = ("labels_turn", [at.flip, at.quarters])
    elif where.kind == "angle":
        title = f"Labels are turned by {-at:.0f} degrees against their image"
        text = f"Turn labels back by {at:.0f} degrees (nearest pixel)."
    elif where.kind == "order":
        title, text, action = _mixed(bench, pairs, at)
    elif where.kind == "nowhere":
        title, sure = "Labels do not fit their images anywhere", 0.75
        text = "Check the pairing: do these labels belong to these images?"
    else:
        title = f"Labels are {1 / at:.2f} x as large as they should be"
        text = f"Resize labels by {at:.3f} (nearest pixel), so that they fit."
        if where.kind == "zoom":
            action = ("labels_zoom", float(at * bench.setup.labels_zoom))
    return title, Remedy(text if where.kind == "order" else f"{text} {TOGETHER}", *action), sure


def _mixed(bench: Bench, pairs: Sequence[Pair], at: Any) -> tuple[str, str, Any]:
    """Title, remedy and action for labels of which some belong to other images."""
    order, which = list(range(len(bench.case.items or ()))), [p.item.index for p in pairs]
    for i, j in enumerate(at):
        order[which[i]] = which[j]
    as_text = order == sorted(order, key=lambda i: str(i + 1))
    n = sum(i != j for i, j in enumerate(at))
    return (f"Labels of {n} of {len(pairs)} images belong to other images",
            "Pair images and labels by name: sort both in the same way"
            + (" (one list was sorted as text: 1, 10, 2)." if as_text else "."),
            ("image_order", order) if bench.setup.image_order is None else ())  # fmt: skip
