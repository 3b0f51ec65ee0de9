"""Findings about where labels belong, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.samples import TURNS, Turn
from .data_common import listed, not_tested, scaled
from .data_limits import LIMITS, DataLimits
from .data_places import FITS, INVERTED, NOWHERE, ORDER, SHIFT, TURN, UNTESTED, Placement, Where
from .data_register import strip_score
from .report import FAULT, OK, WARN, Finding, Place, Plot, Remedy
from .setup import Setup

MOST = 0.7
"""Share of the images moved on by the same step from which all are."""
TOKEN_PX = 14
"""Pixels of a patch of the usual encoders."""


def shift_finding(
    where: Where, placed: Placement, places: Sequence[Place] = (), limits: DataLimits = LIMITS
) -> Finding:
    """Say whether labels are moved against their image.

    Parameters
    ----------
    where : Where
    placed : Placement
    places : sequence of Place
    limits : DataLimits
    """
    key, title = "data.shift", "Position of labels on their image"
    if where.kind == UNTESTED:
        return not_tested(key, title, where.why)
    if where.kind == INVERTED:
        return not_tested(key, title, where.why)
    if where.kind == SHIFT:
        return _moved(where, placed, places, limits)
    if where.kind == FITS and where.odd:
        return _some_moved(where, placed, places, limits)
    if where.kind != FITS:
        return Finding(key, OK, title, "No shift explains why labels do not fit their image.")
    at = (0, 0) if placed.offsets is None else placed.offsets.at
    return Finding(
        key,
        OK,
        title,
        f"Labels fit their image best within {limits.shift:g} px of where they are (correlation "
        f"{where.own:.2f} of nuclei with the haematoxylin of {len(placed.pairs)} images).",
        float(np.hypot(*at)),
        limits.shift,
        "px",
        numbers={"correlation": where.own},
    )


def _moved(where: Where, placed: Placement, places: Sequence[Place], limits: DataLimits) -> Finding:
    rows, cols = where.at
    rolled = strip_score(placed.pairs, where.at) >= limits.match
    tokens = _tokens(where.at)
    return Finding(
        "data.shift",
        FAULT,
        f"Labels are moved against their image by {px_words(-rows, -cols)}",
        f"Labels fit their image best when moved by {px_words(rows, cols)}{tokens}: correlation "
        f"with the haematoxylin is {where.value:.2f} there and {where.own:.2f} where they are, in "
        f"{len(placed.pairs)} images; in health the best place is 0."
        + (" What left on one side came in on the other: they were rolled." if rolled else ""),
        float(np.hypot(rows, cols)),
        limits.shift,
        "px",
        scaled(where.value - where.own, 0.0, 0.3, 0.9, 0.98),
        Remedy(
            f"Move the labels (and what was made from them) by {px_words(rows, cols)}; look for a "
            "crop or a padding that image and labels do not share.",
            "labels_shift",
            [rows, cols],
        ),
        {"rows": rows, "columns": cols, "correlation": where.value, "as it is": where.own},
        ("image", "truth"),
        tuple(places),
    )


def _some_moved(
    where: Where, placed: Placement, places: Sequence[Place], limits: DataLimits
) -> Finding:
    names = [placed.pairs[i].name for i in where.odd]
    share = len(names) / len(placed.pairs)
    bad = share >= limits.odd_items and len(names) > 1
    return Finding(
        "data.shift",
        FAULT if bad else WARN,
        f"Labels of {len(names)} of {len(placed.pairs)} images are moved against them",
        f"Labels of {listed(names)} fit their image better elsewhere, each at another place; those "
        "of the others fit where they are.",
        share,
        limits.odd_items,
        "share",
        scaled(share, 0.0, 1.0, 0.8, 0.95) if bad else 0.4,
        Remedy("Look at these images with their labels on top; leave them out or mend them."),
        {"images": len(names)},
        ("image", "truth"),
        tuple(places),
    )


def flip_finding(
    where: Where, placed: Placement, setup: Setup, places: Sequence[Place] = ()
) -> Finding:
    """Say whether labels are flipped or turned against their image.

    Parameters
    ----------
    where : Where
    placed : Placement
    setup : Setup
        What has been applied already.
    places : sequence of Place
    """
    key, title = "data.flip", "Flips and turns of labels against their image"
    if where.kind in (UNTESTED, INVERTED):
        return not_tested(key, title, where.why)
    plot = Plot(
        "bars",
        "Correlation of turned labels with their image",
        tuple(turn_words(t) for t in placed.turns),
        (("correlation", tuple(placed.turns.values())),),
        y_label="correlation",
    )
    if where.kind == FITS and where.turned:
        return _some_turned(where, placed, places)
    if where.kind != TURN:
        said = f"No flip or turn makes labels fit better (as they are: {where.own:.2f})."
        return Finding(key, OK, title, said, where.own, unit="correlation", plot=plot)
    told = turn_words(where.turn)
    return Finding(
        key,
        FAULT,
        f"Labels are flipped or turned against their image ({told} brings them back)",
        f"Labels fit their image after: {told}. Correlation with the haematoxylin is "
        f"{where.value:.2f} then and {where.own:.2f} as they are, in {len(placed.pairs)} images.",
        where.value,
        where.own,
        "correlation",
        scaled(where.value - where.own, 0.0, 0.4, 0.92, 0.98),
        Remedy(
            f"Turn the labels back ({told}); look for an array that was read with rows and "
            "columns exchanged, or flipped when it was written.",
            "labels_turn",
            _composed(where.turn, setup.labels_turn),
        ),
        {"correlation": where.value, "as it is": where.own},
        ("image", "truth"),
        tuple(places),
        plot,
    )


def _some_turned(where: Where, placed: Placement, places: Sequence[Place]) -> Finding:
    names = [placed.pairs[i].name for i in where.turned]
    share = len(names) / len(placed.pairs)
    best = [placed.each_turn[i] for i in where.turned]
    told = sorted({turn_words(max(scores, key=lambda t: scores[t])) for scores in best})
    bad = share >= LIMITS.odd_items and len(names) > 1
    return Finding(
        "data.flip",
        FAULT if bad else WARN,
        f"Labels of {len(names)} of {len(placed.pairs)} images are flipped or turned",
        f"Labels of {listed(names)} fit their image only after: {'; '.join(told)}. Those of the "
        "others fit as they are.",
        share,
        LIMITS.odd_items,
        "share",
        scaled(share, 0.0, 0.5, 0.88, 0.96) if bad else 0.4,
        Remedy(
            "Turn the labels of these images back; an augmentation that was stored, or a reader "
            "of one kind of file, moved them without their images."
        ),
        {"images": float(len(names))},
        ("image", "truth"),
        tuple(places),
    )


def pairing_finding(
    where: Where,
    placed: Placement,
    setup: Setup,
    n_items: int,
    places: Sequence[Place] = (),
) -> Finding:
    """Say whether labels belong to another image.

    Parameters
    ----------
    where : Where
    placed : Placement
    setup : Setup
        What has been applied already.
    n_items : int
        Images in the case.
    places : sequence of Place
    """
    key, title = "data.pairing", "Labels on their own image"
    if where.kind in (UNTESTED, INVERTED):
        return not_tested(key, title, where.why)
    if len(placed.pairs) < 2 and where.kind != NOWHERE:
        return not_tested(key, title, "there is one image only")
    if where.kind == ORDER:
        return _mixed_up(where, placed, setup, n_items, places)
    if where.kind == NOWHERE:
        return Finding(
            key,
            FAULT,
            "Labels do not belong to these images",
            f"Labels hardly agree with where the haematoxylin is (correlation {where.own:.2f}; 0.4 "
            "to 0.9 in health), and no shift, flip or other image that was looked at fits better.",
            where.own,
            LIMITS.fitting,
            "correlation",
            0.82,
            Remedy("Look at an image with its labels on top; pair files by name, not by order."),
            {"correlation": where.own},
            ("image", "truth"),
            tuple(places),
        )
    said = f"Labels fit no other image better than their own (correlation {where.own:.2f})."
    return Finding(key, OK, title, said, where.own, unit="correlation")


def _mixed_up(
    where: Where, placed: Placement, setup: Setup, n_items: int, places: Sequence[Place]
) -> Finding:
    moved = [i for i, j in enumerate(where.order) if i != j]
    said = [f"{placed.pairs[i].name} to {placed.pairs[where.order[i]].name}" for i in moved]
    order = _image_order(where, placed, setup, n_items)
    shown = placed.scores[:20, :20]
    return Finding(
        "data.pairing",
        FAULT,
        f"Labels of {len(moved)} of {len(placed.pairs)} images belong to another image",
        f"Labels belong to another image ({listed(said)}): correlation with the haematoxylin is "
        f"{where.value:.2f} there and {where.own:.2f} on the image they are stored with.",
        where.value,
        where.own,
        "correlation",
        scaled(where.value - where.own, 0.1, 0.5, 0.92, 0.98),
        Remedy("Pair images and labels by name, not by order.", "image_order", order),
        {"images": len(moved), "correlation": where.value, "as it is": where.own},
        ("image", "truth"),
        tuple(places),
        Plot(
            "matrix",
            "Correlation of labels (rows) with images (columns)",
            tuple(p.name for p in placed.pairs[: len(shown)]),
            tuple(
                (p.name, tuple(float(x) for x in row))
                for p, row in zip(placed.pairs, shown, strict=False)
            ),
        ),
    )


def _image_order(where: Where, placed: Placement, setup: Setup, n_items: int) -> list[int]:
    """Return the image of each item; moved on by the same step, all items are."""
    before = list(setup.image_order or range(n_items))
    before += range(len(before), n_items)
    moved = {
        placed.pairs[i].index: placed.pairs[j].index for i, j in enumerate(where.order) if i != j
    }
    steps = Counter((j - i) % n_items for i, j in moved.items())
    step, often = steps.most_common(1)[0]
    if often >= MOST * len(placed.pairs):
        return [before[(i + step) % n_items] for i in range(n_items)]
    return [before[moved.get(i, i)] for i in range(n_items)]


def turn_words(turn: Turn) -> str:
    """Name a turn.

    Examples
    --------
    >>> turn_words(Turn(True, 1))
    'mirror left-right, 1 quarter turn'
    """
    parts = ["mirror left-right"] if turn.flip else []
    if turn.quarters:
        parts.append(f"{turn.quarters} quarter turn{'s' if turn.quarters > 1 else ''}")
    return ", ".join(parts) or "nothing"


def _composed(turn: Turn, before: tuple[bool, int]) -> list[Any]:
    """Return the turn that does what both do, the earlier one first."""
    wanted = turn.matrix @ Turn(bool(before[0]), int(before[1])).matrix
    both = next(t for t in TURNS if np.array_equal(t.matrix, wanted))
    return [both.flip, both.quarters]


def px_words(rows: float, cols: float) -> str:
    """Write a shift in words.

    Examples
    --------
    >>> px_words(-2, 56)
    '2 px up and 56 px to the right'
    """
    parts = []
    if rows:
        parts.append(f"{abs(rows):g} px {'down' if rows > 0 else 'up'}")
    if cols:
        parts.append(f"{abs(cols):g} px to the {'right' if cols > 0 else 'left'}")
    return " and ".join(parts) or "nothing"


def _tokens(at: tuple[int, int]) -> str:
    """Say how many patches a shift is, if it is whole ones."""
    far = [abs(x) for x in at if abs(x) > 1]
    if len(far) == 1 and abs(far[0] - TOKEN_PX * round(far[0] / TOKEN_PX)) <= 1:
        n = round(far[0] / TOKEN_PX)
        return f" ({n} patch{'es' if n > 1 else ''} of {TOKEN_PX} px)" if n else ""
    return ""
