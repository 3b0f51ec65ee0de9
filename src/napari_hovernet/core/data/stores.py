"""Arrays in .npy and .npz files, mapped into memory where they can be, never unpickled."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..inference.devices import free_memory

MEMORY_SHARE = 0.5
"""Share of the free memory that one compressed array may take."""
OPEN_ARRAYS = 64
"""Arrays that are kept open."""

_LOCAL_HEADER = 30
"""Bytes of a zip member's own header before its name."""
_LENGTHS_AT = 26
_ERRORS = (ValueError, OSError, EOFError, OverflowError, SyntaxError, TypeError, zlib.error)
_ZIP_ERRORS = (*_ERRORS, zipfile.BadZipFile, NotImplementedError, RuntimeError, KeyError)
_OBJECTS = (
    "holds Python objects, which are never opened; save plain numbers or texts instead: "
    "numpy.save('x.npy', array) with array.dtype not object"
)


@dataclass(frozen=True)
class Member:
    """An array in an .npz file, by its header."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool  # Whether columns lie together
    offset: int | None  # Where its values start in the file

    @property
    def nbytes(self) -> int:
        """Size in memory, bytes."""
        return int(np.prod(self.shape, dtype=object)) * self.dtype.itemsize


def open_npy(path: Path) -> npt.NDArray[Any]:
    """Map an .npy file, read-only; nothing of it is in memory until it is used."""
    return _mapped_npy(path, _stamp(path))


def npz_members(path: Path) -> Mapping[str, Member]:
    """List the arrays of an .npz file by their headers; Python objects are left out."""
    return _members(path, _stamp(path))


def open_member(path: Path, name: str) -> npt.NDArray[Any]:
    """Open one array of an .npz file: mapped if it is stored as it is, else read once."""
    return _member(path, name, _stamp(path))


def _stamp(path: Path) -> float:
    """Return when the file was changed, so that a new one is opened anew."""
    try:
        return path.stat().st_mtime
    except OSError as error:
        raise InputError(f"{path} is not there; check the path.") from error


@lru_cache(maxsize=OPEN_ARRAYS)
def _mapped_npy(path: Path, stamp: float) -> npt.NDArray[Any]:
    del stamp
    try:
        return np.lib.format.open_memmap(path, mode="r")
    except _ERRORS as error:
        pickled = "object" in str(error).lower() or "pickle" in str(error).lower()
        raise InputError(f"{path} {_OBJECTS if pickled else _damaged(error)}.") from error


def _damaged(error: Exception) -> str:
    return f"is damaged or cut off ({str(error)[:80]}); copy or save it again"


@lru_cache(maxsize=OPEN_ARRAYS)
def _members(path: Path, stamp: float) -> Mapping[str, Member]:
    del stamp
    found: dict[str, Member] = {}
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            for info in archive.infolist():
                if info.filename.endswith(".npy"):
                    member = _header(file, archive, info)
                    if not member.dtype.hasobject:
                        found[info.filename.removesuffix(".npy")] = member
    except _ZIP_ERRORS as error:
        raise InputError(f"{path} is no .npz file, or {_damaged(error)}.") from error
    return MappingProxyType(found)


def _header(file: BinaryIO, archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Member:
    with archive.open(info) as handle:
        version = np.lib.format.read_magic(handle)
        old = version == (1, 0)
        read: Any = (
            np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        )
        shape, fortran, dtype = read(handle)
        size = handle.tell()
    offset = None
    if info.compress_type == zipfile.ZIP_STORED:
        file.seek(info.header_offset)
        head = file.read(_LOCAL_HEADER)[_LENGTHS_AT:]
        lengths = int.from_bytes(head[:2], "little") + int.from_bytes(head[2:4], "little")
        offset = info.header_offset + _LOCAL_HEADER + lengths + size
    return Member(tuple(int(n) for n in shape), dtype, bool(fortran), offset)


@lru_cache(maxsize=OPEN_ARRAYS)
def _member(path: Path, name: str, stamp: float) -> npt.NDArray[Any]:
    members = _members(path, stamp)
    if name not in members:
        raise InputError(_no_member(path, name, tuple(members)))
    member = members[name]
    try:
        if member.offset is not None and member.nbytes:
            return np.memmap(path, member.dtype, "r", member.offset, member.shape,
                "F" if member.fortran else "C")  # fmt: skip
        _check_memory(path, name, member)
        with np.load(path, allow_pickle=False) as archive:
            array: npt.NDArray[Any] = archive[name]
    except (*_ZIP_ERRORS, MemoryError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: {name} {_damaged(error)}.") from error
    array.flags.writeable = False
    return array


def _no_member(path: Path, name: str, there: tuple[str, ...]) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            stored = f"{name}.npy" in archive.namelist()
    except (OSError, zipfile.BadZipFile):
        stored = False
    if stored:
        return f"{path}: {name} {_OBJECTS}."
    return f"{path} has no array {name!r}, only {', '.join(there) or 'nothing that can be read'}."


def _check_memory(path: Path, name: str, member: Member) -> None:
    free = free_memory()
    if member.nbytes > MEMORY_SHARE * free:
        raise InputError(
            f"{path}: {name} is compressed and takes {member.nbytes / 1e9:.1f} GB, of "
            f"{free / 1e9:.1f} GB free. Save it uncompressed (numpy.savez), then it is read "
            "piece by piece."
        )
