"""TIFF as a lazy array: regions are what slices of the whole are, and no more is decoded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_hovernet.core.io import open as tiff
from napari_hovernet.core.io.open import PagesArray, open_tiff
from napari_hovernet.errors import InputError

IMAGE = np.random.default_rng(0).integers(0, 256, (70, 90, 3), np.uint8)
REGIONS = [(0, 70, 0, 90), (3, 4, 5, 6), (30, 66, 15, 80), (64, 70, 64, 90), (10, 10, 0, 5)]


def opened(path: Path, image: np.ndarray = IMAGE, **keywords: Any) -> PagesArray:
    tifffile.imwrite(path, image, photometric="rgb", **keywords)
    return open_tiff(path)[0]


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(
    "keywords", [{"tile": (32, 32)}, {"rowsperstrip": 9}, {"compression": "zlib", "tile": (16, 48)}]
)
def test_a_region_is_a_slice_of_the_whole(
    tmp_path: Path, keywords: dict[str, Any], region: tuple[int, int, int, int]
) -> None:
    array = opened(tmp_path / "i.tif", **keywords)
    r0, r1, c0, c1 = region
    assert np.array_equal(array[r0:r1, c0:c1], IMAGE[r0:r1, c0:c1])
    assert (array.shape, array.dtype, array.ndim) == ((70, 90, 3), np.uint8, 3)


def test_only_the_tiles_touched_are_decoded_and_each_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_the_cache_forgets_the_oldest_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = opened(tmp_path / "i.tif", tile=(32, 32))
    monkeypatch.setattr(tiff, "CACHE_BYTES", 2 * 32 * 32 * 3)
    for column in (0, 32, 64):
        _ = array[0:10, column : column + 10]
    assert list(array._cache) == [(0, 1), (0, 2)]


def test_the_file_is_free_between_reads(tmp_path: Path) -> None:
    array = opened(tmp_path / "i.tif", tile=(32, 32))
    (tmp_path / "i.tif").unlink()
    with pytest.raises(InputError, match=r"i\.tif cannot be read"):
        _ = array[0:5, 0:5]


def test_notes_and_mpp_come_with_it(tmp_path: Path) -> None:
    path = tmp_path / "i.tif"
    with tifffile.TiffWriter(path) as writer:
        options = {"photometric": "rgb", "metadata": None}
        writer.write(IMAGE, resolution=(20_000, 20_000), resolutionunit="CENTIMETER", **options)
        writer.write(IMAGE[:20, :20], **options)
    array, notes, mpp = open_tiff(path)
    assert array.shape == (70, 90, 3)
    assert "2 images" in notes[0]
    assert mpp == pytest.approx(0.5)


def test_what_is_no_tiff_is_named(tmp_path: Path) -> None:
    (tmp_path / "i.tif").write_bytes(b"not a TIFF at all")
    with pytest.raises(InputError, match=r"i\.tif cannot be read as TIFF"):
        open_tiff(tmp_path / "i.tif")
