"""Maps as somebody's program wrote them, made into maps that can be worked with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..hv import HVReading, read_hv
from ..types import Float32, Maps
from .case import RawItem
from .items import channel_first
from .setup import Setup

LARGEST_BYTE = 255.0
INT8_SCALE = 127.0
SLACK = 1e-3
"""Rounding a probability may show beyond 0..1."""


def given_maps(raw: RawItem, setup: Setup) -> Maps:
    """Read predicted maps as the setup says.

    NP outside of 0..1 is taken for logits, whole numbers up to 255 for bytes, and HV of whole
    numbers for 127ths, so that what depends on them can be tested; that they were so is for a
    check to say.

    Parameters
    ----------
    raw : RawItem
        With np and hv.
    setup : Setup

    Raises
    ------
    InputError
        If they are not finite, or do not fit each other.
    """
    prob = probability(np.asarray(raw.np))
    if setup.np_channel == 0:
        prob = 1 - prob
    try:
        stored = channel_first(np.asarray(raw.hv))
    except ValueError as error:
        raise InputError(f"{raw.name}: hv has {error}.") from error
    hv = stored.astype(np.float32)
    if stored.dtype.kind in "iu":
        hv /= np.float32(INT8_SCALE)
    if any(setup.maps_shift):
        prob = np.roll(prob, setup.maps_shift, (0, 1))
        hv = np.roll(hv, setup.maps_shift, (1, 2))
    maps = Maps(np=prob, hv=hv)
    return hv_as_meant(maps, setup)


def hv_as_meant(maps: Maps, setup: Setup) -> Maps:
    """Read HV in the order, sign and scale of the setup; any factor will do.

    Examples
    --------
    >>> maps = Maps(np=[[1.0]], hv=[[[127.0]], [[0.0]]])
    >>> hv_as_meant(maps, Setup(hv_scale=1 / 127)).hv.ravel().tolist()
    [1.0, 0.0]
    """
    maps = read_hv(maps, HVReading(setup.hv_order, setup.hv_sign))
    if setup.hv_scale == 1.0:
        return maps
    return replace(maps, hv=maps.hv * np.float32(setup.hv_scale))


def probability(given: npt.NDArray[Any]) -> Float32:
    """Return NP as a probability; logits go through a sigmoid, bytes are divided by 255.

    Examples
    --------
    >>> probability(np.array([[-9.0, 0.0]])).round(1).tolist()
    [[0.0, 0.5]]
    """
    values = np.asarray(given, np.float32)
    if not values.size:
        return values
    low, high = float(values.min()), float(values.max())
    if low >= -SLACK and high <= 1 + SLACK:
        return np.clip(values, 0, 1)
    if given.dtype.kind in "iu" and low >= 0 and high <= LARGEST_BYTE:
        return values / np.float32(LARGEST_BYTE)
    return np.asarray(1 / (1 + np.exp(-np.clip(values, -50, 50))), np.float32)
