"""Micrometres per pixel as microscopes, ImageJ, libraries and scanners write them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_hovernet.core.io.open import read_image

OME = (
    '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels '
    'ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="16" SizeY="16" SizeC="3" SizeZ="1" '
    'SizeT="1" {}><Channel ID="Channel:0:0" SamplesPerPixel="3"/><TiffData/></Pixels></Image></OME>'
)
CM = {"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}
NEAR = {"rel": 1e-3}


def imagej(unit: str) -> str:
    return f"ImageJ=1.53t\nunit={unit}\nloop=false\n"


@pytest.mark.parametrize(
    ("keywords", "mpp", "said"),
    [
        (CM, 0.25, ""),
        ({"resolution": (101_600, 101_600), "resolutionunit": "INCH"}, 0.25, ""),
        ({"resolution": (4_000, 4_000), "resolutionunit": 4}, 0.25, ""),
        ({"resolution": (4, 4), "resolutionunit": 5}, 0.25, ""),
        ({"resolution": (40_000, 40_000), "resolutionunit": "NONE"}, None, ""),
        ({"resolution": (300, 300), "resolutionunit": "INCH"}, None, ""),
        ({"resolution": (40_000, 20_000), "resolutionunit": 3}, None, "0.25 x 0.5"),
        ({"description": imagej("micron"), "resolution": (4, 4), "resolutionunit": 1}, 0.25, ""),
        ({"description": imagej("um"), "resolution": (2, 2), "resolutionunit": 1}, 0.5, ""),
        ({"description": imagej("\\u00B5m"), "resolution": (4, 4), "resolutionunit": 1}, 0.25, ""),
        ({"description": imagej("nm"), "resolution": (0.004, 0.004)}, 0.25, ""),
        ({"description": imagej("cm"), "resolution": (40_000, 40_000)}, 0.25, ""),
        ({"description": imagej("pixel"), "resolution": (1, 1), "resolutionunit": 1}, None, ""),
        ({"description": "Aperio Image|AppMag = 20|MPP = 0.4990"}, 0.499, ""),
        ({"description": "Aperio Image|AppMag = 20|MPP = 0,5000"}, 0.5, ""),
        ({"description": "Aperio Image|AppMag = 40|Filename = 7"}, 0.25, "40x and no mpp"),
        ({"description": "Aperio Image|MPP = e"}, None, ""),
        ({}, None, ""),
    ],
)
def test_tags_and_descriptions(tmp_path, keywords, mpp, said) -> None:
    found(tmp_path / "i.tif", mpp, said, **keywords)


@pytest.mark.parametrize(
    ("pixels", "mpp", "said"),
    [
        ('PhysicalSizeX="0.25" PhysicalSizeY="0.25"', 0.25, ""),
        ('PhysicalSizeX="250" PhysicalSizeXUnit="nm" PhysicalSizeY="0.25"', 0.25, ""),
        ('PhysicalSizeX="2500" PhysicalSizeXUnit="Å"', 0.25, ""),
        ('PhysicalSizeX="0,25" PhysicalSizeXUnit="\u03bcm"', 0.25, ""),
        ('PhysicalSizeX="0.25"', 0.25, ""),
        ('PhysicalSizeX="1" PhysicalSizeXUnit="pixel" PhysicalSizeY="0.25"', None, ""),
        ('PhysicalSizeX="0.25" PhysicalSizeY="0.5"', None, "not square"),
        ('PhysicalSizeX="nonsense"', None, ""),
    ],
)
def test_ome_xml_goes_before_the_tags(tmp_path, pixels, mpp, said) -> None:
    xml = OME.format(pixels).encode()
    found(tmp_path / "i.ome.tif", mpp, said, description=xml, **CM)


def test_a_broken_or_hostile_ome_xml_leaves_the_pixels_readable(tmp_path) -> None:
    broken = '<OME><Image><Pixels PhysicalSizeX="0.5"/></Image></OME>'
    found(tmp_path / "i.ome.tif", 0.5, "OME-XML is not read", description=broken)
    bomb = '<!DOCTYPE a [<!ENTITY a "aa">]>' + OME.format('PhysicalSizeX="&a;"')
    found(tmp_path / "i.ome.tif", None, "OME-XML is not read", description=bomb)


def found(path: Path, mpp: float | None, said: str, **keywords: Any) -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    tifffile.imwrite(path, image, photometric="rgb", metadata=None, **keywords)
    file = read_image(path)
    assert file.mpp == (None if mpp is None else pytest.approx(mpp, **NEAR))
    notes = " ".join(file.source.notes)
    assert said in notes and bool(said) == bool(notes)
