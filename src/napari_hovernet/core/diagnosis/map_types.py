"""Predicted types against true types: are they numbered alike."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from .map_limits import LIMITS, MapLimits
from .report import FAULT, NOT_TESTED, OK, WARN, Finding, Plot, Remedy

Int64 = npt.NDArray[np.int64]
OFFSETS = (-2, -1, 1, 2)
"""Numberings that are tried."""


def type_table(pairs: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any]]], n_types: int) -> Int64:
    """Count pixels by true and predicted type, where there is a true one.

    Parameters
    ----------
    pairs : sequence of (types (H, W), probabilities (C, H, W))
        True types, 0 = background, and what was predicted; the background channel is left out.
    n_types : int
        Rows and columns; background included.

    Examples
    --------
    >>> chances = np.zeros((3, 1, 2))
    >>> chances[2] = 1
    >>> type_table([(np.array([[1, 2]]), chances)], 3).tolist()
    [[0, 0, 0], [0, 0, 1], [0, 0, 1]]
    """
    table = np.zeros((n_types, n_types), np.int64)
    for true, chances in pairs:
        inside = (true > 0) & (true < n_types)
        guess = chances[1:].argmax(axis=0) + 1
        flat = true[inside].astype(np.int64) * n_types + guess[inside]
        table += np.bincount(flat, minlength=n_types**2).reshape(n_types, n_types)
    return table


def model_types(table: Int64, setup_offset: int = 0, limits: MapLimits = LIMITS) -> Finding:
    """Judge whether types are numbered alike.

    Parameters
    ----------
    table : int64 (n, n)
        As :func:`type_table` counts.
    setup_offset : int
        What the setup already adds to true types.
    limits : MapLimits
    """
    name, title = "model.types", "Predicted types"
    total = int(table.sum())
    if not total:
        return Finding(name, NOT_TESTED, title, "Not tested: there is no pixel with a true type.")
    right = float(np.trace(table)) / total
    by_offset = {k: float(np.trace(table, k)) / total for k in OFFSETS if abs(k) < len(table)}
    rows, cols = linear_sum_assignment(-table)
    renamed = float(table[rows, cols].sum()) / total
    constant = float(table.sum(axis=1).max()) / total
    offset = max(by_offset, key=lambda k: by_offset[k], default=0)
    words = (
        f"{right:.0%} of the pixels with a true type are predicted right; always the most "
        f"frequent type would be {constant:.0%}."
    )
    names = tuple(map(str, range(len(table))))
    series = tuple((n, tuple(map(float, row))) for n, row in zip(names, table, strict=True))
    common: dict[str, Any] = {
        "value": right, "threshold": limits.types_low, "unit": "share", "layers": ("types",),
        "plot": Plot("matrix", "True (rows) and predicted types, pixels", names, series,
                     "predicted", "true"),
    }  # fmt: skip
    shifted = by_offset.get(offset, 0.0)
    alike = shifted > constant and shifted >= renamed - limits.types_gain / 2
    if shifted - right >= limits.types_gain and alike:
        return Finding(
            name, FAULT, f"Types are numbered {abs(offset)} {'higher' if offset > 0 else 'lower'}",
            f"{words} With {offset:+d} to each true type it is {shifted:.0%}.",
            certainty=min(0.85 + 0.2 * (shifted - right), 0.95), **common,
            remedy=Remedy(f"Number types alike (0 = background): add {offset:+d} to the true ones.",
                          "type_offset", setup_offset + offset),
        )  # fmt: skip
    if renamed - right >= limits.types_gain and renamed > constant:
        moved = ", ".join(f"{r} is predicted as {c}" for r, c in zip(rows, cols, strict=True)
                          if r != c and table[r, c])  # fmt: skip
        return Finding(
            name, FAULT, "Types are numbered in another order",
            f"{words} Renamed it would be {renamed:.0%}: {moved}.",
            certainty=0.8, **common,
            remedy=Remedy("Use the list of types that the model was trained with."),
        )  # fmt: skip
    if right < limits.types_low and right <= constant - limits.types_gain:
        return Finding(
            name, WARN, "Types are hardly ever right", words, certainty=0.3, **common,
            remedy=Remedy("Check the list of types, and what the type branch was trained on."),
        )  # fmt: skip
    return Finding(name, OK, title, words, **common)
