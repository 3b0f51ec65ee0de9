"""How much is nucleus, and whether that is nucleus at all and not background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ..types import Bool, Float32, Int32
from .data_common import not_tested, percent, scaled
from .data_likeness import contrast_inside
from .data_limits import LIMITS, DataLimits
from .report import FAULT, OK, WARN, Finding, Place, Remedy

EIGHT = 8
MOST = 0.9
"""Share of the "nuclei" that one area holds where background was taken for them."""


@dataclass(frozen=True, eq=False)
class Cover:
    """What was measured of one image.

    Parameters
    ----------
    index, name
        Of the image.
    shape : (int, int)
    share : float
        Of nucleus pixels.
    nuclei : int
        Ids, or components where there are no labels.
    contrast : float
        Optical density inside against outside, see :func:`.data_likeness.contrast_inside`;
        NaN without an image.
    dark : bool
        Whether the image is not of bright field.
    giant : float
        Share of the image that the largest instance covers.
    giant_contrast : float
        Optical density of it against the other instances, NaN if there is none.
    flood : bool
        Whether "nuclei" are one area around many holes.
    """

    index: int
    name: str
    shape: tuple[int, int]
    share: float
    nuclei: int
    contrast: float = float("nan")
    dark: bool = False
    giant: float = 0.0
    giant_contrast: float = float("nan")
    flood: bool = False

    @property
    def place(self) -> Place:
        """The whole image."""
        words = f"{percent(self.share)} nucleus"
        return Place(self.index, self.name, (0, self.shape[0], 0, self.shape[1]), words)


def cover_of(
    index: int,
    name: str,
    inside: Bool,
    labels: Int32 | None = None,
    density: Float32 | None = None,
    limits: DataLimits = LIMITS,
) -> Cover:
    """Measure coverage, and whether it is nuclei that are covered.

    Parameters
    ----------
    index, name
        Of the image.
    inside : bool (H, W)
    labels : int32 (H, W), optional
    density : float32 (H, W), optional
        Optical density of the image where haematoxylin shows.
    limits : DataLimits
    """
    found = cv2.connectedComponentsWithStats(inside.astype(np.uint8), connectivity=EIGHT)
    n, stats = int(found[0]), np.asarray(found[2], np.int32)
    share = float(inside.mean()) if inside.size else 0.0
    giant, mask, nuclei = 0.0, None, n - 1
    if labels is not None and share:
        counts = np.bincount(labels.ravel()) if labels.max() < labels.size else np.zeros(1, int)
        counts[0] = 0
        nuclei = int((counts > 0).sum()) or n - 1
        giant = float(counts.max()) / inside.size
        if giant >= limits.giant:
            mask = labels == int(counts.argmax())
    contrast, other = float("nan"), float("nan")
    if density is not None and density.shape == inside.shape:
        contrast = contrast_inside(density, inside)
        if mask is not None and (inside & ~mask).any():
            other = contrast_inside(density[inside], mask[inside])
    return Cover(
        index,
        name,
        (int(inside.shape[0]), int(inside.shape[1])),
        share,
        nuclei,
        contrast,
        density is not None and float(np.median(density)) > limits.dark_ground,
        giant,
        other,
        _is_flood(inside, stats, limits),
    )


def _is_flood(inside: Bool, stats: Int32, limits: DataLimits) -> bool:
    """Tell whether one area holds nearly all, reaches all sides, and has many holes."""
    if len(stats) < 2 or not inside.any():
        return False
    _, _, width, height, area = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())]
    spans = width == inside.shape[1] and height == inside.shape[0]
    if not spans or area < MOST * inside.sum() or inside.mean() < limits.coverage:
        return False
    holes = cv2.connectedComponentsWithStats((~inside).astype(np.uint8), connectivity=4)[2]
    sizes = holes[1:, cv2.CC_STAT_AREA]
    large = sizes[sizes >= limits.shape_area]
    return len(large) >= limits.flood_parts and bool(large.max() < (1 - MOST) * inside.size)


def empty(covers: Sequence[Cover], limits: DataLimits = LIMITS) -> Finding:
    """Say how many images hold no nucleus.

    Parameters
    ----------
    covers : sequence of Cover
    limits : DataLimits
    """
    key, title = "data.empty", "Empty images"
    if not covers:
        return not_tested(key, title, "give true labels or stored targets")
    bare = [c for c in covers if not c.share]
    share = len(bare) / len(covers)
    said = f"{len(bare)} of {len(covers)} images hold no nucleus"
    if share < limits.empty:
        return Finding(key, OK, title, said + ".", share, limits.empty_all, "share")
    bad = share >= limits.empty_all
    return Finding(
        key,
        FAULT if bad else WARN,
        "Images without a single nucleus",
        f"{said}; in health few do.",
        share,
        limits.empty_all,
        "share",
        scaled(share, limits.empty_all, 1.0, 0.8, 0.96) if bad else 0.35,
        Remedy("Look for labels that were not found, or were read as another type or channel."),
        {"images": len(bare)},
        ("image", "truth"),
        tuple(c.place for c in bare[:5]),
    )


def coverage(covers: Sequence[Cover], limits: DataLimits = LIMITS) -> Finding:
    """Say how much of the images is nucleus, and what Dice "everything is nucleus" has.

    Parameters
    ----------
    covers : sequence of Cover
    limits : DataLimits
    """
    key, title = "data.coverage", "Share of nucleus pixels"
    filled = [c for c in covers if c.share]
    if not filled:
        return not_tested(key, title, "there are no nuclei")
    share = float(np.mean([c.share for c in filled]))
    dice = float(np.mean([2 * c.share / (1 + c.share) for c in filled]))
    said = (
        f"{percent(share)} of the pixels are nucleus (10 to 40 % in tissue); calling every pixel "
        f"nucleus already has a Dice of {dice:.3f}"
    )
    numbers = {"coverage": share, "Dice of all-foreground": dice}
    contrast = mean_contrast(filled)
    dense = contrast >= limits.darker and share < limits.coverage_all
    if share <= limits.coverage or dense:
        more = (
            "" if share <= limits.coverage else " Nuclei are dark as they should be: dense tissue."
        )
        return Finding(key, OK, title, f"{said}.{more}", share, limits.coverage, "share",
                       numbers=numbers)  # fmt: skip
    bad = share >= limits.coverage_all
    worst = sorted(filled, key=lambda c: -c.share)
    return Finding(
        key,
        FAULT if bad else WARN,
        f"{percent(share)} of the pixels are labelled nucleus",
        f"{said}.",
        share,
        limits.coverage,
        "share",
        scaled(share, limits.coverage_all, 0.95, 0.75, 0.85) if bad else 0.4,
        Remedy(
            "Look at the labels on their image: background may have been taken for nuclei "
            "(in PanNuke masks channel 5 is background), or the mask is inverted."
        ),
        numbers,
        ("image", "truth"),
        tuple(c.place for c in worst[:5]),
    )


def background(covers: Sequence[Cover], limits: DataLimits = LIMITS) -> Finding:
    """Say whether background was taken for nuclei, or the mask is inverted.

    With images: nuclei are darker in the light that haematoxylin takes. Without: one area
    around many holes is background.

    Parameters
    ----------
    covers : sequence of Cover
    limits : DataLimits
    """
    key, title = "data.background", "Nuclei, not background, are labelled"
    filled = [c for c in covers if c.share and not c.dark]
    if not filled:
        return not_tested(key, title, "there are no nuclei on bright images")
    floods = float(np.mean([c.flood for c in filled]))
    giants = _giants(filled, limits)
    contrast = mean_contrast(filled)
    known = np.isfinite(contrast)
    numbers = {"contrast": contrast, "giants": giants, "floods": floods}
    darkness = (
        f"labelled pixels are {abs(contrast):.1f} standard deviations "
        f"{'darker' if contrast > 0 else 'lighter'} in haematoxylin's light than the others "
        "(nuclei are 1 to 3 darker)"
        if known
        else "there is no image to compare with"
    )
    if known and contrast <= limits.lighter:
        certainty, said = scaled(-contrast, 0.15, 0.8, 0.92, 0.98), f"The {darkness}."
    elif giants >= limits.giant_images:
        certainty = 0.95
        said = (
            f"In {percent(giants)} of the images one label covers {percent(limits.giant)} or more "
            "and is lighter than the other labels: it is the background."
        )
    elif not known and floods >= MOST / 2:
        certainty = scaled(floods, MOST / 2, 1.0, 0.8, 0.93)
        said = (
            f"In {percent(floods)} of the images the labels are one area that reaches all sides "
            "around many holes of the size of nuclei, as background is."
        )
    else:
        said = darkness[0].upper() + darkness[1:] + "."
        return Finding(key, OK, title, said, contrast, limits.lighter, "sd", numbers=numbers)
    share = float(np.mean([c.share for c in filled]))
    return Finding(
        key,
        FAULT,
        "Background was taken for nuclei",
        f"{said} {percent(share)} of the pixels are labelled.",
        contrast,
        limits.lighter,
        "sd",
        certainty,
        Remedy(
            "Choose the right mask channels (PanNuke: 0 to 4 are nuclei, 5 is background), or "
            "invert the mask; then make NP and HV again."
        ),
        {**numbers, "coverage": share},
        ("image", "truth"),
        tuple(c.place for c in sorted(filled, key=_lightness)[:5]),
    )


def mean_contrast(covers: Sequence[Cover]) -> float:
    """Mean contrast of the images in which there is one, NaN if in none."""
    known = [c.contrast for c in covers if np.isfinite(c.contrast) and not c.dark]
    return float(np.mean(known)) if known else float("nan")


def _giants(covers: Sequence[Cover], limits: DataLimits) -> float:
    found = [c.giant >= limits.giant and c.giant_contrast <= limits.lighter for c in covers]
    return float(np.mean(found))


def _lightness(cover: Cover) -> float:
    return cover.contrast if np.isfinite(cover.contrast) else -cover.share
