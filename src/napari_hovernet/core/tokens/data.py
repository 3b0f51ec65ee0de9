"""Tokens of a family with the truth and the images that belong to them, for running a decoder."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..data.kinds import FEATURE_NAMES, FamilyFiles, Where, eight_bits, find_families
from ..data.load import load_samples
from ..data.samples import HVProbe, SizeError, detect_hv, divisor_of, read_stored, unit_scale
from ..data.stores import npz_members, open_member
from ..hv import compact_ids
from ..inference.images import UInt8
from ..io.files import atomic_path
from ..io.labels import check_labels
from ..masks import label_parts
from ..networks.optimus import OUTPUT
from ..params import DataParams, TrainConfig, config_from_dict
from ..separation import separate
from ..types import Int32, Maps, ModelInfo

TRUTHS = ("auto", "instances", "hv", "components")
"""How true nuclei are told apart; "auto" = the first of the others that can be had."""
PROBED = 16
"""Samples that are looked at to find out how stored HV is meant."""
PLANES = {"images": 4, "inst_maps": 3, "np_targets": 3, "hv_targets": 4}
"""Arrays that are used beside the tokens, and their axes, that of the samples included."""
IDS = ("fold_ids", "image_ids")

COMPONENTS_NOTE = (
    "there are no instances: true nuclei are the connected components of np_targets, so touching "
    "nuclei count as one and AJI is that of components"
)
HV_NOTE = (
    "there are no instances: true nuclei are cut from np_targets and hv_targets by the separation "
    "'local'"
)


@dataclass(frozen=True)
class StoredHV:
    """How stored HV is read."""

    order: str
    sign: str
    divisor: float


@dataclass(frozen=True)
class TokenData:
    """Where the arrays of a family lie; nothing is read before it is needed."""

    family: str
    features: Where  # (Path, str): File and array of the tokens
    shape: tuple[int, int, int]  # (N, T, D)
    arrays: dict[str, Where]  # dict of (Path, str): Of :data:`PLANES`, those that are there
    ids: dict[str, tuple[str, ...]]  # Of :data:`IDS`, those that are there
    hv: StoredHV | None  # How stored HV is read
    notes: tuple[str, ...]  # What was found, assumed, or is missing

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def tokens(self) -> npt.NDArray[Any]:
        """Tokens (N, T, D), mapped into memory where they are stored uncompressed."""
        return open_member(*self.features)

    @property
    def has_truth(self) -> bool:
        """Whether there is anything that tells the true nuclei."""
        return "inst_maps" in self.arrays or "np_targets" in self.arrays

    def name(self, index: int) -> str:
        """Name of a sample, as in training."""
        return f"{self.family}_{index:05d}"

    def image(self, index: int) -> UInt8 | None:
        """Read the image of a sample at 224 x 224, uint8 RGB; None if there is none."""
        where = self.arrays.get("images")
        if where is None:
            return None
        image = np.array(open_member(*where)[index])
        if image.ndim != 3 or image.shape[2] != 3:
            raise InputError(f"{self.name(index)}: the image has shape {image.shape}.")
        scale = 255.0 if image.dtype.kind == "f" and float(image.max(initial=0)) <= 1.0 else 1.0
        plain = eight_bits(image, f"{self.name(index)}: the image", scale)
        if plain.shape[:2] == (OUTPUT, OUTPUT):
            return plain
        resized = cv2.resize(plain, (OUTPUT, OUTPUT), interpolation=cv2.INTER_AREA)
        return np.asarray(resized, np.uint8)


@dataclass(frozen=True, eq=False)
class TokenTruth:
    """True nuclei of a sample."""

    labels: Int32  # int32 (224, 224)
    how: str  # One of :data:`TRUTHS`, never "auto".
    notes: tuple[str, ...]


def find_token_data(folders: Sequence[Path], family: str) -> TokenData:
    """Find a family in the first of some folders that has its tokens."""
    seen = list(dict.fromkeys(Path(f).expanduser() for f in folders))
    for folder in seen:
        found = [f for f in find_families(folder, family.lower()) if f.features is not None]
        if len(found) > 1:
            names = ", ".join(f.name for f in found)
            raise InputError(f"{folder} holds tokens of several families ({names}); name one.")
        if found:
            return open_token_data(found[0])
    raise InputError(_nowhere(seen, family))


def open_token_data(files: FamilyFiles) -> TokenData:
    """Look what a family has, without reading samples."""
    if files.features is None:
        raise InputError(f"There is no {files.name}_features.npz.")
    where, shape = _tokens_of(files.features)
    arrays, notes = _arrays_of(files)
    _check_lengths(files, shape[0], arrays)
    ids = _ids_of(files, shape[0])
    hv, more = _stored_hv(arrays)
    return TokenData(files.name, where, shape, arrays, ids, hv, (*notes, *more))


def truth_of(data: TokenData, index: int, how: str = "auto") -> TokenTruth | None:
    """Read the true nuclei of a sample and bring them to 224 x 224, nearest.

    Labels are resized, never HV: resized HV is blurred where two nuclei touch.
    """
    if how not in TRUTHS:
        raise InputError(f"truth is {how!r}; choose one of {', '.join(TRUTHS)}.")
    if how == "auto":
        how = _best_truth(data)
        if not how:
            return None
    labels, notes = _READ_TRUTH[how](data, index)
    resized = nearest(labels)
    if resized is not labels:
        height, width = labels.shape
        notes = (
            *notes,
            f"true labels were brought from {height} x {width} to {OUTPUT} x {OUTPUT}, nearest",
        )
    return TokenTruth(compact_ids(resized)[0], how, notes)


def nearest(plane: npt.NDArray[Any], size: int = OUTPUT) -> npt.NDArray[Any]:
    """Bring a plane (..., H, W) to the size of the maps; the pixel under each new centre."""
    if plane.shape[-2:] == (size, size):
        return plane
    rows, cols = (((np.arange(size) + 0.5) * n / size).astype(np.intp) for n in plane.shape[-2:])
    taken: npt.NDArray[Any] = np.ascontiguousarray(plane[..., rows[:, None], cols])
    return taken


# --- finding arrays -------------------------------------------------------------------


def _nowhere(folders: Sequence[Path], family: str) -> str:
    name = family or "FAMILY"
    wanted = (
        f"{name}_features.npz (and, for the truth, {name}_targets.npz or {name}_data_FIXED.npz)"
    )
    said = []
    for folder in folders:
        if not folder.exists():
            said.append(f"{folder} (not there)")
            continue
        there = sorted({f.name for f in find_families(folder) if f.features is not None})
        said.append(f"{folder} ({'has ' + ', '.join(there) if there else 'no features there'})")
    return f"No {wanted} was found. Looked in: {'; '.join(said)}. Give --data-dir."


def _tokens_of(file: Path) -> tuple[Where, tuple[int, int, int]]:
    there = npz_members(file)
    name = next((n for n in FEATURE_NAMES if n in there), FEATURE_NAMES[0])
    if name not in there:
        open_member(file, name)  # says what is there, or that it holds Python objects
    shape = there[name].shape
    if len(shape) != 3 or there[name].dtype.kind != "f":
        raise InputError(
            f"{file}: {name} has shape {shape} and dtype {there[name].dtype}; tokens are (N, 261, "
            "1536) of float16 or float32."
        )
    if not shape[0]:
        raise InputError(f"{file}: {name} holds no sample.")
    return (file, name), (shape[0], shape[1], shape[2])


def _arrays_of(files: FamilyFiles) -> tuple[dict[str, Where], tuple[str, ...]]:
    """Look which array lies where; targets win over the data file."""
    found: dict[str, Where] = {}
    notes = []
    for file in (files.targets, files.data):
        if file is None:
            continue
        members = npz_members(file)
        for name, axes in PLANES.items():
            if name in members and len(members[name].shape) == axes:
                found.setdefault(name, (file, name))
            elif name in members:
                notes.append(f"{file.name}: {name} has shape {members[name].shape}; not used")
            elif _stored(file, name):
                notes.append(f"{file.name}: {name} holds Python objects and is never opened")
    if files.targets is None and files.data is None:
        notes.append(f"there is no {files.name}_targets.npz: nothing tells the true nuclei")
    return found, tuple(notes)


def _stored(file: Path, name: str) -> bool:
    with zipfile.ZipFile(file) as archive:
        return f"{name}.npy" in archive.namelist()


def _check_lengths(files: FamilyFiles, n: int, arrays: dict[str, Where]) -> None:
    lengths = {k: npz_members(where[0])[where[1]].shape[0] for k, where in arrays.items()}
    if any(length != n for length in lengths.values()):
        said = ", ".join(f"{k} {length}" for k, length in lengths.items())
        raise SizeError(
            f"{files.name}: there are tokens of {n} samples, but {said}; use files of one run."
        )


def _ids_of(files: FamilyFiles, n: int) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    for file in (files.data, files.targets, files.features):
        for name in IDS if file is not None else ():
            if name not in found and file is not None and name in npz_members(file):
                values = open_member(file, name).reshape(-1)
                if len(values) == n:
                    found[name] = tuple(str(v) for v in values)
    return found


def _stored_hv(arrays: dict[str, Where]) -> tuple[StoredHV | None, tuple[str, ...]]:
    """Find out how stored HV is meant, where nothing else tells nuclei apart."""
    hv, nucleus = arrays.get("hv_targets"), arrays.get("np_targets")
    if hv is None or nucleus is None or "inst_maps" in arrays:
        return None, ()
    n = len(open_member(*hv))
    probed = [k * n // min(n, PROBED) for k in range(min(n, PROBED))]
    try:
        stored = np.stack([np.array(open_member(*hv)[i]) for i in probed])
        divisor, note = divisor_of(stored, "hv_targets")
        planes = (check_labels(np.array(open_member(*nucleus)[i]), "np_targets") for i in probed)
        probes = [
            HVProbe(unit_scale(x, divisor), p > 0) for x, p in zip(stored, planes, strict=True)
        ]
        found = detect_hv(probes)
    except InputError as error:
        return None, (f"hv_targets cannot be used: {error}",)
    if not found.sure:
        return None, (f"it cannot be told how hv_targets are meant ({found.words})",)
    return StoredHV(found.order, found.sign, divisor), tuple(filter(None, (note, found.words)))


# --- truth ----------------------------------------------------------------------------


def _best_truth(data: TokenData) -> str:
    if "inst_maps" in data.arrays:
        return "instances"
    if "np_targets" not in data.arrays:
        return ""
    return "components" if data.hv is None else "hv"


def _plane(data: TokenData, name: str, index: int) -> Int32:
    where = data.arrays.get(name)
    if where is None:
        raise InputError(f"{data.family} has no {name}; choose another truth.")
    return check_labels(np.array(open_member(*where)[index]), f"{data.name(index)}: {name}")


def _from_instances(data: TokenData, index: int) -> tuple[Int32, tuple[str, ...]]:
    return compact_ids(_plane(data, "inst_maps", index))[0], ()


def _from_components(data: TokenData, index: int) -> tuple[Int32, tuple[str, ...]]:
    return label_parts(_plane(data, "np_targets", index) > 0)[0], (COMPONENTS_NOTE,)


def _from_hv(data: TokenData, index: int) -> tuple[Int32, tuple[str, ...]]:
    if data.hv is None:
        raise InputError(f"{data.family} has no hv_targets that can be read; choose another truth.")
    nucleus = _plane(data, "np_targets", index) > 0
    stored = np.array(open_member(*data.arrays["hv_targets"])[index])
    hv = read_stored(stored, data.hv.order, data.hv.sign, data.hv.divisor)
    labels = separate(Maps(nucleus.astype(np.float32), hv)).labels
    return labels, (HV_NOTE,)


_READ_TRUTH = {
    "instances": _from_instances,
    "components": _from_components,
    "hv": _from_hv,
}

STORED = np.dtype(np.float16)
"""Half the size of float32; far finer than what a decoder can tell."""
LARGEST = float(np.finfo(STORED).max)


class TokenFile:
    """An ``.npz`` that grows by batches; it is there once the block ends without an error."""

    def __init__(
        self, path: Path, name: str, n: int, extra: dict[str, npt.NDArray[Any]] | None = None
    ) -> None:
        self.path, self.name, self.n = path, name, n
        self.extra = dict(extra or {})
        self.done = 0
        self._shape: tuple[int, ...] = ()
        self._stack = ExitStack()
        self._archive: zipfile.ZipFile | None = None
        self._member: IO[bytes] | None = None

    def __enter__(self) -> TokenFile:
        temporary = self._stack.enter_context(atomic_path(self.path))
        archive = zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED, allowZip64=True)
        self._archive = self._stack.enter_context(archive)
        return self

    def add(self, batch: npt.NDArray[Any]) -> None:
        """Write tokens (b, T, D), as float16."""
        if self._archive is None:
            raise ValueError("a TokenFile is written within its block")
        if self._member is None:
            self._shape = batch.shape[1:]
            self._member = self._archive.open(f"{self.name}.npy", "w", force_zip64=True)
            header = np.lib.format.header_data_from_array_1_0(np.empty(0, STORED))
            header["shape"] = (self.n, *self._shape)
            np.lib.format.write_array_header_1_0(self._member, header)
        if batch.shape[1:] != self._shape:
            raise InputError(f"Tokens of an image are {batch.shape[1:]}, of others {self._shape}.")
        if not np.abs(batch).max(initial=0) <= LARGEST:
            raise InputError(f"Tokens are NaN or go beyond {LARGEST:.0f}, the most float16 holds.")
        self._member.write(np.ascontiguousarray(batch, STORED).tobytes())
        self.done += len(batch)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._stack:
            if self._member is not None:
                self._member.close()
            if kind is not None:
                self._stack.__exit__(kind, error, trace)
                return
            self._finish()

    def _finish(self) -> None:
        if self.done != self.n or self._archive is None:
            raise InputError(f"There are tokens of {self.done} images instead of {self.n}.")
        for name, array in self.extra.items():
            with self._archive.open(f"{name}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


VAL, TRAIN, UNKNOWN = "val", "train", ""
NOT_KNOWN = "not known: may have been trained on"
OURS = ("schema", "data", "optim", "seed")
"""Entries of the training arguments that our own training writes."""


@dataclass(frozen=True)
class Membership:
    """On which side each sample is."""

    splits: tuple[str, ...]  # "val", "train" or "" of each sample
    words: Mapping[str, str]  # What to call the samples of each side
    notes: tuple[str, ...] = ()  # How that is known, and what it does not tell

    @property
    def known(self) -> bool:
        """Whether anything is known."""
        return any(self.splits)

    def chosen(self, split: str | None = None) -> tuple[int, ...]:
        """List the samples of a side; of validation if there are any and none is named."""
        every = tuple(range(len(self.splits)))
        wanted = VAL if split is None and VAL in self.splits else split
        if wanted in (None, "all"):
            return every
        if wanted not in (VAL, TRAIN):
            raise InputError(f"split is {split!r}; choose one of train, val, all.")
        found = tuple(i for i in every if self.splits[i] == wanted)
        if not found:
            raise InputError(
                f"It is not known which samples are for {wanted}: neither fold_ids nor the "
                "checkpoint say so. Leave --split out to take all."
            )
        return found

    def called(self, indices: tuple[int, ...]) -> str:
        """Say which samples these are."""
        sides = {self.splits[i] for i in indices}
        told = [self.words[side] for side in (VAL, TRAIN, UNKNOWN) if side in sides]
        return " and ".join(told) or NOT_KNOWN


def membership(info: ModelInfo, data: TokenData) -> Membership:
    """Find out which samples a checkpoint was trained on.

    A checkpoint that was trained here keeps its data, share and seed, and the division is made
    again from them. Else ``fold_ids`` tell: the last fold validates.
    """
    config = own_config(info)
    if config is not None:
        found = _by_checkpoint(config, data)
        if found is not None:
            return found
    folds = data.ids.get("fold_ids")
    if folds is not None and len(set(folds)) > 1:
        return _by_folds(folds)
    nothing = "neither fold_ids nor the checkpoint tell which samples were trained on"
    return Membership((UNKNOWN,) * len(data), {UNKNOWN: NOT_KNOWN}, (nothing,))


def own_config(info: ModelInfo) -> TrainConfig | None:
    """Return how a checkpoint was trained, None if not by us."""
    stored: Any = info.training.get("args", info.training)
    if not isinstance(stored, Mapping) or not all(name in stored for name in OURS):
        return None
    fields = TrainConfig.__dataclass_fields__
    known = {k: v for k, v in stored.items() if k in fields or k == "schema"}
    try:
        return config_from_dict(known, "The checkpoint's training")
    except InputError:
        return None


def _by_checkpoint(config: TrainConfig, data: TokenData) -> Membership | None:
    """Divide again as the training did; None if it was on other data."""
    sources, moved = _sources(config, data)
    if not sources:
        return None
    params = DataParams(
        sources=tuple(map(str, sources)),
        family=config.data.family,
        val_fraction=config.data.val_fraction,
        hv_convention=config.data.hv_convention,
    )
    try:
        divided = load_samples(params, needs="tokens", seed=config.seed)
    except InputError:
        return None
    side = {s.name: TRAIN for s in divided.train} | {s.name: VAL for s in divided.val}
    splits = tuple(side.get(data.name(i), UNKNOWN) for i in range(len(data)))
    if not any(splits):
        return None
    how = _fold_words(data.ids.get("fold_ids"), splits) or dict.fromkeys(
        (VAL, TRAIN), f"seed {config.seed}"
    )
    words = {
        VAL: f"validation ({how[VAL]})",
        TRAIN: f"training ({how[TRAIN]})",
        UNKNOWN: NOT_KNOWN,
    }
    notes = [f"the checkpoint's own division: {divided.split_words}"]
    if moved:
        notes.append("the data have moved since; they are taken to be the same")
    if not config.start.startswith("scratch:"):
        notes.append(f"training started from {config.start}, which may have seen any of them")
    return Membership(splits, words, tuple(notes))


def _sources(config: TrainConfig, data: TokenData) -> tuple[list[Path], bool]:
    """Return the places of the training data as they are now, and whether they have moved."""
    given = [Path(source) for source in config.data.sources]
    ours = data.features[0].resolve()
    holding = [s for s in given if s.exists() and _holds(s, ours)]
    if len(holding) == 1 and all(s.exists() for s in given):
        return given, False
    if len(given) == 1 and not given[0].exists():
        named = given[0].name.lower().startswith(data.family.lower())
        if given[0].suffix.lower() == ".npz":
            return ([data.features[0]], True) if named else ([], True)
        return [data.features[0].parent], True
    return [], False


def _holds(source: Path, features: Path) -> bool:
    found = (f.features for f in find_families(source))
    return any(file is not None and file.resolve() == features for file in found)


def _by_folds(folds: tuple[str, ...]) -> Membership:
    last = max(folds, key=_as_number)
    splits = tuple(VAL if fold == last else TRAIN for fold in folds)
    how = _fold_words(folds, splits) or {}
    words = {VAL: f"validation ({how[VAL]})", TRAIN: f"training ({how[TRAIN]})"}
    note = (
        "by fold_ids the last fold validates; the checkpoint does not say whether its training "
        "kept to that"
    )
    return Membership(splits, words, (note,))


def _fold_words(folds: tuple[str, ...] | None, splits: tuple[str, ...]) -> dict[str, str] | None:
    """Name the folds of each side; None where a fold is on both."""
    if folds is None:
        return None
    sides = {
        side: sorted({f for f, s in zip(folds, splits, strict=True) if s == side}, key=_as_number)
        for side in (VAL, TRAIN)
    }
    if set(sides[VAL]) & set(sides[TRAIN]) or not sides[VAL] or not sides[TRAIN]:
        return None
    return {k: f"fold{'s' if len(v) > 1 else ''} {', '.join(v)}" for k, v in sides.items()}


def _as_number(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return math.inf, text
