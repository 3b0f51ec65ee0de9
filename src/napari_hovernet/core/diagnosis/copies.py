"""The check for copies: images that are there twice, or on both sides of a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np

from ...errors import UserError
from ..data.items import evenly, listed
from ..data.samples import TURNS, Sample, find_leaks, print_of, turn_plane
from ..data.samples import Print as Whole
from ..types import Progress
from .bench import Bench, Item, item_of
from .case import RawItem
from .data import BLANK, CODE, PART, places_of
from .engine import Steps, Verdict, check, ok, skip, told

WINDOW, ONE_OF = 8, 256
"""Edge of the windows of pixels that are marked, and which share of them is kept."""
MARKS, COMMON, COPY = 6, 0.02, 0.8
"""Common marks, and share of those of the image with fewer, from which two images have pixels in
common (unlike ones have none: a mark stands for 192 bytes in order), or one is the other."""
TWICE = 0.2
"""Share of copies within a set from which it is a fault (fewer: a warning)."""
HELD, COHORT = 40, 24
"""Images of the other side that are looked at; and images of a group (on both sides) from which
it is a stain or an organ and no source image."""
POINTS, SAME_POINTS, NEAR, SMALLEST = 150, 16, 64, 64
"""Corners that are kept of an image; corners that two images must have in common, lying alike up to
place, size and angle, from which they show the same tissue (2,100 pairs of unlike ones: up to 7;
177 turned, resized, of other colour or compressed: 98 to 100 % have as many); bits in which such
corners may differ; and pixels that an image has at least on each side."""
ODD = np.random.default_rng(7).integers(1, 2**31, 2 * WINDOW, dtype=np.uint32) | 1


@dataclass(frozen=True, eq=False)
class Print:
    """What is kept of an image to find it, turned or in part, again."""

    item: Item
    whole: Whole
    marks: tuple[frozenset[int], ...]  # Of the image as it is, and turned
    corners: tuple[tuple[Any, Any], ...]  # Their places and descriptions, mirrored too


def _print(item: Item, raw: RawItem, turned: bool = False) -> Print | None:
    image, tokens = item.image, raw.features
    if image is None and tokens is None:
        return None
    turns = TURNS[: 0 if image is None else 8 if turned else 1]
    seen = [np.ascontiguousarray(turn_plane(np.asarray(image), t, (0, 1))) for t in turns]
    about: Any = {"image": seen[0]} if seen else {"features": np.asarray(tokens)}
    blank = np.zeros(seen[0].shape[:2] if seen else (1, 1), np.int32)
    sample = Sample(raw.name, labels=blank, **about)
    whole = replace(print_of(sample), group=raw.group)
    corners = tuple(map(_corners, (seen[0], seen[0][:, ::-1])[: 1 + turned])) if seen else ()
    return Print(item, whole, tuple(map(_marks, seen)), corners)


def _corners(image: Any) -> tuple[Any, Any]:
    """Places (n, 2) and descriptions of corners (ORB; Rublee et al. 2011), None without any."""
    if min(image.shape[:2]) < SMALLEST:
        return np.zeros((0, 2), np.float32), None
    grey = cv2.cvtColor(np.ascontiguousarray(image[:PART, :PART]), cv2.COLOR_RGB2GRAY)
    orb = cv2.ORB_create(POINTS, fastThreshold=5)  # type: ignore[attr-defined]
    points, words = orb.detectAndCompute(grey, None)
    return np.array([p.pt for p in points], np.float32).reshape(-1, 2), words


def _alike(a: tuple[Any, Any], b: tuple[Any, Any]) -> int:
    """Count the corners that two images have in common, up to place, size and angle."""
    if a[1] is None or b[1] is None:
        return 0
    near = [m for m in cv2.BFMatcher(cv2.NORM_HAMMING, True).match(a[1], b[1]) if m.distance < NEAR]
    if len(near) < SAME_POINTS:
        return 0
    cv2.setRNGSeed(0)
    here, there = a[0][[m.queryIdx for m in near]], b[0][[m.trainIdx for m in near]]
    fit, agree = cv2.estimateAffinePartial2D(here, there, ransacReprojThreshold=4.0, maxIters=500)
    return 0 if fit is None else int(agree.sum())


def _marks(image: Any) -> frozenset[int]:
    """Hashes of windows of pixels, chosen by the hash itself: the same wherever a crop begins."""
    value = image.astype(np.uint32) @ CODE
    height, width = (n - WINDOW + 1 for n in value.shape)
    if min(height, width) < 1:
        return frozenset()
    rows = sum(w * value[:, k : k + width] for k, w in enumerate(ODD[:WINDOW]))
    made = sum(w * rows[k : k + height] for k, w in enumerate(ODD[WINDOW:]))
    made = (made ^ (made >> np.uint32(15))) * np.uint32(2246822519)
    made ^= made >> np.uint32(13)
    box, corner, green = np.ones((WINDOW, WINDOW), np.uint8), (0, 0), image[..., 1]
    alive = cv2.dilate(green, box, anchor=corner) - cv2.erode(green, box, anchor=corner) > 12
    return frozenset(made[alive[:height, :width] & (made % ONE_OF == 0)].tolist())


def _held(bench: Bench, number: int) -> Print | None:
    """Read an image of the other side, and take its print."""
    one: Any = (bench.case.held_out or ())[number]
    try:
        raw = RawItem(**{"name": one.name, "group": one.group, **one.read("image", "features")})
        return _print(item_of(raw, -1, bench.setup, bench.case.kind), raw, True)
    except (UserError, ValueError):
        return None


@check("data.leak", "No image is there twice, or on both sides of the split")
def copies(bench: Bench) -> Steps:
    """Say which images are copies, and which are on both sides of a split, whole or in part."""
    found: list[Print] = []
    there: list[Print] = []
    outside = bench.case.held_out
    for number, item in enumerate(bench.items()):
        yield Progress(number, len(bench.indices), "Taking prints of images")
        raw: Any = bench.raw(item.index)
        held = outside is None and raw.split == "val"
        made = _print(item, raw, held)
        (there if held else found).extend([] if made is None else [made])
    for number in evenly(len(outside or ()), HELD):
        yield Progress(number, len(outside or ()), "Comparing with the other side")
        made = _held(bench, number)
        there += [] if made is None else [made]
    shown = [p for p in found if p.item.image is None or p.item.image.std() >= BLANK]
    twice = Counter(p.whole.digest for p in shown)
    extra = len(shown) - len(twice)
    yield from told([(
        extra, 0.93 if extra >= TWICE * len(found) else 0.45,
        f"{extra} of {len(found)} images are there twice",
        f"{extra} of {len(found)} images have the very same pixels as another.",
        extra / max(len(found), 1), TWICE, "Keep one of each (remove duplicates): copies weigh "
        "double, and leak if a split divides them.")], unit="share", layers=("image",),
        places=places_of(bench, (p.item for p in shown if twice[p.whole.digest] > 1)))  # fmt: skip
    if found and there:
        yield _leak(bench, found, there)
    elif not found:
        yield skip("give images")
    elif not extra:
        yield ok(f"All {len(found)} images differ; give images of the other side of the split to "
                 "look for leaks.", value=0.0, threshold=TWICE)  # fmt: skip


def _leak(bench: Bench, here: Sequence[Print], there: Sequence[Print]) -> Verdict:
    """Compare both sides of a split."""
    known = find_leaks([p.whole for p in here], [p.whole for p in there])
    same = "with the very same pixels"
    pairs = {same: set(known.same), "the same, turned": set(), "crops that overlap": set(),
             "the same, of other size, angle or colour": set()}  # fmt: skip
    turned, part, changed = list(pairs)[1:]
    for p in here:
        for q in there:
            pair = (p.whole.name, q.whole.name)
            share = max((_shared(p.marks[0], m) for m in q.marks if p.marks), default=0.0)
            if pair in pairs[same]:
                continue
            if share >= COMMON:
                pairs[turned if share >= COPY else part].add(pair)
            elif any(_alike(p.corners[0], c) >= SAME_POINTS for c in q.corners if p.corners):
                pairs[changed].add(pair)
    exact = [pair for each in pairs.values() for pair in each]
    alike = pairs["look alike"] = set(known.near) - set(exact)
    sizes = Counter(p.whole.group for p in (*here, *there))
    groups = [g for g in known.groups if g]
    groups = groups if groups and np.median([sizes[g] for g in groups]) < COHORT else []
    if not exact and not alike and not groups:
        return ok(f"None of {len(there)} images is among the {len(here)} of the other side, whole, "
                  "turned, or in part.", value=0.0, threshold=0.0, unit="images")  # fmt: skip
    said = [f"{len(each)} {kind} ({listed(f'{a} = {b}' for a, b in sorted(each))})"
            for kind, each in pairs.items() if each]  # fmt: skip
    said += [f"{len(groups)} source images ({listed(groups)})"] if groups else []
    mine = {a for a, _ in (*exact, *alike)}
    share = len({b for _, b in (*exact, *alike)}) / len(there)
    sure = 0.95 if exact else 0.8 if len(alike) > 1 or groups else 0.45
    return next(told([(
        True, sure, "The same images are in training and in validation",
        f"On both sides of the split: {'; '.join(said)}. Scores on them say nothing of new images.",
        share, 0.0, "Divide by source image (slide, patient), never by crop; drop copies first.")],
        unit="share", layers=("image",), plain="Images used for checking were learned from, too.",
        places=places_of(bench, (p.item for p in here if p.whole.name in mine))))  # fmt: skip


def _shared(a: frozenset[int], b: frozenset[int]) -> float:
    common = len(a & b)
    return common / max(min(len(a), len(b)), 1) if common >= MARKS else 0.0
