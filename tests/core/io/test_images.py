"""Images out of every kind of file, by region, with the mpp they state."""

import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hovernet.core.io.open import read_image
from napari_hovernet.core.io.tiff import PagesArray, open_tiff
from napari_hovernet.errors import InputError

from ...refusals import refuses

RGB = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)


def whole(path: Path) -> np.ndarray:
    source = read_image(path).source
    return source.read(0, source.shape[0], 0, source.shape[1])


def test_colours_of_every_kind_become_rgb(tmp_path) -> None:
    image = Image.fromarray(RGB).quantize(16)
    image.save(tmp_path / "a.png")
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), np.asarray(image.convert("RGB")))
    deep = RGB.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "a.png"), deep[..., ::-1])
    np.testing.assert_array_equal(whole(tmp_path / "a.png"), RGB)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(RGB).save(tmp_path / "a.jpg", quality=95, exif=exif)
    source = read_image(tmp_path / "a.jpg").source
    assert source.shape == (70, 90) and any("orientation 6" in note for note in source.notes)
    pixels = np.full((8, 8, 2), (127, 128), np.uint8)
    Image.fromarray(pixels, "LA").save(tmp_path / "a.png")
    assert np.abs(whole(tmp_path / "a.png").astype(int) - 191).max() <= 1
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path, np.moveaxis(RGB, 2, 0), photometric="minisblack", metadata={"axes": "CYX"}
    )
    np.testing.assert_array_equal(whole(path), RGB)
    assert read_image(path).name == "a"
    tifffile.imwrite(tmp_path / "a.tif", 255 - RGB[..., 0], photometric="miniswhite")
    np.testing.assert_array_equal(whole(tmp_path / "a.tif")[..., 1], RGB[..., 0])
    colours = np.random.default_rng(1).integers(0, 256, (3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", RGB[..., 0], photometric="palette", colormap=colours << 8)
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), colours.T[RGB[..., 0]])


def test_what_is_no_image_is_named(tmp_path) -> None:
    stack = np.zeros((5, 20, 30), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", metadata={"axes": "ZYX"})
    refuses(r"a\.tif is a stack .*ZYX", read_image, tmp_path / "a.tif")
    five = np.zeros((20, 30, 5), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", five, photometric="minisblack", planarconfig="contig")
    refuses(r"a\.tif: .*5 channels", read_image, tmp_path / "a.tif")
    data = np.zeros((20, 30, 3), np.float32)
    data[3, 4] = np.nan
    tifffile.imwrite(tmp_path / "a.tif", data, photometric="rgb")
    refuses(r"a\.tif: 3 of 1800 values", read_image, tmp_path / "a.tif")
    (tmp_path / "a.png").write_text("not a picture at all, though it says so")
    refuses(r"a\.png is no PNG, JPEG or TIFF", read_image, tmp_path / "a.png")
    (tmp_path / "b.png").touch()
    refuses("empty", read_image, tmp_path / "b.png")
    refuses("is a folder", read_image, tmp_path)
    refuses("not there", read_image, tmp_path / "c.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.95])
def test_truncated_picture_is_refused(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.tile(RGB, (4, 4, 1))).save(path)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    refuses(f"a.{suffix} is damaged or cut off", read_image, path)


def test_truncated_tiffs_and_bombs_are_refused(tmp_path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, RGB, photometric="rgb", compression="zlib", tile=(32, 32))
    data = path.read_bytes()
    path.write_bytes(data[:-100])
    refuses(r"a\.tif", whole, path)
    path.write_bytes(data[:9])
    refuses("damaged or cut off", read_image, path)
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    data = bytearray(path.read_bytes())
    data[16:24] = (900_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    path.write_bytes(data)
    refuses(r"6480.0 GB of memory needed", read_image, path)


WHITE_HALF = 191 * np.ones((8, 8), np.uint8)


@pytest.mark.parametrize(
    ("values", "alpha", "kind"),
    [
        (127, 128, "unassalpha"),
        (64, 128, "assocalpha"),  # 127 times 128 / 255
    ],
)
@pytest.mark.parametrize("samples", [1, 3])
def test_alpha_is_laid_on_white_once(tmp_path, values, alpha, kind, samples) -> None:
    pixels = np.full((8, 8, samples + 1), values, np.uint8)
    pixels[..., -1] = alpha
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, photometric="rgb" if samples == 3 else "minisblack",
        planarconfig="contig", extrasamples=[kind],
    )  # fmt: skip
    found = whole(tmp_path / "a.tif")
    assert found.shape == (8, 8, 3) and np.abs(found.astype(int) - WHITE_HALF[..., None]).max() <= 1


def test_the_image_of_a_file_is_the_largest_and_not_its_first(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(RGB[:9, :9], photometric="rgb", metadata=None)
        writer.write(RGB, photometric="rgb", metadata=None)
    np.testing.assert_array_equal(whole(tmp_path / "a.tif"), RGB)


@pytest.mark.parametrize("chunk", [b"tEXt", b"zTXt", b"iCCP", b"pHYs", b"tRNS", b"PLTE", b"gAMA"])
@pytest.mark.parametrize("content", [b"", b"a", b"a" * 9, b"k\0\0" + zlib.compress(bytes(2**23))])
def test_broken_chunks_of_a_png_are_passed_over_or_named(tmp_path, chunk, content) -> None:
    Image.fromarray(RGB).save(tmp_path / "a.png")
    data = (tmp_path / "a.png").read_bytes()
    body = chunk + content
    broken = len(content).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")
    (tmp_path / "a.png").write_bytes(data[:33] + broken + data[33:])
    try:
        assert whole(tmp_path / "a.png").shape == (70, 90, 3)
    except InputError as error:
        assert "a.png" in str(error)


REGIONS = [(0, 70, 0, 90), (3, 4, 5, 6), (30, 66, 15, 80), (64, 70, 64, 90), (10, 10, 0, 5)]


def opened(path: Path, image: np.ndarray = RGB, **keywords: Any) -> PagesArray:
    tifffile.imwrite(path, image, photometric="rgb", **keywords)
    return open_tiff(path)[0]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(
    "keywords", [{"tile": (32, 32)}, {"rowsperstrip": 9}, {"compression": "zlib", "tile": (16, 48)}]
)
def test_a_region_is_a_slice_of_the_whole(tmp_path, keywords, region) -> None:
    array = opened(tmp_path / "i.tif", **keywords)
    r0, r1, c0, c1 = region
    assert np.array_equal(array[r0:r1, c0:c1], RGB[r0:r1, c0:c1])
    assert (array.shape, array.dtype, array.ndim) == ((70, 90, 3), np.uint8, 3)


def test_only_the_tiles_touched_are_decoded_and_each_once(tmp_path, monkeypatch) -> None:
    array = opened(tmp_path / "i.tif", tile=(32, 32))
    decoded: list[int] = []
    decode = PagesArray._decode

    def noting(self: PagesArray, file: Any, page: Any, index: int) -> Any:
        decoded.append(index)
        return decode(self, file, page, index)

    monkeypatch.setattr(PagesArray, "_decode", noting)
    _ = array[0:40, 0:20]
    assert decoded == [0, 3]
    _ = array[0:40, 0:40]
    assert decoded == [0, 3, 1, 4]
