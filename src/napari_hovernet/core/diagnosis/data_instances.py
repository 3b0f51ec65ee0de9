"""Whether labels are instances: not components of a mask, not a mask, not in pieces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .data_common import listed, not_tested, percent, scaled
from .data_limits import LIMITS, DataLimits
from .data_shapes import Shapes
from .report import FAULT, OK, WARN, Finding, Place, Plot, Remedy

HALF = 48
"""Pixels on either side of the middle of a place."""
BINS = 10


def components(
    shapes: Sequence[Shapes], places: Sequence[Place] = (), limits: DataLimits = LIMITS
) -> Finding:
    """Say whether labels are connected components of a mask, so that nuclei are merged.

    That no two labels touch is no proof: nuclei may lie apart, or labels may have been drawn
    with gaps. Components of a mask have lumps among them: shapes larger than most and far from
    convex.

    Parameters
    ----------
    shapes : sequence of Shapes
    places : sequence of Place
        Of the largest lumps.
    limits : DataLimits
    """
    key, title = "data.components", "Instances against connected components"
    n = sum(s.n for s in shapes)
    if looks_like_mask(shapes, limits):
        return not_tested(key, title, "labels are no instances (see semantic masks)")
    if n < limits.nuclei:
        return not_tested(key, title, f"{n} nuclei are too few to judge their shapes")
    touching = sum(s.bordering for s in shapes) / n
    judged = max(sum(int(np.isfinite(s.solidity).sum()) for s in shapes), 1)
    lumps = sum(int(s.lumps(limits).sum()) for s in shapes)
    share, split = lumps / judged, _split(shapes)
    numbers = {"touching": touching, "lumps": share, "nuclei": float(n), "split by HV": split}
    measured = (
        f"{percent(touching)} of {n} labels touch another one (drawn by hand: 30 to 45 %), and "
        f"{percent(share)} are larger than most and far from convex (drawn by hand: 2 to 5 %, "
        "components of a mask: 13 to 20 %)"
    )
    by_hv = split >= limits.hv_split
    if touching >= limits.touching or not (by_hv or lumps >= limits.least_lumps):
        return Finding(key, OK, title, measured + ".", share, limits.lumps_all, "share",
                       numbers=numbers)  # fmt: skip
    if by_hv:
        measured += f"; stored HV has borders between nuclei inside {percent(split)} of the labels"
    if not by_hv and share < limits.lumps:
        return Finding(key, OK, title, measured + ".", share, limits.lumps_all, "share",
                       numbers=numbers)  # fmt: skip
    sure = by_hv or share >= limits.lumps_all
    certainty = scaled(share, limits.lumps_all, 0.2, 0.85, 0.95)
    return Finding(
        key,
        FAULT if sure else WARN,
        "Labels are connected components: touching nuclei are merged",
        measured + ".",
        share,
        limits.lumps_all,
        "share",
        (0.97 if by_hv else certainty) if sure else 0.45,
        Remedy(
            "Use the instance labels themselves (inst_maps), not label(mask > 0); HV made from "
            "components cannot separate what touches."
        ),
        numbers,
        ("image", "truth"),
        tuple(places),
        area_plot(shapes),
    )


def masks(shapes: Sequence[Shapes], limits: DataLimits = LIMITS) -> Finding:
    """Say whether labels are a mask or a map of types: one id on many parts.

    Parameters
    ----------
    shapes : sequence of Shapes
    limits : DataLimits
    """
    key, title = "data.masks", "Semantic masks in place of instances"
    n = sum(s.n for s in shapes)
    if not n:
        return not_tested(key, title, "there are no nuclei")
    parts = median_parts(shapes)
    if not looks_like_mask(shapes, limits):
        said = f"Ids lie in {parts:.0f} part(s) each (median of {n}), as instances do."
        return Finding(key, OK, title, said, parts, limits.mask_parts, "parts")
    found = sum(s.components for s in shapes)
    return Finding(
        key,
        FAULT,
        "Labels are a mask or a map of types, not instances",
        f"{n} ids in {len(shapes)} images lie on {found} separate areas ({parts:.0f} parts per id, "
        "median; an instance lies in 1).",
        parts,
        limits.mask_parts,
        "parts",
        scaled(parts, limits.mask_parts, 20, 0.93, 0.98),
        Remedy(
            "Give label images in which every nucleus has an id of its own (inst_maps); from a "
            "mask alone touching nuclei cannot be told apart."
        ),
        {"parts per id": parts, "ids": n, "areas": found},
        ("image", "truth"),
        tuple(_of(s) for s in shapes[:3]),
    )


def touching(shapes: Sequence[Shapes]) -> Finding:
    """Say how many nuclei touch, and how many components would lose.

    Parameters
    ----------
    shapes : sequence of Shapes
    """
    key, title = "data.touching", "Touching nuclei"
    n = sum(s.n for s in shapes)
    if not n:
        return not_tested(key, title, "there are no nuclei")
    share = sum(s.touching for s in shapes) / n
    lost = 1 - min(sum(s.components for s in shapes) / n, 1.0)
    return Finding(
        key,
        OK,
        title,
        f"{percent(share)} of {n} nuclei touch another one; connected components would lose "
        f"{percent(lost)} of them. Only touching nuclei need HV.",
        share,
        unit="share",
        numbers={"touching": share, "lost in components": lost, "nuclei": n},
    )


def fragments(shapes: Sequence[Shapes], limits: DataLimits = LIMITS) -> Finding:
    """Say how many labels are specks, lie in pieces, or have holes.

    Parameters
    ----------
    shapes : sequence of Shapes
    limits : DataLimits
    """
    key, title = "data.fragments", "Specks, pieces and holes of labels"
    n = sum(s.n for s in shapes)
    if n < limits.nuclei or looks_like_mask(shapes, limits):
        return not_tested(key, title, f"{n} instances are too few")
    specks = sum(int((s.area < limits.speck_area).sum()) for s in shapes) / n
    split = sum(int((s.parts > 1).sum()) for s in shapes) / n
    holed = sum(int(s.holed.sum()) for s in shapes) / n
    told = (
        f"{percent(specks)} of {n} labels have fewer than {limits.speck_area} px, {percent(split)} "
        f"lie in several pieces, {percent(holed)} have holes"
    )
    boxes = sum(s.boxes for s in shapes) / n
    numbers = {"specks": specks, "in pieces": split, "with holes": holed, "rectangles": boxes}
    limit = {"specks": limits.specks, "in pieces": limits.split_ids, "with holes": limits.holes,
             "rectangles": limits.boxes_all}  # fmt: skip
    over = [name for name in numbers if numbers[name] >= limit[name]]
    if not over:
        said = told + " (in health a few percent each)."
        return Finding(key, OK, title, said, split, limits.split_ids, "share", numbers=numbers)
    worst = max(over, key=lambda name: numbers[name] / limit[name])
    all_of = {"specks": limits.specks_all, "in pieces": limits.split_all,
              "with holes": limits.holes_all, "rectangles": limits.boxes_all}  # fmt: skip
    bad = [name for name in over if numbers[name] >= all_of[name]]
    worst = max(bad, key=lambda name: numbers[name] / all_of[name]) if bad else worst
    why, remedy = _reason(worst, bool(bad), [s.name for s in shapes if s.byte])
    if "rectangles" in over:
        told += f", {percent(boxes)} are rectangles"
    return Finding(
        key,
        FAULT if bad else WARN,
        "Labels are broken: " + ", ".join(f"{percent(numbers[name])} {name}" for name in over),
        f"{told}; in health a few percent each. {why}",
        numbers[worst],
        (all_of if bad else limit)[worst],
        "share",
        scaled(numbers[worst], all_of[worst], 0.8, 0.85, 0.95) if bad else 0.45,
        Remedy(remedy),
        numbers,
        ("image", "truth"),
        _worst_pieces(shapes),
    )


def _reason(worst: str, most: bool, bytes_: Sequence[str]) -> tuple[str, str]:
    """Say where it comes from, and what to do."""
    if bytes_:
        return (
            f"Ids of {listed(list(bytes_))} end at 255: with more nuclei 8 bits start again from "
            "0.",
            "Store labels in 16 or 32 bits.",
        )
    known = {
        "with holes": (
            "They are outlines or rings, not areas.",
            "Fill the outline of every nucleus.",
        ),
        "specks": (
            "They are points or seeds, not areas.",
            "Give the area of every nucleus, not its centre.",
        ),
        "rectangles": (
            "They are bounding boxes, not outlines.",
            "Give the outline of every nucleus; boxes of a detector cannot stand for it.",
        ),
    }
    return (known.get(worst) if most else None) or (
        "Interpolation when labels are resized makes such ids; so does a lossy file format.",
        "Resize labels with the nearest neighbour alone, keep them in 16 or 32 bit PNG, TIFF or "
        "npz, and drop specks.",
    )


def looks_like_mask(shapes: Sequence[Shapes], limits: DataLimits = LIMITS) -> bool:
    """Tell whether ids lie in many parts, as in a mask or a map of types."""
    found = sum(s.components for s in shapes)
    ids = sum(s.n for s in shapes)
    few = ids * limits.mask_parts <= found
    return few and found >= limits.mask_components and median_parts(shapes) >= limits.mask_parts


def median_parts(shapes: Sequence[Shapes]) -> float:
    """Parts per id, median of all ids."""
    parts = [s.parts for s in shapes if s.n]
    return float(np.median(np.concatenate(parts))) if parts else 0.0


def lump_places(shapes: Sequence[Shapes], n: int, limits: DataLimits = LIMITS) -> list[Place]:
    """Return places around the largest lumps, at most one per image first."""
    found = []
    for s in shapes:
        which = np.flatnonzero(s.lumps(limits))
        for k in which[np.argsort(-s.area[which])][:2]:
            usual = max(float(np.median(s.area)), 1.0)
            words = f"solidity {s.solidity[k]:.2f}, {s.area[k] / usual:.1f} x the usual area"
            found.append((float(s.area[k]) / usual, _at(s, int(k), words)))
    return [place for _, place in sorted(found, key=lambda each: -each[0])[:n]]


def area_plot(shapes: Sequence[Shapes]) -> Plot:
    """Draw how large labels are, in multiples of the usual area."""
    ratio = np.concatenate([s.area / max(float(np.median(s.area)), 1.0) for s in shapes if s.n])
    edges = np.linspace(0, 8, 2 * BINS + 1)
    counts, _ = np.histogram(np.clip(ratio, 0, 8), edges)
    return Plot(
        "histogram",
        "Areas of labels",
        tuple(float(e) for e in edges),
        (("labels", tuple(float(c) for c in counts)),),
        "area, in multiples of the usual one",
        "labels",
    )


def _split(shapes: Sequence[Shapes]) -> float:
    known = [(s.split, s.n) for s in shapes if np.isfinite(s.split)]
    total = sum(n for _, n in known)
    return sum(x * n for x, n in known) / total if total else float("nan")


def _worst_pieces(shapes: Sequence[Shapes]) -> tuple[Place, ...]:
    found = [
        (int(s.parts[k]), _at(s, int(k), f"id {s.ids[k]} lies in {s.parts[k]} pieces"))
        for s in shapes
        for k in np.argsort(-s.parts)[:2]
        if s.parts[k] > 1
    ]
    return tuple(place for _, place in sorted(found, key=lambda each: -each[0])[:5])


def _at(shapes: Shapes, k: int, words: str) -> Place:
    row, col = (int(x) for x in shapes.centre[k])
    half = max(HALF, int(np.sqrt(shapes.area[k])))
    box = (max(row - half, 0), row + half, max(col - half, 0), col + half)
    return Place(shapes.index, shapes.name, box, words)


def _of(shapes: Shapes) -> Place:
    row, col = (int(x) for x in shapes.centre[0]) if shapes.n else (HALF, HALF)
    box = (max(row - HALF, 0), row + HALF, max(col - HALF, 0), col + HALF)
    return Place(shapes.index, shapes.name, box)
