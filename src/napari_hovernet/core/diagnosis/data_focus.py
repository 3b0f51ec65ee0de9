"""Whether images are in focus, free of noise, and all their channels are there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import InputError
from ..inference.images import UInt8
from ..types import Int32
from .report import FAULT, WARN, Finding, Place, Remedy

CHANNELS = ("red", "green", "blue")
HALF = 0.5
"""Share of the images that decides."""
FLAT_CERTAINTY, NOISE_CERTAINTY, BLUR_CERTAINTY, SOFT_CERTAINTY = 0.92, 0.9, 0.88, 0.35
"""How certain it is that a channel is lost, that images are noisy, out of focus, a little so."""
CROSS = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
"""Differences that even slopes and edges do not have (Immerkaer 1996)."""
MEDIAN = 0.6745
"""Median of the absolute values of a normal distribution, in standard deviations."""


@dataclass(frozen=True)
class FocusLimits:
    """Bounds of what images show.

    Parameters
    ----------
    flat : float
        Grey levels, standard deviation, below which a channel is the same everywhere.
    alive : float
        Standard deviation that another channel has at least.
    blurred, soft : float
        Fine over coarse detail below which images are out of focus, and a little so. Real
        and generated tissue at any magnification: 0.11 to 0.45; blurred by 5 px: 0.07 to 0.12.
    unknown : float
        Below this it is a warning where no labels tell how large nuclei are (tissue enlarged
        three times: 0.12 and more).
    nucleus_px : float
        Images are resized so that nuclei have this diameter.
    diameters : (float, float)
        Diameters beyond these are not believed.
    fine, middle, coarse : float
        Standard deviations in pixels of the Gaussians between which detail lies.
    noise : float
        Grey levels, standard deviation of noise from which images are noisy. Tissue: below 3,
        reduced to a third: below 10.
    edge : int
        Pixels along an edge that are looked at.

    Raises
    ------
    InputError
        If a bound is not above 0.

    Examples
    --------
    >>> FocusLimits().nucleus_px
    20.0
    """

    flat: float = 1.0
    alive: float = 5.0
    blurred: float = 0.095
    soft: float = 0.105
    unknown: float = 0.08
    nucleus_px: float = 20.0
    diameters: tuple[float, float] = (16.0, 60.0)
    fine: float = 0.7
    middle: float = 1.5
    coarse: float = 6.0
    noise: float = 16.0
    edge: int = 512

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not np.min(value) > 0:
                raise InputError(f"{field.name} is {value}; give a number above 0.")


FOCUS = FocusLimits()
"""The bounds in use."""


@dataclass(frozen=True)
class Focus:
    """What one image shows.

    Parameters
    ----------
    place : Place
        The whole image.
    flat : tuple of str
        Channels that are the same everywhere, though others are not.
    detail : float
        Fine over coarse detail; NaN where there is none.
    sized : bool
        Whether labels told how large nuclei are.
    noise : float
        Grey levels, standard deviation.
    """

    place: Place
    flat: tuple[str, ...]
    detail: float
    sized: bool
    noise: float = 0.0


def focus_of(
    image: UInt8, labels: Int32 | None, place: Place, limits: FocusLimits = FOCUS
) -> Focus:
    """Look at the channels and at the detail of an image.

    Parameters
    ----------
    image : uint8 (H, W, 3)
    labels : int32 (H, W), optional
        True instances: how large nuclei are.
    place : Place
    limits : FocusLimits
    """
    rows, cols = ((max(n - limits.edge, 0) // 2) for n in image.shape[:2])
    part = image[rows : rows + limits.edge, cols : cols + limits.edge]
    spread = part.reshape(-1, part.shape[-1]).astype(np.float32).std(axis=0)
    flat: tuple[str, ...] = ()
    if spread.size == len(CHANNELS) and spread.max() >= limits.alive:
        flat = tuple(n for n, s in zip(CHANNELS, spread, strict=True) if s < limits.flat)
    known = labels is not None and bool(labels.any())
    scale = 1.0
    if labels is not None and known:
        low, high = limits.diameters
        scale = limits.nucleus_px / float(np.clip(_diameter(labels), low, high))
    return Focus(place, flat, _detail(part, scale, limits), known, noise_of(part))


def focus_finding(
    looks: Sequence[Focus], numbers: dict[str, float], limits: FocusLimits = FOCUS
) -> Finding | None:
    """Say whether channels are lost, images noisy or out of focus; None if nothing is wrong.

    Parameters
    ----------
    looks : sequence of Focus
    numbers : dict
        What else was measured.
    limits : FocusLimits
    """
    flat = [look for look in looks if look.flat]
    if looks and len(flat) >= HALF * len(looks):
        return _lost(flat, len(looks), numbers)
    noisy = [look for look in looks if look.noise >= limits.noise]
    if looks and len(noisy) >= HALF * len(looks):
        return _noisy(noisy, len(looks), numbers, limits)
    known = [look for look in looks if np.isfinite(look.detail)]
    if not known:
        return None
    detail = float(np.median([look.detail for look in known]))
    sized = np.mean([look.sized for look in known]) > HALF
    bound = limits.soft if sized else limits.unknown
    if detail >= bound:
        return None
    fault = bool(sized and detail < limits.blurred)
    size = "the size of nuclei" if sized else "their pixels"
    known = sorted(known, key=lambda look: look.detail)
    return Finding(
        "data.images",
        FAULT if fault else WARN,
        "Images are out of focus" if fault else "Images show hardly any fine detail",
        f"Fine detail is {detail:.3f} of the coarse in the median of {len(known)} images, for "
        f"{size}; images in focus have 0.11 to 0.45.",
        detail,
        limits.blurred if fault else bound,
        "fine over coarse",
        BLUR_CERTAINTY if fault else SOFT_CERTAINTY,
        Remedy(
            "Take images that are in focus; look whether they were smoothed, compressed hard, or "
            "enlarged from a lower magnification when they were written."
        ),
        {**numbers, "detail": detail},
        ("image",),
        tuple(look.place for look in known[:5]),
    )


def _noisy(
    noisy: Sequence[Focus], n: int, numbers: dict[str, float], limits: FocusLimits
) -> Finding:
    level = float(np.median([look.noise for look in noisy]))
    return Finding(
        "data.images",
        FAULT,
        "Images are full of noise",
        f"{len(noisy)} of {n} images have noise of {level:.0f} grey levels (standard deviation, "
        "of the mean of the channels); tissue has less than 3.",
        level,
        limits.noise,
        "grey levels",
        NOISE_CERTAINTY,
        Remedy(
            "Look at how images were taken and written (gain, range, an augmentation that was "
            "stored), or smooth them before they are used."
        ),
        {**numbers, "noise": level},
        ("image",),
        tuple(look.place for look in noisy[:5]),
    )


def _lost(flat: Sequence[Focus], n: int, numbers: dict[str, float]) -> Finding:
    names = [c for c in CHANNELS if any(c in look.flat for look in flat)]
    said = " and ".join(names)
    more = len(names) > 1
    return Finding(
        "data.images",
        FAULT,
        f"{said.capitalize()} {'are' if more else 'is'} missing in the images",
        f"In {len(flat)} of {n} images {said} {'have' if more else 'has'} the same value "
        "everywhere, while the rest of the image changes.",
        len(flat) / n,
        HALF,
        "share",
        FLAT_CERTAINTY,
        Remedy(
            "Write the images again with all three channels (red, green, blue); an image of one "
            "channel is given as grey, the same in all three."
        ),
        {**numbers, "without a channel": len(flat) / n},
        ("image",),
        tuple(look.place for look in flat[:5]),
    )


def noise_of(image: UInt8) -> float:
    """Estimate the noise of an image in grey levels, whatever it shows.

    Examples
    --------
    >>> noise_of(np.full((64, 64, 3), 200, np.uint8))
    0.0
    """
    grey = image.astype(np.float32).mean(axis=2)
    inner = cv2.filter2D(grey, -1, CROSS)[1:-1, 1:-1]
    scale = MEDIAN * float(np.sqrt((CROSS**2).sum()))
    return float(np.median(np.abs(inner))) / scale if inner.size else 0.0


def _diameter(labels: Int32) -> float:
    areas = np.bincount(labels.ravel())[1:]
    return float(np.sqrt(4 / np.pi * np.median(areas[areas > 0])))


def _detail(part: UInt8, scale: float, limits: FocusLimits) -> float:
    grey: npt.NDArray[np.float32] = part.astype(np.float32).mean(axis=2)
    if min(grey.shape) * scale < limits.coarse * 4:
        return float("nan")
    if scale != 1:
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        grey = np.asarray(cv2.resize(grey, None, fx=scale, fy=scale, interpolation=how))
    fine, middle, coarse = (
        cv2.GaussianBlur(grey, (0, 0), s) for s in (limits.fine, limits.middle, limits.coarse)
    )
    under = float((middle - coarse).std())
    return float((fine - middle).std()) / under if under > limits.flat else float("nan")
