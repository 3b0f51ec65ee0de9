"""One sample of a token run as an ordinary run, for the panels that look into one."""

from __future__ import annotations

from collections.abc import Generator

from ..core.nuclei import measure
from ..core.separation import separate
from ..core.types import Progress
from ..errors import InputError
from .segment import SegmentParams, SegmentResult
from .token_run import TokenStacks


def sample_steps(stacks: TokenStacks, place: int) -> Generator[Progress, None, SegmentResult]:
    """Separate and measure one sample.

    Parameters
    ----------
    stacks : TokenStacks
    place : int
        Plane of the stacks.

    Raises
    ------
    InputError
        If there is no such plane, or the sample could not be decoded.
    """
    if not 0 <= place < len(stacks.maps):
        raise InputError(f"There is no plane {place}; there are {len(stacks.maps)}.")
    if place in stacks.maps.errors:
        raise InputError(stacks.maps.errors[place])
    yield Progress(0, 0, "Measuring nuclei ...")
    maps, params = stacks.maps.maps(place), stacks.tuning.separation
    stages = separate(maps, params)
    return SegmentResult(
        labels=stages.labels,
        nuclei=measure(stages.labels, maps, type_names=stacks.info.types),
        info=stacks.info,
        params=SegmentParams(separation=params),
        offset=(0, 0),
        mpp=None,
        seconds=0.0,
        maps=maps,
        separation=stages,
        notices=stacks.notes,
        used=params,
    )
