"""Arrays in .npy and .npz files, read piece by piece where they can be, never unpickled."""

from __future__ import annotations

import threading
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..io.files import readable
from ..limits import check_file, check_room, npy_header
from ..types import Int32

PARTS = ("image", "labels", "np", "hv", "types", "instances", "features")
"""What an image can have; ``np`` and ``hv`` are maps or targets, ``instances`` predicted ones."""
MAPS, TARGETS = "maps", "targets"
OPEN_ARRAYS = 64
"""Arrays that are kept open."""
STREAMED = 2**28
"""Bytes; larger compressed arrays are unpacked image by image where a few are asked for."""
SKIPPED = 2**20
"""Bytes that are unpacked at a time on the way to an image."""

_HEADER, _LENGTHS_AT = 30, 26
"""Bytes of a zip member's own header before its name, and where in it the lengths stand."""
_OBJECTS = (
    "holds Python objects, which are never opened; save plain numbers or texts instead: "
    "numpy.save('x.npy', array) with array.dtype not object"
)


def _nbytes(array: Member | DiskArray) -> int:
    return int(np.prod(array.shape, dtype=object)) * array.dtype.itemsize


@dataclass(frozen=True)
class Member:
    """An array in an .npz file, by its header."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool  # Whether columns lie together
    offset: int | None  # Where its values start in the file, None = compressed

    nbytes = property(_nbytes)


@dataclass(frozen=True, eq=False)
class DiskArray:
    """An array in a file, read piece by piece; mapped, a file cut off would end the process."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    offset: int  # Where its values start, bytes
    fortran: bool = False

    def __post_init__(self) -> None:
        if self.offset + self.nbytes > self.path.stat().st_size:
            raise ValueError(f"{self.nbytes} bytes are missing")

    ndim = property(lambda self: len(self.shape))
    nbytes = property(_nbytes)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: Any) -> npt.NDArray[Any]:
        whole = self.fortran or not isinstance(index, int | np.integer) or not self.shape[0]
        if whole:
            return np.asarray(np.asarray(self)[index])
        place = int(index) + (self.shape[0] if index < 0 else 0)
        if not 0 <= place < self.shape[0]:
            raise IndexError(f"{index} of {self.shape[0]}")
        return self._read(place * (self.nbytes // self.shape[0]), self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        check_room(self.nbytes, str(self.path))
        array = self._read(0, self.shape[::-1] if self.fortran else self.shape)
        array = array.T if self.fortran else array
        return array if dtype is None else array.astype(dtype)

    def _read(self, start: int, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        count = int(np.prod(shape, dtype=object))
        with self.path.open("rb") as file:
            file.seek(self.offset + start)
            data = file.read(count * self.dtype.itemsize)
        if len(data) != count * self.dtype.itemsize:
            raise InputError(f"{self.path} was cut off meanwhile; copy or save it again.")
        return np.frombuffer(data, self.dtype, count).reshape(shape)


AnyArray = npt.NDArray[Any] | DiskArray


def open_npy(path: Path) -> DiskArray:
    """Open an .npy file; nothing of it is in memory until it is used."""
    return _opened_npy(path, _stamp(path))


def npz_members(path: Path, *, objects: bool = False) -> Mapping[str, Member]:
    """List the arrays of an .npz file by their headers, Python objects only if asked for."""
    found = _members(path, _stamp(path))
    return found if objects else {n: m for n, m in found.items() if not m.dtype.hasobject}


def open_member(path: Path, name: str) -> AnyArray:
    """Open one array of an .npz file: read in pieces if it is stored as it is, else once."""
    return _member(path, name, _stamp(path))


def _stamp(path: Path) -> float:
    """Return when the file was changed, so that a new one is opened anew."""
    check_file(path, "an .npy or .npz file")
    return path.stat().st_mtime


@lru_cache(maxsize=OPEN_ARRAYS)
def _opened_npy(path: Path, _: float) -> DiskArray:
    with readable(path), path.open("rb") as file:
        shape, fortran, dtype = npy_header(file)
        if dtype.hasobject:
            raise InputError(f"{path} {_OBJECTS}.")
        return DiskArray(path, dtype, shape, file.tell(), fortran)


@lru_cache(maxsize=OPEN_ARRAYS)
def _members(path: Path, _: float) -> Mapping[str, Member]:
    found: dict[str, Member] = {}
    with readable(path), path.open("rb") as file, zipfile.ZipFile(file) as archive:
        for info in (i for i in archive.infolist() if i.filename.endswith(".npy")):
            with archive.open(info) as handle:
                shape, fortran, dtype = npy_header(handle)
                size = handle.tell()
            offset = None
            if info.compress_type == zipfile.ZIP_STORED:
                file.seek(info.header_offset)
                head = file.read(_HEADER)[_LENGTHS_AT:]
                names = sum(int.from_bytes(head[i : i + 2], "little") for i in (0, 2))
                offset = info.header_offset + _HEADER + names + size
            name = info.filename.removesuffix(".npy")
            found[name] = Member(shape, dtype, fortran, offset)
    return MappingProxyType(found)


@lru_cache(maxsize=OPEN_ARRAYS)
def _member(path: Path, name: str, stamp: float) -> AnyArray:
    members = _members(path, stamp)
    member = members.get(name)
    if member is None:
        there = [n for n, m in members.items() if not m.dtype.hasobject]
        only_these = ", ".join(there) or "nothing that can be read"
        raise InputError(f"{path} has no array {name!r}, only {only_these}.")
    if member.dtype.hasobject:
        raise InputError(f"{path}: {name} {_OBJECTS}.")
    with readable(f"{path}: {name}"):
        if member.offset is not None and member.nbytes:
            return DiskArray(path, member.dtype, member.shape, member.offset, member.fortran)
        save = "save it uncompressed (numpy.savez), then it is read piece by piece"
        check_room(member.nbytes, f"{path}: {name} is compressed", save)
        with np.load(path, allow_pickle=False) as archive:
            array: npt.NDArray[Any] = archive[name]
    array.flags.writeable = False
    return array


class _Stream:
    """Unpacks a compressed array from the front as far as it is asked for."""

    def __init__(self, path: Path, name: str, member: Member) -> None:
        self._dtype, self._shape = member.dtype, member.shape[1:]
        self._bytes = int(np.prod(self._shape, dtype=object)) * member.dtype.itemsize
        self._handle = zipfile.ZipFile(path).open(f"{name}.npy")  # noqa: SIM115 - stays open
        npy_header(self._handle)
        self._begin = self._handle.tell()
        self._lock = threading.Lock()

    def read(self, index: int) -> npt.NDArray[Any]:
        with self._lock:
            place = self._begin + index * self._bytes
            if place < self._handle.tell():
                self._handle.seek(0)  # from the front again
            while (left := place - self._handle.tell()) > 0:
                if not self._handle.read(min(left, SKIPPED)):
                    raise EOFError("it ends before that image")
            data = self._handle.read(self._bytes)
        if len(data) < self._bytes:
            raise EOFError(f"it ends before image {index}")
        return np.frombuffer(data, self._dtype).reshape(self._shape)


@lru_cache(maxsize=OPEN_ARRAYS)
def _stream(path: Path, name: str, stamp: float) -> _Stream | None:
    """Return what unpacks a large compressed array, None where it is mapped or small."""
    member = _members(path, stamp)[name]
    streamed = member.offset is None and member.nbytes > STREAMED and not member.fortran
    return _Stream(path, name, member) if streamed else None


# --- arrays that belong together ------------------------------------------------------

ALIASES: Mapping[str, tuple[str, ...]] = {
    "image": ("images", "image", "imgs", "img", "rgb", "patches"),
    "labels": ("inst_maps", "inst_map", "labels", "label", "true_labels", "truth", "masks",
               "mask", "inst"),
    "np": ("np_targets", "np_target", "np", "np_maps", "np_map", "np_pred", "np_prob",
           "prob", "probs"),
    "hv": ("hv_targets", "hv_target", "hv", "hv_maps", "hv_map", "hv_pred"),
    "types": ("nt_targets", "nt_target", "types", "type_maps", "type_map", "nt", "tp"),
    "instances": ("pred_labels", "pred_inst", "pred_instances", "separated", "instances",
                  "pred"),
    "features": ("features", "layer_24", "tokens"),
}  # fmt: skip
"""Names of arrays by what they are, the first that is there; capitals do not matter."""
AXES = {"image": 3, "labels": 2, "np": 2, "hv": 3, "types": 2, "instances": 2, "features": 2}
"""Axes of the array of one image."""
COLOURS = (1, 3, 4)
"""Sizes that the last axis of an image can have."""
MASKS = "masks"
"""A part of its own: PanNuke masks, which give labels and types."""
CLASSES = 5
"""Channels of masks with instances: neoplastic, inflammatory, connective, dead, epithelial."""


@dataclass(frozen=True, eq=False)
class Stored:
    """One array of a file: a plane, pixels or tokens per image."""

    path: Path
    name: str  # Of the array in an .npz file, "" of an .npy
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    single: bool = False  # Whether the whole array belongs to one image
    channel: int | None = None  # Which is taken of two, for NP

    def __len__(self) -> int:
        return 1 if self.single else self.shape[0]

    @property
    def called(self) -> str:
        """How messages call it."""
        return f"{self.path.name}: {self.name}" if self.name else self.path.name

    @property
    def array(self) -> AnyArray:
        """The whole array: on the disk, or in memory where it is compressed."""
        return open_member(self.path, self.name) if self.name else open_npy(self.path)

    def read(self, index: int, *, stream: bool = True) -> npt.NDArray[Any]:
        """Read the array of one image as it is stored; None stands for Python objects."""
        if self.dtype.hasobject:
            return np.full((1, 1), None, dtype=object)
        streamed = stream and self.name and not self.single
        with readable(self.called):
            source = _stream(self.path, self.name, _stamp(self.path)) if streamed else None
            if source is not None:
                array = source.read(index)
            else:
                array = np.array(self.array if self.single else self.array[index])
        if self.channel is not None:
            axis = array.ndim - 1 if array.shape[-1] == 2 else array.shape.index(2)
            array = np.take(array, self.channel, axis)
        return array


@dataclass(frozen=True, eq=False)
class Stack:
    """Arrays that belong together, by :data:`PARTS`, and ``masks``."""

    parts: Mapping[str, Stored]
    kind: str = ""  # "maps" or "targets" where the names of np and hv say it
    notes: tuple[str, ...] = ()

    @property
    def has(self) -> frozenset[str]:
        """Parts of an image."""
        parts = set(self.parts)
        return frozenset((parts - {MASKS}) | {"labels", "types"} if MASKS in parts else parts)

    @property
    def n(self) -> int:
        """Number of images."""
        lengths = {s.called: len(s) for s in self.parts.values() if not s.dtype.hasobject}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{name} {n}" for name, n in lengths.items())
            raise SizeError(f"Numbers of images differ ({found}); use files of one run.")
        return next(iter(lengths.values()), 0)

    @property
    def shape(self) -> tuple[int, int] | None:
        """Height and width of labels or targets."""
        planes = (self.parts[p] for p in (MASKS, "labels", "np") if p in self.parts)
        shapes = [s.shape if s.single else s.shape[1:] for s in planes if s.channel is None]
        return (shapes[0][0], shapes[0][1]) if shapes and len(shapes[0]) > 1 else None

    def read(self, index: int, parts: Sequence[str], *, stream: bool = True) -> dict[str, Any]:
        """Read parts of one image."""
        wanted = {*parts, MASKS} if {"labels", "types"} & set(parts) else set(parts)
        if any(s.dtype.hasobject for s in self.parts.values()):
            wanted |= set(self.parts)  # which tell the size of what stays closed
        there = {p: s for p, s in self.parts.items() if p in wanted}
        made = {part: stored.read(index, stream=stream) for part, stored in there.items()}
        for part, array in made.items():
            if array.dtype.hasobject:
                made[part] = np.full(_plane_of(made), None, dtype=object)
        if MASKS in made:
            called = f"{self.parts[MASKS].called}[{index}]"
            made["labels"], made["types"] = merge_classes(made[MASKS], called)
        return only(made, parts)


def only(arrays: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """Return the named parts that are there."""
    return {part: arrays[part] for part in parts if arrays.get(part) is not None}


class SizeError(InputError):
    """Arrays of one sample do not fit each other."""


def _plane_of(made: Mapping[str, Any]) -> tuple[int, ...]:
    """Size of the planes that are known, in place of objects that stay closed."""
    known = [(part, a.shape) for part, a in made.items() if not a.dtype.hasobject and part in AXES]
    sizes = [s[1:3] if part == "hv" else s[:2] for part, s in known if part != "features"]
    return sizes[0] if sizes else (1, 1)


def stack_of(files: Sequence[Path], names: Mapping[str, tuple[str, ...]] = ALIASES) -> Stack:
    """Find out what the arrays of some files are, by their names and shapes; the first counts."""
    there: dict[str, Stored] = {}
    for file in files:
        for name, stored in _contents(file).items():
            there.setdefault(name.lower(), stored)
    parts: dict[str, Stored] = {}
    notes: list[str] = []
    for part, called in names.items():
        for stored in (there[name] for name in called if name in there):
            if part not in parts:
                parts |= _as_part(part, stored, notes)
    if all(s.dtype.hasobject for s in parts.values()):
        raise InputError(_nothing(files, there))
    kinds = {kind_by_name(s.name or s.path.stem) for p, s in parts.items() if p in ("np", "hv")}
    kinds.discard("")
    return Stack(_settled(parts), kinds.pop() if len(kinds) == 1 else "", tuple(notes))


def kind_by_name(name: str) -> str:
    """Tell from an array's name whether it is a target or a prediction, "" if it does not say."""
    if "target" in name.lower():
        return TARGETS
    return MAPS if "pred" in name.lower() else ""


def _settled(parts: dict[str, Stored]) -> dict[str, Stored]:
    """Take lone ``instances`` for the truth; NP of two channels beside HV of a single image."""
    if "instances" in parts and not {"labels", "np", "hv"} & set(parts):
        parts["labels"] = parts.pop("instances")
    hv, nucleus = parts.get("hv"), parts.get("np")
    if hv is not None and hv.single and nucleus is not None and len(nucleus.shape) == 3:
        two = nucleus.channel is None and 2 in (nucleus.shape[0], nucleus.shape[-1])
        parts["np"] = replace(nucleus, single=True, channel=1) if two else nucleus
    return parts


def _as_part(  # noqa: PLR0911 - a form of storage each
    part: str, stored: Stored, notes: list[str]
) -> dict[str, Stored]:
    """Fit an array to what it should be, by its axes; {} if it cannot be that."""
    shape, axes = stored.shape, AXES[part]
    if stored.dtype.hasobject:
        notes.append(f"{stored.called} {_OBJECTS}.")
        return {part: stored}
    if part == "labels" and len(shape) == 4 and shape[3] == CLASSES + 1:
        return {MASKS: stored}
    if part == "labels" and len(shape) == 4 and shape[3] == 2:
        notes.append(f"{stored.called} has two channels: ids, then types (as CoNIC's)")
        return {"labels": replace(stored, channel=0), "types": replace(stored, channel=1)}
    if part == "np" and len(shape) == 4 and 2 in (shape[1], shape[3]):
        notes.append(f"{stored.called} has two channels; the second one is taken for nucleus.")
        return {part: replace(stored, channel=1)}
    if part == "image" and len(shape) in (2, 3):
        return {part: replace(stored, single=len(shape) == 2 or shape[2] in COLOURS)}
    if len(shape) in (axes, axes + 1) and stored.dtype.kind in "iufb":
        return {part: replace(stored, single=len(shape) == axes)}
    notes.append(
        f"{stored.called} of shape {shape} and dtype {stored.dtype} is left out: {part} has "
        f"{axes} axes per image."
    )
    return {}


def _contents(file: Path) -> dict[str, Stored]:
    if file.suffix.lower() == ".npy":
        array = open_npy(file)
        return {file.stem: Stored(file, "", array.shape, array.dtype)}
    members = npz_members(file, objects=True)
    return {name: Stored(file, name, m.shape, m.dtype) for name, m in members.items()}


def _nothing(files: Sequence[Path], there: Mapping[str, Stored]) -> str:
    objects = [s.called for s in there.values() if s.dtype.hasobject]
    if objects:
        return f"{', '.join(objects)} {_OBJECTS}."
    known = ", ".join(names[0] for names in ALIASES.values())
    found = ", ".join(f"{s.called} {s.shape}" for s in there.values()) or "nothing"
    where = ", ".join(file.name for file in files)
    return f"{where}: there is nothing in it that can be used ({found}); arrays are called {known}."


def merge_classes(masks: npt.NDArray[Any], what: str = "masks") -> tuple[Int32, Int32]:
    """Put the instances of PanNuke's classes, (H, W, 6), into one label image, and their types.

    Where two classes claim a pixel the later one has it, as in the published reader.
    """
    instances = masks[..., :CLASSES]
    if not np.isfinite(instances.sum(dtype=np.float64)) or instances.min(initial=0) < 0:
        raise InputError(f"{what} holds NaN or negative ids; ids are whole numbers from 0 on.")
    ids = instances.astype(np.int32)
    if instances.dtype.kind == "f" and (ids != instances).any():
        raise InputError(f"{what} holds fractions; ids are whole numbers from 0 on.")
    labels = np.zeros(ids.shape[:2], np.int32)
    types = np.zeros(ids.shape[:2], np.int32)
    offset = 0
    for k in range(CLASSES):
        there = ids[..., k] > 0
        labels[there] = ids[..., k][there] + offset
        types[there] = k + 1
        offset += int(ids[..., k].max(initial=0))
    return labels, types
