from __future__ import annotations

import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hovernet.core.io import open as module
from napari_hovernet.core.io.open import read_image
from napari_hovernet.errors import InputError

RGB = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


def whole(path: Path) -> np.ndarray:
    source = read_image(path).source
    return source.read(0, source.shape[0], 0, source.shape[1])


@pytest.mark.parametrize("shape", [(70, 90), (70, 90, 3), (70, 90, 4)])
def test_reads_png_of_any_colours(tmp_path: Path, shape: tuple[int, ...]) -> None:
    pixels = np.resize(RGB, shape)
    if shape[2:] == (4,):
        pixels[..., 3] = 255
    Image.fromarray(pixels).save(tmp_path / "a.png")
    expected = np.repeat(pixels[..., None], 3, 2) if pixels.ndim == 2 else pixels[..., :3]
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), expected)


def test_palette_png_becomes_rgb(tmp_path: Path) -> None:
    image = Image.fromarray(RGB).quantize(16)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), np.asarray(image.convert("RGB")))


def test_deep_png_keeps_its_depth_and_order_of_colours(tmp_path: Path) -> None:
    deep = RGB.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., ::-1])
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), RGB)


def test_jpeg_is_read_as_stored_and_says_so(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.jpg", quality=95, exif=exif)
    source = read_image(tmp_path / "a.jpg").source
    assert source.shape == (70, 90)
    assert any("orientation 6" in note for note in source.notes)


@pytest.mark.parametrize("dpi, mpp", [(101_600, 0.25), (72, None), (300, None), (25_400, 1.0)])
def test_mpp_of_png_is_believed_only_if_a_microscope_gives_it(
    tmp_path: Path, dpi: int, mpp: float | None
) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png", dpi=(dpi, dpi))
    found = read_image(tmp_path / "a.png").mpp
    assert found == (pytest.approx(mpp, rel=1e-3) if mpp else None)


@pytest.mark.parametrize("compression", [None, "zlib", "jpeg"])
@pytest.mark.parametrize("tile", [None, (32, 48)])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_reads_strips_and_tiles(
    tmp_path: Path, compression: str | None, tile: tuple[int, int] | None, bigtiff: bool
) -> None:
    path = tmp_path / "a.tif"
    keywords = {"rowsperstrip": 16} if tile is None else {"tile": tile}
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as file:
        file.write(RGB, photometric="rgb", compression=compression, **keywords)
    expected = tifffile.imread(path)
    source = read_image(path).source
    np.testing.assert_array_equal(source.read(0, 70, 0, 90), expected)
    np.testing.assert_array_equal(source.read(13, 57, 31, 90), expected[13:57, 31:90])


@pytest.mark.parametrize("planar", ["contig", "separate"])
def test_reads_separate_planes_of_colour(tmp_path: Path, planar: str) -> None:
    data = RGB if planar == "contig" else np.moveaxis(RGB, 2, 0)
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb", planarconfig=planar)
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), RGB)


def test_reads_colours_in_pages_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path, np.moveaxis(RGB, 2, 0), photometric="minisblack", metadata={"axes": "CYX"}
    )
    np.testing.assert_array_equal(whole(path), RGB)
    assert read_image(path).name == "a"


def test_white_is_zero_is_turned(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", 255 - RGB[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(whole(tmp_path / "a.tif")[..., 1], RGB[..., 0])


def test_palette_tiff_becomes_rgb(tmp_path: Path) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", RGB[..., 0], photometric="palette", colormap=colours << 8)
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), colours.T[RGB[..., 0]])


def test_pyramid_gives_its_finest_level_and_decodes_only_what_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    big = np.tile(RGB, (8, 8, 1))
    with tifffile.TiffWriter(path) as file:
        file.write(big, tile=(64, 64), subifds=1, photometric="rgb")
        file.write(big[::2, ::2], tile=(64, 64), subfiletype=1, photometric="rgb")
    source = read_image(path).source
    assert source.shape == big.shape[:2]
    decoded: list[int] = []
    decode = module.open_tiff.__globals__["PagesArray"]._decode

    def counting(self: object, file: object, page: object, index: int) -> object:
        decoded.append(index)
        return decode(self, file, page, index)

    monkeypatch.setattr(module.open_tiff.__globals__["PagesArray"], "_decode", counting)
    np.testing.assert_array_equal(source.read(70, 140, 65, 70), big[70:140, 65:70])
    assert decoded == [13, 25]
    source.read(70, 140, 65, 70)
    assert decoded == [13, 25]


@pytest.mark.parametrize(
    "keywords, mpp",
    [
        ({"resolution": (40_000, 40_000), "resolutionunit": "CENTIMETER"}, 0.25),
        ({"resolution": (50_800, 50_800), "resolutionunit": "INCH"}, 0.5),
        ({"resolution": (72, 72), "resolutionunit": "INCH"}, None),
        ({"resolution": (40_000, 20_000), "resolutionunit": "CENTIMETER"}, None),
        ({"description": "Aperio v1|AppMag = 40|MPP = 0.2520", "metadata": None}, 0.252),
        (
            {"ome": True, "metadata": {"axes": "YXS", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.2}},
            0.2,
        ),
        (
            {"ome": True, "metadata": {"axes": "YXS", "PhysicalSizeX": 230, "PhysicalSizeY": 230,
             "PhysicalSizeXUnit": "nm", "PhysicalSizeYUnit": "nm"}},
            0.23,
        ),
        ({"ome": True, "metadata": {"axes": "YXS"}}, None),
    ],
)  # fmt: skip
def test_mpp_of_tiff(tmp_path: Path, keywords: dict[str, object], mpp: float | None) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb", **keywords)
    assert read_image(tmp_path / "a.tif").mpp == (pytest.approx(mpp, rel=1e-3) if mpp else None)


def test_stack_is_refused_with_its_axes(tmp_path: Path) -> None:
    stack = np.zeros((5, 20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    with pytest.raises(InputError, match=r"a\.tif is a stack .*ZYX"):
        read_image(tmp_path / "a.tif")


def test_five_channels_are_refused_with_the_file_name(tmp_path: Path) -> None:
    five = np.zeros((20, 30, 5), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", five, photometric="minisblack", planarconfig="contig")
    with pytest.raises(InputError, match=r"a\.tif: .*5 channels"):
        read_image(tmp_path / "a.tif")


def test_nan_is_refused_with_its_count(tmp_path: Path) -> None:
    data = np.zeros((20, 30, 3), np.float32)
    data[3, 4] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb")
    with pytest.raises(InputError, match=r"a\.tif: 3 of 1800 values"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_truncated_picture_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.tile(RGB, (4, 4, 1))).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(InputError, match=f"a.{suffix} is damaged or cut off"):
        read_image(path)


def test_truncated_deep_png_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), RGB.astype(np.uint16) * 257)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="damaged or cut off"):
        read_image(path)


def test_truncated_tiff_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", compression="zlib", tile=(32, 32))
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    with pytest.raises(InputError, match=r"a\.tif"):
        whole(path)
    path.write_bytes(data[:9])
    with pytest.raises(InputError, match="cannot be read as TIFF"):
        read_image(path)


def test_bomb_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (900_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    with pytest.raises(InputError, match="claims 900000 x 900000 px"):
        read_image(path)


def test_large_png_needs_no_global_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = 100
    try:
        Image.fromarray(RGB).save(path)
        np.testing.assert_array_equal(whole(path), RGB)
        assert Image.MAX_IMAGE_PIXELS == 100
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def test_what_is_no_image_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("not a picture at all, though it says so")
    with pytest.raises(InputError, match=r"a\.png is no PNG, JPEG or TIFF"):
        read_image(tmp_path / "a.png")
    (tmp_path / "b.png").touch()
    with pytest.raises(InputError, match="empty"):
        read_image(tmp_path / "b.png")
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(InputError, match="not there"):
        read_image(tmp_path / "c.png")


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", RGB, photometric="rgb")
    source = read_image(tmp_path / "a.tif").source
    (tmp_path / "a.tif").unlink()
    with pytest.raises(InputError, match=r"a\.tif cannot be read"):
        source.read(0, 5, 0, 5)
