"""From blocks to one result: ids 1..n, labels, nuclei, overviews, summary."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..io.far import Far
from ..io.files import METADATA_KEY, TEMPORARY_PREFIX, atomic_path, sweep, write_json
from ..io.geojson import stream_geojson
from ..types import Float32, Int32, Int64, Nuclei, Progress, kernel
from .blocks import QC_CELL, WEAK, Block
from .source import optional
from .store import (
    COLUMNS,
    FAILED,
    LAYERS,
    NUCLEI,
    SUMMARY,
    BlockData,
    Layer,
    SlideStore,
    chunk_of,
    halved,
    level_shapes,
    multiscales,
    own_levels,
    put,
    pyramid,
    renumbered,
)

Array = npt.NDArray[Any]
Spills = dict[tuple[int, int], list[tuple[Int64, Int32]]]

BLOB_AREAS = 5.0
"""A nucleus of more than so many median areas is suspected to be several."""
STRIP_PIXELS = 16_000_000
"""Pixels that are halved at a time."""
QC = {
    "nuclei": "nuclei per cell",
    "mean_magnitude": "mean HV magnitude of its nuclei",
    "weak_share": f"share of its nuclei with a mean HV magnitude below {WEAK:g}",
    "blob_suspects": f"nuclei of more than {BLOB_AREAS:g} median areas",
    "np_without_instance": "pixels with NP > 0.5 that are no nucleus",
}
"""Overview images, a pixel per cell of 256 x 256."""
OVERLAY_PIXELS = 2000
"""Longest edge of the picture, pixels."""


@dataclass(frozen=True, eq=False)
class _Found:
    """What is known of all blocks before anything is written: 16 bytes a nucleus."""

    done: tuple[Block, ...]
    order: Int64  # First pixels of all nuclei, sorted: the place is the id
    median_area: float

    def ids(self, first: Int64) -> Int32:
        """Return the ids of nuclei by their first pixels, 0 first; 0 of blocks that are missing."""
        found = np.searchsorted(self.order, first)
        there = np.append(self.order, -1)[found] == first
        return np.concatenate([[0], np.where(there, found + 1, 0)]).astype(np.int32)


def finish_steps(store: SlideStore) -> Generator[Progress, None, dict[str, Any]]:
    """Write labels, nuclei, overviews and the summary from what the blocks have found.

    May be broken off and run again; blocks that are not done are left empty and told.
    """
    done = tuple(b for b in store.blocks if store.done(b) is not None)
    yield Progress(0, len(done), "numbering the nuclei")
    found = _gathered(store, done)
    spills = _spills(store, found)
    yield from _labels(store, found, spills)
    quality = _Quality(store.run.source.shape, found.median_area)
    yield from _nuclei(store, found, quality)
    yield Progress(0, 0, "overviews")
    _coarse_levels(store)
    quality.write(store)
    write_overlay(store)
    missing = [b.name for b in store.blocks if b not in set(done)]
    summary = _summary(store, found, missing)
    if isinstance(store.folder, Path):
        for left in [*store.folder.rglob(f"{TEMPORARY_PREFIX}*")]:  # of killed processes
            sweep(left.parent)
        for left in [*store.folder.rglob("*.partial")]:  # as zarr names its own
            left.unlink(missing_ok=True)
    write_json(store.folder / SUMMARY, summary)
    if not missing:
        (store.folder / FAILED).unlink(missing_ok=True)
        for block in done:
            store.data(block).unlink(missing_ok=True)
    return summary


def _gathered(store: SlideStore, done: Sequence[Block]) -> _Found:
    firsts, areas = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for block in done:
        first, area = BlockData(store.data(block))["first", "area"]
        firsts.append(first)
        areas.append(area)
    area = np.concatenate(areas)
    order = np.sort(np.concatenate(firsts))
    return _Found(tuple(done), order, float(np.median(area)) if len(area) else 0.0)


def _spills(store: SlideStore, found: _Found) -> Spills:
    """Sort pixels beyond the cores, with their ids, by the block they lie in, if it lacks them."""
    edge, width = store.run.recipe.slide_params.block, store.run.source.shape[1]
    spills: Spills = defaultdict(list)
    have = {b[:2] for b in found.done} if store.run.recipe.exact else set()
    for block in found.done:
        at, own, first = BlockData(store.data(block))["spill_at", "spill_id", "first"]
        ids = found.ids(first)[own]
        places = (at // width // edge) << 32 | (at % width // edge)
        for place in np.unique(places):
            here, key = places == place, (int(place >> 32), int(place & 0xFFFFFFFF))
            if key not in have:
                spills[key].append((at[here], ids[here]))
    return spills


def _labels(store: SlideStore, found: _Found, spills: Spills) -> Generator[Progress, None, None]:
    """Write the labels, block by block: as packed, by their ids; then what only others know."""
    shape, edge = store.run.source.shape, store.run.recipe.slide_params.block
    levels = own_levels(edge, len(level_shapes(shape)))
    done, finest = {b[:2] for b in found.done}, store.group("r")["labels/0"]
    for k, block in enumerate(found.done):
        first, others, *packed = BlockData(store.data(block))[
            "first", "others", *(f"labels{n}" for n in range(levels))
        ]
        ids, chunks = found.ids(np.concatenate([first, others])), edge // chunk_of(edge)
        files = (renumbered(data, chunks >> n, ids) for n, data in enumerate(packed))
        put(store, "labels", block[:2], files)
        yield Progress(k + 1, len(found.done), "labels")
    for place, parts in spills.items():
        (r0, r1), (c0, c1) = ((k * edge, min(k * edge + edge, n))
                              for k, n in zip(place, shape, strict=True))  # fmt: skip
        own = np.zeros((r1 - r0, c1 - c0), np.int32)
        if place in done:
            own[:] = finest[r0:r1, c0:c1]
        for at, ids in parts:
            own[at // shape[1] - r0, at % shape[1] - c0] = ids
        put(store, "labels", place, pyramid(store, "labels", own))


def _coarse_levels(store: SlideStore) -> None:
    """Halve what the blocks could not write alone, in strips."""
    group, shapes = store.group(), level_shapes(store.run.source.shape)
    alone = own_levels(store.run.recipe.slide_params.block, len(shapes))
    for name, layer in LAYERS.items():
        for level in range(alone, len(shapes)):
            fine, coarse = (group[f"{name}/{n}"] for n in (level - 1, level))
            height, width = shapes[level]
            step = coarse.chunks[-2]
            rows = max(STRIP_PIXELS // (4 * width) // step, 1) * step
            for r in range(0, height, rows):
                last = min(r + rows, height)
                coarse[..., r:last, :] = halved(fine[..., 2 * r : 2 * last, :], layer.way)


# --- nuclei --------------------------------------------------------------------------


@kernel
def _wkb(points: Any, starts: Any, head: Any, out: Any, ends: Any) -> None:
    """Write polygons as WKB; ``points`` are the bytes of x, y as float64, 16 a point."""
    n = 0
    for k in range(len(starts) - 1):
        count = starts[k + 1] - starts[k]
        closed = max(count + 1, 4)  # a ring has four points at least
        for i in range(9):
            out[n + i] = head[i]
        for i in range(4):
            out[n + 9 + i] = (closed >> (8 * i)) & 255
        n += 13
        for p in range(closed):
            at = starts[k] + (p if p < count else 0)
            for i in range(16):
                out[n + i] = points[at, i]
            n += 16
        ends[k + 1] = n


WKB_POLYGON = np.array([1, 3, 0, 0, 0, 1, 0, 0, 0], np.uint8)
"""Little-endian, type 3, one ring; then its number of points, and the points."""
GEO = {
    "version": "1.1.0",
    "primary_column": "geometry",
    "columns": {"geometry": {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None}},
}


def _nuclei(store: SlideStore, found: _Found, quality: _Quality) -> Generator[Progress, None, None]:
    """Write the table, a row group per block; it is never in memory as a whole."""
    arrow, parquet = optional("pyarrow"), optional("pyarrow.parquet")
    run = store.run
    about = {"mpp": run.source.mpp, "types": run.as_dict()["types"]}
    schema = _schema(arrow).with_metadata({"geo": json.dumps(GEO), METADATA_KEY: json.dumps(about)})
    options: dict[str, Any] = {
        "compression": "zstd", "use_dictionary": False, "write_statistics": schema.names[:-1],
    }  # fmt: skip
    with (
        atomic_path(store.folder / NUCLEI) as temporary,
        parquet.ParquetWriter(temporary, schema, **options) as writer,
    ):
        for k, block in enumerate(found.done):
            data = BlockData(store.data(block))
            names = ("first", "missed", "points", "starts", *COLUMNS)
            row = dict(zip(names, data[names], strict=True))
            quality.add(row)
            if len(row["first"]):
                writer.write_batch(_batch(arrow, schema, row, found.ids(row["first"])[1:]))
            yield Progress(k + 1, len(found.done), "nuclei")


def _schema(arrow: Any) -> Any:
    whole = [(n, arrow.int32()) for n in ("id", "row0", "col0", "row1", "col1")]
    real = [(n, arrow.float64()) for n in ("x", "y")]
    rest = [("area", arrow.int64()), ("type", arrow.int32())]
    told = [(n, arrow.float32()) for n in COLUMNS[4:]]
    return arrow.schema([*whole, *real, *rest, *told, ("geometry", arrow.binary())])


def _batch(arrow: Any, schema: Any, row: dict[str, Array], ids: Int32) -> Any:
    starts = row["starts"]
    counts = np.maximum(np.diff(starts) + 1, 4)
    out, ends = np.empty(int((13 + 16 * counts).sum()), np.uint8), np.zeros(len(starts), np.int64)
    points = np.ascontiguousarray(row["points"] + 0.5).view(np.uint8).reshape(-1, 16)
    _wkb(points, starts, WKB_POLYGON, out, ends)
    buffers = [None, arrow.py_buffer(ends.astype(np.int32)), arrow.py_buffer(out)]
    columns = [
        ids, *row["bbox"].T, *row["centroid"].T, row["area"], row["type"],
        *(row[name].astype(np.float32) for name in COLUMNS[4:]),
    ]  # fmt: skip
    made = [arrow.array(np.ascontiguousarray(c)) for c in columns]
    made.append(arrow.BinaryArray.from_buffers(arrow.binary(), len(ids), buffers))
    return arrow.RecordBatch.from_arrays(made, schema=schema)


def read_nuclei(store: SlideStore) -> Iterator[Nuclei]:
    """Read the table back, a block at a time."""
    path = store.folder / NUCLEI
    if not path.exists():
        raise InputError(f"{path} is not there; run the slide to its end first.")
    with path.open("rb") as raw:
        file = optional("pyarrow.parquet").ParquetFile(raw)
        for table in map(file.read_row_group, range(file.num_row_groups)):
            col = {name: table[name].to_numpy() for name in table.column_names[:-1]}
            rings = [np.frombuffer(g.as_buffer(), np.float64, offset=13)
                     for g in table["geometry"]]  # fmt: skip
            contours = tuple((r.reshape(-1, 2)[:-1] - 0.5).astype(np.int32) for r in rings)
            yield Nuclei(
                label=col["id"],
                bbox=np.stack([col[n] for n in ("row0", "col0", "row1", "col1")], axis=1),
                centroid=np.stack([col["x"], col["y"]], axis=1),
                area=col["area"],
                contours=contours,
                type=col["type"],
                type_names=store.run.types,
                **{name: col[name].astype(np.float64) for name in COLUMNS[4:]},
            )


def read_places(store: SlideStore) -> Float32:
    """Read centre (x, y) and mean magnitude of all nuclei, (n, 3): 12 bytes each."""
    with (store.folder / NUCLEI).open("rb") as raw:
        file = optional("pyarrow.parquet").ParquetFile(raw)
        out, n = np.empty((file.metadata.num_rows, 3), np.float32), 0
        for batch in file.iter_batches(columns=["x", "y", "magnitude_mean"]):
            for k in range(3):
                out[n : n + len(batch), k] = batch.column(k).to_numpy()
            n += len(batch)
    return out


def export_geojson(store: SlideStore, path: Path | Far) -> None:
    """Write all nuclei for QuPath, block by block; gzipped if the name ends in .gz."""
    run = store.run
    about = {"image": run.source.name, "id": f"{run.source.name}/{store.sha}", **run.as_dict()}
    types = run.types
    parts = ((nuclei, None) for nuclei in read_nuclei(store))
    stream_geojson(path, parts, types, mpp=run.source.mpp, metadata=about)


# --- overviews -----------------------------------------------------------------------


class _Quality:
    """Counts per cell of 256 x 256 px, added up block by block."""

    def __init__(self, shape: tuple[int, int], median_area: float) -> None:
        cells = tuple(-(-n // QC_CELL) for n in shape)
        self.sums = {name: np.zeros(cells, np.float64) for name in QC}
        self.large = BLOB_AREAS * median_area

    def add(self, row: dict[str, Array]) -> None:
        """Add the nuclei of a block, by their centroids, and the pixels nobody has."""
        at = tuple((row["centroid"][:, axis] // QC_CELL).astype(np.int64) for axis in (1, 0))
        magnitude = row["magnitude_mean"]
        for name, values in (
            ("nuclei", np.ones(len(magnitude))),
            ("mean_magnitude", magnitude),
            ("weak_share", (magnitude < WEAK).astype(np.float64)),
            ("blob_suspects", (row["area"] > self.large).astype(np.float64)),
        ):
            np.add.at(self.sums[name], at, values)
        keys, counts = row["missed"].T
        np.add.at(self.sums["np_without_instance"], (keys >> 32, keys & 0xFFFFFFFF), counts)

    def write(self, store: SlideStore) -> None:
        """Write them as images beside the maps."""
        group, mpp = store.group(), store.run.source.mpp * QC_CELL
        n = np.maximum(self.sums["nuclei"], 1)
        for name, about in QC.items():
            values = self.sums[name] / (n if name in ("mean_magnitude", "weak_share") else 1)
            attributes = multiscales(name, Layer("float32", None, about=about), 1, mpp)
            inner = group.create_group(f"qc/{name}", overwrite=True, attributes=attributes)
            inner.create_array("0", data=values.astype(np.float32))


def write_overlay(store: SlideStore) -> None:
    """Write a picture of the slide with its nuclei coloured by HV magnitude."""
    source = store.run.source
    shapes = level_shapes(source.shape)
    level = next((k for k, s in enumerate(shapes) if max(s) <= OVERLAY_PIXELS), len(shapes) - 1)
    group = store.group("r")
    magnitude = group[f"magnitude/{level}"][:]
    nuclei = (group[f"labels/{level}"][:] > 0).view(np.uint8)
    picture = cv2.resize(
        source.overview(max(2**level // 1, 1)), magnitude.shape[::-1],
        interpolation=cv2.INTER_AREA,
    )  # fmt: skip
    heat = cv2.applyColorMap(magnitude, cv2.COLORMAP_VIRIDIS)
    shown = np.ascontiguousarray(picture[..., ::-1])
    cv2.copyTo(cv2.addWeighted(shown, 0.4, heat, 0.6, 0), nuclei, shown)
    _, data = cv2.imencode(".png", shown, (cv2.IMWRITE_PNG_COMPRESSION, 1))
    with atomic_path(store.folder / "overlay.png") as temporary:
        temporary.write_bytes(data.tobytes())


def _summary(store: SlideStore, found: _Found, missing: list[str]) -> dict[str, Any]:
    run = store.run
    markers = [store.done(b) or {} for b in found.done]
    area = sum(m["area"] for m in markers)
    return {
        **run.as_dict(),
        "sha": store.sha,
        "nuclei": len(found.order),
        "blocks": len(store.blocks),
        "missing_blocks": missing,
        "tissue_share": round(store.tissue.share, 4),
        "repeated_blocks": sum(m["tries"] > 1 for m in markers),
        "cut_parts": sum(m["cut"] for m in markers),
        "magnitude_inside": sum(m["magnitude_sum"] for m in markers) / area if area else None,
        "block_seconds": round(sum(m["seconds"] for m in markers), 1),
        "exact": run.recipe.exact,
    }
