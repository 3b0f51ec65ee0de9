"""Regions of ImageJ and Fiji: a zip of .roi files for the ROI Manager, or one of them."""

from __future__ import annotations

import os
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError, OutputError
from ..limits import check_file
from ..types import Int32, Nuclei, unnamed
from .files import atomic_path, named, readable
from .geojson import Polygons, Ring, nucleus_outlines

MAGIC = b"Iout"
HEAD, HEAD2 = 64, 64
"""Bytes of the header, and of the second one, which lies behind the points."""
VERSION = 228
POLYGON, RECTANGLE, OVAL, FREEHAND, TRACED = 0, 1, 2, 7, 8
SUBPIXEL = 128
"""Bit of the options: the points are also there as floats."""
MOST = 65_000
"""Largest coordinate that the format holds, pixels."""
MAX_ROI_BYTES, MAX_ROIS = 2**24, 1_000_000
"""Of one region, and number of them in a file, that are read."""
GROUP_AT, SUBPIXEL_FROM = 30, 222
"""Byte of the second header that holds the group; version from which floats are there."""
NEGATIVE = -5000
"""Coordinates below are meant without a sign, as ImageJ reads them."""
OVAL_POINTS = 64
_HEADER = ">4sHBxhhhhH16sHiiiHHBBHii"  # Up to the offset of the second header
MOVE, LINE, CLOSE = 0, 1, 4


def write_rois(
    path: str | os.PathLike[str],
    nuclei: Nuclei,
    *,
    offset: tuple[int, int] = (0, 0),
    labels: Int32 | None = None,
) -> None:
    """Write a region per nucleus, named by its id; its group is its type.

    Outlines run along the pixel edges. Holes and second parts are kept, as composite regions.
    """
    shift = np.array([offset[1], offset[0]])
    with (
        atomic_path(path) as temporary,
        zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for i in range(len(nuclei)):
            parts = nucleus_outlines(nuclei, i, labels)
            rings = [(ring + shift).astype(np.int64) for part in parts for ring in part]
            name = f"{nuclei.label[i]:06d}"
            kind = int(nuclei.type[i])
            known = nuclei.type_names.get(kind) or unnamed(kind)
            entry = zipfile.ZipInfo(f"{name}.roi")  # of no date, so that the same is the same
            archive.writestr(entry, _packed(rings, name, kind, known.color), zipfile.ZIP_DEFLATED)


def _packed(
    rings: list[npt.NDArray[np.int64]], name: str, kind: int, color: tuple[int, int, int]
) -> bytes:
    every = np.concatenate(rings)
    (left, top), (right, bottom) = every.min(axis=0), every.max(axis=0)
    if min(left, top) < 0 or max(right, bottom) > MOST:
        raise OutputError(
            f"Nucleus {name} lies at x {left}, y {top}: ImageJ's regions end at {MOST} pixels; "
            "use GeoJSON, or a region of the image."
        )
    points, shape_size, n = b"", 0, 0
    if len(rings) == 1:
        n = len(rings[0])
        points = (rings[0] - (left, top)).T.astype(">u2").tobytes()
    else:
        path = np.concatenate([_segments(ring) for ring in rings])
        points, shape_size = path.astype(">f4").tobytes(), len(path)
    stroke = int.from_bytes(bytes([255, *color]), "big", signed=True)
    begin = HEAD + len(points)
    head = struct.pack(
        _HEADER, MAGIC, VERSION, TRACED if n else RECTANGLE,
        *(int(v) - 65536 if v > 32767 else int(v) for v in (top, left, bottom, right)), n,
        bytes(16), 0, shape_size, stroke, 0, 0, 0, 0, 0, 0, 0, begin,
    )  # fmt: skip
    text = name.encode("utf-16-be")
    head2 = struct.pack(">16xiiiHBBiiiii", begin + HEAD2, len(name), 0, 0,
                        kind if kind < 256 else 0, 0, 0, 0, 0, 0, 0)  # fmt: skip
    return head + points + head2.ljust(HEAD2, b"\0") + text


def _segments(ring: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Write a ring as ImageJ's path: move, lines, close."""
    steps = [(MOVE if k == 0 else LINE, *point) for k, point in enumerate(ring.tolist())]
    return np.array([value for step in steps for value in step] + [CLOSE], np.float64)


def is_rois(head: bytes) -> bool:
    """Tell by the first bytes whether a file is a region, or a zip whose first member is one."""
    name = head[30 : 30 + int.from_bytes(head[26:28], "little")] if head[:4] == b"PK\3\4" else b""
    return head.startswith(MAGIC) or name.lower().endswith(b".roi")


def read_rois(path: str | os.PathLike[str]) -> Polygons:
    """Read the areas of a zip of regions, or of one .roi file; lines and points are left out."""
    file = Path(path)
    check_file(file, "regions of ImageJ")
    with readable(file), named(file), file.open("rb") as handle:
        if handle.read(len(MAGIC)) == MAGIC:
            handle.seek(0)
            found = {file.stem: handle.read(MAX_ROI_BYTES)}
        else:
            found = _members(file)
        rois = {name: _unpacked(data) for name, data in found.items()}
    areas = {name: roi for name, roi in rois.items() if roi[0]}
    if rois and not areas:
        raise InputError(f"{file}: none of its {len(rois)} regions is an area.")
    gone = len(rois) - len(areas)
    kinds = [kind for _, kind in areas.values()]
    return Polygons(
        rings=tuple(rings for rings, _ in areas.values()),
        ids=tuple(areas),
        type=np.array(kinds, np.int32),
        type_names={k: unnamed(k) for k in range(1, max(kinds, default=0) + 1)},
        notes=(f"{gone} regions that are no areas were left out",) if gone else (),
    )


def _members(file: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(file) as archive:
        entries = [e for e in archive.infolist() if e.filename.lower().endswith(".roi")]
        if not entries:
            raise InputError("there is no .roi in it; save it from ImageJ's ROI Manager.")
        if len(entries) > MAX_ROIS or any(e.file_size > MAX_ROI_BYTES for e in entries):
            raise InputError("its regions claim to be too many or too large.")
        # by their whole names: two folders of an archive may hold regions of one name
        return {e.filename[: -len(".roi")]: archive.read(e) for e in entries}


def _unpacked(data: bytes) -> tuple[tuple[Ring, ...], int]:
    """Return rings and group of a region; () if it is no area."""
    if data[: len(MAGIC)] != MAGIC:
        raise InputError("a region does not begin as ImageJ's do.")
    fields: Any = struct.unpack_from(_HEADER, data)
    version, kind = fields[1:3]
    shape_size, options, begin = fields[10], fields[14], fields[19]
    group = data[begin + GROUP_AT] if HEAD <= begin <= len(data) - HEAD2 else 0
    if shape_size > 0:
        return _from_path(np.frombuffer(data, ">f4", shape_size, HEAD)), group
    top, left, bottom, right = (v + 65536 if v < NEGATIVE else v for v in fields[3:7])
    box = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], np.float64)
    if kind == RECTANGLE:
        return (box,), group
    if kind == OVAL:
        turn = np.linspace(0, 2 * np.pi, OVAL_POINTS, endpoint=False)
        circle = np.stack([np.cos(turn), np.sin(turn)], axis=1)
        return (box.mean(axis=0) + circle * (box[2] - box[0]) / 2,), group
    n = fields[7] or int.from_bytes(fields[8][:4], "big")
    if kind not in (POLYGON, FREEHAND, TRACED) or n < 3:
        return (), group
    if options & SUBPIXEL and version >= SUBPIXEL_FROM:
        points = np.frombuffer(data, ">f4", 2 * n, HEAD + 4 * n)
        return (points.reshape(2, n).T.astype(np.float64),), group
    points = np.frombuffer(data, ">u2", 2 * n, HEAD)
    return (points.reshape(2, n).T + box[0],), group


def _from_path(values: npt.NDArray[Any]) -> tuple[Ring, ...]:
    """Cut a path into rings; curves are taken by their end points."""
    lengths = {MOVE: 3, LINE: 3, 2: 5, 3: 7, CLOSE: 1}
    rings: list[list[tuple[float, float]]] = []
    at = 0
    while at < len(values):
        step = int(values[at]) if np.isfinite(values[at]) else -1
        if step not in lengths:
            raise InputError("a composite region has a step that is not known.")
        if step == MOVE:
            rings.append([])
        at += lengths[step]
        if step != CLOSE and rings:
            rings[-1].append((float(values[at - 2]), float(values[at - 1])))
    closed = [r[:-1] if len(r) > 1 and r[0] == r[-1] else r for r in rings]
    return tuple(np.array(r, np.float64) for r in closed if len(r) > 2)
