"""Stacks of arrays in .npy and .npz files, an image at a time, exactly as they are stored."""

from __future__ import annotations

import threading
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..core.data.stores import Member, npz_members, open_member, open_npy
from ..core.diagnosis.case import MAPS, TARGETS
from ..errors import InputError

ALIASES = {
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
PLANES = {"image": 3, "labels": 2, "np": 2, "hv": 3, "types": 2, "instances": 2, "features": 2}
"""Axes of the array of one image."""
COLOURS = (1, 3, 4)
"""Sizes the last axis of an image can have."""
PANNUKE_CHANNELS = 6
"""Channels of PanNuke masks: five classes and background."""
CLASSES_TWO = 2
"""Channels of an NP branch; the second one is nucleus."""
STREAMED = 2**28
"""Bytes; larger compressed arrays are unpacked image by image, not held in memory."""
SKIPPED = 2**20
"""Bytes that are unpacked at a time on the way to an image."""
MASKS = "masks"
"""A part of its own: PanNuke masks, which give labels and types."""

_ERRORS = (OSError, ValueError, EOFError, zlib.error, zipfile.BadZipFile, RuntimeError)


@dataclass(frozen=True, eq=False)
class Stored:
    """One array of a file: a plane or pixels per image.

    Parameters
    ----------
    path : Path
    name : str
        Of the array in an .npz file, "" for .npy.
    shape : tuple of int
    dtype : dtype
    single : bool
        The whole array belongs to one image.
    channel : int, optional
        Which channel is taken, for NP of two.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    single: bool = False
    channel: int | None = None

    def __len__(self) -> int:
        return 1 if self.single else self.shape[0]

    @property
    def called(self) -> str:
        """How messages call it."""
        return f"{self.path.name}: {self.name}" if self.name else self.path.name

    def read(self, index: int) -> npt.NDArray[Any]:
        """Return the array of one image, in memory, as it is stored; the rest stays on disk.

        Python objects are never opened: an array of None stands for them.

        Raises
        ------
        InputError
            If the file is damaged or cut off.
        """
        if self.dtype.hasobject:
            return np.full((1, 1), None, dtype=object)
        try:
            array = self._at(index)
        except _ERRORS as error:
            raise InputError(f"{self.called} is damaged or cut off ({error}).") from error
        if self.channel is not None:
            axis = array.shape.index(CLASSES_TWO)
            array = np.take(array, self.channel, axis)
        return array

    def _at(self, index: int) -> npt.NDArray[Any]:
        if not self.name:
            whole = open_npy(self.path)
        elif self._stream is not None:
            return self._stream.read(index)
        else:
            whole = open_member(self.path, self.name)
        return np.array(whole if self.single else whole[index])

    @cached_property
    def _stream(self) -> _Stream | None:
        member = npz_members(self.path)[self.name]
        large = member.offset is None and member.nbytes > STREAMED
        if not large or self.single or member.fortran:
            return None
        return _Stream(self.path, self.name, member)


class _Stream:
    """Unpacks a compressed array from the front as far as it is asked for."""

    def __init__(self, path: Path, name: str, member: Member) -> None:
        self._member = member
        self._bytes = int(np.prod(member.shape[1:], dtype=object)) * member.dtype.itemsize
        self._archive = zipfile.ZipFile(path)
        self._handle = self._archive.open(f"{name}.npy")
        version = np.lib.format.read_magic(self._handle)
        old = version == (1, 0)
        head: Any = np.lib.format.read_array_header_1_0 if old else (
            np.lib.format.read_array_header_2_0)  # fmt: skip
        head(self._handle)
        self._begin = self._handle.tell()
        self._lock = threading.Lock()

    def read(self, index: int) -> npt.NDArray[Any]:
        with self._lock:
            self._go_to(self._begin + index * self._bytes)
            data = self._handle.read(self._bytes)
        if len(data) < self._bytes:
            raise EOFError(f"it ends before image {index}")
        return np.frombuffer(data, self._member.dtype).reshape(self._member.shape[1:])

    def _go_to(self, place: int) -> None:
        """Unpack and forget up to a place; from the front again for one further back."""
        if place < self._handle.tell():
            self._handle.seek(0)
        while (left := place - self._handle.tell()) > 0:
            if not self._handle.read(min(left, SKIPPED)):
                raise EOFError("it ends before that image")


@dataclass(frozen=True, eq=False)
class Shelf:
    """The arrays that belong together.

    Parameters
    ----------
    parts : dict of str to Stored
        By names of :data:`.case.PARTS`, and ``masks``.
    kind : str
        "maps" or "targets" where the names of np and hv say it, else "".
    notes : tuple of str
        What was left out or assumed.
    """

    parts: dict[str, Stored] = field(default_factory=dict)
    kind: str = ""
    notes: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Number of images.

        Raises
        ------
        InputError
            If the arrays do not agree about it.
        """
        lengths = {part: len(s) for part, s in self.parts.items() if not s.dtype.hasobject}
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{self.parts[p].called} {n}" for p, n in lengths.items())
            raise InputError(f"Numbers of images differ ({said}); use files of one run.")
        return next(iter(lengths.values()), 0)


def shelf_of(files: Sequence[Path]) -> Shelf:
    """Find out what the arrays of some files are, by their names and shapes.

    Parameters
    ----------
    files : sequence of Path
        .npz, and .npy called as an array in an .npz file would be; the first that has a
        part wins.

    Raises
    ------
    InputError
        If a file is damaged, or there is nothing in them that can be used.
    """
    there: dict[str, Stored] = {}
    for file in files:
        for name, stored in _contents(file).items():
            there.setdefault(name.lower(), stored)
    parts: dict[str, Stored] = {}
    notes: list[str] = []
    used: set[str] = set()
    for part, names in ALIASES.items():
        for name in (n for n in names if n in there and part not in parts):
            used.add(name)
            as_part = _as_part(part, there[name], notes)
            if as_part is not None:
                parts[as_part[0]] = as_part[1]
    if all(s.dtype.hasobject for s in parts.values()):
        raise InputError(_nothing(files, there))
    kinds = {kind_by_name(s.name or s.path.stem) for p, s in parts.items() if p in ("np", "hv")}
    kind = next(iter(kinds - {""})) if len(kinds - {""}) == 1 else ""
    return Shelf(_settled(parts), kind, tuple(notes))


def kind_by_name(name: str) -> str:
    """Tell from an array's name whether it is a target or a prediction, "" if it does not say.

    Examples
    --------
    >>> kind_by_name("hv_targets"), kind_by_name("hv_pred"), kind_by_name("hv")
    ('targets', 'maps', '')
    """
    if "target" in name.lower():
        return TARGETS
    return MAPS if "pred" in name.lower() else ""


def _settled(parts: dict[str, Stored]) -> dict[str, Stored]:
    """Take lone ``instances`` for the truth; a plane of a single image is a stack of one."""
    if "instances" in parts and not {"labels", "np", "hv"} & set(parts):
        parts["labels"] = parts.pop("instances")
    single = parts.get("hv") is not None and parts["hv"].single
    stored = parts.get("np")
    if stored is not None and single and stored.channel is None and len(stored.shape) == 3:
        channel = 1 if CLASSES_TWO in (stored.shape[0], stored.shape[-1]) else None
        if channel is not None:
            parts["np"] = replace(stored, single=True, channel=channel)
    return parts


def _as_part(part: str, stored: Stored, notes: list[str]) -> tuple[str, Stored] | None:
    """Fit an array to what it should be, by its axes; None if it cannot be that."""
    shape, axes = stored.shape, PLANES[part]
    if stored.dtype.hasobject:
        notes.append(
            f"{stored.called} holds Python objects, which are never opened; save plain numbers."
        )
        return part, stored
    if part == "labels" and len(shape) == 4 and shape[3] == PANNUKE_CHANNELS:
        return MASKS, stored
    if part == "np" and len(shape) == 4 and CLASSES_TWO in (shape[1], shape[3]):
        notes.append(f"{stored.called} has two channels; the second one is taken for nucleus.")
        return part, replace(stored, channel=1)
    if part == "image" and len(shape) in (2, 3):
        single = len(shape) == 2 or shape[2] in COLOURS
        return part, replace(stored, single=single)
    if len(shape) in (axes, axes + 1) and stored.dtype.kind in "iufb":
        return part, replace(stored, single=len(shape) == axes)
    notes.append(
        f"{stored.called} of shape {shape} and dtype {stored.dtype} is left out: {part} "
        f"has {axes} axes per image."
    )
    return None


def _contents(file: Path) -> dict[str, Stored]:
    if file.suffix.lower() == ".npy":
        array = open_npy(file)
        return {file.stem: Stored(file, "", array.shape, array.dtype)}
    found = {
        name: Stored(file, name, member.shape, member.dtype)
        for name, member in npz_members(file).items()
    }
    objects = [n for n in _names_in(file) if n not in found]
    return {**found, **{n: Stored(file, n, (), np.dtype(object)) for n in objects}}


def _names_in(file: Path) -> list[str]:
    with zipfile.ZipFile(file) as archive:
        return [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]


def _nothing(files: Sequence[Path], there: dict[str, Stored]) -> str:
    where = ", ".join(file.name for file in files)
    objects = [s.called for s in there.values() if s.dtype.hasobject]
    if objects:
        return (
            f"{', '.join(objects)} holds Python objects, which are never opened; save plain "
            "numbers: numpy.savez('x.npz', images=array) with array.dtype not object."
        )
    known = ", ".join(names[0] for names in ALIASES.values())
    found = ", ".join(f"{s.called} {s.shape}" for s in there.values()) or "nothing"
    return f"{where}: there is nothing to diagnose in it ({found}); arrays are called {known}."
