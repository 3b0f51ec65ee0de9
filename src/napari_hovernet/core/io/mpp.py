"""Micrometres per pixel as image files state them."""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

MPP_RANGE = (0.05, 10.0)
"""Micrometres per pixel that a microscope may give; print resolutions lie outside."""
MPP_AGREE = 0.01
"""Relative difference of horizontal and vertical mpp that is rounding."""

MICROMETRES_PER_INCH = 25_400.0
MICROMETRES_PER_CENTIMETRE = 10_000.0
_UNITS = {"µm": 1.0, "um": 1.0, "μm": 1.0, "nm": 1e-3, "mm": 1e3, "cm": 1e4, "m": 1e6}
_TIFF_UNITS = {2: MICROMETRES_PER_INCH, 3: MICROMETRES_PER_CENTIMETRE}


def dpi_mpp(dpi: tuple[float, float] | None) -> float | None:
    """Turn pixels per inch (x, y) into mpp; None if not stated or not plausible.

    Examples
    --------
    >>> dpi_mpp((101_600, 101_600)), dpi_mpp((72, 72))
    (0.25, None)
    """
    if not dpi or not all(value > 0 for value in dpi):
        return None
    return _plausible(MICROMETRES_PER_INCH / float(dpi[0]), MICROMETRES_PER_INCH / float(dpi[1]))


def _plausible(x: float, y: float) -> float | None:
    """Return the mean mpp of both axes, None if they differ or no microscope gives it."""
    mpp = (x + y) / 2
    square = abs(x - y) <= MPP_AGREE * mpp
    return mpp if square and MPP_RANGE[0] <= mpp <= MPP_RANGE[1] else None


def tiff_mpp(page: Any) -> float | None:
    """Find mpp in OME-XML, Aperio's description or the resolution tags, the first there is.

    Parameters
    ----------
    page : tifffile.TiffPage
        The first page, its file open.
    """
    description = str(page.description or "")
    ome = page.parent.ome_metadata
    if ome:
        return _ome_mpp(ome)
    aperio = re.search(r"\bMPP\s*=\s*([0-9.eE+-]+)", description)
    if aperio:
        try:
            value = float(aperio.group(1))
        except ValueError:
            return None
        return _plausible(value, value)
    return _tag_mpp(page)


def _tag_mpp(page: Any) -> float | None:
    unit = _TIFF_UNITS.get(int(getattr(page, "resolutionunit", 0) or 0))
    if unit is None:
        return None
    sides = []
    for name in ("XResolution", "YResolution"):
        tag = page.tags.get(name)
        if tag is None or not all(part > 0 for part in tag.value):
            return None
        sides.append(unit * tag.value[1] / tag.value[0])
    return _plausible(*sides)


def _ome_mpp(xml: str) -> float | None:
    try:
        root = ElementTree.fromstring(xml)
    except ElementTree.ParseError:
        return None
    for element in root.iter():
        if element.tag.endswith("}Pixels") or element.tag == "Pixels":
            sides = [_ome_length(element, axis) for axis in "XY"]
            if None in sides:
                return None
            return _plausible(*(side for side in sides if side is not None))
    return None


def _ome_length(pixels: ElementTree.Element, axis: str) -> float | None:
    unit = _UNITS.get(pixels.get(f"PhysicalSize{axis}Unit", "µm"))
    try:
        length = float(pixels.get(f"PhysicalSize{axis}", ""))
    except ValueError:
        return None
    return None if unit is None else unit * length
