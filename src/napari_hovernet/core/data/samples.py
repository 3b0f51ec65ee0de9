"""What there is to learn from: images or tokens, with labels or finished targets."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from itertools import product
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import (
    ORDERS,
    PRESETS,
    SIGNS,
    HVConvention,
    compact_ids,
    convert,
    hv_targets,
    label_equal,
    magnitude,
)
from ..inference.images import UInt8
from ..masks import count_pixels
from ..types import Float32, Int32

SPLITS = ("train", "val", "")
"""What a sample can be for; "" = not said by the data."""


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
        sizes = {name: _size(name, getattr(self, name)) for name in _PLANES}
        there = {name: size for name, size in sizes.items() if size is not None}
        if len(set(there.values())) > 1:
            said = ", ".join(f"{name} {h} x {w}" for name, (h, w) in there.items())
            raise SizeError(f"sizes differ: {said} pixels; they must be the same.")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of labels or targets, pixels."""
        plane: Any = self.labels if self.labels is not None else self.np_target
        height, width = plane.shape
        return (int(height), int(width))

    @property
    def type_map(self) -> npt.NDArray[Any] | None:
        """Type of each pixel, wherever it was stored."""
        return self.types if self.types is not None else self.nt_target


class SizeError(InputError):
    """Arrays of one sample do not fit each other."""


_PLANES = ("image", "labels", "types", "np_target", "hv_target", "nt_target")


def _size(name: str, array: npt.NDArray[Any] | None) -> tuple[int, int] | None:
    """Height and width of an array of a sample."""
    if array is None:
        return None
    shape = tuple(array.shape)
    axes = {"image": 3, "hv_target": 3}.get(name, 2)
    fits = len(shape) == axes
    fits &= name != "image" or shape[-1:] == (3,)
    fits &= name != "hv_target" or shape[:1] == (2,)
    if not fits:
        wanted = {"image": "(H, W, 3)", "hv_target": "(2, H, W)"}.get(name, "(H, W)")
        raise SizeError(f"{name} has shape {shape}; it must be {wanted}.")
    plane = shape[:2] if name != "hv_target" else shape[1:]
    return (int(plane[0]), int(plane[1]))


class Sample:
    """One image (or the tokens of one) with what it should become.

    Arrays are given, or read each time they are asked for (large data sets stay on the disk); take
    ``sample.arrays`` once where several are needed. Samples can be pickled.
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
        self._reader, self._shape = reader, shape
        self._arrays = None if reader is not None else _named(name, partial(_given, arrays))

    @property
    def arrays(self) -> SampleArrays:
        """The arrays; read now unless they are in memory."""
        return self._arrays or _named(self.name, self._reader or _never)

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
    def features(self) -> npt.NDArray[Any] | None:
        """Tokens, float (N, D)."""
        return self.arrays.features

    @property
    def labels(self) -> Int32 | None:
        """Instances, int32 (H, W)."""
        return self.arrays.labels

    @property
    def types(self) -> npt.NDArray[Any] | None:
        """Type of each pixel beside labels, int (H, W)."""
        return self.arrays.types

    @property
    def np_target(self) -> npt.NDArray[Any] | None:
        """Stored nucleus mask, int (H, W)."""
        return self.arrays.np_target

    @property
    def hv_target(self) -> Float32 | None:
        """Stored HV, [H, V] outward, float32 (2, H, W)."""
        return self.arrays.hv_target

    @property
    def nt_target(self) -> npt.NDArray[Any] | None:
        """Stored type of each pixel, int (H, W)."""
        return self.arrays.nt_target

    def part(self, name: str, split: str, box: tuple[int, int, int, int]) -> Sample:
        """Return rows r0..r1 and columns c0..c1 (half-open) as a sample and group of its own."""
        reader = partial(_cut, self, box)
        shape = (box[1] - box[0], box[3] - box[2])
        return Sample(name, "", split, mpp=self.mpp, reader=reader, shape=shape)

    def renamed(self, name: str) -> Sample:
        """Return the same sample under another name."""
        return self._like(name, self.group, self.split)

    def put_into(self, split: str) -> Sample:
        """Return the same sample in a split."""
        return self._like(self.name, self.group, split)

    def _like(self, name: str, group: str, split: str) -> Sample:
        made = Sample(
            name, group, split, mpp=self.mpp, reader=self._reader or _never, shape=self._shape
        )
        made._reader, made._arrays = self._reader, self._arrays
        return made

    def __repr__(self) -> str:
        where = "on disk" if self.stored else "in memory"
        return f"Sample({self.name!r}, group={self.group!r}, split={self.split!r}, {where})"


@dataclass(frozen=True, eq=False)
class LoadedData:
    """Samples to train on and to validate on."""

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    notes: tuple[str, ...] = ()  # What was assumed, detected or left out on purpose
    problems: tuple[str, ...] = ()  # What could not be used, by name
    faults: tuple[str, ...] = ()
    split_words: str = ""  # How validation was divided from training

    @property
    def all(self) -> tuple[Sample, ...]:
        """Both, training first."""
        return (*self.train, *self.val)


def _given(arrays: dict[str, Any]) -> SampleArrays:
    return SampleArrays(**arrays)


def _never() -> SampleArrays:
    raise InputError("there is nothing to read.")


def _named(name: str, read: Callable[[], SampleArrays]) -> SampleArrays:
    """Read, and name the sample where that fails."""
    try:
        return read()
    except SizeError as error:
        raise SizeError(_with_name(name, error)) from error
    except InputError as error:
        raise InputError(_with_name(name, error)) from error
    except OSError as error:
        raise InputError(f"{name}: cannot be read any more ({error}); was it moved?") from error


def _with_name(name: str, error: InputError) -> str:
    text = str(error)
    return text if name in text else f"{name}: {text}"


def _cut(sample: Sample, box: tuple[int, int, int, int]) -> SampleArrays:
    """Cut every plane of a sample."""
    r0, r1, c0, c1 = box
    arrays = sample.arrays
    cut: dict[str, Any] = {}
    for field in fields(arrays):
        array = getattr(arrays, field.name)
        if array is not None and field.name != "features":
            channels = field.name == "hv_target"
            cut[field.name] = array[:, r0:r1, c0:c1] if channels else array[r0:r1, c0:c1]
    return SampleArrays(**cut)


NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps (rows, columns) to half of the eight neighbours."""
EIGHT = 8


@dataclass(frozen=True)
class SampleFigures:
    """Figures of one sample."""

    name: str
    pixels: int  # Pixels in all, and in nuclei
    inside: int  # Pixels in all, and in nuclei
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
    arrays = sample.arrays
    labels = arrays.labels
    nucleus = np.asarray(labels if labels is not None else arrays.np_target) > 0
    inside = int(nucleus.sum())
    components = _components(nucleus)
    n, touching, parts = components, 0, components
    if labels is not None:
        ids, largest = compact_ids(labels)
        n = int((count_pixels(ids.ravel(), largest + 1)[1:] > 0).sum())
        touching, parts = touching_count(ids), _parts(ids)
    highest, untyped = _types(arrays, nucleus)
    return SampleFigures(
        sample.name,
        nucleus.size,
        inside,
        n,
        components,
        touching,
        parts,
        _magnitude(arrays, nucleus) if inside else float("nan"),
        highest,
        untyped,
        arrays.image is not None and bool((arrays.image == arrays.image[:1, :1]).all()),
        labels is not None,
        sample.mpp,
    )


def touching_count(labels: Int32) -> int:
    """Count the instances that have a pixel beside one of another instance (8 neighbours)."""
    found = [np.zeros(0, labels.dtype)]
    for rows, cols in NEIGHBOURS:
        first, second = _shifted(labels, rows, cols)
        border = (first != second) & (first > 0) & (second > 0)
        found += [first[border], second[border]]
    return len(np.unique(np.concatenate(found)))


def _shifted(labels: Int32, rows: int, cols: int) -> tuple[Int32, Int32]:
    """Two views of a plane, the second a step to the right and down (or left) of the first."""
    height, width = labels.shape
    if cols >= 0:
        return labels[: height - rows, : width - cols], labels[rows:, cols:]
    return labels[: height - rows, -cols:], labels[rows:, : width + cols]


def _components(mask: npt.NDArray[np.bool_]) -> int:
    return int(cv2.connectedComponents(mask.astype(np.uint8), connectivity=EIGHT)[0]) - 1


def _parts(ids: Int32) -> int:
    return int(label_equal(ids, np.zeros(ids.shape, np.int32))) if ids.size else 0


def _magnitude(arrays: SampleArrays, nucleus: npt.NDArray[np.bool_]) -> float:
    hv = hv_targets(arrays.labels) if arrays.labels is not None else arrays.hv_target
    return float(magnitude(np.asarray(hv))[nucleus].mean(dtype=np.float64))


def _types(arrays: SampleArrays, nucleus: npt.NDArray[np.bool_]) -> tuple[int, float]:
    if arrays.type_map is None:
        return -1, float("nan")
    inside = arrays.type_map[nucleus]
    if not inside.size:
        return 0, float("nan")
    return int(inside.max()), float((inside == 0).mean())


LEAST_EDGE = 64
"""Shortest edge, pixels, of the two parts that a single image is cut into."""
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


@dataclass(frozen=True, eq=False)
class Division:
    """Samples divided."""

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    words: str  # How they were divided
    notes: tuple[str, ...] = ()  # What the user should know about it


def split_samples(samples: Sequence[Sample], val_fraction: float = 0.2, seed: int = 0) -> Division:
    """Divide by source image, never by crop; a division the data have is kept.

    A single image is cut in two along its longer edge, which is better than nothing: its parts
    share stain and slide, and scores come out too good. The note says so.
    """
    if not 0 < val_fraction < 1:
        raise InputError(f"val_fraction is {val_fraction}; give a share above 0, below 1.")
    if not samples:
        raise InputError("There is no sample to divide.")
    val = tuple(s for s in samples if s.split == "val")
    if val and len(val) < len(samples):
        train = tuple(s for s in samples if s.split != "val")
        words = f"as the data say: {len(train)} to train, {len(val)} to validate"
        return Division(train, val, words)
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
    return Division(train, held, words, notes)


def _one_source(samples: Sequence[Sample], val_fraction: float) -> Division:
    """Cut the only image in two, or say why there is no validation."""
    first = samples[0]
    if len(samples) > 1:
        raise InputError(
            f"All {len(samples)} samples come from one source image ({first.group}): crops of "
            "one image cannot validate each other. Add one more image."
        )
    height, width = first.shape
    longer = max(height, width)
    cut = longer - round(longer * val_fraction)
    edge = min(height, width, cut, longer - cut)
    if edge < LEAST_EDGE or first.features is not None:
        raise InputError(
            f"There is only one image ({first.name}, {height} x {width} pixels), too small to be "
            f"cut in two (parts of {LEAST_EDGE} pixels or more). Add one more image to validate on."
        )
    upright = height >= width
    boxes = [(0, cut, 0, width), (cut, height, 0, width)] if upright else [
        (0, height, 0, cut), (0, height, cut, width)]  # fmt: skip
    train = first.part(f"{first.name} (first part)", "train", boxes[0])
    val = first.part(f"{first.name} (last part)", "val", boxes[1])
    along = "rows" if upright else "columns"
    words = f"there is one image only: {along} 0 to {cut} train, {cut} to {longer} validate"
    note = (
        f"{words}. Both parts share slide and stain, so scores come out too good; add an image of "
        "another slide."
    )
    return Division((train,), (val,), words, (note,))


# --- leaks ---------------------------------------------------------------------------


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
    """Take the print of a sample.

    The pattern is a difference hash: the image at 8 x 9 grey pixels, one bit for each neighbour to
    the right that is brighter.
    """
    arrays = sample.arrays
    content = arrays.image if arrays.image is not None else arrays.features
    values = np.ascontiguousarray(content)
    digest = hashlib.blake2b(values.data, digest_size=16)
    digest.update(str(values.shape).encode())
    if arrays.image is None:
        return Print(sample.name, sample.group, digest.hexdigest())
    grey = cv2.cvtColor(arrays.image, cv2.COLOR_RGB2GRAY)
    thumb = _small(grey, (THUMB, THUMB))
    if thumb.std() < FLAT:
        return Print(sample.name, sample.group, digest.hexdigest())
    bits = np.diff(_small(grey, (HASH + 1, HASH)), axis=1) > 0
    centred = thumb - thumb.mean()
    centred /= np.linalg.norm(centred)
    return Print(
        sample.name,
        sample.group,
        digest.hexdigest(),
        tuple(bits.ravel().tolist()),
        tuple(centred.ravel().tolist()),
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


INT8_SCALE = 127.0
"""HV stored as whole numbers is divided by this."""
LARGEST_HV = 2.0
"""Floats beyond this are taken for whole numbers that were never divided."""
LEAST_SCORE = 0.3
"""Agreement from which an order and a sign are believed, -1..1."""
LEAST_LEAD = 0.2
"""Agreement by which they must lead the next."""
STEEPEST = 0.45
"""Steps of HV from pixel to pixel beyond this are borders between nuclei."""

Reading = tuple[str, str]
"""Order and sign."""


@dataclass(frozen=True)
class HVProbe:
    """Stored HV of one image, and what else is known of it."""

    hv: Float32  # float32 (2, H, W): In the scale of -1..1
    nucleus: npt.NDArray[np.bool_]  # bool (H, W)
    labels: Int32 | None = None  # int32 (H, W): Instances


@dataclass(frozen=True)
class HVFinding:
    """How stored HV is meant."""

    order: str  # See :class:`.hv.HVConvention`.
    sign: str  # See :class:`.hv.HVConvention`.
    score: float  # Agreement, -1..1: mean cosine to HV from labels, or share of rising steps
    lead: float  # By how much it is better than the next reading
    by_labels: bool  # Whether labels told it
    closest: str = ""  # Preset with the smallest difference, where there are labels
    difference: float = float("nan")  # That mean difference, NaN without labels

    @property
    def sure(self) -> bool:
        """Whether it can be believed."""
        return self.score >= LEAST_SCORE and self.lead >= LEAST_LEAD

    @property
    def words(self) -> str:
        """What was found, in words."""
        first, second = ("H", "V") if self.order == "hv" else ("V", "H")
        told = "HV computed from the labels" if self.by_labels else "its slope inside nuclei"
        text = (
            f"stored HV is [{first}, {second}], {self.sign}, told by {told} "
            f"(agreement {self.score:.2f}, next reading {self.score - self.lead:.2f})"
        )
        if self.closest:
            text += f"; closest to {self.closest!r} (mean difference {self.difference:.3f})"
        return text


def unit_scale(hv: npt.ArrayLike, divisor: float | None = None) -> Float32:
    """Bring stored HV to -1..1: whole numbers are divided by 127.

    ``hv`` number (2, ..., H, W).
    """
    array = np.asarray(hv)
    if divisor is None:
        divisor = INT8_SCALE if array.dtype.kind in "iu" else 1.0
    scaled = np.array(array, np.float32)
    if divisor != 1.0:
        scaled /= np.float32(divisor)
    return scaled


def divisor_of(hv: npt.NDArray[Any], what: str = "HV") -> tuple[float, str]:
    """Tell what stored HV has to be divided by, and say so; "" if nothing is odd."""
    if hv.dtype.kind == "i" and hv.dtype.itemsize == 1:
        return INT8_SCALE, f"{what} is stored as int8: divided by {INT8_SCALE:g}"
    if hv.dtype.kind not in "fi":
        raise InputError(f"{what} has dtype {hv.dtype}; HV is float, or int8 of -127..127.")
    values = np.asarray(hv, np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"{what} holds NaN or infinite values; compute it again.")
    largest = float(np.abs(values).max(initial=0.0))
    if largest > LARGEST_HV:
        note = f"{what} goes up to {largest:.0f}: it was never divided; divided by {INT8_SCALE:g}"
        return INT8_SCALE, note
    return 1.0, ""


def detect_hv(probes: Iterable[HVProbe]) -> HVFinding:
    """Find out which channel is which, and where vectors point."""
    probes = tuple(probes)
    by_labels = bool(probes) and all(probe.labels is not None for probe in probes)
    scores = _label_scores(probes) if by_labels else _slope_scores(probes)
    ranked = sorted(scores, key=lambda reading: -scores[reading])
    best, lead = ranked[0], scores[ranked[0]] - scores[ranked[1]]
    closest, difference = _closest(probes) if by_labels else ("", float("nan"))
    return HVFinding(*best, scores[best], lead, by_labels, closest, difference)


def read_stored(
    hv: npt.ArrayLike, order: str = "hv", sign: str = "outward", divisor: float | None = None
) -> Float32:
    """Give stored HV as ours: [H, V], outward, -1..1.

    ``hv`` number (2, H, W).
    """
    stored = HVConvention(order=order, sign=sign)
    return convert(unit_scale(hv, divisor), stored, HVConvention())


def _label_scores(probes: tuple[HVProbe, ...]) -> dict[Reading, float]:
    """Mean cosine of each reading to HV from the labels."""
    dots, n = dict.fromkeys(product(ORDERS, SIGNS), 0.0), 0
    for probe in probes:
        labels = _labels_of(probe)
        wanted = hv_targets(labels)
        lengths = np.hypot(*probe.hv) * np.hypot(*wanted)
        use = (labels > 0) & (lengths > 0)
        n += int(use.sum())
        for order in ORDERS:
            x, y = probe.hv if order == "hv" else probe.hv[::-1]
            dot = (x * wanted[0] + y * wanted[1])[use] / lengths[use]
            total = float(dot.sum(dtype=np.float64))
            dots[order, "outward"] += total
            dots[order, "inward"] -= total
    return _means(dots, n)


def _slope_scores(probes: tuple[HVProbe, ...]) -> dict[Reading, float]:
    """Share of steps inside nuclei that rise as each reading wants it, 1 = all."""
    sums, weight = dict.fromkeys(product(ORDERS, SIGNS), 0.0), 0.0
    for probe in probes:
        for channel, values in enumerate(probe.hv):
            along_x, most_x = _rise(values, probe.nucleus)
            along_y, most_y = _rise(values.T, probe.nucleus.T)
            weight += max(most_x, most_y)
            straight, swapped = (along_x, along_y) if channel == 0 else (along_y, along_x)
            for order, rise in (("hv", straight), ("vh", swapped)):
                sums[order, "outward"] += rise
                sums[order, "inward"] -= rise
    return _means(sums, weight)


def _rise(values: Float32, nucleus: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Sum of the steps along the last axis inside nuclei, and of their sizes.

    The jumps between nuclei are left out.
    """
    step = np.diff(values, axis=1)
    use = nucleus[:, 1:] & nucleus[:, :-1] & (np.abs(step) < STEEPEST)
    used = step[use].astype(np.float64)
    return float(used.sum()), float(np.abs(used).sum())


def _means(sums: dict[Reading, float], weight: float) -> dict[Reading, float]:
    if not weight > 0:
        raise InputError(
            "Stored HV is 0 in all nuclei that were looked at, or there is no nucleus; compute "
            "HV again from instance labels."
        )
    return {reading: value / weight for reading, value in sums.items()}


def _closest(probes: tuple[HVProbe, ...]) -> tuple[str, float]:
    """Preset whose HV differs least from the stored one, inside nuclei."""
    differences = {}
    for name, convention in PRESETS.items():
        total, n = 0.0, 0
        for probe in probes:
            labels = _labels_of(probe)
            off = np.abs(hv_targets(labels, convention) - probe.hv)[:, labels > 0]
            total, n = total + float(off.sum(dtype=np.float64)), n + off.size
        differences[name] = total / max(n, 1)
    best = min(differences, key=lambda name: differences[name])
    return best, differences[best]


def _labels_of(probe: HVProbe) -> Int32:
    if probe.labels is None:
        raise InputError("A probe has no labels, others have; give all or none.")
    return probe.labels


QUARTERS = 4


@dataclass(frozen=True)
class Turn:
    """A mirroring at the vertical axis, then quarter turns against the clock."""

    flip: bool = False  # Left and right are swapped first
    quarters: int = 0  # 0..3

    def __post_init__(self) -> None:
        if self.quarters not in range(QUARTERS):
            raise InputError(f"quarters is {self.quarters}; give 0, 1, 2 or 3.")

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """2 x 2 matrix that an offset (x to the right, y down) is multiplied with."""
        quarter = np.array([[0.0, 1.0], [-1.0, 0.0]])
        mirror = np.diag([-1.0 if self.flip else 1.0, 1.0])
        turned: npt.NDArray[np.float64] = np.linalg.matrix_power(quarter, self.quarters) @ mirror
        return turned


TURNS = tuple(Turn(flip, quarters) for flip in (False, True) for quarters in range(QUARTERS))
"""All eight; the first changes nothing."""


def turn_plane(array: npt.NDArray[Any], turn: Turn, axes: tuple[int, int] = (-2, -1)) -> Any:
    """Turn rows and columns of an array, a view of it."""
    turned = np.flip(array, axes[1]) if turn.flip else array
    return np.rot90(turned, turn.quarters, axes)


def turn_hv(hv: Float32, turn: Turn, order: str = "hv") -> Float32:
    """Turn an HV map: its pixels change place, and its vectors turn with them.

    The order must be the true one: with the other, flips negate the wrong channel and over all
    eight turns nothing is left of the map. The sign does not matter.
    ``hv`` float32 (2, H, W); returns float32 (2, H, W), or (2, W, H) after an odd number of quarter
    turns.
    """
    if order not in ORDERS:
        raise InputError(f"order is {order!r}; choose one of {', '.join(ORDERS)}.")
    moved = turn_plane(hv, turn)
    x, y = moved if order == "hv" else moved[::-1]
    matrix = turn.matrix.astype(np.float32)
    turned = [row[0] * x + row[1] * y for row in matrix]
    return np.stack(turned if order == "hv" else turned[::-1])


def turn_tokens(features: npt.NDArray[Any], turn: Turn) -> npt.NDArray[Any]:
    """Turn the patch tokens of a square grid; those before the patches stay.

    A frozen encoder would give slightly other tokens for a turned image: this stands in for it, as
    only the tokens are kept.
    ``features`` float (N, D).
    """
    if turn == Turn():
        return features
    grid = math.isqrt(len(features))
    first = len(features) - grid * grid
    patches = features[first:].reshape(grid, grid, -1)
    moved = turn_plane(patches, turn, (0, 1)).reshape(grid * grid, -1)
    return np.concatenate((features[:first], moved))
