"""What there is to learn from: images or tokens, with labels or finished targets, all checked."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import TURNS as TURNS  # noqa: PLC0414 - asked for here
from ..hv import Turn as Turn  # noqa: PLC0414 - asked for here
from ..hv import compact_ids, hv_targets, label_equal, magnitude
from ..hv import turn_hv as turn_hv  # noqa: PLC0414 - asked for here
from ..hv import turn_plane as turn_plane  # noqa: PLC0414 - asked for here
from ..inference.images import UInt8
from ..masks import count_pixels
from ..types import Float32, Int32, Int64, TypeInfo
from .stores import SizeError

SPLITS = ("train", "val", "")
"""What a sample can be for; "" = not said by the data."""
LAYOUTS = {"image": "(H, W, 3)", "hv_target": "(2, H, W)"}
"""Shapes of the arrays that are no plane (H, W)."""


@dataclass(frozen=True, eq=False)
class SampleArrays:
    """The arrays of one sample; nothing of them may be changed."""

    image: UInt8 | None = None  # uint8 (H, W, 3): RGB.
    features: npt.NDArray[Any] | None = None  # float (N, D)
    labels: Int32 | None = None  # int32 (H, W): 0 = background, one id per nucleus
    types: npt.NDArray[Any] | None = None  # int (H, W): Type of each pixel, 0 = background
    np_target: npt.NDArray[Any] | None = None  # int (H, W): 1 = nucleus
    hv_target: Float32 | None = None  # float32 (2, H, W): [H, V] outward
    nt_target: npt.NDArray[Any] | None = None  # int (H, W)

    def __post_init__(self) -> None:
        if self.image is None and self.features is None:
            raise InputError("there is neither an image nor tokens to learn from.")
        if self.labels is None and (self.np_target is None or self.hv_target is None):
            raise InputError("there are neither labels nor NP and HV targets.")
        sizes = {
            f.name: _size(f.name, getattr(self, f.name).shape)
            for f in fields(self)
            if f.name != "features" and getattr(self, f.name) is not None
        }
        if len(set(sizes.values())) > 1:
            found = ", ".join(f"{name} {h} x {w}" for name, (h, w) in sizes.items())
            raise SizeError(f"sizes differ: {found} pixels; they must be the same.")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of labels or targets, pixels."""
        plane: Any = self.labels if self.labels is not None else self.np_target
        return (int(plane.shape[0]), int(plane.shape[1]))

    @property
    def type_map(self) -> npt.NDArray[Any] | None:
        """Type of each pixel, wherever it was stored."""
        return self.types if self.types is not None else self.nt_target


def _size(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """Height and width of an array of a sample."""
    wanted = LAYOUTS.get(name, "(H, W)")
    fits = len(shape) == wanted.count(",") + 1
    fits &= name != "image" or shape[-1:] == (3,)
    fits &= name != "hv_target" or shape[:1] == (2,)
    if not fits:
        raise SizeError(f"{name} has shape {tuple(shape)}; it must be {wanted}.")
    return (shape[1], shape[2]) if name == "hv_target" else (shape[0], shape[1])


class Sample:
    """One image (or the tokens of one) with what it should become; it can be pickled.

    Arrays are given, or read each time they are asked for: take ``sample.arrays`` once.
    """

    def __init__(
        self,
        name: str,
        group: str = "",
        split: str = "",
        *,
        mpp: float | None = None,
        reader: Callable[[], SampleArrays] | None = None,
        shape: tuple[int, int] | None = None,
        **arrays: Any,
    ) -> None:
        if split not in SPLITS:
            raise InputError(f"{name}: split is {split!r}; it is 'train', 'val' or ''.")
        self.name, self.group, self.split, self.mpp = name, group or name, split, mpp
        self._shape, self._arrays = shape, None
        self._reader: Callable[[], SampleArrays] = reader or partial(SampleArrays, **arrays)
        if reader is None:
            self._arrays = self.arrays

    @property
    def arrays(self) -> SampleArrays:
        """The arrays; read now unless they are in memory. Errors name the sample."""
        if self._arrays is not None:
            return self._arrays
        try:
            return self._reader()
        except InputError as error:
            text = str(error) if self.name in str(error) else f"{self.name}: {error}"
            raise (SizeError if isinstance(error, SizeError) else InputError)(text) from error
        except OSError as error:
            text = f"{self.name}: cannot be read any more ({error}); was it moved?"
            raise InputError(text) from error

    @property
    def stored(self) -> bool:
        """Whether the arrays are read from disk each time."""
        return self._arrays is None

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, pixels."""
        if self._shape is None:
            self._shape = self.arrays.shape
        return self._shape

    @property
    def image(self) -> UInt8 | None:
        """RGB uint8 (H, W, 3)."""
        return self.arrays.image

    @property
    def labels(self) -> Int32 | None:
        """Instances, int32 (H, W)."""
        return self.arrays.labels

    @property
    def features(self) -> npt.NDArray[Any] | None:
        """Tokens, float (N, D)."""
        return self.arrays.features

    def part(self, name: str, split: str, box: tuple[int, int, int, int]) -> Sample:
        """Return rows r0..r1 and columns c0..c1 (half-open) as a sample and group of its own."""
        shape = (box[1] - box[0], box[3] - box[2])
        return Sample(name, "", split, mpp=self.mpp, reader=partial(_cut, self, box), shape=shape)

    def retyped(self, table: Int64) -> Sample:
        """Return the same sample with types by a table of new numbers; beyond it they become 0."""
        made = Sample(self.name, self.group, self.split, mpp=self.mpp, shape=self._shape,
                      reader=partial(_retyped, self, table))  # fmt: skip
        if not self.stored:
            made._arrays = made._reader()
        return made

    def renamed(self, name: str) -> Sample:
        """Return the same sample under another name."""
        made = copy(self)
        made.name = name
        return made


def _retyped(sample: Sample, table: Int64) -> SampleArrays:
    """Look types up; below 0 they are not known and stay so."""
    arrays, types = sample.arrays, sample.arrays.type_map
    if types is None:
        return arrays
    found = np.where(types < len(table), table[np.clip(types, 0, len(table) - 1)], 0)
    if table[0]:  # what was 0 is a type inside nuclei alone
        found[(arrays.labels if arrays.labels is not None else arrays.np_target) == 0] = 0
    made = np.where(types < 0, types, found).astype(np.int32)
    if arrays.types is not None:
        return replace(arrays, types=made)
    return replace(arrays, nt_target=made)


def _cut(sample: Sample, box: tuple[int, int, int, int]) -> SampleArrays:
    """Cut every plane of a sample."""
    r0, r1, c0, c1 = box
    arrays = vars(sample.arrays).items()
    planes = {name: array for name, array in arrays if array is not None and name != "features"}
    return SampleArrays(**{
        name: array[:, r0:r1, c0:c1] if name == "hv_target" else array[r0:r1, c0:c1]
        for name, array in planes.items()
    })  # fmt: skip


@dataclass(frozen=True, eq=False)
class LoadedData:
    """Samples to train on and to validate on."""

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    notes: tuple[str, ...] = ()  # What was assumed, detected or left out on purpose
    problems: tuple[str, ...] = ()  # What could not be used, by name
    faults: tuple[str, ...] = ()  # Those with which training should not start
    split_words: str = ""  # How validation was divided from training
    type_names: Mapping[int, TypeInfo] = field(default_factory=dict)  # {} = the data name none

    @property
    def all(self) -> tuple[Sample, ...]:
        """Both, training first."""
        return (*self.train, *self.val)


LEAST_EDGE = 64
"""Shortest edge, pixels, of the two parts that a single image is cut into."""


def split_samples(
    samples: Sequence[Sample], val_fraction: float = 0.2, seed: int = 0
) -> LoadedData:
    """Divide by source image, never by crop; a division the data have is kept."""
    if not 0 < val_fraction < 1:
        raise InputError(f"val_fraction is {val_fraction}; give a share above 0, below 1.")
    if not samples:
        raise InputError("There is no sample to divide.")
    val = tuple(s for s in samples if s.split == "val")
    if val and len(val) < len(samples):
        train = tuple(s for s in samples if s.split != "val")
        words = f"as the data say: {len(train)} to train, {len(val)} to validate"
        return LoadedData(train, val, split_words=words)
    groups = sorted({s.group for s in samples})
    if len(groups) == 1:
        return _one_source(samples, val_fraction)
    n = min(max(round(len(groups) * val_fraction), 1), len(groups) - 1)
    drawn = set(np.random.default_rng(seed).permutation(np.array(groups, object))[:n])
    train = tuple(s for s in samples if s.group not in drawn)
    held = tuple(s for s in samples if s.group in drawn)
    words = (
        f"by source image, seed {seed}: {len(groups) - n} of {len(groups)} to train "
        f"({len(train)} samples), {n} to validate ({len(held)} samples)"
    )
    notes = ("all data are marked as validation; they were divided anew",) if val else ()
    return LoadedData(train, held, notes, split_words=words)


def _one_source(samples: Sequence[Sample], val_fraction: float) -> LoadedData:
    """Cut the only image in two, or say why there is no validation."""
    first = samples[0]
    if len(samples) > 1:
        raise InputError(
            f"All {len(samples)} samples come from one source image ({first.group}): crops of "
            "one image cannot validate each other. Add one more image."
        )
    height, width = first.shape
    longer, upright = max(height, width), height >= width
    cut = longer - round(longer * val_fraction)
    if min(height, width, cut, longer - cut) < LEAST_EDGE or first.features is not None:
        raise InputError(
            f"There is only one image ({first.name}, {height} x {width} pixels), too small to be "
            f"cut in two (parts of {LEAST_EDGE} pixels or more). Add one more image to validate on."
        )
    before = (0, cut, 0, width) if upright else (0, height, 0, cut)
    behind = (cut, height, 0, width) if upright else (0, height, cut, width)
    train = first.part(f"{first.name} (first part)", "train", before)
    val = first.part(f"{first.name} (last part)", "val", behind)
    along = "rows" if upright else "columns"
    words = f"there is one image only: {along} 0 to {cut} train, {cut} to {longer} validate"
    note = (
        f"{words}. Both parts share slide and stain, so scores come out too good; add an image of "
        "another slide."
    )
    return LoadedData((train,), (val,), (note,), split_words=words)


# --- figures --------------------------------------------------------------------------

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps (rows, columns) to half of the eight neighbours."""
EIGHT = 8


@dataclass(frozen=True)
class SampleFigures:
    """Figures of one sample."""

    name: str
    pixels: int  # Pixels in all, and in nuclei
    inside: int
    nuclei: int  # Instances
    components: int  # 8-connected components of the mask
    touching: int  # Instances with a pixel beside another instance
    parts: int  # 4-connected parts of instances
    magnitude: float  # Mean length of target HV inside nuclei, NaN without nuclei
    highest_type: int  # -1 without types
    untyped: float  # Share of nucleus pixels of type 0, NaN without types or nuclei
    blank: bool  # Whether all pixels of the image are alike
    has_labels: bool  # Whether instances are known
    mpp: float | None = None

    @property
    def coverage(self) -> float:
        """Share of the pixels that is nucleus."""
        return self.inside / max(self.pixels, 1)


def measure(sample: Sample) -> SampleFigures:
    """Measure one sample."""
    arrays, labels, types = sample.arrays, sample.arrays.labels, sample.arrays.type_map
    nucleus = np.asarray(labels if labels is not None else arrays.np_target) > 0
    inside = int(nucleus.sum())
    eight = cv2.connectedComponents(nucleus.astype(np.uint8), connectivity=EIGHT)[0]
    n = parts = components = int(eight) - 1
    hv, touching = arrays.hv_target, 0
    if labels is not None:
        ids, largest = compact_ids(labels)
        n = int((count_pixels(ids.ravel(), largest + 1)[1:] > 0).sum())
        touching, hv = touching_count(ids), hv_targets(labels)
        parts = int(label_equal(ids, np.zeros(ids.shape, np.int32))) if ids.size else 0
    length = magnitude(np.asarray(hv))[nucleus].mean(dtype=np.float64) if inside else math.nan
    highest, untyped = -1 if types is None else 0, math.nan
    if types is not None and inside:
        highest, untyped = int(types[nucleus].max()), float((types[nucleus] == 0).mean())
    blank = arrays.image is not None and bool((arrays.image == arrays.image[:1, :1]).all())
    return SampleFigures(
        sample.name, nucleus.size, inside, n, components, touching, parts, float(length),
        highest, untyped, blank, labels is not None, sample.mpp,
    )  # fmt: skip


def touching_count(labels: Int32) -> int:
    """Count the instances that have a pixel beside one of another instance (8 neighbours)."""
    (height, width), found = labels.shape, [np.zeros(0, labels.dtype)]
    for rows, cols in NEIGHBOURS:
        first = labels[: height - rows, max(-cols, 0) : width - max(cols, 0)]
        second = labels[rows:, max(cols, 0) : width + min(cols, 0)]
        border = (first != second) & (first > 0) & (second > 0)
        found += [first[border], second[border]]
    return len(np.unique(np.concatenate(found)))


# --- leaks ---------------------------------------------------------------------------

THUMB = 16
"""Edge of the picture by which images are compared."""
HASH = 8
"""Edge of the pattern of brighter and darker neighbours that is compared first."""
NEAR_BITS = 6
"""Differing bits, of 64, up to which two patterns are looked at closely."""
NEAR_CORRELATION = 0.97
"""Correlation of the small pictures from which two images look alike."""
FLAT = 2.0
"""Grey levels of spread below which a small picture shows nothing."""


@dataclass(frozen=True)
class Print:
    """What is kept of a sample to find it again."""

    name: str
    group: str
    digest: str  # Of its pixels or tokens
    pattern: tuple[bool, ...] = ()  # Which neighbours in a small picture are brighter
    thumb: tuple[float, ...] = ()  # The small picture, mean 0 and length 1


@dataclass(frozen=True)
class Leaks:
    """What is on both sides."""

    same: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] = ()  # Source images on both sides
    near: tuple[tuple[str, str], ...] = ()  # Training and validation sample that look alike


def print_of(sample: Sample) -> Print:
    """Take the print of a sample; the pattern is a difference hash of 8 x 9 grey pixels."""
    image, features = sample.arrays.image, sample.arrays.features
    values = np.ascontiguousarray(features if image is None else image)
    digest = hashlib.blake2b(values.data, digest_size=16)
    digest.update(str(values.shape).encode())
    plain = Print(sample.name, sample.group, digest.hexdigest())
    if image is None:
        return plain
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    thumb = _small(grey, (THUMB, THUMB))
    if thumb.std() < FLAT:
        return plain
    bits = np.diff(_small(grey, (HASH + 1, HASH)), axis=1) > 0
    centred = thumb - thumb.mean()
    centred /= np.linalg.norm(centred)
    return replace(
        plain, pattern=tuple(bits.ravel().tolist()), thumb=tuple(centred.ravel().tolist())
    )


def find_leaks(train: Sequence[Print], val: Sequence[Print]) -> Leaks:
    """Look for samples of validation among those of training."""
    digests = {p.digest: p.name for p in train}
    same = tuple((digests[p.digest], p.name) for p in val if p.digest in digests)
    groups = tuple(sorted({p.group for p in train} & {p.group for p in val}))
    return Leaks(same, groups, _near(train, val))


def _near(train: Sequence[Print], val: Sequence[Print]) -> tuple[tuple[str, str], ...]:
    train, val = [p for p in train if p.pattern], [p for p in val if p.pattern]
    if not train or not val:
        return ()
    patterns, thumbs = np.array([p.pattern for p in train]), np.array([p.thumb for p in train])
    found = []
    for other in val:
        alike = (patterns != np.array(other.pattern)).sum(axis=1) <= NEAR_BITS
        close = alike & (thumbs @ np.array(other.thumb) >= NEAR_CORRELATION)
        found += [(train[i].name, other.name) for i in np.flatnonzero(close)
                  if train[i].digest != other.digest]  # fmt: skip
    return tuple(found)


def _small(grey: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[np.float64]:
    return np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.float64)


# --- tokens ---------------------------------------------------------------------------


def turn_tokens(features: npt.NDArray[Any], turn: Turn) -> npt.NDArray[Any]:
    """Turn the patch tokens (N, D) of a square grid: about what a turned image would give."""
    if turn == Turn():
        return features
    grid = math.isqrt(len(features))
    first = len(features) - grid * grid
    patches = features[first:].reshape(grid, grid, -1)
    moved = turn_plane(patches, turn, (0, 1)).reshape(grid * grid, -1)
    return np.concatenate((features[:first], moved))
