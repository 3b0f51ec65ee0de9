"""GeoJSON as QuPath writes and reads it (0.4 and later; older files are read too)."""

from __future__ import annotations

import json
import math
import os
import uuid
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...errors import InputError
from ..types import Nuclei, TypeInfo
from .atomic import atomic_path
from .json_file import (
    METADATA_KEY,
    color_of,
    load_json,
    member,
    points,
    types_from_json,
    types_to_json,
)
from .polygons import PALETTE, Polygons, Ring, close, contour_outlines

ID_NAMESPACE = uuid.UUID("6f1f1d3e-6a0e-5c52-9b1b-2a0c3f3f7c11")
"""Namespace of the UUIDs, which QuPath needs: one nucleus of one run always gets the same."""
OBJECT_TYPES = ("detection", "cell", "annotation")
"""QuPath's kinds of object; thousands of nuclei belong into detections."""
MAX_MEASUREMENTS = 1000
"""Most different measurements that are read; QuPath's own exports have about 100."""
AREAS = ("Polygon", "MultiPolygon")


def write_geojson(
    path: str | os.PathLike[str],
    nuclei: Nuclei,
    *,
    offset: tuple[int, int] = (0, 0),
    mpp: float | None = None,
    metadata: Mapping[str, Any] | None = None,
    object_type: str = "detection",
) -> None:
    """Write nuclei for QuPath (File > Import objects from file, or drag and drop).

    Outlines run along the pixel edges, so areas are exact and touching nuclei share a
    border. Written nucleus by nucleus; memory does not grow with their number.

    Parameters
    ----------
    path : path
        Ends in .geojson by custom.
    nuclei : Nuclei
        What to write.
    offset : (int, int)
        Row and column of the nuclei's origin in the whole image, added to all points.
    mpp : float, optional
        Micrometres per pixel; adds the area in square micrometres.
    metadata : mapping, optional
        JSON-able; how the result was made.
    object_type : {"detection", "cell", "annotation"}
        What the nuclei become in QuPath.

    Raises
    ------
    OutputError
        If the file cannot be written; nothing is left of it.
    InputError
        If ``object_type`` is not known.

    Examples
    --------
    >>> write_geojson("nuclei.geojson", result.nuclei, mpp=0.25)  # doctest: +SKIP
    """
    if object_type not in OBJECT_TYPES:
        raise InputError(
            f"object_type is {object_type!r}; choose one of {', '.join(OBJECT_TYPES)}."
        )
    about = {**(metadata or {}), "types": types_to_json(nuclei.type_names)}
    seed = str(about.get("id", ""))
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for i, feature in enumerate(_features(nuclei, offset, mpp, seed)):
            feature["properties"]["objectType"] = object_type
            file.write((",\n" if i else "\n") + json.dumps(feature, allow_nan=False))
        file.write(f'\n], "{METADATA_KEY}": {json.dumps(about)}}}\n')


def _features(
    nuclei: Nuclei, offset: tuple[int, int], mpp: float | None, seed: str
) -> Iterator[dict[str, Any]]:
    shift = np.array([offset[1], offset[0]], np.float64)
    for i, contour in enumerate(nuclei.contours):
        rings = [[close(ring + shift)] for ring in contour_outlines(contour)]
        single = len(rings) == 1
        x, y = nuclei.centroid[i] + shift
        name = f"{seed}/{nuclei.label[i]}/{x:.3f}/{y:.3f}/{nuclei.area[i]}"
        properties: dict[str, Any] = {"measurements": _measurements(nuclei, i, mpp)}
        if nuclei.type[i]:
            properties["classification"] = _classification(nuclei, int(nuclei.type[i]))
        yield {
            "type": "Feature",
            "id": str(uuid.uuid5(ID_NAMESPACE, name)),
            "geometry": {
                "type": "Polygon" if single else "MultiPolygon",
                "coordinates": rings[0] if single else rings,
            },
            "properties": properties,
        }


def _classification(nuclei: Nuclei, kind: int) -> dict[str, Any]:
    default = TypeInfo(f"type {kind}", PALETTE[kind % len(PALETTE)])
    info = nuclei.type_names.get(kind, default)
    return {"name": info.name, "color": list(info.color)}


def _measurements(nuclei: Nuclei, i: int, mpp: float | None) -> dict[str, float]:
    found = {
        "Label": float(nuclei.label[i]),
        "Area px^2": float(nuclei.area[i]),
        "Area µm^2": float(nuclei.area[i]) * mpp * mpp if mpp else math.nan,
        "Type probability": float(nuclei.type_probability[i]) if nuclei.type[i] else math.nan,
        "HV magnitude mean": float(nuclei.magnitude_mean[i]),
        "HV magnitude p95": float(nuclei.magnitude_p95[i]),
        "NP mean": float(nuclei.np_mean[i]),
    }
    return {k: round(v, 6) for k, v in found.items() if math.isfinite(v)}


def read_geojson(path: str | os.PathLike[str]) -> Polygons:
    """Read polygons from a GeoJSON file: a FeatureCollection, a list of features or one.

    Of QuPath's cells the nucleus is taken. Points and lines are left out; ``notes`` says
    how many. Classes are numbered as in the files we write, else as they come.

    Raises
    ------
    InputError
        If the file is not GeoJSON, is nested wrongly, or has absurd coordinates.

    Examples
    --------
    >>> from napari_hovernet.core.io.polygons import rasterize
    >>> labels = rasterize(read_geojson("nuclei.geojson"))  # doctest: +SKIP
    """
    data = load_json(path)
    try:
        return _polygons(data)
    except InputError as error:
        raise InputError(f"{os.fspath(path)}: {error}") from error


def _polygons(data: Any) -> Polygons:
    features = _feature_list(data)
    rings, ids, classes, measured = [], [], [], []
    colours: dict[str, tuple[int, int, int] | None] = {}
    for i, feature in enumerate(features):
        what = f"Feature {i + 1}"
        outline = _outline(feature, what)
        if not outline:
            continue
        identity = feature.get("id")
        properties = feature.get("properties")
        properties = properties if isinstance(properties, dict) else {}
        name, colour = _class_of(properties.get("classification"))
        if name:
            colours.setdefault(name, colour)
        rings.append(outline)
        ids.append(identity if isinstance(identity, str) else str(i + 1))
        classes.append(name)
        measured.append(_measured(properties.get("measurements"), what))
    left_out = len(features) - len(rings)
    if features and not rings:
        raise InputError("none of its features is a Polygon or MultiPolygon; export areas.")
    types = _type_table(data, colours)
    numbers_of = {info.name: k for k, info in types.items()}
    return Polygons(
        rings=tuple(rings),
        ids=tuple(ids),
        type=np.array([numbers_of.get(name, 0) for name in classes], np.int32),
        type_names=types,
        measurements=_columns(measured),
        notes=(f"{left_out} features that are no areas were left out",) if left_out else (),
    )


def _feature_list(data: Any) -> list[Any]:
    if isinstance(data, list):
        return data
    kind = member(data, "type", "The file")
    if kind == "Feature":
        return [data]
    if kind != "FeatureCollection":
        raise InputError(f"it is a {kind!r}; a FeatureCollection is needed.")
    features = member(data, "features", "The FeatureCollection")
    if not isinstance(features, list):
        raise InputError("its 'features' is no list.")
    return features


def _outline(feature: Any, what: str) -> tuple[Ring, ...]:
    """Rings of a feature, () if it is no area."""
    geometry = member(feature, "geometry", what)
    nucleus = feature.get("nucleusGeometry")
    geometry = nucleus if isinstance(nucleus, dict) else geometry
    if geometry is None:
        return ()
    kind = member(geometry, "type", f"The geometry of {what.lower()}")
    if kind not in AREAS:
        return ()
    coordinates = member(geometry, "coordinates", f"The geometry of {what.lower()}")
    parts = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(parts, list) or not all(isinstance(part, list) and part for part in parts):
        raise InputError(f"{what}: the coordinates of a {kind} must be lists of rings.")
    return tuple(_ring(ring, what) for part in parts for ring in part)


def _ring(value: Any, what: str) -> Ring:
    ring = points(value, f"{what}: a ring")
    if len(ring) > 1 and (ring[0] == ring[-1]).all():
        ring = ring[:-1]
    return ring


def _class_of(value: Any) -> tuple[str, tuple[int, int, int] | None]:
    if not isinstance(value, dict):
        return "", None
    name = value.get("name")
    names = value.get("names")
    if not isinstance(name, str) and isinstance(names, list):
        name = ": ".join(str(part) for part in names)
    colour = value.get("color", value.get("colorRGB"))
    return (name if isinstance(name, str) else ""), color_of(colour)


def _measured(value: Any, what: str) -> dict[str, float]:
    """Read measurements as an object (QuPath 0.4) or a list of name and value (before)."""
    if isinstance(value, list):
        try:
            value = {entry["name"]: entry["value"] for entry in value}
        except (TypeError, KeyError) as error:
            raise InputError(f"{what}: measurements must be a list of name and value.") from error
    if not isinstance(value, dict):
        return {}
    try:
        return {str(k): float(v) for k, v in value.items() if isinstance(v, int | float)}
    except OverflowError as error:
        raise InputError(f"{what}: a measurement is too large for a number.") from error


def _columns(rows: list[dict[str, float]]) -> dict[str, Any]:
    names = dict.fromkeys(name for row in rows for name in row)
    if len(names) > MAX_MEASUREMENTS:
        raise InputError(
            f"it has {len(names)} different measurements; up to {MAX_MEASUREMENTS} are read."
        )
    return {name: np.array([row.get(name, math.nan) for row in rows]) for name in names}


def _type_table(
    data: Any, colours: Mapping[str, tuple[int, int, int] | None]
) -> dict[int, TypeInfo]:
    about = data.get(METADATA_KEY) if isinstance(data, dict) else None
    types = types_from_json(about.get("types")) if isinstance(about, dict) else {}
    known = {info.name for info in types.values()}
    for name, colour in colours.items():
        if name not in known:
            number = max(types, default=0) + 1
            types[number] = TypeInfo(name, colour or PALETTE[(number - 1) % len(PALETTE)])
    return types
