"""Divide samples into training and validation by source image, and look for leaks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from .samples import Sample

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
    """Samples divided.

    Parameters
    ----------
    train, val : tuple of Sample
    words : str
        How they were divided.
    notes : tuple of str
        What the user should know about it.
    """

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    words: str
    notes: tuple[str, ...] = ()


def split_samples(samples: Sequence[Sample], val_fraction: float = 0.2, seed: int = 0) -> Division:
    """Divide by source image, never by crop; a division the data have is kept.

    A single image is cut in two along its longer edge, which is better than nothing: its
    parts share stain and slide, and scores come out too good. The note says so.

    Parameters
    ----------
    samples : sequence of Sample
    val_fraction : float
        Share of the source images for validation, above 0 and below 1.
    seed : int
        Of the draw; the order of the samples does not matter.

    Raises
    ------
    InputError
        If nothing can be validated on.

    Examples
    --------
    >>> image, labels = np.zeros((9, 9, 3), np.uint8), np.ones((9, 9), np.int32)
    >>> many = [Sample(f"s{i}", image=image, labels=labels) for i in range(10)]
    >>> division = split_samples(many)
    >>> len(division.train), len(division.val)
    (8, 2)
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
    """What is kept of a sample to find it again.

    Parameters
    ----------
    name, group : str
    digest : str
        Of its pixels or tokens.
    pattern : tuple of bool
        Which neighbours in a small picture are brighter; () where it shows nothing.
    thumb : tuple of float
        The small picture, mean 0 and length 1.
    """

    name: str
    group: str
    digest: str
    pattern: tuple[bool, ...] = ()
    thumb: tuple[float, ...] = ()


@dataclass(frozen=True)
class Leaks:
    """What is on both sides.

    Parameters
    ----------
    same : tuple of (str, str)
        Training and validation sample with the very same pixels.
    groups : tuple of str
        Source images on both sides.
    near : tuple of (str, str)
        Training and validation sample that look alike.
    """

    same: tuple[tuple[str, str], ...] = ()
    groups: tuple[str, ...] = ()
    near: tuple[tuple[str, str], ...] = ()


def print_of(sample: Sample) -> Print:
    """Take the print of a sample.

    The pattern is a difference hash: the image at 8 x 9 grey pixels, one bit for each
    neighbour to the right that is brighter.
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
    """Look for samples of validation among those of training.

    Examples
    --------
    >>> find_leaks([Print("a", "slide", "1")], [Print("b", "slide", "2")]).groups
    ('slide',)
    """
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
