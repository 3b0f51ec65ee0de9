"""Types of nuclei: numbers in range, in agreement with the labels, and how many of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..hv import compact_ids
from ..types import Bool, Int32
from .data_common import listed, not_tested, percent, scaled
from .data_limits import LIMITS, DataLimits
from .report import FAULT, OK, WARN, Finding, Place, Plot, Remedy

HALF = 0.5
NEARLY_ALL = 0.9
LARGEST = 255
"""Types beyond this are no types."""
PURE = 0.9
"""Share of a nucleus that its main type has at least, rims apart."""


@dataclass(frozen=True, eq=False)
class TypeLook:
    """Types of one image.

    Parameters
    ----------
    index, name
    shape : (int, int)
    inside : int (256,)
        Nucleus pixels of each type.
    outside : int (256,)
        Background pixels of each type; all 0 where nuclei are not known.
    nuclei : int (256,)
        Nuclei by their most frequent type.
    mixed : float
        Share of nuclei of more than one type, NaN without labels.
    beyond : int
        Pixels below 0 or above 255.
    box : (int, int, int, int)
        Around the first conflict.
    """

    index: int
    name: str
    shape: tuple[int, int]
    inside: npt.NDArray[Any]
    outside: npt.NDArray[Any]
    nuclei: npt.NDArray[Any]
    mixed: float
    beyond: int
    box: tuple[int, int, int, int]

    @property
    def place(self) -> Place:
        """Around the first conflict."""
        return Place(self.index, self.name, self.box)


def look_at_types(
    index: int, name: str, types: npt.NDArray[Any], nucleus: Bool | None, labels: Int32 | None
) -> TypeLook:
    """Count types of pixels and of nuclei.

    Parameters
    ----------
    index, name
    types : int (H, W)
    nucleus : bool (H, W), optional
        Without it everything above 0 is nucleus.
    labels : int32 (H, W), optional
    """
    known = types > 0 if nucleus is None else nucleus
    clipped = np.clip(types, 0, LARGEST)
    inside = np.bincount(clipped[known], minlength=LARGEST + 1)
    outside = np.zeros(LARGEST + 1, np.int64)
    if nucleus is not None:
        outside = np.bincount(clipped[~known], minlength=LARGEST + 1)
    counts, mixed = np.zeros(LARGEST + 1, np.int64), float("nan")
    if labels is not None:
        counts, mixed = _by_nucleus(clipped, labels)
    return TypeLook(
        index,
        name,
        (int(types.shape[0]), int(types.shape[1])),
        inside,
        outside,
        counts,
        mixed,
        int(((types < 0) | (types > LARGEST)).sum()),
        _conflict_box(clipped, nucleus),
    )


def _by_nucleus(types: npt.NDArray[Any], labels: Int32) -> tuple[npt.NDArray[Any], float]:
    ids, largest = compact_ids(labels)
    if not largest:
        return np.zeros(LARGEST + 1, np.int64), float("nan")
    table = np.zeros((largest + 1, LARGEST + 1), np.int32)
    np.add.at(table, (ids.ravel(), types.ravel()), 1)
    table = table[1:][table[1:].sum(axis=1) > 0]
    mixed = float((table.max(axis=1) < PURE * table.sum(axis=1)).mean())
    return np.bincount(table.argmax(axis=1), minlength=LARGEST + 1), mixed


def _conflict_box(types: npt.NDArray[Any], nucleus: Bool | None) -> tuple[int, int, int, int]:
    height, width = types.shape
    bad = np.zeros(0, np.int64) if nucleus is None else np.flatnonzero((types > 0) != nucleus)
    if not len(bad):
        return (0, height, 0, width)
    row, col = divmod(int(bad[len(bad) // 2]), width)
    return (max(row - 48, 0), min(row + 48, height), max(col - 48, 0), min(col + 48, width))


def types(looks: Sequence[TypeLook], n_types: int | None, limits: DataLimits = LIMITS) -> Finding:
    """Say whether types are in range and start where they should.

    Parameters
    ----------
    looks : sequence of TypeLook
    n_types : int, optional
        Types there should be, background included.
    limits : DataLimits
    """
    key, title = "data.types", "Numbers of types"
    inside, outside = _sums(looks)
    if not inside.sum():
        return not_tested(key, title, "there are no nuclei with types")
    highest = int(np.flatnonzero(inside + outside).max())
    numbers = {"highest": highest, "untyped": float(inside[0] / inside.sum())}
    wrong = _wrong_numbers(looks, inside, outside, n_types, limits)
    if wrong is None:
        of = f" (0 to {n_types - 1} expected)" if n_types else ""
        said = f"Types of nuclei go up to {highest}{of}, and background is 0."
        return Finding(key, OK, title, said, highest, unit="type", numbers=numbers)
    said, certainty, remedy, name = wrong
    return Finding(
        key,
        FAULT,
        name,
        said,
        highest,
        float("nan") if n_types is None else n_types - 1,
        "type",
        certainty,
        remedy,
        numbers,
        ("image", "types"),
        tuple(look.place for look in looks[:5]),
    )


def _wrong_numbers(
    looks: Sequence[TypeLook],
    inside: npt.NDArray[Any],
    outside: npt.NDArray[Any],
    n_types: int | None,
    limits: DataLimits,
) -> tuple[str, float, Remedy, str] | None:
    """Return evidence, certainty, remedy and title of the first fault, or None."""
    highest = int(np.flatnonzero(inside).max())
    lowest = int(np.flatnonzero(inside).min())
    background = int(outside.argmax()) if outside.any() else 0
    beyond = sum(look.beyond for look in looks)
    untyped = float(inside[0] / inside.sum())
    if beyond:
        said = f"{beyond} pixels have a type below 0 or above {LARGEST}."
        return said, 0.95, Remedy("Write types as 0 (background), 1, 2 ..."), "Types out of range"
    if background:
        said = (
            f"Most background pixels have type {background}; background is type 0. An argmax over "
            "mask channels gives the first class the number 0."
        )
        remedy = Remedy("Renumber: background 0, classes from 1 on.")
        return said, 0.96, remedy, f"Background has type {background} (off by one)"
    if untyped >= NEARLY_ALL:
        said = f"{percent(untyped)} of the nucleus pixels are of type 0, which is background."
        remedy = Remedy("Look for the types: they were not read, or all were set to 0.")
        return said, 0.94, remedy, "No nucleus has a type"
    whole = _untyped_nuclei(looks)
    if n_types is not None and highest == n_types - 2 and whole >= limits.untyped:
        said = (
            f"{percent(whole)} of the nuclei are of type 0, which is background, and none is of "
            f"type {n_types - 1}, the last of {n_types}: classes were counted from 0."
        )
        remedy = Remedy("Add 1 to the types inside nuclei; 0 is background.")
        return said, 0.95, remedy, "Types are counted from 0 (off by one)"
    if n_types is not None and highest >= n_types:
        off = highest == n_types and (lowest > 1 or not inside[1])
        share = float(inside[n_types:].sum() / inside.sum())
        said = (
            f"Types go from {lowest} to {highest}, {percent(share)} of the nucleus pixels are "
            f"beyond {n_types - 1}, the last of {n_types} types (background included)."
        )
        if off:
            remedy = Remedy("Subtract 1 from the types of nuclei.", "type_offset", -1)
        else:
            remedy = Remedy("Give the right number of types, or renumber them from 1 on.")
        return (
            said,
            0.96 if off else 0.92,
            remedy,
            "Types are beyond their number" + (" (off by one)" if off else ""),
        )
    return None


def type_conflict(looks: Sequence[TypeLook], limits: DataLimits = LIMITS) -> Finding:
    """Say where types and labels (or NP) contradict each other.

    Parameters
    ----------
    looks : sequence of TypeLook
    limits : DataLimits
    """
    key, title = "data.type_conflict", "Types against labels"
    inside, outside = _sums(looks)
    if not inside.sum() or not outside.sum():
        return not_tested(key, title, "there are no nuclei, or labels to compare with")
    background = int(outside.argmax())
    if background:
        return not_tested(key, title, f"background has type {background}")
    untyped = float(inside[0] / inside.sum())
    typed = float(outside[1:].sum() / inside.sum())
    mixed = [look.mixed for look in looks if np.isfinite(look.mixed)]
    several = float(np.mean(mixed)) if mixed else 0.0
    numbers = {"untyped": untyped, "typed outside": typed, "several types": several}
    said = (
        f"{percent(untyped)} of the nucleus pixels are of type 0, {percent(typed)} as many pixels "
        f"outside have a type, {percent(several)} of the nuclei have more than one type"
    )
    small = untyped < limits.untyped and typed < limits.typed_outside
    if small and several < limits.mixed_types:
        return Finding(key, OK, title, said + ".", untyped, limits.untyped_all, "share",
                       numbers=numbers)  # fmt: skip
    if untyped >= NEARLY_ALL:
        return not_tested(key, title, "no nucleus has a type (see numbers of types)")
    both = max(untyped / limits.untyped_all, typed / limits.typed_outside_all)
    bad = both >= 1
    return Finding(
        key,
        FAULT if bad else WARN,
        "Types and labels contradict each other",
        f"{said}; all three are about 0 in health.",
        max(untyped, typed),
        limits.untyped_all,
        "share",
        scaled(both, 1.0, 3.0, 0.82, 0.93) if bad else 0.4,
        Remedy(
            "Look at types and labels together: a class may be counted from 0, types may be moved "
            "or turned, or nuclei may lack a type."
        ),
        numbers,
        ("truth", "types"),
        tuple(look.place for look in looks[:5]),
    )


def type_histogram(
    looks: Sequence[TypeLook], n_types: int | None, limits: DataLimits = LIMITS
) -> Finding:
    """Say how many nuclei of each type there are.

    Parameters
    ----------
    looks : sequence of TypeLook
    n_types : int, optional
    limits : DataLimits
    """
    key, title = "data.type_histogram", "Nuclei of each type"
    counts = sum((look.nuclei for look in looks), np.zeros(LARGEST + 1, np.int64))
    unit = "nuclei"
    if not counts.sum():
        counts, unit = _sums(looks)[0], "pixels"
    if not counts[1:].sum():
        return not_tested(key, title, "no nucleus has a type")
    last = max(int(np.flatnonzero(counts).max()), (n_types or 1) - 1)
    shares = counts[1 : last + 1] / counts[1:].sum()
    missing = [str(t) for t in range(1, last + 1) if not counts[t]]
    said = "Shares of the types: " + ", ".join(
        f"{t} {percent(s)}" for t, s in enumerate(shares, 1) if s
    )
    if missing:
        said += f"; there is none of type {listed(missing)}"
    alone = len(missing) == last - 1 and last > 1 and len(looks) >= limits.type_items
    return Finding(
        key,
        WARN if alone else OK,
        "All nuclei are of one type" if alone else title,
        said + ".",
        len(missing),
        unit="types missing",
        certainty=0.3 if alone else 0.0,
        remedy=Remedy("Look whether types were read from the right channel.")
        if alone
        else Remedy(""),
        numbers={f"type {t}": float(s) for t, s in enumerate(shares, 1)},
        plot=Plot(
            "bars",
            "Nuclei of each type",
            tuple(str(t) for t in range(1, last + 1)),
            ((unit, tuple(float(c) for c in counts[1 : last + 1])),),
            "type",
            unit,
        ),
    )


def _untyped_nuclei(looks: Sequence[TypeLook]) -> float:
    """Share of the nuclei that are of type 0 as a whole."""
    counts = sum((look.nuclei for look in looks), np.zeros(LARGEST + 1, np.int64))
    return float(counts[0] / counts.sum()) if counts.sum() else 0.0


def _sums(looks: Sequence[TypeLook]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    zero = np.zeros(LARGEST + 1, np.int64)
    return sum((x.inside for x in looks), zero), sum((x.outside for x in looks), zero)
