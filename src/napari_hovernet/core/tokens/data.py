"""Tokens of a family with the truth and the images that belong to them, for running a decoder."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..checkpoint.kinds import is_own
from ..data.kinds import FamilyFiles, as_number, family_data, find_families, ids_of
from ..data.load import eight_bits, load_samples
from ..data.stored_hv import StoredHV, look_at_hv, read_stored
from ..data.stores import AnyArray, Stack
from ..hv import compact_ids
from ..inference.images import UInt8
from ..io.files import atomic_path
from ..io.labels import check_labels
from ..masks import label_parts
from ..networks.optimus import OUTPUT
from ..params import DataParams, TrainConfig, config_from_dict
from ..separation import separate
from ..types import Int32, Maps, ModelInfo
from . import TRUTHS

TRUTH_ARRAYS = {
    "instances": {"labels": "inst_maps"},
    "hv": {"np": "np_targets", "hv": "hv_targets"},
    "components": {"np": "np_targets"},
}
"""Parts that each of them needs, and what they are called in a family's files."""
TRUTH_NOTES = {
    "instances": (),
    "hv": (
        "there are no instances: true nuclei are cut from np_targets and hv_targets by the "
        "separation 'local'",
    ),
    "components": (
        "there are no instances: true nuclei are the connected components of np_targets, so "
        "touching nuclei count as one and AJI is that of components",
    ),
}


@dataclass(frozen=True, eq=False)
class TokenData:
    """A family whose tokens can be decoded; nothing is read before it is needed."""

    family: str
    stack: Stack
    has: frozenset[str]  # Parts that can be read
    folds: tuple[str, ...]  # Of each sample, () = not known
    hv: StoredHV | None  # How stored HV is read, where nothing else tells nuclei apart
    notes: tuple[str, ...]  # What was found, assumed, or is missing

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def features(self) -> tuple[Path, str]:
        """File and array of the tokens."""
        stored = self.stack.parts["features"]
        return stored.path, stored.name

    @property
    def shape(self) -> tuple[int, int, int]:
        """Samples, tokens, length of a token."""
        n, count, length = self.stack.parts["features"].shape
        return n, count, length

    @property
    def tokens(self) -> AnyArray:
        """Tokens (N, T, D), mapped into memory where they are stored uncompressed."""
        return self.stack.parts["features"].array

    @property
    def has_truth(self) -> bool:
        """Whether there is anything that tells the true nuclei."""
        return bool({"labels", "np"} & self.has)

    def name(self, index: int) -> str:
        """Name of a sample, as in training."""
        return f"{self.family}_{index:05d}"

    def read(self, index: int, part: str) -> npt.NDArray[Any]:
        """Read a part of a sample, as it is stored."""
        found: npt.NDArray[Any] = self.stack.read(index, (part,), stream=False)[part]
        return found

    def image(self, index: int) -> UInt8 | None:
        """Read the image of a sample at 224 x 224, uint8 RGB; None if there is none."""
        if "image" not in self.has:
            return None
        plain = colours(self.read(index, "image"), f"{self.name(index)}: the image")
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


def colours(image: npt.NDArray[Any], what: str) -> UInt8:
    """Return stored pixels as uint8 (H, W, 3); floats of 0..1 are multiplied by 255."""
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(f"{what} has shape {image.shape}; it must be (H, W, 3).")
    unit = image.dtype.kind == "f" and float(image.max(initial=0)) <= 1.0
    return eight_bits(image, what, 255.0 if unit else 1.0)


def find_token_data(folders: Sequence[Path], family: str) -> TokenData:
    """Find a family in the first of some folders that has its tokens."""
    seen = list(dict.fromkeys(Path(f).expanduser() for f in folders))
    looked = []
    for folder in seen:
        found = [f for f in find_families(folder, family.lower()) if f.features is not None]
        if len(found) > 1:
            names = ", ".join(f.name for f in found)
            raise InputError(f"{folder} holds tokens of several families ({names}); name one.")
        if found:
            return open_token_data(found[0])
        others = sorted(f.name for f in find_families(folder) if f.features is not None)
        what = f"has {', '.join(others)}" if others else "no features there"
        looked.append(f"{folder} ({what if folder.exists() else 'not there'})")
    name = family or "FAMILY"
    raise InputError(
        f"No {name}_features.npz (and, for the truth, {name}_targets.npz or "
        f"{name}_data_FIXED.npz) was found. Looked in: {'; '.join(looked)}. Give --data-dir."
    )


def open_token_data(files: FamilyFiles) -> TokenData:
    """Look what a family has, without reading samples."""
    data = family_data(files)
    stack = data.stack or Stack({})
    has = {part for part in data.has if not stack.parts[part].dtype.hasobject}
    notes = [*stack.notes]
    tokens = stack.parts.get("features")
    if tokens is None or tokens.single or tokens.dtype.kind != "f":
        found = f" {tokens.called} has shape {tokens.shape}, {tokens.dtype}." if tokens else ""
        raise InputError(
            f"{files.name} has no tokens that can be used; tokens are (N, 261, 1536) of float16 "
            f"or float32.{found} {' '.join(notes)}".rstrip()
        )
    if files.targets is None and files.data is None:
        notes.append(f"there is no {files.name}_targets.npz: nothing tells the true nuclei")
    hv = None
    if {"np", "hv"} <= has and "labels" not in has:
        hv, said = _stored_hv(stack)
        notes += said
    folds = ids_of(files, "fold_ids", len(data))
    return TokenData(files.name, stack, frozenset(has), folds, hv, tuple(notes))


def _stored_hv(stack: Stack) -> tuple[StoredHV | None, list[str]]:
    """Find out how stored HV is meant."""
    try:
        found, divisor, note = look_at_hv(stack, "hv_targets")
    except InputError as error:
        return None, [f"hv_targets cannot be used: {error}"]
    if not found.sure:
        return None, [f"it cannot be told how hv_targets are meant ({found.words})"]
    said = [note, found.words] if note else [found.words]
    return StoredHV(found.order, found.sign, divisor), said


def truth_of(data: TokenData, index: int, how: str = "auto") -> TokenTruth | None:
    """Read the true nuclei of a sample at 224 x 224, nearest: resized HV would be blurred."""
    if how not in TRUTHS:
        raise InputError(f"truth is {how!r}; choose one of {', '.join(TRUTHS)}.")
    if how == "auto":
        if not data.has_truth:
            return None
        how = "components" if data.hv is None else "hv"
        how = "instances" if "labels" in data.has else how
    for part, called in TRUTH_ARRAYS[how].items():
        if part not in data.has or (part == "hv" and data.hv is None):
            raise InputError(
                f"{data.family} has no {called} that can be read; choose another truth."
            )
    notes, labels = TRUTH_NOTES[how], _read_truth(data, index, how)
    resized = nearest(labels)
    if resized is not labels:
        size = " x ".join(map(str, labels.shape))
        notes += (f"true labels were brought from {size} to {OUTPUT} x {OUTPUT}, nearest",)
    return TokenTruth(compact_ids(resized)[0], how, notes)


def _read_truth(data: TokenData, index: int, how: str) -> Int32:
    part = "labels" if how == "instances" else "np"
    plane = check_labels(data.read(index, part), f"{data.name(index)}: {part}")
    if how == "instances":
        return compact_ids(plane)[0]
    if how == "components" or data.hv is None:
        return label_parts(plane > 0)[0]
    hv = read_stored(data.read(index, "hv"), data.hv.order, data.hv.sign, data.hv.divisor)
    return separate(Maps((plane > 0).astype(np.float32), hv)).labels


def nearest(plane: npt.NDArray[Any], size: int = OUTPUT) -> npt.NDArray[Any]:
    """Bring a plane (..., H, W) to the size of the maps; the pixel under each new centre."""
    if plane.shape[-2:] == (size, size):
        return plane
    rows, cols = (((np.arange(size) + 0.5) * n / size).astype(np.intp) for n in plane.shape[-2:])
    taken: npt.NDArray[Any] = np.ascontiguousarray(plane[..., rows[:, None], cols])
    return taken


# --- writing tokens -------------------------------------------------------------------

STORED = np.dtype(np.float16)
"""Half the size of float32; far finer than what a decoder can tell."""
LARGEST = float(np.finfo(STORED).max)


@dataclass
class TokenFile:
    """An ``.npz`` that grows by batches; see :func:`token_file`."""

    member: IO[bytes]
    n: int
    extra: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    done: int = 0
    shape: tuple[int, ...] = ()  # Of the tokens of an image

    def add(self, batch: npt.NDArray[Any]) -> None:
        """Write tokens (b, T, D), as float16."""
        if not self.shape:
            self.shape = batch.shape[1:]
            header = np.lib.format.header_data_from_array_1_0(np.empty(0, STORED))
            header["shape"] = (self.n, *self.shape)
            np.lib.format.write_array_header_1_0(self.member, header)
        if batch.shape[1:] != self.shape:
            raise InputError(f"Tokens of an image are {batch.shape[1:]}, of others {self.shape}.")
        if not np.abs(batch).max(initial=0) <= LARGEST:
            raise InputError(f"Tokens are NaN or go beyond {LARGEST:.0f}, the most float16 holds.")
        self.member.write(np.ascontiguousarray(batch, STORED).tobytes())
        self.done += len(batch)


@contextmanager
def token_file(
    path: Path, name: str, n: int, extra: Mapping[str, npt.NDArray[Any]] | None = None
) -> Iterator[TokenFile]:
    """Write tokens of n images, and other arrays; it is there once the block ends well."""
    with atomic_path(path) as temporary, zipfile.ZipFile(temporary, "w") as archive:
        with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
            made = TokenFile(member, n, dict(extra or {}))
            yield made
        if made.done != n:
            raise InputError(f"There are tokens of {made.done} images instead of {n}.")
        for key, array in made.extra.items():
            with archive.open(f"{key}.npy", "w") as member:
                np.lib.format.write_array(member, np.asarray(array), allow_pickle=False)


# --- which samples a checkpoint was trained on ----------------------------------------

VAL, TRAIN, UNKNOWN = "val", "train", ""
NOT_KNOWN = "not known: may have been trained on"


@dataclass(frozen=True)
class Membership:
    """On which side each sample is."""

    splits: tuple[str, ...]  # "val", "train" or "" of each sample
    words: Mapping[str, str]  # What to call the samples of each side
    notes: tuple[str, ...] = ()  # How that is known, and what it does not tell

    def chosen(self, split: str | None = None) -> tuple[int, ...]:
        """List the samples of a side; of validation if there are any and none is named."""
        wanted = VAL if split is None and VAL in self.splits else split
        if wanted in (None, "all"):
            return tuple(range(len(self.splits)))
        if wanted not in (VAL, TRAIN):
            raise InputError(f"split is {split!r}; choose one of train, val, all.")
        found = tuple(i for i, side in enumerate(self.splits) if side == wanted)
        if not found:
            raise InputError(
                f"It is not known which samples are for {wanted}: neither fold_ids nor the "
                "checkpoint say so. Leave --split out to take all."
            )
        return found

    def called(self, indices: tuple[int, ...]) -> str:
        """Say which samples these are."""
        sides = {self.splits[i] for i in indices}
        named = [self.words[side] for side in (VAL, TRAIN, UNKNOWN) if side in sides]
        return " and ".join(named) or NOT_KNOWN


def membership(info: ModelInfo, data: TokenData) -> Membership:
    """Find out which samples a checkpoint was trained on: by its own data and seed, or folds."""
    config = own_config(info)
    found = None if config is None else _by_checkpoint(config, data)
    if found is not None:
        return found
    if len(set(data.folds)) > 1:
        last = max(data.folds, key=as_number)
        splits = tuple(VAL if fold == last else TRAIN for fold in data.folds)
        note = (
            "by fold_ids the last fold validates; the checkpoint does not say whether its "
            "training kept to that"
        )
        return Membership(splits, _words(data.folds, splits, ""), (note,))
    nothing = "neither fold_ids nor the checkpoint tell which samples were trained on"
    return Membership((UNKNOWN,) * len(data), {UNKNOWN: NOT_KNOWN}, (nothing,))


def own_config(info: ModelInfo) -> TrainConfig | None:
    """Return how a checkpoint was trained, None if not by us."""
    stored: Any = info.training.get("args", info.training)
    if not is_own(stored):
        return None
    fields = {*TrainConfig.__dataclass_fields__, "schema"}
    try:
        return config_from_dict({k: v for k, v in stored.items() if k in fields}, "The checkpoint")
    except InputError:
        return None


def _by_checkpoint(config: TrainConfig, data: TokenData) -> Membership | None:
    """Divide again as the training did; None if it was on other data."""
    sources, moved = _sources(config, data)
    wanted = config.data
    try:
        divided = load_samples(
            DataParams(tuple(map(str, sources)), wanted.family, wanted.val_fraction,
                       hv_convention=wanted.hv_convention),
            needs="tokens", seed=config.seed,
        )  # fmt: skip
    except InputError:
        return None
    side = {s.name: TRAIN for s in divided.train} | {s.name: VAL for s in divided.val}
    splits = tuple(side.get(data.name(i), UNKNOWN) for i in range(len(data)))
    if not any(splits):
        return None
    notes = [f"the checkpoint's own division: {divided.split_words}"]
    if moved:
        notes.append("the data have moved since; they are taken to be the same")
    if not config.start.startswith("scratch:"):
        notes.append(f"training started from {config.start}, which may have seen any of them")
    return Membership(splits, _words(data.folds, splits, f"seed {config.seed}"), tuple(notes))


def _sources(config: TrainConfig, data: TokenData) -> tuple[list[Path], bool]:
    """Return the places of the training data as they are now, and whether they have moved."""
    given = [Path(source) for source in config.data.sources]
    if all(source.exists() for source in given):
        ours = data.features[0].resolve()
        files = (f.features for source in given for f in find_families(source))
        return (given if [f and f.resolve() for f in files].count(ours) == 1 else []), False
    if len(given) != 1:
        return [], False
    if given[0].suffix.lower() == ".npz":
        named = given[0].name.lower().startswith(data.family.lower())
        return ([data.features[0]] if named else []), True
    return [data.features[0].parent], True


def _words(folds: Sequence[str], splits: Sequence[str], otherwise: str) -> dict[str, str]:
    """Name the sides by their folds, or otherwise where there are none or a fold is on both."""
    sides = {
        side: sorted({f for f, s in zip(folds, splits, strict=False) if s == side}, key=as_number)
        for side in (VAL, TRAIN)
    }
    how = {k: f"fold{'s' if len(v) > 1 else ''} {', '.join(v)}" for k, v in sides.items()}
    if not all(sides.values()) or set(sides[VAL]) & set(sides[TRAIN]):
        how = dict.fromkeys(sides, otherwise)
    return {VAL: f"validation ({how[VAL]})", TRAIN: f"training ({how[TRAIN]})",
            UNKNOWN: NOT_KNOWN}  # fmt: skip
