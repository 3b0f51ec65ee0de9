"""Slides of every kind give the same pixels, and say what they are."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hovernet.core.slides.mask import find_tissue, save_mask, tissue_cells
from napari_hovernet.core.slides.params import OFF
from napari_hovernet.core.slides.source import open_slide
from napari_hovernet.errors import InputError

from ...refusals import refuses
from .copies import KINDS, copy_as, ome_zarr
from .drawn import MPP, SHAPE, write_slide

BOX = (100, 317, 250, 433)


def crop(image: np.ndarray) -> np.ndarray:
    return image[BOX[0] : BOX[1], BOX[2] : BOX[3]]


@pytest.mark.parametrize("kind", KINDS)
def test_copies_of_one_image_give_the_same(kind: str, image: np.ndarray, tmp_path: Path) -> None:
    path = copy_as(kind, tmp_path, image)
    source = pickle.loads(pickle.dumps(open_slide(path)))
    assert (source.shape, source.mpp, source.name) == (SHAPE, pytest.approx(MPP), "a")
    assert source.notes == ()
    np.testing.assert_array_equal(source.read(*BOX), crop(image))
    assert source.overview(8).shape == (70, 88, 3)
    if kind in ("ome-tiff", "zarr 0.4", "zarr 0.5"):
        coarse = open_slide(path, level=1)
        assert (coarse.shape, coarse.mpp) == ((280, 350), 2 * source.mpp)


def test_what_is_assumed_about_a_slide_and_its_16_bits_is_told(image, tmp_path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        about = {"photometric": "rgb", "metadata": None}
        file.write(image, tile=(64, 64), description="AppMag = 40", **about)
        file.write(image[:64, :64], tile=(64, 64), description="another section", **about)
    several, custom = open_slide(path).notes
    assert "holds 2 images" in several
    assert "40x" in custom and "0.25" in custom
    Image.fromarray(image[..., 0]).save(tmp_path / "a.png", dpi=(101_600, 101_600))
    grey = open_slide(tmp_path / "a.png")
    assert (grey.notes, grey.mpp) == (("the image is grey: repeated to RGB",), pytest.approx(MPP))
    path = write_slide(tmp_path / "deep.tif", image.astype(np.uint16) * 257)
    source = open_slide(path)
    assert any("16-bit" in note for note in source.notes)
    np.testing.assert_array_equal(source.read(*BOX), crop(image))


def test_without_mpp_it_stops(image: np.ndarray, tmp_path: Path) -> None:
    path = write_slide(tmp_path / "a.tif", image, mpp=None)
    refuses("--image-mpp", open_slide, path)
    assert open_slide(path, mpp=0.5).mpp == 0.5
    zarr = ome_zarr(tmp_path / "b.zarr", image, "0.5", unit="pixel")
    refuses("--image-mpp", open_slide, zarr)


def test_bad_slides_are_named_and_fluorescence_refused(image, slide, tmp_path) -> None:
    refuses("not there", open_slide, tmp_path / "no.svs")
    refuses("level 7", open_slide, slide, level=7)
    cut = tmp_path / "cut.tif"
    cut.write_bytes(slide.read_bytes()[:100_000])
    refuses(r"cut\.tif", lambda: open_slide(cut, mpp=0.25).read(0, SHAPE[0], 0, SHAPE[1]))
    (tmp_path / "empty").mkdir()
    refuses("slide", open_slide, tmp_path / "empty")
    (tmp_path / "x.mrxs").write_text("no slide")
    refuses("cannot be read as a slide", open_slide, tmp_path / "x.mrxs")
    refuses("OME-Zarr", open_slide, "memory://nothing-here.zarr")
    refuses("fluorescence", lambda: tissue_cells(np.full((50, 60, 3), 4, np.uint8), 8.0))


def test_tissue_is_found_saved_and_read_back(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    picture = np.full((1200, 1600, 3), 240, np.float64)
    picture[300:900, 400:1100] = (200, 130, 180)
    picture[100:110, 1500:1510] = (90, 60, 90)  # dust
    picture = (picture + rng.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8)
    source = open_slide(write_slide(tmp_path / "a.tif", picture, mpp=2.0))
    tissue = find_tissue(source)
    assert tissue.step == 4 and tissue.cells[80:220, 110:270].all()
    assert not tissue.cells[:60].any() and not tissue.cells[:, 320:].any()
    save_mask(tmp_path / "mask.png", tissue)
    again = find_tissue(source, str(tmp_path / "mask.png"))
    np.testing.assert_array_equal(again.cells, tissue.cells)
    assert find_tissue(source, OFF).share == 1
    with pytest.raises(InputError, match="proportions"):
        save_mask(tmp_path / "other.png", type(tissue)(tissue.cells[:100], 4))
        find_tissue(source, str(tmp_path / "other.png"))


def test_a_region_drawn_in_qupath_is_taken(tmp_path: Path, slide: Path) -> None:
    ring = [[100, 50], [400, 50], [400, 300], [100, 300], [100, 50]]
    drawn = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}}
    drawn["properties"] = {}
    path = tmp_path / "region.geojson"
    path.write_text(json.dumps(drawn))
    cells = find_tissue(open_slide(slide), str(path)).cells
    assert cells[3:8, 4:11].all() and not cells[:, 14:].any()


@pytest.mark.parametrize(
    ("name", "mpp"),
    [("CMU-1-Small-Region.svs", 0.499), ("CMU-1-Small-Region-dicom", 0.499), ("dapi.ndpi", 0.2282)],
)
def test_real_slides_open(shared: Path, name: str, mpp: float) -> None:
    if not (shared / "slides" / name).exists():
        pytest.skip(f"needs {name}")
    if name.endswith("dicom"):
        pytest.importorskip("openslide")
    source = open_slide(shared / "slides" / name)
    assert (source.mpp, source.notes) == (pytest.approx(mpp, abs=1e-4), ())
    assert source.read(500, 600, 700, 900).shape == (100, 200, 3)
