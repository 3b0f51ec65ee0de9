"""Label images as TIFF."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_hovernet.core.io import labels as label_tiff
from napari_hovernet.core.io.labels import read_label_tiff, write_label_tiff
from napari_hovernet.core.types import Int32
from napari_hovernet.errors import InputError


def test_round_trip_with_metadata(tmp_path: Path, labels: Int32) -> None:
    write_label_tiff(tmp_path / "l.tif", labels, metadata={"seconds": 1.5, "name": "µ"})
    back = read_label_tiff(tmp_path / "l.tif")
    assert np.array_equal(back.labels, labels)
    assert back.metadata == {"seconds": 1.5, "name": "µ"}


def test_metadata_that_names_a_shape_keeps_no_other_reader_out(
    tmp_path: Path, labels: Int32
) -> None:
    """tifffile takes a description with a "shape" for its own and looks for it on top."""
    write_label_tiff(tmp_path / "l.tif", labels, metadata={"shape": [1, 2]})
    assert np.array_equal(tifffile.imread(tmp_path / "l.tif"), labels)
    assert read_label_tiff(tmp_path / "l.tif").metadata == {"shape": [1, 2]}


def test_few_nuclei_take_two_bytes_many_take_four(tmp_path: Path, labels: Int32) -> None:
    for largest, dtype in ((65_535, np.uint16), (65_536, np.int32)):
        labels[0, 0] = largest
        write_label_tiff(tmp_path / "l.tif", labels)
        assert tifffile.imread(tmp_path / "l.tif").dtype == dtype
        assert read_label_tiff(tmp_path / "l.tif").ids[-1] == largest


def test_resolution_tags_tell_the_mpp(tmp_path: Path, labels: Int32) -> None:
    write_label_tiff(tmp_path / "l.tif", labels, mpp=0.25)
    with tifffile.TiffFile(tmp_path / "l.tif") as tiff:
        tags = tiff.pages.first.tags
        over, under = tags["XResolution"].value
        assert over / under == pytest.approx(40_000)
        assert tags["ResolutionUnit"].value == 3


def test_large_images_are_tiled_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(label_tiff, "TILED_FROM", 40)
    monkeypatch.setattr(label_tiff, "TILE", 16)
    labels = np.random.default_rng(0).integers(0, 70_000, (37, 53)).astype(np.int32)
    write_label_tiff(tmp_path / "l.tif", labels)
    with tifffile.TiffFile(tmp_path / "l.tif") as tiff:
        assert tiff.pages.first.is_tiled
    assert np.array_equal(read_label_tiff(tmp_path / "l.tif").labels, labels)


def test_an_empty_image_and_what_is_no_label_image_are_refused(tmp_path: Path) -> None:
    for wrong, said in ((np.zeros((0, 3)), "empty"), (np.zeros((2, 2, 3)), "shape")):
        with pytest.raises(InputError, match=said):
            write_label_tiff(tmp_path / "l.tif", wrong)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_other_tiffs_are_read_and_pictures_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.eye(3, dtype=np.uint8), description="[1]")
    back = read_label_tiff(tmp_path / "a.tif")
    assert back.ids.tolist() == [1]
    assert back.metadata == {}
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((5, 6, 3), np.uint8))
    with pytest.raises(InputError, match=r"b\.tif: the image has shape \(5, 6, 3\)"):
        read_label_tiff(tmp_path / "b.tif")


@pytest.mark.parametrize("keep", [0, 4, 20, 150])
def test_a_file_cut_off_is_refused(tmp_path: Path, labels: Int32, keep: int) -> None:
    write_label_tiff(tmp_path / "l.tif", labels)
    (tmp_path / "l.tif").write_bytes((tmp_path / "l.tif").read_bytes()[:keep])
    with pytest.raises(InputError, match=r"l\.tif"):
        read_label_tiff(tmp_path / "l.tif")


def test_a_missing_file_and_absurd_sizes_are_refused(
    tmp_path: Path, labels: Int32, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_label_tiff(tmp_path / "none.tif")
    write_label_tiff(tmp_path / "l.tif", labels)
    monkeypatch.setattr(label_tiff, "MAX_READ_PIXELS", 10)
    with pytest.raises(InputError, match="claims to be"):
        read_label_tiff(tmp_path / "l.tif")
