"""Checks of labels: instances, nuclei and not background, all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy import ndimage

from ..data.samples import touching_count
from ..hv import compact_ids, label_equal, moments
from ..measure.metrics import contingency
from ..types import Bool, Float32, Int32, Progress
from .bench import Bench, Item
from .data import (
    DENSITY,
    LITTLE,
    MOST,
    labels_on,
    look_steps,
    place_of,
    places_of,
    scaled,
)
from .engine import Claim, Steps, check, ok, skip, told
from .reading import own_shapes, view_steps
from .report import Plot

# --- instances -------------------------------------------------------------------------------

SPECK, SHAPE = 10, 30
"""Pixels below which a part is a speck, and a shape is not judged."""
FEWEST = 20
"""Nuclei below which shapes are not judged: one odd nucleus would decide."""
SPECKS = 3.0
"""Specks per id from which labels were interpolated or compressed with loss. Drawn by hand
0 to 0.02, JPEG and bilinear resizing 20 to 180, on five sources."""
LINES, CROSSED, RIM = 4, 6, 24
"""Straight rows and columns at which no nucleus goes on, though so many pixels of nuclei meet
there (and not next to the rim), from which labels were made tile by tile. Healthy: 1 of 7,000;
tiles: 30 to 100."""
MASK = 2.0
"""Parts of 20 px or more per id (median) above which ids are no instances (by hand 1.0)."""
SHARED, WRAPPED = 0.25, 0.02
"""Share of ids in several parts from which nuclei share ids (by hand 0, ids in pairs 0.8); and
where they end at 255, as 8 bits do."""
PLACES, GIANT_OF = 8, 25.0
"""Parts of an id, or usual areas that it covers, from which it is no nucleus but something else
with an id of its own (by hand: 1 part, up to 12 areas), if it is huge, or lines: so little of it
lies beside no other id (by hand: 0.5 and more)."""
THIN = 0.2
LUMPS, SOLID, CONVEX = 0.09, 0.88, 0.93
"""Share of labels larger than most and less convex than that (area over hull) from which labels
are components, if hardly any share an edge. By hand 0.01 to 0.09, components 0.09 to 0.28, on seven
sources."""
EDGES = 0.3
"""Pairs of pixels per label at which two labels share an edge, below which hardly any do (by hand
1.1 to 6.8 on seven sources; components 0, merged in part 0.03 to 0.2)."""
CORNERS = 3
"""Labels that meet at corners, from which they are components if none share an edge: such labels
come of 4-connected areas alone."""
STEPS = 4
"""Pixels of which all outlines are steps from which labels were enlarged too much (by hand 1; drawn
at half the resolution 2)."""
ODD = 0.5
"""Share of labels with large holes, filling their box, or of a few pixels, from which they are
outlines, boxes or points (by hand below 0.03)."""
FULL = (127, 255, 32767, 65535)
"""Largest numbers that types of whole numbers hold."""


@dataclass(frozen=True, eq=False)
class Shapes:
    """What was measured of the labels of one image."""

    item: Item
    area: npt.NDArray[Any]  # (n,) of each id
    parts: npt.NDArray[Any]  # (n,) its parts of 20 px and more
    pieces: npt.NDArray[Any]  # (n,) all its parts
    core: npt.NDArray[Any]  # (n,) share of its pixels beside no other id
    ids: npt.NDArray[Any]  # (n,) as counted from 1
    solidity: npt.NDArray[np.float64]  # (n,) NaN where cut off or small
    holed: npt.NDArray[np.bool_]
    box: npt.NDArray[np.bool_]  # Whether it fills its bounding box
    specks: int
    between: int  # Of these, those whose id lies between those around
    steps: int  # Pixels of which all outlines are multiples
    touching: int  # Labels beside another one, corners included
    sharing: int  # Pairs of pixels at which two labels share an edge
    lines: tuple[int, ...]  # Where straight borders of tiles are
    end: int  # The largest id as it was given

    @property
    def odd(self) -> npt.NDArray[np.bool_]:
        """Ids that are spread over places, or huge, and look unlike nuclei."""
        usual = float(np.median(self.area))
        far = (self.pieces >= PLACES) | (self.area >= GIANT_OF * usual)
        odd = (self.core < THIN) | (self.area > 0.4 * GIANT_OF * usual * self.pieces)
        odd &= self.area < GIANT * self.item.labels.size  # type: ignore[union-attr]
        return np.asarray(far & odd & (self.area.size > PLACES))  # that is the background

    @property
    def lumps(self) -> npt.NDArray[np.bool_]:
        """Labels far from convex, and larger than most."""
        return np.asarray((self.solidity < SOLID) & (self.area > np.median(self.area)))


def _shapes(item: Item, end: int) -> Shapes:
    ids, largest = compact_ids(item.labels)  # type: ignore[arg-type]
    area, _, box = moments(ids, largest)
    parts = np.zeros(ids.shape, np.int32)
    n = int(label_equal(ids, parts))
    size = np.bincount(parts.ravel(), minlength=n + 1)
    owner = np.zeros(n + 1, np.int64)
    owner[parts] = ids
    large, pieces = (np.bincount(owner[size >= k], minlength=largest + 1) for k in (2 * SPECK, 1))
    there = np.flatnonzero(area[1:]) + 1
    there = there[:: max(len(there) // 2000, 1)]  # Of noise there may be very many
    form = np.array([_form(ids, int(i), box[i]) for i in there]).reshape(-1, 2)
    fill = area[there] / np.maximum((box[there, 2:] - box[there, :2] + 1).prod(1), 1)
    plane, box3 = ids.astype(np.float32), np.ones((3, 3), np.uint8)
    alike = cv2.erode(plane, box3) == cv2.dilate(plane, box3)  # all eight neighbours
    low, high = (f(plane, np.ones((5, 5), np.uint8)) for f in (cv2.erode, cv2.dilate))
    small, between = size[1:] < SPECK, np.unique(parts[(low < plane) & (plane < high)])
    return Shapes(
        item, area[there], large[there], pieces[there],
        np.bincount(ids[alike], minlength=largest + 1)[there] / area[there], there,
        form[:, 0], form[:, 1] > 0, (fill >= 0.97) & (area[there] >= SHAPE),
        int(small.sum()), int(small[between[between > 0] - 1].sum()), _steps(ids),
        touching_count(ids), *_borders(ids), end)  # fmt: skip


def _steps(ids: Int32) -> int:
    """Largest number of which the distances of all borders, down and across, are multiples."""
    ends = [np.flatnonzero((p[:, 1:] != p[:, :-1]).any(0)) for p in (ids, ids.T)]
    return min(int(np.gcd.reduce(np.diff(at))) if len(at) > 3 else 1 for at in ends)


def _form(ids: Int32, i: int, box: npt.NDArray[Any]) -> tuple[float, float]:
    """Area (holes filled) over that of the hull, NaN at the edge; 1 if there is a large hole."""
    r0, c0, r1, c1 = (int(x) for x in box)
    inside = np.pad((ids[r0 : r1 + 1, c0 : c1 + 1] == i).astype(np.uint8), 1)
    outer = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    filled = np.zeros_like(inside)
    cv2.drawContours(filled, outer, -1, 1, -1)
    full = int(filled.sum())
    holed = float(int(inside.sum()) < 0.75 * full)
    if min(r0, c0) == 0 or r1 == ids.shape[0] - 1 or c1 == ids.shape[1] - 1 or full < SHAPE:
        return np.nan, holed
    cv2.fillConvexPoly(filled, cv2.convexHull(np.concatenate(outer)), 1)
    return full / max(int(filled.sum()), 1), holed


def _borders(ids: Int32) -> tuple[int, tuple[int, ...]]:
    """Count pairs of pixels of two labels; rows and columns (off the rim) at which all change."""
    sharing, found = 0, []
    for plane in (ids, ids.T):
        a, b = plane[:, :-1], plane[:, 1:]
        both = (a > 0) & (b > 0)
        sharing += int((both & (a != b)).sum())
        cut = (both.sum(0) >= CROSSED) & ~(both & (a == b)).any(0)
        found += [int(x) + 1 for x in np.flatnonzero(cut) if RIM < x < plane.shape[1] - RIM]
    return sharing, tuple(found)


@check("data.labels", "Labels are instances", needs=("labels",),
       explains=("data.complete", "data.coverage", "data.hv_*", "data.targets", "model.score",
                 "model.np*", "model.hv*"))  # fmt: skip
def labels_are_instances(bench: Bench) -> Steps:
    """Say whether every nucleus has one id of its own, whole and in one piece."""
    found: list[Shapes] = []
    read: list[Item] = []
    for item in bench.items():
        yield Progress(len(read), len(bench.indices), "Looking at labels")
        if item.labels is not None:
            read.append(item)
            given = np.asarray(getattr(bench.raw(item.index), "labels", 0))
            found += [_shapes(item, int(given.max(initial=0)))] if item.labels.any() else []
    if not read:
        return skip("no labels could be read")
    bare = 1 - len(found) / len(read)
    common = {"layers": ("image", "truth"), "plain": "The labels do not say where one nucleus ends "
              "and the next begins."}  # fmt: skip
    yield from told([(
        bare >= (MOST if len(read) > 1 else 1), 0.45 if found else 0.95, "Labels are empty",
        f"{len(read) - len(found)} of {len(read)} images hold not a single nucleus.", bare, MOST,
        "Look for labels that were not found, or were read of another file, channel or type.")],
        decisive=not found, places=places_of(bench, read), **common)  # fmt: skip
    if not found:
        return
    claims = _label_claims(found)
    wrong = [claim for claim in claims if claim[0]][:1]
    away = any(f.wrong and (f.id == "data.place" or f.decisive) for f in bench.found)
    if not (wrong or away) and "maps" in bench.case.has:
        yield from view_steps(bench)
        share, of = _merged(bench, found)
        wrong = [(True, scaled(share, MERGED, 0.15, 0.4, 0.9), "Touching nuclei share one label",
                  f"In {share:.0%} of {of} labels, none of them convex, the network sees two or "
                  "more nuclei (healthy: up to 3 %).", share, MERGED, OWN_ID + "one for several "
                  "that touch: draw the line between them (split what was merged).")] if (
                      share >= MERGED and of >= 3 * FEWEST) else []  # fmt: skip
    plot, n = _areas(found), sum(len(s.area) for s in found)
    worst = sorted(found, key=lambda s: -(len(s.lines) + s.specks + float(s.parts.max(initial=0))))
    yield from told(wrong, decisive=bool(wrong) and wrong[0][1] >= 0.9, plot=plot,
                    places=places_of(bench, (s.item for s in worst)), **common)  # fmt: skip
    if not wrong:
        touch = sum(s.touching for s in found) / n
        yield ok(f"{n} ids in {len(found)} images lie in one piece each; {touch:.0%} touch another "
                 "one.", value=touch, unit="share touching", plot=plot,
                 numbers={"touching": touch, "nuclei": float(n)})  # fmt: skip


HELD, TWO = 0.7, 0.2
"""Share of a predicted nucleus that lies in a label, and of the label that it fills, to be one of
two in it."""
MERGED = 0.05
"""Share of labels that are not convex and hold two nuclei for the network, from which touching ones
were merged (four sources 0 to 0.025; with half of the touching ones merged 0.045 to 0.1)."""


def _merged(bench: Bench, found: Sequence[Shapes]) -> tuple[float, int]:
    """Share of labels that are not convex, and two nuclei for a network; 0 if convex ones are."""
    many = convex = n = 0
    for s in [s for s in found if s.item.index in bench.map_indices][:6]:
        maps, labels = bench.maps(s.item.index), s.item.labels
        if maps is None or labels is None or maps.shape != labels.shape:
            continue
        t = contingency(compact_ids(labels)[0], own_shapes(maps))
        part = t.overlap >= np.maximum(HELD * t.pred_area[t.pred], TWO * t.true_area[t.true])
        held = np.bincount(t.true[part], minlength=t.n_true)
        two = np.isin(s.ids, t.true_ids[held >= 2])
        many += int((two & (s.solidity < CONVEX)).sum())
        convex += int((two & (s.solidity >= CONVEX)).sum())
        n += len(s.area)
    return (many / max(n, 1) if many >= 2 * convex else 0.0), n


OWN_ID = "Give label images in which every nucleus has an id of its own (inst_maps), not "
BITS = "Store labels in 16 or 32 bits (uint16, int32); 8 bits hold 255 nuclei."


def _label_claims(found: Sequence[Shapes]) -> list[Claim]:
    """List what may be wrong with labels, those that bring about the others first."""
    n = sum(len(s.area) for s in found)
    parts = np.concatenate([s.parts for s in found])
    lines = [x for s in found for x in s.lines]
    edge = int(np.gcd.reduce(np.array(lines))) if lines else 0
    ends = Counter(s.end for s in found if s.end in FULL and s.parts[-1] >= 3)
    end, n_full = ends.most_common(1)[0] if ends else (0, 0)
    more = any(s.end == end and len(s.area) > 1 for s in found)
    split, top = float((parts > 1).mean()), max(s.end for s in found)
    several = (parts > 1).sum() >= 3
    usual, total = float(np.median(parts)), int(parts.sum())
    odd, few = sum(s.odd.any() for s in found), all(s.odd.sum() <= 2 for s in found)
    judged = max(sum(int(np.isfinite(s.solidity).sum()) for s in found), 1)
    lumps = sum(int(s.lumps.sum()) for s in found)
    sharing, corners = (sum(getattr(s, x) for s in found) for x in ("sharing", "touching"))
    # fmt: off
    return [
        *_drawn_claims(found, n),
        (odd > 0.5 * len(found) and few, 0.93, "An id is no nucleus: lines, or what was left out",
         f"In {odd} of {len(found)} images an id lies on {PLACES} places and more, or covers "
         f"{GIANT_OF:.0f} times as much as others, and looks unlike a nucleus.", odd / len(found),
         0.5, "Write 0 where no nucleus is: lines between nuclei and regions that were left out "
         "(void, ignore, 65535) get no id; cut these out."),
        (len(lines) >= max(LINES, len(found) // 4), 0.95, "Nuclei are cut along "
         + (f"the borders of label tiles of {edge} px" if edge > 2 * SPECK else "straight lines"),
         f"At {len(lines)} straight rows or columns no nucleus goes on: all change their id there "
         "(by chance: none).", len(lines), LINES, "Join (merge) the ids that meet along each line: "
         "nuclei were split, or labelled in tiles (label whole images, or tiles that overlap)."),
        (n_full >= 0.2 * len(found) and more, 0.95, f"Ids end at {end}: many nuclei share that one",
         f"In {n_full} of {len(found)} images id {end} is the largest, and lies in several parts: "
         "larger ids were clipped.", n_full, 0.2 * len(found), BITS),
        (WRAPPED <= split < 2 * SHARED and several and 250 <= top <= 255, 0.9,
         "Ids were wrapped at 256: distant nuclei share one", f"{split:.0%} of the ids lie in "
         f"several parts, and none is above {top}: in 8 bits ids start again from 0.", split,
         WRAPPED, BITS),
        (usual > MASK and total >= 6, scaled(usual, MASK, 12, 0.92, 0.98),
         "Labels are a mask, classes or colours, not instances",
         f"{n} ids in {len(found)} images lie on {total} separate areas ({usual:.0f} per id, "
         "median; an instance lies on 1).", usual, MASK, OWN_ID + "a semantic mask, types or "
         "palette colours (RGB or grey): from them touching nuclei cannot be told apart."),
        (split >= SHARED and several, scaled(split, SHARED, 0.8, 0.85, 0.94),
         "Several nuclei share one id", f"{split:.0%} of {n} ids lie in several large parts (by "
         "hand: hardly any).", split, SHARED, OWN_ID + "one for several: look where ids are given, "
         "and relabel what lies apart."),
        (n >= FEWEST and ((not sharing and corners >= CORNERS)
                          or (sharing < EDGES * n and lumps >= max(4, LUMPS * judged))),
         0.95 if not sharing and corners >= CORNERS else
         scaled(lumps / judged, LUMPS, 0.2, 0.85, 0.93),
         "Labels are connected components: touching nuclei are merged",
         f"{n} labels share an edge at {sharing} pixels (by hand at {n} or more), {corners} touch, "
         f"and {lumps / judged:.0%} are large and far from convex.", lumps / judged, LUMPS,
         OWN_ID + "label(mask > 0): HV made of components cannot separate what touches."),
        *((share >= ODD and n >= FEWEST // 2, scaled(share, ODD, 0.9, 0.88, 0.96),
           f"Labels are {kind}", f"{share:.0%} of {n} labels are {kind} (by hand below 3 %).",
           share, ODD, text) for kind, share, text in _kinds(found)),
    ]
    # fmt: on


def _drawn_claims(found: Sequence[Shapes], n: int) -> list[Claim]:
    """List what may be wrong with how labels were written."""
    steps, specks = int(np.median([s.steps for s in found])), sum(s.specks for s in found) / n
    between = sum(s.between for s in found) / max(specks * n, 1)
    return [
        (steps >= STEPS, 0.93, f"Outlines of labels are steps of {steps} px",
         f"All borders lie {steps} px, or a multiple of that, from one another: labels were "
         "enlarged by the nearest pixel.", steps, STEPS, "Export labels at the resolution of the "
         "images (scale, downsample = 1), not smaller ones enlarged."),
        (specks >= SPECKS and between < 0.5, 0.93, "Labels are in pieces: ids lie all over",
         f"There are {specks:.0f} specks of less than {SPECK} px per id (by hand below 0.1), and "
         f"{1 - between:.0%} of them are no blend of what is around.", specks, SPECKS,
         "Look at how labels are decoded and drawn: run lengths by columns or by rows, shapes of "
         "rows and columns exchanged, masks added up (a + b) where two lie on one another."),
        (specks >= SPECKS, 0.96, "Labels were smoothed or compressed: ids that nobody gave",
         f"There are {specks:.0f} specks of less than {SPECK} px per id (by hand below 0.1): ids "
         "between those of neighbours, as interpolation and JPEG make them.", specks, SPECKS,
         "Resize labels by the nearest pixel, and keep them in a lossless file of 16 or 32 bits "
         "(PNG, TIFF, npz)."),
    ]  # fmt: skip


def _kinds(found: Sequence[Shapes]) -> Iterator[tuple[str, float, str]]:
    """Say what labels may be instead of areas, the share that are, and what to do."""
    each = [(s.holed, s.box, s.area < SPECK) for s in found]
    holed, boxes, small = (float(np.concatenate(x).mean()) for x in zip(*each, strict=True))
    yield "outlines, not areas", holed, "Fill the outline (contour) of every nucleus."
    yield "boxes, not outlines", boxes, "Draw the outline of every nucleus; a box is none."
    yield "points, not areas", small, "Give the area of every nucleus, not its centre or seed."


def _areas(found: Sequence[Shapes]) -> Plot:
    ratio = np.concatenate([s.area / max(float(np.median(s.area)), 1.0) for s in found])
    counts, edges = np.histogram(np.clip(ratio, 0, 8), np.linspace(0, 8, 21))
    return Plot("histogram", "Areas of labels", tuple(edges.tolist()),
                (("labels", tuple(counts.astype(float).tolist())),),
                "area, in multiples of the usual one", "labels")  # fmt: skip


# --- labels cover nuclei -----------------------------------------------------------------

LIGHTER = -0.15
"""Density inside minus outside of labels, in standard deviations, below which background was
labelled (nuclei: +0.8 to +3 on six sources)."""
GIANT = 0.3
"""Share of an image that one label covers from which it may be the background."""
SWOLLEN, SHRUNK, USUAL = -1.4, 2.4, 0.7
"""Pixels from the outline to where density falls most steeply, outwards, beyond which labels are
too large or too small; and what it is where they are sound (medians 0.4 to 1.0 on five
sources, single images -1 to 1.8; labels 3 px too large: -1.9 to -3)."""
ALONE_PX = 1.5
"""More of them, where there are one or two images."""
VAGUE = 0.47
"""Deviations of density by which it falls over 2 px at its steepest near outlines, below which
they follow no nuclei (sets by hand 0.7 to 2.3; each nucleus off by up to 7 px 0.25 to 0.44)."""
STEEP = 0.22
"""Share of its whole range by which density must fall over 2 px there, to be told (0.3 to 0.7)."""


@dataclass(frozen=True, eq=False)
class Cover:
    """What the labels of one image cover."""

    item: Item
    share: float
    contrast: float  # Density inside minus outside, in standard deviations; NaN without image
    giant: bool  # Whether one label is large, and lighter than the others or at all four sides
    outline: float  # Pixels outwards to the steepest fall of density, NaN if unclear
    steep: float  # How steep that is, in standard deviations, clear or not


def _cover(item: Item) -> Cover | None:
    if item.labels is None or not item.labels.any():
        return None
    ids, n = compact_ids(item.labels)
    inside = ids > 0
    count = np.bincount(ids.ravel(), minlength=n + 1)
    count[0] = 0
    large = ids == int(count.argmax())
    sides = all(edge.any() for edge in (large[0], large[-1], large[:, 0], large[:, -1]))
    giant, contrast, outline, steep = count.max() >= GIANT * ids.size, np.nan, np.nan, np.nan
    density = None
    if item.image is not None and item.image.shape[:2] == ids.shape:
        planes = [DENSITY[np.ascontiguousarray(item.image[..., c])] for c in (0, 2)]
        density = max(planes, key=lambda plane: float(plane.std()))
        spread = max(float(density.std()), 1e-6)
        if inside.any() and not inside.all():
            contrast = float(density[inside].mean() - density[~inside].mean()) / spread
            outline, steep = _outline(density, inside)
        rest = inside & ~large
        giant &= not rest.any() or float(density[rest].mean() - density[large].mean()) > 0
    return Cover(item, float(inside.mean()), contrast,
                 bool(giant and (density is not None or sides)), outline, steep)  # fmt: skip


def _outline(density: Float32, inside: Bool) -> tuple[float, float]:
    """Pixels outwards from the outline to the steepest fall of density (NaN: unclear); its size."""
    depth, away = (cv2.distanceTransform(m.astype(np.uint8), cv2.DIST_L2, 5)
                   for m in (inside, ~inside))  # fmt: skip
    at = np.clip(np.rint(np.where(inside, 0.5 - depth, away - 0.5)) + 9, 0, 18).astype(np.int64)
    n = np.bincount(at.ravel(), minlength=19)[1:18]
    mean = np.bincount(at.ravel(), density.ravel(), 19)[1:18] / np.maximum(n, 1)
    known = n > 30
    if known.sum() < 9:
        return np.nan, np.nan
    fall = np.where(known[:-2] & known[2:], mean[:-2] - mean[2:], 0.0)
    k = int(fall.argmax())
    steep = float(fall[k]) / max(float(density.std()), 1e-6)
    if not fall[k] > STEEP * np.ptp(mean[known]):
        return np.nan, steep
    near = slice(max(k - 2, 0), k + 3)
    weight = fall[near].clip(1e-9)
    return float((weight * (np.arange(15)[near] - 7)).sum() / weight.sum()), steep


@check("data.coverage", "Labels cover nuclei", needs=("labels",),
       explains=("data.complete", "model.score", "model.np*"), after=("data.place",))  # fmt: skip
def coverage(bench: Bench) -> Steps:
    """Say whether background was labelled, or outlines are too large or too small."""
    found = yield from look_steps(bench, "Looking at what labels cover", _cover)
    if not found:
        return skip("there are no nuclei")
    share, giants = float(np.mean([c.share for c in found])), np.mean([c.giant for c in found])
    seen = [c for c in found if np.isfinite(c.contrast)]
    contrast = float(np.mean([c.contrast for c in seen])) if seen else float("nan")
    outlines = [c.outline for c in seen if np.isfinite(c.outline) and c.contrast > 0.3]
    off = float(np.median(outlines)) if outlines else float("nan")
    clear = len(outlines) >= 0.5 * len(found) and np.ptp(np.percentile(outlines, (25, 75))) <= 2.5
    room = 0.0 if len(outlines) > 2 else ALONE_PX
    falls = [c.steep for c in seen if np.isfinite(c.steep) and c.contrast > 0]
    steep = float(np.median(falls)) if len(falls) > 2 else np.inf
    background = (contrast <= LIGHTER and share >= LITTLE) or giants >= GIANT
    vague = not background and share < 0.75 and steep < VAGUE
    by, known = abs(off - USUAL), f"{share:.0%} of the pixels are nucleus"
    common = {
        "numbers": {"coverage": share, "contrast": contrast, "Dice of all-foreground": float(
            np.mean([2 * c.share / (1 + c.share) for c in found]))}, "layers": ("image", "truth"),
        "places": places_of(bench, (c.item for c in sorted(found, key=lambda c: -c.share))),
    }  # fmt: skip
    # fmt: off
    claims: list[Claim] = [
        (background, 0.95, "Background was taken for nuclei",
         f"{known}, {abs(contrast):.1f} deviations {'lighter' if contrast < 0 else 'denser'}"
         " than the rest (nuclei: 1 to 3 denser)" + (f"; in {giants:.0%} of the images one label "
         f"covers {GIANT:.0%} and more, and is lighter than the others or reaches all four sides."
         if giants >= GIANT else "."), contrast, LIGHTER, "Choose the right mask channels (PanNuke "
         "0 to 4 are nuclei, 5 is background), invert the mask, or subtract the id of the "
         "background (background is 0)."),
        (not (background or vague) and clear and off < SWOLLEN - room, scaled(by, 2, 4, 0.85, 0.95),
         f"Labels are too large: outlines {by:.0f} px outside of the nuclei",
         f"Density falls most steeply {by:.0f} px inside of the outlines (median of "
         f"{len(outlines)} images; by hand within 1 px).", off, SWOLLEN, "Labels were dilated "
         "(grown): draw them at the border of nuclei, or shrink them by as much."),
        (not (background or vague) and clear and off > SHRUNK + room, scaled(by, 2, 4, 0.85, 0.95),
         f"Labels are too small: outlines {by:.0f} px inside of the nuclei",
         f"Density falls most steeply {by:.0f} px outside of the outlines (median of "
         f"{len(outlines)} images; by hand within 1 px).", off, SHRUNK, "Labels were eroded, "
         "or drawn inside: grow (dilate) them to the border of nuclei, ids apart."),
        (vague, 0.87, "Outlines of labels do not follow nuclei", f"Near outlines density falls by "
         f"{steep:.2f} deviations over 2 px at its steepest (by hand 0.7 to 2.3).", steep, VAGUE,
         "Draw the outline of every nucleus where it lies: these were moved one by one, are shapes "
         "put around points, or labels and image are distorted against each other."),
        (share > 0.75 and not background and not contrast > 0.5, 0.5, "Nearly all is nucleus",
         f"{known}; tissue has 10 to 40 %.", share, 0.75, "Look at labels on their images: is "
         "background labelled, or the mask inverted?"),
    ]
    # fmt: on
    made = list(told(claims, decisive=background, **common))
    yield from made or [ok(f"{known}; outlines are {off:.1f} px from where density falls.",
                           value=share, threshold=0.75, unit="share", **common)]  # fmt: skip


# --- labels complete ----------------------------------------------------------------------

MISSING, SURELY = (0.23, 0.4), (0.36, 0.55)
"""Share of nuclei without a label from which it is a fault if the network sees them too, and if
nobody else does; of sets, and of one or two images. Sound labels of six sources: sets 0 to 0.31,
single images up to 0.76, so that colour alone proves nothing there (a network that finds what is
labelled has 0 to 0.12, rarely 0.31); a third left out: 0.35 to 0.48, the smaller half: 0.26 to
0.43."""
LEAST = 6
"""Unlabelled nuclei that there are at least."""
SEEN = 25
"""Percentile of labelled pixels from which a pixel looks like nucleus."""
WITNESS = 0.5
"""Share of labelled nuclei that a network must find before it is asked about the others."""


@dataclass(frozen=True, eq=False)
class Unlabelled:
    """Nuclei of one image without a label."""

    item: Item
    labelled: int  # Nuclei with a label, as far as they look like the others
    missed: float  # Nuclei without
    at: tuple[tuple[float, float], ...]  # Where, row and column


def unlabelled(item: Item) -> Unlabelled | None:
    """Learn from the labels what nuclei look like, and look for it outside of them."""
    labels, image = labels_on(item), item.image
    if labels is None or image is None:
        return None
    ids = compact_ids(labels)[0]
    inside = ids > 0
    core, near = (f(inside.astype(np.uint8), np.ones((k, k), np.uint8)) > 0
                  for f, k in ((cv2.erode, 3), (cv2.dilate, 7)))  # fmt: skip
    if min(core.sum(), (~near).sum()) < 50:
        return None
    density = DENSITY[image]
    looks = np.concatenate([cv2.GaussianBlur(density, (0, 0), s) for s in (1, 3)], 2)
    score = looks @ _direction(looks[core][::3], looks[~near][::3])
    hot: Any = (score > np.percentile(score[core], SEEN)).astype(np.uint8)
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    hot = cv2.morphologyEx(hot, cv2.MORPH_OPEN, disc)
    count = np.bincount(ids.ravel())
    seen = np.bincount(ids.ravel(), hot.ravel())
    like = seen[1:] > 0.5 * np.maximum(count[1:], 1)
    if not like.any():
        return None
    usual = float(np.median(seen[1:][like]))
    free = hot & (cv2.dilate(inside.astype(np.uint8), np.ones((3, 3), np.uint8)) == 0)
    _, _, stats, centres = cv2.connectedComponentsWithStats(free, connectivity=4)
    large = stats[1:, cv2.CC_STAT_AREA] >= 0.4 * usual
    each = np.clip(np.rint(stats[1:, cv2.CC_STAT_AREA][large] / usual), 1, 50)
    at = tuple((float(y), float(x)) for x, y in centres[1:][large][np.argsort(-each)][:3])
    return Unlabelled(item, int(like.sum()), float(each.sum()), at)


def _direction(inside: Any, outside: Any) -> Float32:
    """Direction in colour that tells nuclei from the rest best (Fisher 1936)."""
    a, b = inside.astype(np.float64), outside.astype(np.float64)
    within = np.cov(a.T) + np.cov(b.T) + 1e-4 * np.eye(a.shape[1])
    return np.linalg.solve(within, a.mean(0) - b.mean(0)).astype(np.float32)


def _by_network(bench: Bench, items: Sequence[Item]) -> float:
    """Share of nuclei without a label by the predicted maps; NaN where they know too little."""
    labelled = hit = missed = 0
    for item in items:
        maps, shapes = bench.maps(item.index), bench.own_shapes(item.index)
        if maps is None or shapes is None or item.labels is None or (
            shapes.shape != item.labels.shape):  # fmt: skip
            continue
        n = int(shapes.max(initial=0))
        area = np.bincount(shapes.ravel(), minlength=n + 1)[1:]
        sure = np.bincount(shapes.ravel(), maps.np.ravel(), n + 1)[1:] > 0.7 * area
        on = np.bincount(shapes.ravel(), (item.labels > 0).ravel(), n + 1)[1:]
        missed += int((sure & (area >= 30) & (on < 0.2 * area)).sum())
        ids = np.unique(item.labels)[1:]
        labelled += len(ids)
        hit += int((ndimage.mean(shapes > 0, item.labels, ids) > 0.5).sum()) if len(ids) else 0
    if not labelled or hit < WITNESS * labelled:
        return float("nan")
    return missed / (missed + labelled)


@check("data.complete", "All nuclei are labelled", needs=("image", "labels"),
       explains=("model.score", "model.np*"),
       after=("data.place", "data.labels", "data.coverage"))  # fmt: skip
def complete(bench: Bench) -> Steps:
    """Say whether nuclei were left out: what looks like the labelled ones, outside of them."""
    found = yield from look_steps(bench, "Looking for nuclei without a label", unlabelled)
    labelled, missed = sum(u.labelled for u in found), sum(u.missed for u in found)
    if labelled < LEAST:
        return skip("there are too few nuclei, or the image shows nothing")
    share = missed / (missed + labelled)
    each = float(np.median([u.missed / (u.missed + u.labelled) for u in found]))
    few, suspect = len(found) < 3, share >= MISSING[0] and missed >= LEAST
    items = [u.item for u in found if u.item.index in bench.map_indices][:6]
    also = _by_network(bench, items) if suspect and "maps" in bench.case.has else float("nan")
    heard = not np.isnan(also)
    amount = min(share, 2 * also if heard else each)
    bound = MISSING[few] if heard else SURELY[few]
    sure = amount >= bound and (heard or not few)
    suspect &= amount >= (MISSING[0] if heard else bound)
    seen = f"; of those the network sees, {also:.0%} have none" if heard else ""
    said = (f"About {missed:.0f} places look like the {labelled} labelled nuclei and have no "
            f"label: {share:.0%} of all{seen} (sound labels: up to 31 %).")  # fmt: skip
    worst = sorted(found, key=lambda u: -u.missed)[: bench.params.n_places]
    common = {
        "unit": "share", "layers": ("image", "truth"),
        "places": [place_of(u.item, u.at[0], "no label here") for u in worst if u.at],
        "numbers": {"without a label": share, "median of the images": each, "network": also},
    }  # fmt: skip
    yield from told([(
        suspect, scaled(share, MISSING[0], SURELY[0], 0.8, 0.93) if sure else 0.45,
        f"About {share:.0%} of the nuclei have no label", said, share, bound,
        "Label nuclei that were left out, or leave these regions out of training and scoring (a "
        "mask of what was annotated): what has no label is learned as background.")],
        plain="Many nuclei that can be seen were never marked.", **common)  # fmt: skip
    if not suspect:
        yield ok(said, value=share, threshold=bound, **common)
