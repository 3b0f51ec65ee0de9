"""Micrometres per pixel, as image files of many programs state them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree

MPP_RANGE = (0.05, 10.0)
"""Micrometres per pixel that a microscope may give; print resolutions lie outside."""
MPP_AGREE = 0.01
"""Relative difference of horizontal and vertical mpp that is rounding."""
BY_CUSTOM = 10.0
"""Magnification times mpp: 40x are 0.25 micrometres per pixel."""
MAX_XML = 2**26
"""Characters of OME-XML that are parsed."""

INCH = 25_400.0
UNITS: Mapping[str, float] = {
    "pm": 1e-6, "å": 1e-4, "a": 1e-4, "angstrom": 1e-4, "nm": 1e-3, "nanometer": 1e-3,
    "um": 1.0, "micron": 1.0, "microns": 1.0, "micrometer": 1.0, "micrometre": 1.0,
    "mm": 1e3, "millimeter": 1e3, "millimetre": 1e3, "cm": 1e4, "centimeter": 1e4, "dm": 1e5,
    "m": 1e6, "meter": 1e6, "km": 1e9, "thou": INCH / 1000, "mil": INCH / 1000, "li": INCH / 12,
    "in": INCH, "inch": INCH, "inches": INCH, "ft": 12 * INCH,
}  # fmt: skip
"""Micrometres of a unit, in small letters, both signs of micro as "u"."""
_TAG_UNITS = {2: INCH, 3: 1e4, 4: 1e3, 5: 1.0}
"""Of TIFF's resolution unit: inch, centimetre; as libraries write it millimetre, micrometre."""
_NUMBER = r"\s*[=:]\s*([0-9]+(?:[.,][0-9]*)?(?:[eE][+-]?\d+)?)"
_MPP = re.compile(r"\bMPP" + _NUMBER, re.IGNORECASE)
_MAGNIFICATION = re.compile(r"\b(?:AppMag|Magnification|Objective)" + _NUMBER, re.IGNORECASE)
_IMAGEJ_UNIT = re.compile(r"^unit=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Scale:
    """What a file says of its pixels."""

    mpp: float | None = None  # Micrometres per pixel, None = not stated or not plausible
    note: str = ""  # What was assumed, or why it is not taken


def micrometres(unit: str) -> float | None:
    """Return how many micrometres a unit is; None for any other word."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda found: chr(int(found[1], 16)), unit)
    text = text.replace("µ", "u").replace("μ", "u").strip().strip("\0").lower()
    return UNITS.get(text)


def scale_of(sides: Sequence[float], said: str) -> Scale:
    """Take the width and height of a pixel, micrometres, if they are a microscope's."""
    x, y = sides[0], sides[-1]
    mpp = (x + y) / 2
    low, high = MPP_RANGE
    if not (low <= x <= high and low <= y <= high):
        return Scale()
    if abs(x - y) > MPP_AGREE * mpp:
        return Scale(
            None, f"its pixels are {x:.4g} x {y:.4g} µm ({said}), not square: mpp is not known"
        )
    return Scale(mpp)


def of_dpi(dpi: tuple[float, float] | None) -> Scale:
    """Turn pixels per inch (x, y) into a scale."""
    if not dpi or not all(value > 0 for value in dpi):
        return Scale()
    return scale_of([INCH / float(value) for value in dpi], "its resolution")


def of_tiff(page: Any) -> Scale:
    """Find it in OME-XML, Aperio's or ImageJ's description, or the tags: the first there is."""
    text = str(page.description or "")
    try:
        first = page.parent.pages.first
        if first.is_ome:
            return _of_ome(str(first.description))
        if found := _MPP.search(text):
            return scale_of([_number(found[1])], "MPP")
        if found := _MAGNIFICATION.search(text):
            return _of_magnification(_number(found[1]))
        return _of_tags(page, text)
    except (ElementTree.ParseError, KeyError, TypeError, ValueError, OverflowError,
            ZeroDivisionError):  # fmt: skip  # not stated
        return Scale()


def _number(text: str) -> float:
    return float(text.replace(",", "."))


def _of_magnification(magnification: float) -> Scale:
    mpp = BY_CUSTOM / magnification
    if not MPP_RANGE[0] <= mpp <= MPP_RANGE[1]:
        return Scale()
    return Scale(mpp, f"the file states {magnification:g}x and no mpp: taken as {mpp:g} by custom")


def _of_tags(page: Any, text: str) -> Scale:
    """Read the resolution tags, in ImageJ's unit where its description names one."""
    named = _IMAGEJ_UNIT.search(text) if text.startswith("ImageJ=") else None
    unit = micrometres(named[1]) if named else None
    said = "ImageJ's unit"
    if unit is None:
        unit = _TAG_UNITS[int(getattr(page, "resolutionunit", 0) or 0)]
        said = "the resolution tags"
    tags = [page.tags[name].value for name in ("XResolution", "YResolution")]
    return scale_of([unit * below / above for above, below in tags], said)


def _of_ome(xml: str) -> Scale:
    """Read the size of a pixel of the first image; one side stands for both."""
    if len(xml) > MAX_XML or "<!ENTITY" in xml:
        return Scale(None, "its OME-XML is not read: it is too long, or defines entities")
    for element in ElementTree.fromstring(xml).iter():
        if element.tag.rpartition("}")[2] != "Pixels":
            continue
        sides = [
            _number(element.attrib[f"PhysicalSize{axis}"])
            * (micrometres(element.get(f"PhysicalSize{axis}Unit", "µm")) or 0.0)
            for axis in "XY"
            if f"PhysicalSize{axis}" in element.attrib
        ]
        return scale_of(sides, "OME-XML") if sides else Scale()
    return Scale()
