"""Separate, sweep and keep, as generators for a worker thread."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace

from ..core.hv_reading import read_hv
from ..core.nuclei import measure
from ..core.tuning import TuneParams, stage_counts
from ..core.tuning_stages import StagedTuner
from ..core.types import Maps, Progress
from .segment import SegmentResult
from .tuning import Tuned

Box = tuple[int, int, int, int]

NUCLEUS_REACH = 40
"""Pixels around a part within which a nucleus at its border ends."""


def reach_of(params: TuneParams) -> int:
    """Return the pixels around a part that the result within it depends on.

    For "hover_net" and "magnitude_peaks" only nearly: they stretch over the whole tile.
    """
    separation = params.separation
    if separation.method == "local":
        return int(3 * max(separation.scales)) + separation.magnitude_window // 2 + NUCLEUS_REACH
    return max(separation.sobel_size, separation.peak_distance) + NUCLEUS_REACH


def grown(box: Box, by: int, shape: tuple[int, int]) -> Box:
    """Widen a box on all sides, within the image.

    Examples
    --------
    >>> grown((10, 20, 0, 30), 5, (100, 32))
    (5, 25, 0, 32)
    """
    r0, r1, c0, c1 = box
    return (max(r0 - by, 0), min(r1 + by, shape[0]), max(c0 - by, 0), min(c1 + by, shape[1]))


def cropped(maps: Maps, box: Box) -> Maps:
    """Return the part of maps within a box."""
    r0, r1, c0, c1 = box
    return Maps(np=maps.np[r0:r1, c0:c1], hv=maps.hv[:, r0:r1, c0:c1])


class Tuners:
    """Tuners of one run: one of the whole, one of the part that was asked for last.

    The whole and a part may be asked for by two threads at once; the same thing may not.

    Parameters
    ----------
    maps : Maps
        Of the whole run.
    """

    def __init__(self, maps: Maps) -> None:
        self._maps = maps
        self._whole = StagedTuner(maps)
        self._part: tuple[Box, StagedTuner] | None = None

    def of(self, box: Box | None) -> StagedTuner:
        """Return the tuner of a part, with the stages it kept if it was the last one; None = all.

        Examples
        --------
        >>> import numpy
        >>> tuners = Tuners(Maps(np=numpy.ones((8, 8)), hv=numpy.zeros((2, 8, 8))))
        >>> tuners.of((0, 4, 2, 8)).maps.shape, tuners.of(None).maps.shape
        ((4, 6), (8, 8))
        """
        if box is None:
            return self._whole
        if self._part is None or self._part[0] != box:
            self._part = (box, StagedTuner(cropped(self._maps, box)))
        return self._part[1]


def tune_steps(
    tuner: StagedTuner, params: TuneParams, box: Box | None = None
) -> Generator[Progress, None, Tuned]:
    """Separate with given parameters.

    Parameters
    ----------
    tuner : StagedTuner
        Of the whole run, or of a part.
    params : TuneParams
    box : tuple of int, optional
        Where that part lies, as noted in the result.
    """
    yield Progress(0, 0, "Separating ...")
    began = time.perf_counter()
    found = tuner(params)
    counts = stage_counts(found)
    return Tuned(params, found, counts, box, time.perf_counter() - began)


def kept_steps(result: SegmentResult, tuned: Tuned) -> Generator[Progress, None, SegmentResult]:
    """Make a result of its own of a tuned separation of a whole run.

    Its maps are those of the run, with HV as it was read.

    Raises
    ------
    TypeError
        If the run has no maps, or ``tuned`` is only a part.
    """
    if result.maps is None or tuned.box is not None:
        raise TypeError("Only the whole of a run with its maps can be kept.")
    yield Progress(0, 0, "Measuring nuclei ...")
    maps = read_hv(result.maps, tuned.params.hv)
    separation = tuned.separation
    nuclei = measure(separation.labels, maps, type_names=result.info.types)
    return replace(
        result,
        labels=separation.labels,
        nuclei=nuclei,
        maps=maps,
        separation=separation,
        params=replace(result.params, separation=tuned.params.separation),  # as files will say
        used=tuned.params.separation,
        seconds=tuned.seconds,
    )
