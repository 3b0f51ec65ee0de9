"""The JSON result of hover_net: one object per nucleus, with its boundary pixels."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...errors import InputError
from ..types import Nuclei
from .atomic import atomic_path
from .json_file import (
    METADATA_KEY,
    load_json,
    member,
    numbers,
    points,
    types_from_json,
    types_to_json,
)
from .polygons import MAX_COORDINATE, Polygons, contour_outlines, default_types

MAGNIFICATION_TIMES_MPP = 10.0
"""By custom 0.25 micrometres per pixel are called 40x, 0.5 are 20x."""
MAX_TYPE = 255
"""Largest type number taken for real."""


def write_hovernet_json(
    path: str | os.PathLike[str],
    nuclei: Nuclei,
    *,
    offset: tuple[int, int] = (0, 0),
    mpp: float | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write nuclei as hover_net does.

    Parameters
    ----------
    path : path
        Ends in .json by custom.
    nuclei : Nuclei
        What to write; keys are their labels.
    offset : (int, int)
        Row and column of the nuclei's origin in the whole image, added to all points.
    mpp : float, optional
        Micrometres per pixel; ``mag`` is 10 / mpp, null where it is not known.
    metadata : mapping, optional
        JSON-able; how the result was made.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left of it.

    Examples
    --------
    >>> write_hovernet_json("nuclei.json", result.nuclei, mpp=0.25)  # doctest: +SKIP
    """
    mag = round(MAGNIFICATION_TIMES_MPP / mpp, 4) if mpp else None
    about = {**(metadata or {}), "types": types_to_json(nuclei.type_names)}
    typed = bool(nuclei.type_names) or bool(nuclei.type.any())
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write(f'{{"mag": {json.dumps(mag)}, "nuc": {{')
        for i in range(len(nuclei)):
            entry = json.dumps(_entry(nuclei, i, offset, typed), allow_nan=False)
            file.write(f'{"," if i else ""}\n"{nuclei.label[i]}": {entry}')
        file.write(f'\n}}, "{METADATA_KEY}": {json.dumps(about)}}}\n')


def _entry(nuclei: Nuclei, i: int, offset: tuple[int, int], typed: bool) -> dict[str, Any]:
    row, col = offset
    corners = nuclei.bbox[i].reshape(2, 2) + np.array([row, col])
    shift = np.array([col, row])
    probability = float(nuclei.type_probability[i])
    return {
        "bbox": corners.tolist(),
        "centroid": [round(float(v), 3) for v in nuclei.centroid[i] + shift],
        "contour": (nuclei.contours[i] + shift).tolist(),
        "type_prob": probability if typed and math.isfinite(probability) else None,
        "type": int(nuclei.type[i]) if typed else None,
    }


def read_hovernet_json(path: str | os.PathLike[str]) -> Polygons:
    """Read a hover_net JSON result.

    Ids may have gaps, as hover_net's own have; ``Polygons.ids`` keeps them. Outlines
    enclose the boundary pixels, so :func:`~.polygons.rasterize` gives back the nuclei.
    ``measurements`` holds "Type probability".

    Raises
    ------
    InputError
        If the file is no JSON of that kind, a nucleus lacks its contour, or a number is
        absurd.

    Examples
    --------
    >>> polygons = read_hovernet_json("nuclei.json")  # doctest: +SKIP
    """
    data = load_json(path)
    try:
        return _polygons(data)
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error


def _polygons(data: Any) -> Polygons:
    nuclei = member(data, "nuc", "The file")
    if not isinstance(nuclei, dict):
        raise InputError("its 'nuc' is no object of nuclei by id; is it another format?")
    rings, types, probabilities = [], [], []
    for identity, entry in nuclei.items():
        what = f"Nucleus {identity!r}"
        if not (identity.isascii() and identity.isdigit() and int(identity[:12]) > 0):
            raise InputError(f"{what}: ids are whole numbers from 1.")
        contour = points(member(entry, "contour", what), f"{what}: its contour")
        if not len(contour) or np.abs(contour).max() > MAX_COORDINATE:
            raise InputError(
                f"{what}: its contour is empty or leaves the +-{MAX_COORDINATE:,.0f} pixels "
                "that an image can have."
            )
        rings.append(tuple(contour_outlines(np.rint(contour).astype(np.int32))))
        types.append(_type_of(entry.get("type"), what))
        given = entry.get("type_prob")
        probabilities.append(math.nan if given is None else _scalar(given, f"{what}: type_prob"))
    about = data.get(METADATA_KEY)
    known = types_from_json(about.get("types")) if isinstance(about, dict) else {}
    names = known or default_types([f"type {k + 1}" for k in range(max(types, default=0))])
    return Polygons(
        rings=tuple(rings),
        ids=tuple(nuclei),
        type=np.array(types, np.int32),
        type_names=names,
        measurements={"Type probability": np.array(probabilities, np.float64)},
    )


def _type_of(value: Any, what: str) -> int:
    if value is None:
        return 0
    kind = _scalar(value, f"{what}: type")
    if kind != int(kind) or not 0 <= kind <= MAX_TYPE:
        raise InputError(f"{what}: type is {value}; types are whole numbers in 0..{MAX_TYPE}.")
    return int(kind)


def _scalar(value: Any, what: str) -> float:
    array = numbers(value, what)
    if array.ndim:
        raise InputError(f"{what} must be one number, not {value}.")
    return float(array)
