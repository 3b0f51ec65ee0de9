"""A slide's result as a folder: what was asked for, what each block found, and the maps.

A block writes its data first and its marker last, each by a file beside it that is flushed and
renamed, and only places of its own: the same block may be written twice, or by anybody.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..._version import __version__
from ...errors import InputError
from ..io.far import Far, place
from ..io.files import (
    atomic_path,
    load_json,
    output_error,
    types_from_json,
    types_to_json,
    write_json,
)
from ..params import InferenceParams, SeparationParams
from ..types import Int8, Int32, ModelInfo, TypeInfo, UInt8, kernel
from .blocks import Block, BlockResult, Recipe, plan_blocks
from .mask import TissueMask, cell_edge, save_mask
from .packed import HEAD, renumber
from .packed import pack as pack_labels
from .params import SlideParams
from .source import SlideSource, optional

Array = npt.NDArray[Any]

Takes = tuple[tuple[int, tuple[int | str, ...]], ...]
"""Types, and which of the model's own each takes together, by number or name."""

FORMAT = "napari-hovernet slide"
RUN, TISSUE, BLOCKS, SUMMARY, NUCLEI = (
    "run.json", "tissue.png", "blocks", "summary.json", "nuclei.parquet",
)  # fmt: skip
FAILED, LOCK = "failed.json", ".lock"
EMPTY = 64
"""Times that a chunk of zeros is packed at least; it is left out, as zarr does."""
EMPTY_CHUNK = 2**64 - 1
"""Place and length of a chunk that is left out of a shard."""
CHUNK, SMALLEST_LEVEL = 512, 512
"""Edge of the chunks, and of the coarsest level at most, pixels."""
HV_STEPS, MAGNITUDE_STEPS = 100.0, 200.0
"""What 1.0 is in the stored maps."""
COLUMNS = ("bbox", "centroid", "area", "type", "type_probability", "magnitude_mean",
           "magnitude_p95", "np_mean")  # fmt: skip
"""Fields of :class:`Nuclei` that a block keeps."""


# --- pyramids ------------------------------------------------------------------------


@kernel
def _pooled(fine: Any, way: int, out: Any) -> None:
    """Halve a map: way 0 mean, 1 mean of what is not 0, 2 largest, 3 most frequent (0 last)."""
    for r in range(out.shape[0]):
        r1 = min(2 * r + 1, fine.shape[0] - 1)
        for c in range(out.shape[1]):
            c1 = min(2 * c + 1, fine.shape[1] - 1)
            a, b = np.int64(fine[2 * r, 2 * c]), np.int64(fine[2 * r, c1])
            d, e = np.int64(fine[r1, 2 * c]), np.int64(fine[r1, c1])
            if a == b and a == d and a == e:
                out[r, c] = a
            elif way == 0:
                out[r, c] = (a + b + d + e + 2) // 4
            elif way == 1:
                n = int(a > 0) + int(b > 0) + int(d > 0) + int(e > 0)
                out[r, c] = (a + b + d + e + n // 2) // n if n else 0
            elif way == 2:
                out[r, c] = max(a, b, d, e)
            elif a in (b, d, e) and a:
                out[r, c] = a
            elif b in (d, e) and b:
                out[r, c] = b
            elif d and d == e:
                out[r, c] = d
            else:
                out[r, c] = a or b or d or e


def halved(fine: Array, way: int | None) -> Array:
    """Halve the last two axes; way None takes every second pixel (directions do not mix)."""
    if way is None:
        return np.ascontiguousarray(fine[..., ::2, ::2])
    height, width = fine.shape
    out = np.empty(((height + 1) // 2, (width + 1) // 2), fine.dtype)
    _pooled(fine, way, out)
    return out


@dataclass(frozen=True)
class Layer:
    """A pyramid of the result."""

    dtype: str
    way: int | None  # How it is halved
    channels: int = 0
    about: str = ""
    codec: str = "zstd"


LAYERS: Mapping[str, Layer] = {
    "labels": Layer(
        "int32",
        3,
        about="nuclei, 1..n by first pixel, row by row; 0 background",
        codec="lz4",
    ),
    "np": Layer("uint8", 0, about="probability of nucleus x 255"),
    "hv": Layer("int8", None, 2, about="HV (x to the right, y down) x 100, 0 outside the mask"),
    "magnitude": Layer("uint8", 1, about="HV magnitude x 200; coarse levels: mean inside nuclei"),
    "magnitude_max": Layer("uint8", 2, about="HV magnitude x 200; coarse levels: the largest"),
}


def level_shapes(shape: tuple[int, int]) -> list[tuple[int, int]]:
    """Sizes of the levels, halved until they are small."""
    shapes = [shape]
    while max(shapes[-1]) > SMALLEST_LEVEL:
        shapes.append((-(-shapes[-1][0] // 2), -(-shapes[-1][1] // 2)))
    return shapes


def chunk_of(block: int) -> int:
    """Return the largest chunk up to ``CHUNK`` of which a block is made."""
    return max(n for n in range(1, CHUNK + 1) if block % n == 0)


def own_levels(block: int, count: int) -> int:
    """Levels that a block can write alone: whole chunks of its own."""
    chunk, own = chunk_of(block), 1
    while own < count and (block >> own << own) == block and (block >> own) % chunk == 0:
        own += 1
    return own


# --- the run -------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What was asked for; the workers read it from the store."""

    source: SlideSource
    recipe: Recipe
    model: str
    sha256: str
    types: Mapping[int, TypeInfo]
    takes: Mapping[int, tuple[int | str, ...]]  # Of the model's own; {} = types are as it has them
    tissue_sha256: str = ""
    version: str = __version__

    @classmethod
    def of(
        cls, source: SlideSource, recipe: Recipe, info: ModelInfo, model: str, takes: Takes = ()
    ) -> Run:
        """Describe a run with a loaded model."""
        return cls(source, recipe, model, info.sha256, dict(info.types), dict(takes))

    def as_dict(self) -> dict[str, Any]:
        """Plain values (JSON-able)."""
        return {
            "format": FORMAT,
            "version": self.version,
            "slide": asdict(self.source),
            "model": self.model,
            "sha256": self.sha256,
            "types": {
                k: {**t, **({"takes": [*self.takes[int(k)]]} if int(k) in self.takes else {})}
                for k, t in types_to_json(self.types).items()
            },
            "tissue": self.tissue_sha256,
            **{name: asdict(getattr(self.recipe, name)) for name in PARTS},
        }

    @property
    def deciding(self) -> dict[str, Any]:
        """What decides the result, by path; where slide and model lie does not."""
        known = json.loads(json.dumps(self.as_dict()))
        for name in ("format", "model"):
            known.pop(name)
        slide = known.pop("slide")
        known["slide"] = {"name": self.source.name, **{k: slide[k] for k in ("shape", "level")}}
        known["mpp"] = self.source.mpp
        for name in ("tile", "batch", "image_mpp"):
            known["inference"].pop(name)
        known["slide_params"].pop("mask")  # the mask itself is told by "tissue"
        return dict(_flat(known))

    @property
    def sha(self) -> str:
        """Hash of what decides the result."""
        text = json.dumps(self.deciding, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


PARTS: Mapping[str, Any] = {
    "inference": InferenceParams,
    "separation": SeparationParams,
    "slide_params": SlideParams,
}


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            yield from _flat(inner, f"{path}{key}.")
        else:
            yield f"{path}{key}", inner


def _run_of(found: Mapping[str, Any], where: Path | Far) -> Run:
    if found.get("format") != FORMAT:
        raise InputError(f"{where} is no result of a slide; choose another OUT.")
    try:
        slide = dict(found["slide"])
        slide["shape"] = tuple(slide["shape"])
        slide["levels"] = tuple(tuple(level) for level in slide["levels"])
        slide["notes"] = tuple(slide["notes"])
        parts: dict[str, Any] = {name: cls(**found[name]) for name, cls in PARTS.items()}
        types = found["types"]
        takes = {int(k): tuple(t["takes"]) for k, t in types.items() if "takes" in t}
        return Run(
            SlideSource(**slide),
            Recipe(**parts),
            found["model"], found["sha256"], types_from_json(types), takes, found["tissue"],
            found["version"],
        )  # fmt: skip
    except (KeyError, TypeError) as error:
        raise InputError(
            f"{where} cannot be understood ({error!r}); it may be of another version: choose "
            "another OUT."
        ) from error


@dataclass(frozen=True)
class SlideStore:
    """The folder of a slide's result; cheap to make, opened where it is used."""

    path: str

    @property
    def folder(self) -> Path | Far:
        """Where it lies."""
        return place(self.path)

    @cached_property
    def run(self) -> Run:
        """What was asked for."""
        return _run_of(load_json(self.folder / RUN), self.folder / RUN)

    @cached_property
    def tissue(self) -> TissueMask:
        """Where there is tissue."""
        data = np.frombuffer((self.folder / TISSUE).read_bytes(), np.uint8)
        picture = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE) if len(data) else None
        if picture is None:
            raise InputError(f"{self.folder / TISSUE} cannot be read; choose another OUT.")
        return TissueMask(np.asarray(picture > 0), cell_edge(self.run.source.mpp))

    @cached_property
    def blocks(self) -> tuple[Block, ...]:
        """All blocks of the run."""
        run = self.run
        return plan_blocks(run.source.shape, run.recipe.slide_params.block, self.tissue)

    @cached_property
    def sha(self) -> str:
        """Hash of what decides the result."""
        return self.run.sha

    @property
    def finished(self) -> bool:
        """Whether the whole result is there."""
        return (self.folder / SUMMARY).exists() and not (self.folder / FAILED).exists()

    def marker(self, block: Block) -> Path | Far:
        """Where the marker of a block lies."""
        return self.folder / BLOCKS / f"{block.name}.json"

    def data(self, block: Block) -> Path | Far:
        """Where what a block found lies, until the result is finished."""
        return self.folder / BLOCKS / f"{block.name}.npz"

    def done(self, block: Block) -> dict[str, Any] | None:
        """Return the marker of a block, None if it is not done (for these parameters)."""
        try:
            found: dict[str, Any] = json.loads(self.marker(block).read_bytes())
        except (OSError, ValueError):
            return None
        return found if found.get("run") == self.sha else None

    def group(self, mode: str = "r+") -> Any:
        """Open the zarr group."""
        return optional("zarr").open_group(str(self.folder), mode=mode)


def create_store(path: str | os.PathLike[str], run: Run, tissue: TissueMask) -> SlideStore:
    """Make the store, or open it if it is of the same run; refuse it with what differs if not."""
    store = SlideStore(os.fspath(path))
    run = replace(run, tissue_sha256=hashlib.sha256(tissue.cells.tobytes()).hexdigest())
    if (store.folder / RUN).exists():
        _refuse_other(store.run, run, store.folder)
        return store
    if store.folder.exists() and not _may_begin(store.folder):
        raise InputError(f"{path} is there and no result of a slide; choose another OUT.")
    try:
        (store.folder / BLOCKS).mkdir(parents=True, exist_ok=True)
        _make_arrays(store, run)
        save_mask(store.folder / TISSUE, tissue)
    except OSError as error:
        raise output_error(path, error) from error
    write_json(store.folder / RUN, run.as_dict())  # last: without it there is no store
    return store


def _may_begin(folder: Path | Far) -> bool:
    """Whether a folder is empty, or a store was begun there and no more."""
    if not any(path.name != LOCK for path in folder.iterdir()):
        return True
    return (folder / BLOCKS).is_dir() and not any((folder / BLOCKS).iterdir())


def _refuse_other(there: Run, wanted: Run, folder: Path | Far) -> None:
    before, now = there.deciding, wanted.deciding
    names = [n for n in sorted({*before, *now}) if before.get(n) != now.get(n)]
    if names:
        told = "; ".join(f"{n} was {before.get(n)!r}, now {now.get(n)!r}" for n in names[:5])
        raise InputError(
            f"{folder} was begun otherwise: {told}. Give the same again, or another OUT."
        )


def _make_arrays(store: SlideStore, run: Run) -> None:
    codecs = optional("zarr.codecs")
    group, mpp = store.group("a"), run.source.mpp
    block = run.recipe.slide_params.block
    shapes, chunk = level_shapes(run.source.shape), chunk_of(block)
    alone = own_levels(block, len(shapes))
    for name, layer in LAYERS.items():
        inner = group.create_group(
            name, overwrite=True, attributes=multiscales(name, layer, len(shapes), mpp)
        )
        more = (layer.channels,) if layer.channels else ()
        size = np.dtype(layer.dtype).itemsize
        packed = codecs.BloscCodec(cname=layer.codec, clevel=1, shuffle="noshuffle", typesize=size)
        for level, shape in enumerate(shapes):
            shard = block >> level if level < alone and block >> level > chunk else None
            inner.create_array(
                str(level), shape=(*more, *shape), dtype=layer.dtype, fill_value=0,
                chunks=(*more, chunk, chunk), compressors=[packed],
                shards=(*more, shard, shard) if shard else None,
            )  # fmt: skip


def multiscales(name: str, layer: Layer, levels: int, mpp: float) -> dict[str, Any]:
    """Return the attributes that OME-Zarr 0.5 asks for."""
    space = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    ones = [1.0] if layer.channels else []
    datasets = []
    for level in range(levels):
        scale, shift = mpp * 2**level, mpp * (2**level - 1) / 2
        moves = [
            {"type": "scale", "scale": [*ones, scale, scale]},
            {"type": "translation", "translation": [*(0.0 for _ in ones), shift, shift]},
        ]
        datasets.append({"path": str(level), "coordinateTransformations": moves})
    channel = [{"name": "c", "type": "channel"}] if layer.channels else []
    about = {"name": name, "axes": [*channel, *space], "datasets": datasets, "metadata":
             {"description": layer.about}}  # fmt: skip
    ome: dict[str, Any] = {"version": "0.5", "multiscales": [about]}
    if name == "labels":
        ome["image-label"] = {"version": "0.5"}
    return {"ome": ome}


# --- blocks --------------------------------------------------------------------------


def pyramid(store: SlideStore, name: str, finest: Array, known: bytes = b"") -> list[bytes]:
    """Pack a block's part of a pyramid, a file a level; the finest is ``known``, if given.

    Shards and chunks by the format of zarr 3, whose own writing takes twice the time.
    """
    layer, edge, files = LAYERS[name], store.run.recipe.slide_params.block, list[bytes]()
    count = own_levels(edge, len(level_shapes(store.run.source.shape)))
    for level in range(count):
        coarse = None
        if level + 1 < count:
            height, width = ((n + 1) // 2 for n in finest.shape[-2:])
            coarse = np.zeros((*finest.shape[:-2], height, width), layer.dtype)
        packed = known if not level else b""
        data = _shard(finest, layer, (chunk_of(edge), edge >> level), coarse, pack=not packed)
        files.append(packed or data)
        finest = coarse if coarse is not None else finest
    return files


def put(store: SlideStore, name: str, block: tuple[int, int], files: Iterable[Any]) -> None:
    """Write a block's part of a pyramid."""
    leading = ("0",) if LAYERS[name].channels else ()
    for level, data in enumerate(files):
        at = store.folder / name / Path(str(level), "c", *leading, *map(str, block))
        if len(data):  # what is empty has no file
            if isinstance(at, Path):
                at.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(at) as temporary:
                temporary.write_bytes(data)


def _shard(
    values: Array, layer: Layer, edges: tuple[int, int], coarse: Array | None, pack: bool
) -> bytes:
    """Pack a block as a shard of zarr 3, or as the one chunk it is; nothing if all is 0.

    Fills the next level on the way, while a chunk is at hand.
    """
    (chunk, edge), parts, size = edges, list[bytes](), 0
    index = np.full((edge // chunk, edge // chunk, 2), EMPTY_CHUNK, "<u8")
    for i, j in np.ndindex(index.shape[:2]):
        rows, cols = (slice(k * chunk, (k + 1) * chunk) for k in (i, j))
        part = values[..., rows, cols]
        if not part.size:  # beyond the slide
            continue
        if coarse is not None:
            half = halved(part, layer.way)
            r, c = i * chunk // 2, j * chunk // 2
            coarse[..., r : r + half.shape[-2], c : c + half.shape[-1]] = half
        if pack:
            missing = [(0, 0)] * (part.ndim - 2) + [(0, chunk - n) for n in part.shape[-2:]]
            whole = np.pad(part, missing) if max(missing) > (0, 0) else np.ascontiguousarray(part)
            packed = pack_labels(whole) if layer.codec == "lz4" else _zstd().encode(whole)
            if len(packed) * EMPTY < whole.nbytes and not part.any():
                continue
            parts.append(packed)
            index[i, j] = size, len(packed)
            size += len(packed)
    if len(index) == 1 or not parts:
        return b"".join(parts)
    table = index.tobytes()
    return b"".join((*parts, table, struct.pack("<I", optional("google_crc32c").value(table))))


def renumbered(shard: UInt8, chunks: int, ids: Int32) -> UInt8:
    """Replace, in place, the labels of a shard of ``chunks`` along a side by their ids."""
    if not len(shard):
        return shard
    index = shard[-4 - 16 * chunks**2 : -4] if chunks > 1 else np.array([0, len(shard)]).view("u1")
    places = index.view("<u8").reshape(-1, 2)
    there = places[places[:, 1] != EMPTY_CHUNK].astype(np.int64)
    renumber(shard, there[:, 0] + HEAD.size, there.sum(axis=1), ids)
    return shard


@kernel
def _looked_up(hv: Any, table: Any, out: Any) -> None:
    for i in range(out.size):
        h, v = np.int32(hv[0, i]), np.int32(hv[1, i])
        out[i] = table[h * h + v * v]


def magnitude_of(hv: Int8) -> UInt8:
    """Return the stored magnitude of stored HV, by a table of the roots."""
    length = np.sqrt(np.arange(2 * 128**2 + 1)) * (MAGNITUDE_STEPS / HV_STEPS)
    out: UInt8 = np.empty(hv.shape[1:], np.uint8)
    _looked_up(hv.reshape(2, -1), np.minimum(np.rint(length), 255).astype(np.uint8), out.ravel())
    return out


def write_block(store: SlideStore, result: BlockResult) -> None:
    """Write maps, nuclei and labels of a block, then its marker."""
    block, magnitude = result.block, magnitude_of(result.hv)
    mean = pyramid(store, "magnitude", magnitude)
    try:
        put(store, "np", block[:2], pyramid(store, "np", result.np))
        put(store, "hv", block[:2], pyramid(store, "hv", result.hv))
        put(store, "magnitude", block[:2], mean)
        put(store, "magnitude_max", block[:2],
            pyramid(store, "magnitude_max", magnitude, known=mean[0]))  # fmt: skip
        with atomic_path(store.data(block)) as temporary, temporary.open("wb") as data:
            np.savez(data, allow_pickle=False, **_found(store, result))
    except OSError as error:
        raise output_error(store.path, error) from error
    nuclei = result.nuclei
    write_json(store.marker(block), {
        "run": store.sha,
        "nuclei": len(nuclei),
        "tries": result.tries,
        "window": list(result.window),
        "cut": result.cut,
        "seconds": round(result.seconds, 3),
        "magnitude_sum": float((nuclei.magnitude_mean * nuclei.area).sum()),
        "area": int(nuclei.area.sum()),
    })  # fmt: skip


@cache
def _zstd() -> Any:
    return optional("numcodecs").Blosc(cname="zstd", clevel=1, shuffle=0)


def _found(store: SlideStore, result: BlockResult) -> dict[str, Array]:
    nuclei = result.nuclei
    lengths = np.array([len(c) for c in nuclei.contours], np.int64)
    points = np.concatenate(nuclei.contours) if len(nuclei) else np.zeros((0, 2), np.int32)
    return {
        **{f"labels{level}": np.frombuffer(data, np.uint8)
           for level, data in enumerate(pyramid(store, "labels", result.labels))},
        **{name: getattr(result, name)
           for name in ("spill_at", "spill_id", "first", "others", "missed")},
        **{name: getattr(nuclei, name) for name in COLUMNS},
        "points": points.astype(np.int32),
        "starts": np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64),
    }  # fmt: skip


@dataclass(frozen=True, eq=False)
class BlockData:
    """What a block has written; every member is read when it is asked for."""

    path: Path | Far

    def __getitem__(self, names: tuple[str, ...]) -> tuple[Array, ...]:
        """Read members by name."""
        try:
            with self.path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
                return tuple(file[name] for name in names)
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{self.path} cannot be read ({error}); delete it and its .json, and run again."
            ) from error
