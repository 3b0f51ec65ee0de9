"""GeoJSON as QuPath writes and reads it (0.4 and later; older files are read too)."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import os
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError, plain
from ..types import Bool, Int32, Nuclei, TypeInfo, kernel, unnamed
from .far import Far
from .files import (
    METADATA_KEY,
    SHOWN_AS,
    atomic_path,
    color_of,
    load_json,
    member,
    named,
    own_shape,
    own_types,
    points,
    types_to_json,
)

Array = npt.NDArray[Any]


@kernel
def trace(mask: Array, points: Array, starts: Array) -> int:
    """Walk along the outer side of every boundary of a mask."""
    height, width = mask.shape
    seen = np.zeros((height, width), np.bool_)
    total, rings = 0, 0
    for r in range(1, height):
        for c in range(1, width):
            if not mask[r, c] or mask[r - 1, c] or seen[r, c]:
                continue
            starts[rings] = total
            y, x, way = r, c, 0  # 0 = to the right, 1 = down, 2 = to the left, 3 = up
            while way != 0 or not seen[y, x]:
                if way == 0:
                    seen[y, x] = True
                y += (way == 1) - (way == 3)
                x += (way == 0) - (way == 2)
                ahead_right = mask[y - (way >= 2), x - (1 <= way <= 2)]
                ahead_left = mask[y - (way % 3 == 0), x - (way >= 2)]
                if ahead_right and not ahead_left:
                    continue
                points[total, 0], points[total, 1] = x, y
                total += 1
                way = (way + 3) % 4 if ahead_right else (way + 1) % 4
            rings += 1
    starts[rings] = total
    return rings


@kernel
def trace_all(labels: Array, ids: Array, box: Array) -> tuple[Array, Array, Array]:
    """Trace nuclei in their boxes (n, 4): points of closed rings, their starts, each's first."""
    found = np.empty((FIRST_ROOM, 2), np.int32)
    starts, first = np.zeros(len(ids) + 1, np.int64), np.zeros(len(ids) + 1, np.int64)
    total, rings = 0, 0
    height, width = labels.shape
    for i in range(len(ids)):
        top, left = box[i, 0] - 1, box[i, 1] - 1
        bottom, right = min(box[i, 2], height), min(box[i, 3], width)
        mask = np.zeros((max(bottom - top, 1) + 1, max(right - left, 1) + 1), np.uint8)
        size = 0
        for r in range(1, mask.shape[0] - 1):
            for c in range(1, mask.shape[1] - 1):
                inside = labels[top + r, left + c] == ids[i]
                mask[r, c] = inside
                size += inside
        points, begins = np.empty((4 * size, 2), np.float64), np.empty(size + 1, np.int64)
        count = trace(mask, points, begins)
        if total + 5 * size > len(found):
            found = np.concatenate((found, np.empty((len(found) + 5 * size, 2), np.int32)))
        if rings + count >= len(starts):
            starts = np.concatenate((starts, np.zeros(len(starts) + count, np.int64)))
        for ring in range(count):
            for k in range(begins[ring], begins[ring + 1] + 1):
                at = k if k < begins[ring + 1] else begins[ring]
                found[total, 0] = points[at, 0] + left
                found[total, 1] = points[at, 1] + top
                total += 1
            rings += 1
            starts[rings] = total
        first[i + 1] = rings
    return found[:total].copy(), starts[: rings + 1].copy(), first


@kernel
def fill(rings: Array, edges: Array, first: Array, labels: Array) -> None:
    """Set each object's number where a pixel centre lies inside an odd number of its rings.

    Those of object i, i + 1 in ``labels``, are ``edges[first[i]:first[i + 1]]``, each x0, y0, x1,
    y1 in pixel-edge coordinates; ``rings`` gives its least and largest y.
    """
    height, width = labels.shape
    for i in range(len(first) - 1):
        crossings = np.empty(first[i + 1] - first[i], np.float64)
        top = max(0, int(np.ceil(rings[i, 0] - 0.5)))
        bottom = min(height - 1, int(np.floor(rings[i, 1] - 0.5)))
        for r in range(top, bottom + 1):
            centre = r + 0.5
            n = 0
            for k in range(first[i], first[i + 1]):
                y0, y1 = edges[k, 1], edges[k, 3]
                if (y0 <= centre) == (y1 <= centre):
                    continue
                share = (centre - y0) / (y1 - y0)
                crossings[n] = edges[k, 0] + share * (edges[k, 2] - edges[k, 0])
                n += 1
            ordered = np.sort(crossings[:n])
            for k in range(0, n - 1, 2):
                start = max(0, int(np.ceil(ordered[k] - 0.5)))
                stop = min(width, int(np.ceil(ordered[k + 1] - 0.5)))
                for c in range(start, stop):
                    labels[r, c] = i + 1


Float64 = npt.NDArray[np.float64]
Ring = Float64

FIRST_ROOM = 1024
"""Entries that growing tables start with."""
BLOCK = 4096
"""Nuclei that are outlined and written together."""
MAX_COORDINATE = 1_000_000.0
"""Largest pixel coordinate taken for real; the largest slides have about 300,000."""
MAX_LABEL_PIXELS = 2**30
"""Largest label image that is drawn, in pixels (4 GiB)."""


@dataclass(frozen=True, eq=False)
class Polygons:
    """Outlines of nuclei along pixel edges, which lie 0.5 before the centres; a row an object."""

    rings: tuple[tuple[Ring, ...], ...]  # x, y of each object's rings, not closed
    ids: tuple[str, ...] = ()  # As in the file, or "1", "2" ...
    type: Int32 = field(default_factory=lambda: np.zeros(0, np.int32))  # 0 = none
    type_names: Mapping[int, TypeInfo] = field(default_factory=dict)  # Name and colour of each type
    measurements: Mapping[str, Float64] = field(default_factory=dict)
    notes: tuple[str, ...] = ()  # What was left out or assumed while reading
    shape: tuple[int, int] | None = None  # Height and width of the image, where the file says so

    def __post_init__(self) -> None:
        n = len(self.rings)
        object.__setattr__(self, "ids", self.ids or tuple(str(i + 1) for i in range(n)))
        if not len(self.type):
            object.__setattr__(self, "type", np.zeros(n, np.int32))
        lengths = {len(self.ids), len(self.type), *(len(m) for m in self.measurements.values()), n}
        if lengths != {n}:
            raise InputError(f"Polygons have {n} outlines, but columns of {sorted(lengths)} rows.")
        for identity, rings in zip(self.ids, self.rings, strict=True):
            if not rings:
                raise InputError(f"Object {identity} has no outline.")
            for ring in rings:
                _check_ring(identity, ring)

    def __len__(self) -> int:
        return len(self.rings)

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """First row and column, and those after the last, of the pixels that are touched."""
        if not self.rings:
            return (0, 0, 0, 0)
        every = np.concatenate([ring for rings in self.rings for ring in rings])
        (col0, row0), (col1, row1) = np.floor(every.min(axis=0)), np.ceil(every.max(axis=0))
        return (int(row0), int(col0), int(row1), int(col1))


def _check_ring(identity: str, ring: Ring) -> None:
    if ring.ndim != 2 or ring.shape[1:] != (2,) or len(ring) < 3:
        raise InputError(
            f"Object {identity} has an outline of shape {ring.shape}; give 3 or more x, y points."
        )
    if not np.abs(ring).max() <= MAX_COORDINATE:  # NaN fails too
        raise InputError(
            f"Object {identity} has the coordinate {ring.flat[int(np.abs(ring).argmax())]:g}; "
            f"pixel coordinates lie within +-{MAX_COORDINATE:,.0f}."
        )


def rasterize(
    polygons: Polygons, shape: tuple[int, int] | None = None, origin: tuple[int, int] = (0, 0)
) -> Int32:
    """Draw outlines as a label image, int32 (H, W), entry i as i + 1, the large ones first."""
    row0, col0 = origin
    if shape is None:
        shape = (max(polygons.box[2] - row0, 0), max(polygons.box[3] - col0, 0))
    height, width = shape
    if height * width > MAX_LABEL_PIXELS:
        raise InputError(
            f"A label image of {height} x {width} pixels is too large; give the shape of a region."
        )
    labels = np.zeros((height, width), np.int32)
    if not len(polygons) or not labels.size:
        return labels
    edges, first, spans = [], [0], np.empty((len(polygons), 2))
    order = np.argsort([-_area(rings) for rings in polygons.rings], kind="stable")
    for i, rings in enumerate(polygons.rings[k] for k in order):
        edges += [np.hstack((ring, np.roll(ring, -1, axis=0))) for ring in rings]
        first.append(first[-1] + sum(len(ring) for ring in rings))
        spans[i] = min(r[:, 1].min() for r in rings), max(r[:, 1].max() for r in rings)
    moved = np.concatenate(edges) - np.array([col0, row0, col0, row0])
    fill(spans - row0, moved, np.array(first, np.int64), labels)
    return np.concatenate([[0], order + 1]).astype(np.int32)[labels]


def _area(rings: Sequence[Ring]) -> float:
    """Area of an object, holes taken off; rings of a second part count too."""
    areas = sorted((abs(_signed_area(ring)) for ring in rings), reverse=True)
    return float(areas[0] - sum(areas[1:])) if len(areas) > 1 else float(areas[0])


def _signed_area(ring: Ring) -> float:
    x, y = (ring - ring[0]).T
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1)) / 2


def mask_outlines(mask: Bool) -> list[Ring]:
    """Outlines of a mask along its pixel edges; pixels that meet in a corner alone lie apart."""
    padded = np.pad(mask, 1).astype(np.uint8)
    size = int(np.count_nonzero(padded))
    points, starts = np.empty((4 * size, 2), np.float64), np.empty(size + 1, np.int64)
    rings = trace(padded, points, starts)
    return [points[starts[i] : starts[i + 1]] - 1 for i in range(rings)]


def nucleus_outlines(nuclei: Nuclei, i: int, labels: Int32 | None) -> list[list[Ring]]:
    """Outlines of a nucleus part by part, the outer ring first; holes only with labels."""
    if labels is None:
        return [[ring] for ring in contour_outlines(nuclei.contours[i])]
    row0, col0, row1, col1 = (int(n) for n in nuclei.bbox[i])
    rings = mask_outlines(labels[row0:row1, col0:col1] == nuclei.label[i])
    corner = np.array([col0, row0])
    if len(rings) == 1:
        return [[rings[0] + corner]]
    areas = [_signed_area(ring) for ring in rings]
    outward = np.sign(areas[int(np.argmax(np.abs(areas)))])
    parts = [[ring] for ring, area in zip(rings, areas, strict=True) if area * outward > 0]
    parts.sort(key=lambda part: abs(_signed_area(part[0])))
    for ring, area in zip(rings, areas, strict=True):
        if area * outward < 0:
            at = tuple((ring[0] + ring[1]) / 2)  # within one side, so on no side of another ring
            inside = (
                p for p in parts if cv2.pointPolygonTest(p[0].astype(np.float32), at, False) > 0
            )
            next(inside, parts[-1]).append(ring)
    return [[ring + corner for ring in part] for part in parts]


def contour_mask(contour: Int32) -> Bool:
    """Fill boundary pixels within their bounding box, (h, w)."""
    if contour.ndim != 2 or contour.shape[1:] != (2,) or not len(contour):
        raise InputError(f"A contour has shape {contour.shape}; give x, y of boundary pixels.")
    start = contour.min(axis=0)
    width, height = (int(n) for n in contour.max(axis=0) - start + 1)
    mask = np.zeros((height, width), np.uint8)
    local = np.ascontiguousarray(contour - start, dtype=np.int32)
    cv2.drawContours(mask, [local.reshape(-1, 1, 2)], -1, 1, cv2.FILLED)
    return mask.astype(bool)


def contour_outlines(contour: Int32) -> list[Ring]:
    """Turn boundary pixels into outlines along their outer edges."""
    mask = contour_mask(contour)
    return [ring + contour.min(axis=0) for ring in mask_outlines(mask)]


ID_NAMESPACE = uuid.UUID("6f1f1d3e-6a0e-5c52-9b1b-2a0c3f3f7c11")
"""Namespace of the UUIDs, which QuPath needs: one nucleus of one run always gets the same."""
_NAMESPACE = ID_NAMESPACE.bytes
OBJECT_TYPES = ("detection", "cell", "annotation")
"""QuPath's kinds of object; thousands of nuclei belong into detections."""
MAX_MEASUREMENTS = 1000
"""Most different measurements that are read; QuPath's own exports have about 100."""


def write_geojson(  # noqa: PLR0913 - options of one file
    path: str | os.PathLike[str],
    nuclei: Nuclei,
    *,
    offset: tuple[int, int] = (0, 0),
    mpp: float | None = None,
    metadata: Mapping[str, Any] | None = None,
    object_type: str = "detection",
    labels: Int32 | None = None,
) -> None:
    """Write nuclei for QuPath (File > Import objects from file, or drag and drop).

    Outlines run along the pixel edges, so areas are exact and touching nuclei share a border. With
    ``labels`` holes and second parts are kept.
    Written nucleus by nucleus; memory does not grow with their number.
    """
    stream_geojson(
        path, [(nuclei, labels)], nuclei.type_names, offset=offset, mpp=mpp, metadata=metadata,
        object_type=object_type,
    )  # fmt: skip


def stream_geojson(  # noqa: PLR0913 - as write_geojson, and the types
    path: str | os.PathLike[str] | Far,
    parts: Iterable[tuple[Nuclei, Int32 | None]],
    types: Mapping[int, TypeInfo],
    *,
    offset: tuple[int, int] = (0, 0),
    mpp: float | None = None,
    metadata: Mapping[str, Any] | None = None,
    object_type: str = "detection",
) -> None:
    """Write nuclei, with labels or without, that come part by part; a name in .gz is gzipped."""
    if object_type not in OBJECT_TYPES:
        raise InputError(
            f"object_type is {object_type!r}; choose one of {', '.join(OBJECT_TYPES)}."
        )
    about = {**(metadata or {}), "types": types_to_json(types)}
    seed = str(about.get("id", "")).encode("utf-8", SHOWN_AS).decode()
    opened: Any = gzip.open if os.fspath(path).endswith(".gz") else open
    with atomic_path(path) as temporary, opened(temporary, "wt", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        between = "\n"
        for nuclei, labels in parts:
            for start in range(0, len(nuclei), BLOCK):
                rows = range(start, min(start + BLOCK, len(nuclei)))
                where = offset, mpp, seed
                file.write(
                    between + ",\n".join(_features(nuclei, labels, rows, where, object_type))
                )
                between = ",\n"
        file.write(f'\n], "{METADATA_KEY}": {json.dumps(about)}}}\n')


def _features(
    nuclei: Nuclei,
    labels: Int32 | None,
    rows: range,
    where: tuple[tuple[int, int], float | None, str],
    object_type: str,
) -> Iterator[str]:
    """Write nuclei, a line each, as ``json.dumps`` would, in a fraction of its time."""
    offset, mpp, seed = where
    shift = np.array([offset[1], offset[0]], np.int32)
    part = slice(rows.start, rows.stop)
    columns = zip(
        nuclei.label[part].tolist(), (nuclei.centroid[part] + shift).tolist(),
        nuclei.area[part].tolist(), nuclei.type[part].tolist(), _measurements(nuclei, part, mpp),
        _shapes(nuclei, labels, rows, shift), strict=True,
    )  # fmt: skip
    classes = {kind: _class_text(nuclei, kind) for kind in set(nuclei.type[part].tolist())}
    for label, (x, y), area, kind, measured, (shape, rings) in columns:
        identity = _uuid(f"{seed}/{label}/{x:.3f}/{y:.3f}/{area}")
        yield (
            f'{{"type": "Feature", "id": "{identity}", "geometry": {{"type": "{shape}", '
            f'"coordinates": {rings}}}, "properties": {{"measurements": {{{measured}}}, '
            f'{classes[kind]}"objectType": "{object_type}"}}}}'
        )


def _class_text(nuclei: Nuclei, kind: int) -> str:
    if not kind:
        return ""
    info = nuclei.type_names.get(kind) or unnamed(kind)
    known = {"name": info.name, "color": list(info.color)}
    return f'"classification": {json.dumps(known, allow_nan=False)}, '


def _shapes(
    nuclei: Nuclei, labels: Int32 | None, rows: range, shift: Int32
) -> Iterator[tuple[str, str]]:
    """Yield the geometry of each nucleus: its kind, and its closed rings as text."""
    part = slice(rows.start, rows.stop)
    flat, starts, first = [], [0], [0] * (len(rows) + 1)
    if labels is not None:
        traced = trace_all(labels, nuclei.label[part], nuclei.bbox[part])
        flat = (traced[0] + shift).ravel().tolist()  # a list for each point would keep gc busy
        starts, first = traced[1].tolist(), traced[2].tolist()
    for k, i in enumerate(rows):
        if first[k + 1] - first[k] == 1:  # most: no hole, no second part
            begin, end = starts[first[k]], starts[first[k] + 1]
            yield "Polygon", f"[{_ring_text(flat[2 * begin : 2 * end])}]"
            continue
        parts = [
            [(np.vstack((r, r[:1])).astype(np.int64) + shift).tolist() for r in part_rings]
            for part_rings in nucleus_outlines(nuclei, i, labels)
        ]
        many = len(parts) != 1
        yield ("MultiPolygon" if many else "Polygon"), str(parts if many else parts[0])


def _ring_text(numbers: list[int]) -> str:
    return f"[{('[%d, %d], ' * (len(numbers) // 2))[:-2] % tuple(numbers)}]"


def _uuid(name: str) -> str:
    """Return what ``uuid.uuid5`` gives for a name, in a tenth of the time."""
    made = bytearray(hashlib.sha1(_NAMESPACE + name.encode(), usedforsecurity=False).digest()[:16])
    made[6], made[8] = made[6] & 0x0F | 0x50, made[8] & 0x3F | 0x80
    text = made.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _measurements(nuclei: Nuclei, part: slice, mpp: float | None) -> list[str]:
    """Name and value of what QuPath shows of each nucleus; what is not known is left out."""
    area = nuclei.area[part].astype(np.float64)
    columns = {
        "Label": nuclei.label[part].astype(np.float64),
        "Area px^2": area,
        "Area µm^2": area * mpp * mpp if mpp else np.full(len(area), np.nan),
        "Type probability": np.where(nuclei.type[part], nuclei.type_probability[part], np.nan),
        "HV magnitude mean": nuclei.magnitude_mean[part],
        "HV magnitude p95": nuclei.magnitude_p95[part],
        "NP mean": nuclei.np_mean[part],
    }
    known = {name: values for name, values in columns.items() if np.isfinite(values).any()}
    names = [f"{json.dumps(name)}: " for name in known]
    rows = zip(*(np.asarray(values, np.float64).tolist() for values in known.values()), strict=True)
    return [
        ", ".join(f"{n}{round(v, 6)}" for n, v in zip(names, row, strict=True) if math.isfinite(v))
        for row in rows
    ]


def read_geojson(path: str | os.PathLike[str]) -> Polygons:
    """Read polygons from a GeoJSON file: a FeatureCollection, a list of features or one.

    Of QuPath's cells the nucleus is taken. Points and lines are left out; ``notes`` says how many.
    Classes are numbered as in the files we write, else as they come.
    """
    data = load_json(path, nan=True)
    with named(path):
        return _polygons(data)


def _polygons(data: Any) -> Polygons:
    every = _feature_list(data)
    features, said = _nuclei_alone(every)
    rings, ids, classes, measured = [], [], [], []
    colours: dict[str, tuple[int, int, int] | None] = {}
    for i, feature in enumerate(features):
        what = f"Feature {i + 1}"
        outline = _outline(feature, what)
        if not outline:
            continue
        identity, properties = feature.get("id"), feature.get("properties")
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
    columns = dict.fromkeys(name for row in measured for name in row)
    if len(columns) > MAX_MEASUREMENTS:
        raise InputError(
            f"it has {len(columns)} different measurements; up to {MAX_MEASUREMENTS} are read."
        )
    types = own_types(data)
    numbers_of = {info.name: k for k, info in types.items()}
    for name, colour in colours.items():
        if name not in numbers_of:
            numbers_of[name] = k = max(types, default=0) + 1
            types[k] = TypeInfo(name, colour) if colour else unnamed(k, name)
    return Polygons(
        rings=tuple(rings),
        ids=tuple(ids),
        type=np.array([numbers_of.get(name, 0) for name in classes], np.int32),
        type_names=types,
        measurements={c: np.array([row.get(c, math.nan) for row in measured]) for c in columns},
        notes=(*said, *[f"{left_out} features that are no areas were left out"][: bool(left_out)]),
        shape=own_shape(data),
    )


def _nuclei_alone(features: list[Any]) -> tuple[list[Any], tuple[str, ...]]:
    """Leave annotations, tiles and cores out where a file has detections or cells."""
    kinds = [_object_type(feature) for feature in features]
    if not {"detection", "cell"} & set(kinds):
        return features, ()
    kept = [f for f, kind in zip(features, kinds, strict=True) if kind in ("", "detection", "cell")]
    gone = len(features) - len(kept)
    note = f"{gone} annotations were left out: the file holds detections or cells"
    return kept, (note,) if gone else ()


def _object_type(feature: Any) -> str:
    properties = feature.get("properties") if isinstance(feature, dict) else None
    known = properties if isinstance(properties, dict) else {}
    kind = known.get("objectType", known.get("object_type"))
    return kind.lower() if isinstance(kind, str) else ""


def _feature_list(data: Any) -> list[Any]:
    if isinstance(data, list):
        return data
    if isinstance(data, dict) and "type" not in data:
        raise InputError(
            "it is no GeoJSON, nor JSON of hover_net, CellViT, TIAToolbox, COCO or labelme; it has "
            f"{', '.join(map(repr, list(data)[:4])) or 'nothing'}."
        )
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
    """Rings of a feature, not closed; () if it is no area."""
    geometry = member(feature, "geometry", what)
    nucleus = feature.get("nucleusGeometry")
    geometry = nucleus if isinstance(nucleus, dict) else geometry
    if geometry is None:
        return ()
    kind = member(geometry, "type", f"The geometry of {what.lower()}")
    if kind not in ("Polygon", "MultiPolygon"):
        return ()
    coordinates = member(geometry, "coordinates", f"The geometry of {what.lower()}")
    parts = [coordinates] if kind == "Polygon" else coordinates
    if not isinstance(parts, list) or not all(isinstance(part, list) and part for part in parts):
        raise InputError(f"{what}: the coordinates of a {kind} must be lists of rings.")
    rings = [points(ring, f"{what}: a ring") for part in parts for ring in part]
    return tuple(r[:-1] if len(r) > 1 and (r[0] == r[-1]).all() else r for r in rings)


def _class_of(value: Any) -> tuple[str, tuple[int, int, int] | None]:
    """Return the name of a class, "" for none, and its colour."""
    if not isinstance(value, dict):
        return plain(value) if isinstance(value, str) else "", None
    name, names = value.get("name"), value.get("names")
    if not isinstance(name, str) and isinstance(names, list):
        name = ": ".join(str(part) for part in names)
    colour = color_of(value.get("color", value.get("colorRGB")))
    return (plain(name) if isinstance(name, str) else ""), colour


def _measured(value: Any, what: str) -> dict[str, float]:
    """Read measurements as an object (QuPath 0.4) or a list of name and value (before)."""
    try:
        if isinstance(value, list):
            value = {entry["name"]: entry["value"] for entry in value}
        known = value.items() if isinstance(value, dict) else ()
        return {str(k): float(v) for k, v in known if isinstance(v, int | float)}
    except (TypeError, KeyError) as error:
        raise InputError(f"{what}: measurements must be a list of name and value.") from error
    except OverflowError as error:
        raise InputError(f"{what}: a measurement is too large for a number.") from error
