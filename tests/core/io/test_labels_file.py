"""Labels out of every kind of file, and what is refused in clear words."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hovernet.core.io.geojson import write_geojson
from napari_hovernet.core.io.hover_net import write_hovernet_json, write_hovernet_mat
from napari_hovernet.core.io.labels import write_label_tiff
from napari_hovernet.core.io.open import read_labels
from napari_hovernet.core.types import Int32, Nuclei
from napari_hovernet.errors import InputError


def png(path: Path, values: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), values)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_png_of_both_depths(tmp_path: Path, labels: Int32, dtype: type) -> None:
    found = read_labels(png(tmp_path / "a.png", labels.astype(dtype)))
    assert found.labels.dtype == np.int32
    np.testing.assert_array_equal(found.labels, labels)
    assert found.ids.tolist() == [1, 2, 3, 4, 5, 6]
    assert found.type.tolist() == [0] * 6
    assert not found.notes


def test_ids_beyond_8_bits_and_with_gaps_stay(tmp_path: Path) -> None:
    values = np.zeros((6, 8), np.uint16)
    values[1:3, 1:3], values[4:, 4:] = 700, 65_535
    assert read_labels(png(tmp_path / "a.png", values)).ids.tolist() == [700, 65_535]


def test_tiff_npy_and_mat(tmp_path: Path, labels: Int32, nuclei: Nuclei) -> None:
    write_label_tiff(tmp_path / "a.tif", labels, metadata={"n": 6})
    np.save(tmp_path / "b.npy", labels.astype(np.int64))
    write_hovernet_mat(tmp_path / "c.mat", labels, nuclei)
    for name in ("a.tif", "b.npy", "c.mat"):
        np.testing.assert_array_equal(read_labels(tmp_path / name).labels, labels, err_msg=name)
    assert read_labels(tmp_path / "c.mat").type.tolist() == nuclei.type.tolist()
    assert read_labels(tmp_path / "a.tif").metadata == {"n": 6}


def test_the_content_decides_and_not_the_name(tmp_path: Path, labels: Int32) -> None:
    np.save(tmp_path / "a.npy", labels)
    (tmp_path / "a.npy").rename(tmp_path / "a.png")
    np.testing.assert_array_equal(read_labels(tmp_path / "a.png").labels, labels)


def test_outlines_are_drawn_into_the_image(tmp_path: Path, labels: Int32, nuclei: Nuclei) -> None:
    write_hovernet_json(tmp_path / "a.json", nuclei)
    write_geojson(tmp_path / "b.geojson", nuclei)
    (tmp_path / "c.json").write_bytes((tmp_path / "b.geojson").read_bytes())
    for name in ("a.json", "b.geojson", "c.json"):
        found = read_labels(tmp_path / name, labels.shape)
        np.testing.assert_array_equal(found.labels, labels, err_msg=name)
        assert found.type.tolist() == nuclei.type.tolist()


def test_hover_net_json_keeps_its_ids_and_tells_what_lies_outside(tmp_path: Path) -> None:
    def square(at: int) -> list[list[int]]:
        return [[at, at], [at, at + 3], [at + 3, at + 3], [at + 3, at]]

    nuclei = {
        str(i): {"contour": square(at), "type": i % 3} for i, at in ((40, 8), (7, 2), (9, 90))
    }
    (tmp_path / "a.json").write_text(json.dumps({"mag": 40, "nuc": nuclei}))
    found = read_labels(tmp_path / "a.json", (20, 20))
    assert found.ids.tolist() == [7, 40]
    assert found.type.tolist() == [1, 1]
    assert found.labels[3, 3] == 7
    assert found.labels[9, 9] == 40
    assert "1 of 3 outlines lie outside" in found.notes[0]


def test_a_palette_is_ignored_and_grey_in_three_channels_is_read(
    tmp_path: Path, labels: Int32
) -> None:
    indexed = Image.frombytes("P", labels.shape[::-1], labels.astype(np.uint8).tobytes())
    indexed.putpalette([(37 * i) % 256 for i in range(768)])
    indexed.save(tmp_path / "p.png")
    grey = png(tmp_path / "g.png", np.dstack([labels.astype(np.uint8)] * 3))
    deep = png(tmp_path / "d.png", np.dstack([labels.astype(np.uint16)] * 3))
    for path, said in ((tmp_path / "p.png", "palette"), (grey, "3 channels"), (deep, "3 chan")):
        found = read_labels(path)
        np.testing.assert_array_equal(found.labels, labels)
        assert said in found.notes[0]


def test_a_mask_is_read_with_a_word_about_it(tmp_path: Path) -> None:
    found = read_labels(png(tmp_path / "m.png", np.eye(9, dtype=np.uint8) * 255))
    assert found.ids.tolist() == [255]
    assert "if this is a mask" in found.notes[-1]


def test_no_nucleus_is_fine(tmp_path: Path) -> None:
    found = read_labels(png(tmp_path / "m.png", np.zeros((4, 5), np.uint8)))
    assert len(found) == 0
    assert found.labels.shape == (4, 5)


def test_whole_numbers_may_be_stored_as_floats(tmp_path: Path, labels: Int32) -> None:
    tifffile.imwrite(tmp_path / "f.tif", labels.astype(np.float32))
    np.save(tmp_path / "f.npy", labels[None].astype(np.float64))
    np.testing.assert_array_equal(read_labels(tmp_path / "f.tif").labels, labels)
    found = read_labels(tmp_path / "f.npy")
    np.testing.assert_array_equal(found.labels, labels)
    assert "read as one plane" in found.notes[0]


# --- bad input -----------------------------------------------------------------------


def colours(folder: Path) -> Path:
    return png(folder / "x.png", np.random.default_rng(0).integers(0, 9, (8, 8, 3), np.uint8))


def colour_tiff(folder: Path) -> Path:
    tifffile.imwrite(folder / "x.tif", np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    return folder / "x.tif"


def cut_off(folder: Path) -> Path:
    path = png(folder / "x.png", np.random.default_rng(0).integers(0, 9, (64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:400])
    return path


def cut_off_deep(folder: Path) -> Path:
    path = png(folder / "x.png", np.random.default_rng(0).integers(0, 999, (64, 64), np.uint16))
    path.write_bytes(path.read_bytes()[:400])
    return path


def fractions(folder: Path) -> Path:
    np.save(folder / "x.npy", np.full((4, 4), 0.5))
    return folder / "x.npy"


def not_a_number(folder: Path) -> Path:
    np.save(folder / "x.npy", np.full((4, 4), np.nan, np.float32))
    return folder / "x.npy"


def negative(folder: Path) -> Path:
    np.save(folder / "x.npy", np.full((4, 4), -1))
    return folder / "x.npy"


def stack(folder: Path) -> Path:
    np.save(folder / "x.npy", np.zeros((3, 4, 4), np.int32))
    return folder / "x.npy"


def objects(folder: Path) -> Path:
    np.save(folder / "x.npy", np.array({"masks": 1}, object), allow_pickle=True)
    return folder / "x.npy"


def false_size(folder: Path) -> Path:
    """A header that claims 10**10 numbers before four of them."""
    written = io.BytesIO()
    np.save(written, np.zeros((2, 2), np.int32))
    text = written.getvalue().replace(b"(2, 2)", b"(100000, 100000)")
    (folder / "x.npy").write_bytes(text.replace(b"          \n", b"\n", 1))
    return folder / "x.npy"


def archive(folder: Path) -> Path:
    np.savez(folder / "x.npz", labels=np.zeros((4, 4), np.int32))
    return folder / "x.npz"


def jpeg(folder: Path) -> Path:
    return png(folder / "x.jpg", np.zeros((8, 8), np.uint8))


def text_file(folder: Path) -> Path:
    (folder / "x.png").write_text("no labels here")
    return folder / "x.png"


def empty_file(folder: Path) -> Path:
    (folder / "x.png").touch()
    return folder / "x.png"


def missing(folder: Path) -> Path:
    return folder / "x.png"


def a_folder(folder: Path) -> Path:
    (folder / "x.png").mkdir()
    return folder / "x.png"


def twice_the_same_id(folder: Path) -> Path:
    square = [[1, 1], [1, 4], [4, 4], [4, 1]]
    text = json.dumps({"nuc": {"1": {"contour": square}, "01": {"contour": square}}})
    (folder / "x.json").write_text(text)
    return folder / "x.json"


def other_json(folder: Path) -> Path:
    (folder / "x.json").write_text('{"a": 1}')
    return folder / "x.json"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (colours, "colours are no ids"),
        (colour_tiff, "not colours and not a stack"),
        (cut_off, "damaged or cut off"),
        (cut_off_deep, "damaged or cut off"),
        (fractions, "holds fractions"),
        (not_a_number, "runs from nan"),
        (negative, "runs from -1"),
        (stack, r"shape \(3, 4, 4\)"),
        (objects, "Python objects"),
        (false_size, "damaged or cut off"),
        (archive, "archive of arrays"),
        (jpeg, "compression changes ids"),
        (text_file, "no label file that is known"),
        (empty_file, "0 bytes"),
        (missing, "is not there"),
        (a_folder, "is a folder"),
        (twice_the_same_id, "repeat"),
        (other_json, "lacks 'type'"),
    ],
)
def test_what_is_refused_names_the_file(
    tmp_path: Path, make: Callable[[Path], Path], said: str
) -> None:
    path = make(tmp_path)
    with pytest.raises(InputError, match=said) as refused:
        read_labels(path, (8, 8))
    assert path.name in str(refused.value)
    assert "\n" not in str(refused.value)


def test_outlines_without_a_size_are_refused(tmp_path: Path, nuclei: Nuclei) -> None:
    write_geojson(tmp_path / "a.geojson", nuclei)
    with pytest.raises(InputError, match=r"a\.geojson holds outlines.*shape"):
        read_labels(tmp_path / "a.geojson")


def test_the_label_files_of_the_data_are_read_as_they_are(shared: Path) -> None:
    path = shared / "data" / "val" / "dsb18_1d02c4b592_lab.png"
    expected = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    found = read_labels(path)
    np.testing.assert_array_equal(found.labels, expected)
    assert len(found) == 17
