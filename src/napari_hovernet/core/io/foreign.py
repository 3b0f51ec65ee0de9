"""Nuclei as others keep them: Cellpose, ImageScope, ASAP, COCO, CellViT, TIAToolbox, DSB 2018."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from ...errors import InputError, plain
from ..limits import check_file, check_room, npy_header
from ..pickles import read_plain
from ..types import Int32, unnamed
from .files import MAX_TYPE, load_json, member, named, numbers, points, readable
from .geojson import Polygons, Ring, mask_outlines
from .labels import Instances, instances_in, instances_of, typed_by_map

MAX_XML_BYTES = 2**29
"""Of an XML file that is read; a parsed one takes some ten times that."""

TYPED_LENGTH = 1000
"""Characters of a row of an annotation store that are looked at for its type."""


# --- Cellpose -------------------------------------------------------------------------


def read_cellpose(path: Path) -> Instances:
    """Read the masks of Cellpose's ``x_seg.npy``, a pickle: plain values alone are read."""
    check_file(path, "Cellpose's _seg.npy")
    check_room(4 * path.stat().st_size, path.name)
    with path.open("rb") as file, named(path):
        with readable("it"):
            npy_header(file)
        found = read_plain(file)
        while isinstance(found, list) and len(found) == 1:
            found = found[0]
        known = found if isinstance(found, Mapping) else {}
        if isinstance(labels := known.get("inst_map"), np.ndarray):  # as CellViT prepares PanNuke
            made, kinds = instances_in(labels, "inst_map"), known.get("type_map")
            typed = isinstance(kinds, np.ndarray)
            return typed_by_map(made, np.asarray(kinds), "type_map") if typed else made
        if not isinstance(masks := known.get("masks"), np.ndarray):
            raise InputError(
                "it holds Python objects without 'masks' or 'inst_map', and such are not opened; "
                "save the label array alone: numpy.save('x.npy', labels)."
            )
        return instances_in(masks, "masks", ("Cellpose's masks are read",))


# --- XML of ImageScope and ASAP -------------------------------------------------------


def read_xml(path: Path) -> Polygons:
    """Read the regions of an XML of Aperio ImageScope (MoNuSeg) or ASAP."""
    size = check_file(path, "an XML file", MAX_XML_BYTES)
    check_room(12 * size, path.name)
    text = path.read_bytes()
    with named(path):
        if b"<!ENTITY" in text or b"<!DOCTYPE" in text:
            raise InputError("it defines entities, which are not read.")
        with readable("it"):
            root = ElementTree.fromstring(text)
        found = _classed([((ring,) if len(ring) > 2 else (), n) for ring, n in _regions(root)],
                         "regions that are no areas were left out")  # fmt: skip
        if found.notes and not len(found):
            raise InputError("none of its regions is an area.")
        return found


def _regions(root: ElementTree.Element) -> Iterator[tuple[Ring, str]]:
    """Yield the outline and class of each region; an unnamed or sole layer is no class."""
    layers = [e for e in root.iter("Annotation") if e.find("Regions") is not None]
    for layer in layers:
        name = str(layer.get("Name") or "") if len(layers) > 1 else ""
        for region in layer.iter("Region"):
            yield _ring([(v.get("X"), v.get("Y")) for v in region.iter("Vertex")]), name
    for found in root.iter("Annotation"):
        if found.find("Coordinates") is not None:
            group = str(found.get("PartOfGroup") or "")
            at = [(c.get("X"), c.get("Y")) for c in found.iter("Coordinate")]
            yield _ring(at), "" if group == "None" else group


def _ring(values: Sequence[tuple[str | None, str | None]]) -> Ring:
    try:
        ring = np.array([[float(x or "x"), float(y or "y")] for x, y in values], np.float64)
    except ValueError as error:
        raise InputError(f"a vertex has no number for X or Y ({plain(error, 60)}).") from error
    ring = ring.reshape(-1, 2)
    return ring[:-1] if len(ring) > 1 and (ring[0] == ring[-1]).all() else ring


def _classed(
    found: Sequence[tuple[tuple[Ring, ...], Any]], gone: str, names: Mapping[Any, str] | None = None
) -> Polygons:
    """Take objects with their classes, numbered and named as in ``names``, else as they come.

    Those without a ring are left out, and counted in a note that ends with ``gone``.
    """
    kept = [(rings, key) for rings, key in found if rings]
    names = {key: key for _, key in kept if key} if names is None else names
    numbers = {key: n for n, key in enumerate(names, start=1)}
    left_out = len(found) - len(kept)
    return Polygons(
        tuple(rings for rings, _ in kept),
        type=np.array([numbers.get(key, 0) for _, key in kept], np.int32),
        type_names={n: unnamed(n, names[key]) for key, n in numbers.items()},
        notes=(f"{left_out} {gone}",) if left_out else (),
    )


# --- JSON: COCO, CellViT, TIAToolbox --------------------------------------------------


def json_kind(head: bytes) -> str:
    """Tell "coco", "cellvit", "tiatoolbox", "labelme" or "" by the first bytes of a JSON file."""
    # of a large file the head shows its images, or what it says of the slide, and no more
    pictures = b'"images"' in head and (b'"annotations"' in head or b'"file_name"' in head)
    if pictures or b'"segmentation"' in head:
        return "coco"
    if b'"shapes"' in head and b'"points"' in head:
        return "labelme"
    if b'"wsi_metadata"' in head:
        return "cellvit"
    if b'"contour"' in head and b'"nuc"' not in head:
        return "cellvit" if b'"cells"' in head else "tiatoolbox"
    return ""


def read_json(path: Path, kind: str, name: str = "") -> Polygons:
    """Read COCO (of the image of a name, if it tells of several), CellViT, TIAToolbox, labelme."""
    data = load_json(path)
    with named(path):
        if kind == "coco":
            return _coco(data, name)
        if kind == "labelme":
            return _labelme(data)
        entries = member(data, "cells", "The file") if kind == "cellvit" else data
        return _contours(entries, data)


def _contours(entries: Any, data: Any) -> Polygons:
    """Read nuclei with a ``contour`` of boundary points, and their numbered types."""
    listed = list(entries.values()) if isinstance(entries, dict) else entries
    if not isinstance(listed, list):
        raise InputError("its cells are no list.")
    found: list[tuple[tuple[Ring, ...], int]] = []
    for i, entry in enumerate(listed):
        what = f"Cell {i + 1}"
        ring = points(member(entry, "contour", what), f"{what}: its contour")
        kind = entry.get("type")
        fits = isinstance(kind, int) and not isinstance(kind, bool) and 0 <= kind <= MAX_TYPE
        rings = (ring + 0.5,) if len(ring) > 2 else ()  # from pixel centres to edges
        found.append((rings, int(kind) if fits else 0))
    known = data.get("type_map") if isinstance(data, dict) else None
    said = {str(k): v for k, v in known.items()} if isinstance(known, dict) else {}
    most = max((kind for rings, kind in found if rings), default=0)
    own = {k: said.get(str(k)) for k in range(1, most + 1)}
    names = {k: name if isinstance(name, str) else f"type {k}" for k, name in own.items()}
    return _classed(found, "cells without outline", names)


def _labelme(data: Any) -> Polygons:
    """Read the polygons of labelme; boxes, circles and points are left out."""
    shapes = member(data, "shapes", "The file")
    if not isinstance(shapes, list):
        raise InputError("its shapes are no list.")
    kept = [
        s for s in shapes if isinstance(s, dict) and s.get("shape_type", "polygon") == "polygon"
    ]
    found = [((points(s.get("points"), f"Shape {i + 1}"),), str(s.get("label") or ""))
             for i, s in enumerate(kept)]  # fmt: skip
    others: list[Any] = [((), "")] * (len(shapes) - len(kept))
    return _classed([*found, *others], "shapes that are no polygons were left out")


def _coco(data: Any, name: str) -> Polygons:
    found, images = member(data, "annotations", "The file"), data.get("images") or []
    if not isinstance(found, list) or not isinstance(images, list):
        raise InputError("its images or annotations are no lists.")
    wanted: Any = None
    if len(images) > 1:
        stems = {Path(str(i.get("file_name", ""))).stem: i.get("id") for i in images
                 if isinstance(i, dict)}  # fmt: skip
        if name not in stems:
            raise InputError(f"it tells of {len(images)} images, none of them called {name!r}.")
        wanted = stems[name]
    names = {c.get("id"): str(c.get("name")) for c in data.get("categories") or []
             if isinstance(c, dict)}  # fmt: skip
    mine = [(i, e) for i, e in enumerate(found, start=1)
            if isinstance(e, dict) and wanted in (None, e.get("image_id"))]  # fmt: skip
    made = [(_segmentation(e.get("segmentation"), f"Annotation {i}"), e.get("category_id"))
            for i, e in mine]  # fmt: skip
    return replace(_classed(made, "", names), notes=())


def _segmentation(value: Any, what: str) -> tuple[Ring, ...]:
    """Read polygons as flat lists of x, y, or a run-length code."""
    if isinstance(value, list):
        flat = [numbers(ring, f"{what}: a ring") for ring in value]
        if any(ring.ndim != 1 or len(ring) % 2 for ring in flat):
            raise InputError(f"{what}: a ring is a flat list of x, y.")
        return tuple(ring.reshape(-1, 2) for ring in flat if len(ring) >= 6)
    if not isinstance(value, dict):
        return ()
    height, width = (int(n) for n in numbers(value.get("size"), f"{what}: size").reshape(-1)[:2])
    counts = value.get("counts")
    runs = (
        _compressed_counts(counts)
        if isinstance(counts, str)
        else (numbers(counts, f"{what}: counts").astype(np.int64))
    )
    if height < 1 or width < 1 or runs.min(initial=0) < 0 or int(runs.sum()) > height * width:
        raise InputError(f"{what}: its runs do not fit its size {height} x {width}.")
    check_room(2 * height * width, what)
    flat_mask = np.zeros(height * width, bool)
    ends = np.cumsum(runs)
    for start, end in zip(ends[::2], ends[1::2], strict=False):
        flat_mask[start:end] = True
    return tuple(mask_outlines(flat_mask.reshape(width, height).T))


def _compressed_counts(text: str) -> npt.NDArray[np.int64]:
    """Read COCO's run lengths: five bits a character, each number relative to the last but one."""
    runs: list[int] = []
    value = shift = 0
    for character in text.encode("ascii", "replace"):
        bits = character - 48
        value |= (bits & 31) << shift
        shift += 5
        if shift > 60:
            raise InputError("a run length is too large.")
        if not bits & 32:
            value -= (1 << shift) if bits & 16 else 0
            runs.append(value + (runs[-2] if len(runs) > 2 else 0))
            value = shift = 0
    return np.array(runs, np.int64)


# --- TIAToolbox's store ---------------------------------------------------------------


def read_store(path: Path) -> Polygons:
    """Read an annotation store of TIAToolbox (SQLite)."""
    check_file(path, "an annotation store")
    found = []
    with readable(path):
        place = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(place, uri=True)) as store:
            made = store.execute("SELECT sql FROM sqlite_master WHERE name = 'annotations'")
            if not str((made.fetchone() or ("",))[0]).upper().startswith("CREATE TABLE"):
                raise ValueError("annotations is no table")  # a view may never end
            for geometry, properties in store.execute(
                "SELECT geometry, properties FROM annotations"
            ):
                known = json.loads(properties) if isinstance(properties, str) else {}
                kind = known.get("type") if isinstance(known, dict) else None
                name = "" if kind in (None, "") else str(kind)[:TYPED_LENGTH]
                found.append((_wkb(geometry), name))
    return _classed(found, "annotations that are no areas were left out")


def _wkb(data: Any) -> tuple[Ring, ...]:
    """Read rings of a polygon in well-known binary, compressed or not; () for anything else."""
    raw = bytes(data or b"")
    if raw[:1] not in (b"\0", b"\1"):
        raw = zlib.decompressobj().decompress(raw, 2**24)
    order = "<" if raw[:1] == b"\1" else ">"
    kind, n = struct.unpack_from(f"{order}II", raw, 1)
    if kind != 3:
        return ()
    rings, at = [], 9
    for _ in range(n):
        (count,) = struct.unpack_from(f"{order}I", raw, at)
        ring = np.frombuffer(raw, f"{order}f8", 2 * count, at + 4).reshape(-1, 2)
        rings.append(ring[:-1].astype(np.float64))
        at += 4 + 16 * count
    return tuple(ring for ring in rings if len(ring) > 2)


# --- a mask per nucleus ---------------------------------------------------------------


def read_mask_folder(folder: Path, files: Sequence[Path], masks: Iterator[Int32]) -> Instances:
    """Put masks of one nucleus each (DSB 2018) into one label image; where two meet, the later."""
    labels: Int32 | None = None
    for number, mask in enumerate(masks, start=1):
        if labels is None:
            labels = np.zeros(mask.shape, np.int32)
        if mask.shape != labels.shape:
            raise InputError(
                f"{files[number - 1]} is {mask.shape}, the masks before it {labels.shape}; they "
                "must be of one image."
            )
        labels[mask > 0] = number
    if labels is None:
        raise InputError(f"{folder} holds no mask.")
    return instances_of(labels, notes=(f"{len(files)} files of one nucleus each",))
