"""What is measured of one sample before training: nuclei, coverage, touching, HV, types."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..hv import compact_ids, hv_targets, magnitude
from ..hv_kernels import label_equal
from ..parts import count_pixels
from ..types import Int32
from .samples import Sample, SampleArrays

NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))
"""Steps (rows, columns) to half of the eight neighbours."""
EIGHT = 8


@dataclass(frozen=True)
class SampleFigures:
    """Figures of one sample.

    Parameters
    ----------
    name : str
    pixels, inside : int
        Pixels in all, and in nuclei.
    nuclei : int
        Instances; connected components where there are no labels.
    components : int
        8-connected components of the mask.
    touching : int
        Instances with a pixel beside another instance; 0 without labels.
    parts : int
        4-connected parts of instances; more than instances where one id lies in several.
    magnitude : float
        Mean length of target HV inside nuclei, NaN without nuclei.
    highest_type : int
        -1 without types.
    untyped : float
        Share of nucleus pixels of type 0, NaN without types or nuclei.
    blank : bool
        Whether all pixels of the image are alike.
    has_labels : bool
        Whether instances are known.
    mpp : float or None
    """

    name: str
    pixels: int
    inside: int
    nuclei: int
    components: int
    touching: int
    parts: int
    magnitude: float
    highest_type: int
    untyped: float
    blank: bool
    has_labels: bool
    mpp: float | None = None

    @property
    def coverage(self) -> float:
        """Share of the pixels that is nucleus."""
        return self.inside / max(self.pixels, 1)


def measure(sample: Sample) -> SampleFigures:
    """Measure one sample.

    Raises
    ------
    InputError
        If it cannot be read.

    Examples
    --------
    >>> labels = np.array([[1, 1, 2, 2], [1, 1, 2, 2]], np.int32)
    >>> found = measure(Sample("a", image=np.zeros((2, 4, 3), np.uint8), labels=labels))
    >>> found.nuclei, found.components, found.touching
    (2, 1, 2)
    """
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
    """Count the instances that have a pixel beside one of another instance (8 neighbours).

    Examples
    --------
    >>> touching_count(np.array([[1, 0, 2], [0, 3, 0]], np.int32))
    3
    """
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
