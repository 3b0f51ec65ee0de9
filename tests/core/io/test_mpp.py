"""Micrometres per pixel: read where a file states them, and believed only if plausible."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_hovernet.core.io.open import dpi_mpp, tiff_mpp

OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><Pixels {}/></Image>'
    "</OME>"
)


@pytest.mark.parametrize(
    ("dpi", "mpp"),
    [
        ((101_600, 101_600), 0.25),
        ((50_800, 50_801), 0.5),
        ((101_600, 50_800), None),
        ((96, 96), None),
        ((0, 101_600), None),
        (None, None),
    ],
)
def test_pixels_per_inch(dpi: tuple[float, float] | None, mpp: float | None) -> None:
    assert dpi_mpp(dpi) == (None if mpp is None else pytest.approx(mpp, rel=1e-3))


def found(path: Path, **keywords: Any) -> float | None:
    image = np.zeros((16, 16, 3), np.uint8)
    tifffile.imwrite(path, image, photometric="rgb", metadata=None, **keywords)
    with tifffile.TiffFile(path) as file:
        return tiff_mpp(file.pages.first)


@pytest.mark.parametrize(
    ("keywords", "mpp"),
    [
        ({"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}, 0.25),
        ({"resolution": (101_600, 101_600), "resolutionunit": "INCH"}, 0.25),
        ({"resolution": (40_000, 40_000), "resolutionunit": "NONE"}, None),
        ({"resolution": (300, 300), "resolutionunit": "INCH"}, None),
        ({"description": "Aperio Image|AppMag = 20|MPP = 0.4990"}, 0.499),
        ({"description": "Aperio Image|MPP = e"}, None),
        ({}, None),
    ],
)
def test_tags_and_aperio(tmp_path: Path, keywords: dict[str, Any], mpp: float | None) -> None:
    assert found(tmp_path / "i.tif", **keywords) == (None if mpp is None else pytest.approx(mpp))


@pytest.mark.parametrize(
    ("pixels", "mpp"),
    [
        ('PhysicalSizeX="0.25" PhysicalSizeY="0.25"', 0.25),
        ('PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.25"', 0.25),
        ('PhysicalSizeX="0.25"', None),
        ('PhysicalSizeX="0.25" PhysicalSizeXUnit="pixel" PhysicalSizeY="0.25"', None),
        ('PhysicalSizeX="0.25" PhysicalSizeY="0.5"', None),
    ],
)
def test_ome_xml_goes_before_the_tags(tmp_path: Path, pixels: str, mpp: float | None) -> None:
    got = found(
        tmp_path / "i.ome.tif",
        description=OME.format(pixels),
        resolution=(10_000, 10_000),
        resolutionunit="CENTIMETER",
    )
    assert got == (None if mpp is None else pytest.approx(mpp))
