"""Images that are there twice, or on both sides of a split."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from ..data.samples import TURNS, Print, Sample, Turn, find_leaks, print_of, turn_plane
from ..inference.images import UInt8
from .data_common import listed, not_tested, percent, scaled
from .data_limits import LIMITS, DataLimits
from .report import FAULT, OK, WARN, Finding, Place, Remedy


def image_print(name: str, group: str, image: UInt8 | None, features: Any = None) -> Print | None:
    """Take what is needed to find an image (or its tokens) again; None without either.

    Parameters
    ----------
    name, group : str
    image : uint8 (H, W, 3), optional
    features : array (N, D), optional
    """
    if image is None and features is None:
        return None
    if image is not None:
        blank = np.zeros(image.shape[:2], np.int32)
        made = print_of(Sample(name, group, image=image, labels=blank))
    else:
        blank = np.zeros((1, 1), np.int32)
        made = print_of(Sample(name, group, features=np.asarray(features), labels=blank))
    return replace(made, group=group)


def duplicates(
    prints: Sequence[Print], places: Sequence[Place] = (), limits: DataLimits = LIMITS
) -> Finding:
    """Say which images are there more than once.

    Parameters
    ----------
    prints : sequence of Print
    places : sequence of Place
        One per print, or none.
    limits : DataLimits
    """
    key, title = "data.duplicates", "Images that are there twice"
    if len(prints) < 2:
        return not_tested(key, title, "there is one image only")
    twice: dict[str, list[int]] = defaultdict(list)
    for i, p in enumerate(prints):
        twice[p.digest].append(i)
    groups = [found for found in twice.values() if len(found) > 1]
    extra = sum(len(found) - 1 for found in groups)
    share = extra / len(prints)
    if not extra:
        said = f"All {len(prints)} images differ."
        return Finding(key, OK, title, said, 0.0, limits.duplicates, "share")
    bad = share >= limits.duplicates
    pairs = [" = ".join(prints[i].name for i in found[:3]) for found in groups]
    shown = tuple(places[found[1]] for found in groups if len(places) == len(prints))
    return Finding(
        key,
        FAULT if bad else WARN,
        f"{extra} of {len(prints)} images are copies of others",
        f"The very same pixels: {listed(pairs)} ({percent(share)} copies).",
        share,
        limits.duplicates,
        "share",
        scaled(share, limits.duplicates, 0.5, 0.8, 0.95) if bad else 0.45,
        Remedy("Keep one of each; copies weigh double, and leak if a split divides them."),
        {"copies": extra},
        ("image",),
        shown[:5],
    )


def leak(
    train: Sequence[Print],
    held: Sequence[Print],
    places: Sequence[Place] = (),
    limits: DataLimits = LIMITS,
) -> Finding:
    """Say which images are on both sides of the split.

    Parameters
    ----------
    train, held : sequence of Print
    places : sequence of Place
        One per print of ``train``, or none.
    limits : DataLimits
    """
    key, title = "data.leak", "Images on both sides of the split"
    if not train or not held:
        return not_tested(key, title, "there are no images on one of the sides")
    named = [Print(p.name, "", p.digest, p.pattern, p.thumb) for p in train]
    found = find_leaks(named, [Print(p.name, "", p.digest, p.pattern, p.thumb) for p in held])
    found = replace(found, near=_with_turned(found.near, train, held, limits))
    groups = _shared_groups(train, held, limits)
    numbers = {"same": len(found.same), "alike": len(found.near), "groups": len(groups)}
    told = []
    if found.same:
        told.append(f"{len(found.same)} with the very same pixels ({_pairs(found.same)})")
    if found.near:
        told.append(f"{len(found.near)} that look alike, turned or not ({_pairs(found.near)})")
    if groups:
        told.append(f"{len(groups)} source images ({listed(groups)})")
    if not told:
        said = f"None of {len(held)} images is among the {len(train)} of the other side."
        return Finding(key, OK, title, said, 0.0, 0.0, "images", numbers=numbers)
    names = {name for pair in found.same + found.near for name in pair}
    shown = [p for p in places if p.name in names] or list(places[:1])
    bad = bool(found.same) or len(found.near) > 1 or bool(groups)
    share = (len(found.same) + len(found.near)) / len(held)
    return Finding(
        key,
        FAULT if bad else WARN,
        "The same images are in training and in validation",
        f"On both sides: {'; '.join(told)}. Scores on them tell nothing about new images.",
        share,
        0.0,
        "share",
        (scaled(share, 0.0, 0.5, 0.9, 0.98) if found.same else 0.78) if bad else 0.45,
        Remedy("Divide by source image (slide or patient), never by crop, and drop copies first."),
        numbers,
        ("image",),
        tuple(shown[:5]),
    )


def _with_turned(
    near: Sequence[tuple[str, str]],
    train: Sequence[Print],
    held: Sequence[Print],
    limits: DataLimits,
) -> tuple[tuple[str, str], ...]:
    """Add pairs that look alike when one is flipped or turned."""
    first, second = ([p for p in side if p.thumb] for side in (train, held))
    if not first or not second:
        return tuple(near)
    edge = int(np.sqrt(len(first[0].thumb)))
    known = np.array([p.thumb for p in first])
    found = dict.fromkeys(near)
    for other in second:
        plane = np.array(other.thumb).reshape(edge, edge)
        for turn in TURNS:
            if turn == Turn():
                continue
            alike = known @ turn_plane(plane, turn).ravel() >= limits.turned_copy
            found |= {(first[i].name, other.name): None for i in np.flatnonzero(alike)}
    return tuple(found)


def _shared_groups(
    train: Sequence[Print], held: Sequence[Print], limits: DataLimits
) -> tuple[str, ...]:
    """Return source images on both sides; groups of many images each are stains or organs."""
    first, second = (Counter(p.group for p in side if p.group) for side in (train, held))
    both = set(first) & set(second)
    if not both:
        return ()
    usual = np.median([first[g] + second[g] for g in both])
    alone = all(n == 1 for n in (first + second).values())
    if usual >= 2 * limits.cohort or alone:
        return ()
    return tuple(sorted(both))


def _pairs(pairs: Sequence[tuple[str, str]]) -> str:
    return listed([f"{a} = {b}" for a, b in pairs])
