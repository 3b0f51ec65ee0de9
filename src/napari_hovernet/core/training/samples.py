"""What there is to learn from: images or tokens, with labels or finished targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy.typing as npt

from ...errors import InputError
from ..image import UInt8
from ..types import Float32, Int32

SPLITS = ("train", "val", "")
"""What a sample can be for; "" = not said by the data."""


@dataclass(frozen=True, eq=False)
class SampleArrays:
    """The arrays of one sample; nothing of them may be changed.

    Parameters
    ----------
    image : uint8 (H, W, 3), optional
        RGB.
    features : float (N, D), optional
        Tokens of a frozen encoder, float16 or float32; the last ones are the patches,
        row by row.
    labels : int32 (H, W), optional
        0 = background, one id per nucleus.
    types : int (H, W), optional
        Type of each pixel, 0 = background.
    np_target : int (H, W), optional
        1 = nucleus. Only where there are no labels.
    hv_target : float32 (2, H, W), optional
        [H, V] outward. Only where there are no labels.
    nt_target : int (H, W), optional
        Type of each pixel, for samples without labels.

    Raises
    ------
    InputError
        If there is neither an image nor tokens, neither labels nor targets, or sizes differ.
    """

    image: UInt8 | None = None
    features: npt.NDArray[Any] | None = None
    labels: Int32 | None = None
    types: npt.NDArray[Any] | None = None
    np_target: npt.NDArray[Any] | None = None
    hv_target: Float32 | None = None
    nt_target: npt.NDArray[Any] | None = None

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

    Arrays are given, or read each time they are asked for (large data sets stay on the disk);
    take ``sample.arrays`` once where several are needed. Samples can be pickled.

    Parameters
    ----------
    name : str
        Unique within a data set.
    group : str
        The source image: split and leak check go by it. "" = the name.
    split : {"train", "val", ""}
        What the data say it is for.
    mpp : float, optional
        Micrometres per pixel, None = not known.
    reader : callable, optional
        Reads the arrays when they are needed; must be picklable. Else give them by name:
    shape : tuple of int, optional
        Height and width, where a reader is given and they are known without reading.
    **arrays
        The fields of :class:`SampleArrays`.

    Raises
    ------
    InputError
        If the split is another, or arrays do not fit each other; names the sample.

    Examples
    --------
    >>> import numpy as np
    >>> image, labels = np.zeros((4, 5, 3), np.uint8), np.ones((4, 5), np.int32)
    >>> Sample("a", image=image, labels=labels).shape
    (4, 5)
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
    """Samples to train on and to validate on.

    Parameters
    ----------
    train, val : tuple of Sample
    notes : tuple of str
        What was assumed, detected or left out on purpose.
    problems : tuple of str
        What could not be used, by name.
    faults : tuple of str
        Those of the problems (or other findings) with which training should not start.
    split_words : str
        How validation was divided from training.
    """

    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    notes: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    split_words: str = ""

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
