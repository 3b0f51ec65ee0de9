"""Nuclei as others keep them: Cellpose, ImageScope, ASAP, COCO, CellViT, TIAToolbox, DSB 2018."""

from __future__ import annotations

import json
import sqlite3
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import numpy.typing as npt

from ...errors import InputError, plain
from ..limits import check_file, check_room, npy_header
from ..pickles import read_plain
from ..types import Int32, unnamed
from .files import MAX_TYPE, load_json, member, named, numbers, points
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
        try:
            npy_header(file)
        except ValueError as error:
            raise InputError(f"it is damaged or cut off ({plain(error, 80)}).") from error
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
        try:
            root = ElementTree.fromstring(text)
        except (ElementTree.ParseError, ValueError, LookupError) as error:
            raise InputError(f"it is no XML ({plain(error, 80)}); is it cut off?") from error
        rings, classes, left_out = [], [], 0
        for ring, name in _regions(root):
            if len(ring) > 2:
                rings.append((ring,))
                classes.append(name)
            else:
                left_out += 1
        if not rings and left_out:
            raise InputError("none of its regions is an area.")
        names = list(dict.fromkeys(name for name in classes if name))
        notes = (f"{left_out} regions that are no areas were left out",) if left_out else ()
        return _polygons(rings, [names.index(n) + 1 if n else 0 for n in classes], names, notes)


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


def _polygons(
    rings: Sequence[tuple[Ring, ...]], types: Sequence[int], names: Sequence[str],
    notes: tuple[str, ...] = (), ids: Sequence[str] = (),
) -> Polygons:  # fmt: skip
    infos = {k: unnamed(k, name) for k, name in enumerate(names, start=1)}
    return Polygons(tuple(rings), tuple(ids), np.array(types, np.int32), infos, notes=notes)


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
    rings, types = [], []
    for i, entry in enumerate(listed):
        what = f"Cell {i + 1}"
        ring = points(member(entry, "contour", what), f"{what}: its contour")
        if len(ring) < 3:
            continue
        rings.append((ring + 0.5,))  # from pixel centres to edges
        kind = entry.get("type")
        fits = isinstance(kind, int) and not isinstance(kind, bool) and 0 <= kind <= MAX_TYPE
        types.append(int(kind) if fits else 0)
    known = data.get("type_map") if isinstance(data, dict) else None
    names = [f"type {k + 1}" for k in range(max(types, default=0))]
    for key, name in (known or {}).items() if isinstance(known, dict | None) else ():
        if str(key).isdigit() and 0 < int(str(key)[:4]) <= len(names) and isinstance(name, str):
            names[int(str(key)[:4]) - 1] = name
    gone = len(listed) - len(rings)
    return _polygons(rings, types, names, (f"{gone} cells without outline",) if gone else ())


def _labelme(data: Any) -> Polygons:
    """Read the polygons of labelme; boxes, circles and points are left out."""
    shapes = member(data, "shapes", "The file")
    if not isinstance(shapes, list):
        raise InputError("its shapes are no list.")
    kept = [
        s for s in shapes if isinstance(s, dict) and s.get("shape_type", "polygon") == "polygon"
    ]
    rings = [(points(s.get("points"), f"Shape {i + 1}"),) for i, s in enumerate(kept)]
    named_so = [str(s.get("label") or "") for s in kept]
    names = list(dict.fromkeys(name for name in named_so if name))
    gone = len(shapes) - len(kept)
    notes = (f"{gone} shapes that are no polygons were left out",) if gone else ()
    return _polygons(rings, [names.index(n) + 1 if n else 0 for n in named_so], names, notes)


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
    categories = {c.get("id"): str(c.get("name")) for c in data.get("categories") or []
                  if isinstance(c, dict)}  # fmt: skip
    order = {key: k for k, key in enumerate(categories, start=1)}
    rings, types = [], []
    for i, entry in enumerate(found):
        if not isinstance(entry, dict) or (wanted is not None and entry.get("image_id") != wanted):
            continue
        made = _segmentation(entry.get("segmentation"), f"Annotation {i + 1}")
        if made:
            rings.append(made)
            types.append(order.get(entry.get("category_id"), 0))
    return _polygons(rings, types, list(categories.values()))


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
    rings, classes = [], []
    try:
        place = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
        with closing(sqlite3.connect(place, uri=True)) as store:
            made = store.execute("SELECT sql FROM sqlite_master WHERE name = 'annotations'")
            if not str((made.fetchone() or ("",))[0]).upper().startswith("CREATE TABLE"):
                raise ValueError("annotations is no table")  # a view may never end
            for geometry, properties in store.execute(
                "SELECT geometry, properties FROM annotations"
            ):
                rings.append(_wkb(geometry))
                classes.append(_type_in(properties))
    except (sqlite3.Error, struct.error, zlib.error, ValueError, TypeError, OverflowError) as error:
        raise InputError(f"{path} is no annotation store ({plain(error, 80)}).") from error
    kept = [(r, c) for r, c in zip(rings, classes, strict=True) if r]
    names = list(dict.fromkeys(c for _, c in kept if c))
    gone = len(rings) - len(kept)
    notes = (f"{gone} annotations that are no areas were left out",) if gone else ()
    return _polygons(
        [r for r, _ in kept], [names.index(c) + 1 if c else 0 for _, c in kept], names, notes
    )


def _type_in(properties: Any) -> str:
    known = json.loads(properties) if isinstance(properties, str) else {}
    kind = known.get("type") if isinstance(known, dict) else None
    return "" if kind in (None, "") else str(kind)[:TYPED_LENGTH]


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
