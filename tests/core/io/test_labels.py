"""Label images out of every kind of file, and what is refused in clear words."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import io as scipy_io

from napari_hovernet.core.io import hover_net as hovernet_mat
from napari_hovernet.core.io import labels as label_tiff
from napari_hovernet.core.io.geojson import write_geojson
from napari_hovernet.core.io.hover_net import read_hovernet_mat, write_hovernet_mat
from napari_hovernet.core.io.labels import read_label_tiff, write_label_tiff
from napari_hovernet.core.io.open import read_labels
from napari_hovernet.core.types import Int32
from napari_hovernet.errors import OutputError

from ...refusals import refuses


def test_a_label_tiff_there_and_back_large_ones_tiled(tmp_path, labels, monkeypatch) -> None:
    write_label_tiff(tmp_path / "l.tif", labels, metadata={"seconds": 1.5, "name": "µ"})
    back = read_label_tiff(tmp_path / "l.tif")
    assert np.array_equal(back.labels, labels) and back.metadata == {"seconds": 1.5, "name": "µ"}
    write_label_tiff(tmp_path / "l.tif", labels, metadata={"shape": [1, 2]})
    assert np.array_equal(tifffile.imread(tmp_path / "l.tif"), labels)
    assert read_label_tiff(tmp_path / "l.tif").metadata == {"shape": [1, 2]}
    write_label_tiff(tmp_path / "l.tif", labels, mpp=0.25)
    with tifffile.TiffFile(tmp_path / "l.tif") as tiff:
        tags = tiff.pages.first.tags
        over, under = tags["XResolution"].value
        assert (over / under, tags["ResolutionUnit"].value) == (pytest.approx(40_000), 3)
    for largest, dtype in ((65_535, np.uint16), (65_536, np.int32)):
        labels[0, 0] = largest
        write_label_tiff(tmp_path / "l.tif", labels)
        assert tifffile.imread(tmp_path / "l.tif").dtype == dtype
        assert read_label_tiff(tmp_path / "l.tif").ids[-1] == largest
    monkeypatch.setattr(label_tiff, "TILED_FROM", 40)
    monkeypatch.setattr(label_tiff, "TILE", 16)
    labels = np.random.default_rng(0).integers(0, 70_000, (37, 53)).astype(np.int32)
    write_label_tiff(tmp_path / "l.tif", labels)
    with tifffile.TiffFile(tmp_path / "l.tif") as tiff:
        assert tiff.pages.first.is_tiled
    assert np.array_equal(read_label_tiff(tmp_path / "l.tif").labels, labels)


def test_other_tiffs_are_read_and_what_cannot_be_says_what_to_give(tmp_path, nuclei) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.eye(3, dtype=np.uint8), description="[1]")
    back = read_label_tiff(tmp_path / "a.tif")
    assert back.ids.tolist() == [1] and back.metadata == {}
    tifffile.imwrite(tmp_path / "b.tif", np.arange(90, dtype=np.uint8).reshape(5, 6, 3))
    refuses(r"b\.tif: the image is a colour picture", read_label_tiff, tmp_path / "b.tif")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    (tmp_path / "n.mat").write_bytes(header + bytes(512))
    refuses("-v7", read_hovernet_mat, tmp_path / "n.mat")
    write_geojson(tmp_path / "a.geojson", nuclei)
    refuses(r"a\.geojson holds outlines.*shape", read_labels, tmp_path / "a.geojson")


def test_hover_net_s_mat_there_and_back(tmp_path, labels, nuclei, untyped) -> None:
    write_hovernet_mat(tmp_path / "n.mat", labels, nuclei)
    back = read_hovernet_mat(tmp_path / "n.mat")
    assert np.array_equal(back.labels, labels)
    assert np.array_equal(back.ids, nuclei.label) and np.array_equal(back.type, nuclei.type)
    assert len(back) == 6
    write_hovernet_mat(tmp_path / "n.mat", labels, nuclei)
    content = scipy_io.loadmat(tmp_path / "n.mat")
    assert content["inst_map"].dtype == np.int32
    assert content["inst_uid"].shape == content["inst_type"].shape == (6, 1)
    assert np.allclose(content["inst_centroid"], nuclei.centroid)
    write_hovernet_mat(tmp_path / "u.mat", labels, untyped)
    assert "inst_type" not in scipy_io.loadmat(tmp_path / "u.mat")


def test_ids_with_gaps_in_any_order_keep_their_type(tmp_path: Path) -> None:
    content = {
        "inst_map": np.array([[9.0, 0.0], [4.0, 4.0]]),
        "inst_uid": np.array([[12, 9, 4]]),
        "inst_type": np.array([[3], [2], [1]]),
    }
    scipy_io.savemat(tmp_path / "n.mat", content)
    back = read_hovernet_mat(tmp_path / "n.mat")
    assert (back.ids.tolist(), back.type.tolist()) == ([4, 9], [1, 2])
    assert back.notes == ("1 ids of inst_uid have no pixel in inst_map",)


MAP = np.array([[9, 0, 4], [4, 4, 0]])


@pytest.mark.parametrize(
    ("content", "types", "said"),
    [
        ({"id": [[4], [9]], "class": [[3], [1]], "bbox": np.zeros((2, 4))}, [3, 1], ""),
        ({"id": [[9], [4]], "class": [[3], [1]]}, [1, 3], ""),
        ({"inst_type": [[3], [1]]}, [3, 1], ""),
        ({"inst_type": np.arange(1, 10).reshape(-1, 1)}, [4, 9], ""),
        ({"type_map": [[2, 7, 1], [1, 0, 0]]}, [1, 2], "type_map"),
        ({"type_map": [[2, 7, 1], [1, 0, 0]], "inst_type": [[1], [2], [3]]}, [1, 2], "3 rows"),
        ({"inst_type": [[0], [0]]}, [0, 0], ""),
    ],
)
def test_types_are_found_however_a_data_set_keeps_them(tmp_path, content, types, said) -> None:
    scipy_io.savemat(tmp_path / "n.mat", {"inst_map": MAP, **content})
    found = read_hovernet_mat(tmp_path / "n.mat")
    assert (found.ids.tolist(), found.type.tolist()) == ([4, 9], types)
    assert said in " ".join(found.notes)


def test_sizes_beyond_the_format_are_refused(tmp_path, monkeypatch, labels, nuclei) -> None:
    content = {"inst_map": np.zeros((2000, 2000)), "inst_uid": [[0]]}
    scipy_io.savemat(tmp_path / "n.mat", content, do_compression=True)
    monkeypatch.setattr(hovernet_mat, "MAX_MAT_BYTES", 2**20)
    refuses("unpacks to more than", read_hovernet_mat, tmp_path / "n.mat")
    write_hovernet_mat(tmp_path / "n.mat", labels, nuclei)
    monkeypatch.setattr(hovernet_mat, "MAX_MAT_PIXELS", 100)
    refuses("claims to be", read_hovernet_mat, tmp_path / "n.mat")
    with pytest.raises(OutputError, match="use the label TIFF"):
        write_hovernet_mat(tmp_path / "m.mat", labels, nuclei)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"other": np.eye(2)}, "no inst_map, only other"),
        ({"inst_map": np.eye(2) * 0.5}, "fractions"),
        ({"inst_map": np.zeros((2, 2, 2))}, "shape"),
        ({"inst_map": np.array(["a"], object)}, "dtype"),
        ({"inst_map": np.eye(2), "inst_uid": [[5]]}, "lacks 1 of the 1 ids"),
        ({"inst_map": np.eye(2), "inst_uid": [[1]], "inst_type": [[1], [2]]}, "2 rows for 1"),
        ({"inst_map": np.eye(2), "inst_uid": [[1]], "inst_type": [[-3]]}, "inst_type runs"),
    ],
)
def test_broken_content_is_refused_by_name(tmp_path: Path, content: dict, said: str) -> None:
    scipy_io.savemat(tmp_path / "given.mat", content)
    assert "given.mat" in refuses(said, read_hovernet_mat, tmp_path / "given.mat")


@pytest.mark.parametrize("keep", [0, 1, 60, 127, 128, 140, 200, -7])
def test_a_file_cut_off_anywhere_is_refused(tmp_path, labels, nuclei, keep) -> None:
    write_hovernet_mat(tmp_path / "n.mat", labels, nuclei)
    whole = (tmp_path / "n.mat").read_bytes()
    (tmp_path / "cut.mat").write_bytes(whole[:keep])
    refuses(r"cut\.mat", read_hovernet_mat, tmp_path / "cut.mat")


def png(path: Path, values: np.ndarray) -> Path:
    assert cv2.imwrite(str(path), values)
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_png_of_both_depths(tmp_path: Path, labels: Int32, dtype: type) -> None:
    found = read_labels(png(tmp_path / "a.png", labels.astype(dtype)))
    assert found.labels.dtype == np.int32
    np.testing.assert_array_equal(found.labels, labels)
    assert found.ids.tolist() == [1, 2, 3, 4, 5, 6] and found.type.tolist() == [0] * 6
    assert not found.notes


def test_hover_net_json_keeps_its_ids_and_tells_what_lies_outside(tmp_path: Path) -> None:
    def square(at: int) -> list[list[int]]:
        return [[at, at], [at, at + 3], [at + 3, at + 3], [at + 3, at]]

    nuclei = {
        str(i): {"contour": square(at), "type": i % 3} for i, at in ((40, 8), (7, 2), (9, 90))
    }
    (tmp_path / "a.json").write_text(json.dumps({"mag": 40, "nuc": nuclei}))
    found = read_labels(tmp_path / "a.json", (20, 20))
    assert (found.ids.tolist(), found.type.tolist(), found.labels[3, 3]) == ([7, 40], [1, 1], 7)
    assert found.labels[9, 9] == 40 and "1 of 3 outlines lie outside" in found.notes[0]


def test_masks_floats_palettes_and_grey_channels_are_read_with_a_word(tmp_path, labels) -> None:
    found = read_labels(png(tmp_path / "m.png", np.eye(9, dtype=np.uint8) * 255))
    assert found.ids.tolist() == [255] and "if this is a mask" in found.notes[-1]
    tifffile.imwrite(tmp_path / "f.tif", labels.astype(np.float32))
    np.save(tmp_path / "f.npy", labels[None].astype(np.float64))
    np.testing.assert_array_equal(read_labels(tmp_path / "f.tif").labels, labels)
    found = read_labels(tmp_path / "f.npy")
    np.testing.assert_array_equal(found.labels, labels)
    assert "read as one plane" in found.notes[0]
    indexed = Image.frombytes("P", labels.shape[::-1], labels.astype(np.uint8).tobytes())
    indexed.putpalette([(37 * i) % 256 for i in range(768)])
    indexed.save(tmp_path / "p.png")
    grey = png(tmp_path / "g.png", np.dstack([labels.astype(np.uint8)] * 3))
    deep = png(tmp_path / "d.png", np.dstack([labels.astype(np.uint16)] * 3))
    for path, said in ((tmp_path / "p.png", "palette"), (grey, "3 channels"), (deep, "3 chan")):
        found = read_labels(path)
        np.testing.assert_array_equal(found.labels, labels)
        assert said in found.notes[0]


@pytest.mark.parametrize("suffix", ["npy", "tif", "mat"])
@pytest.mark.parametrize(
    ("values", "labels", "said"),
    [
        (np.array([[0, 2**31, 2**40], [5, 5, 0]]), [[0, 2, 3], [1, 1, 0]], "numbered anew"),
        (np.array([[0, 2**32 - 1], [2**32 - 1, 7]], np.uint32), [[0, 2], [2, 1]], "4294967295"),
        (np.array([[-1, 0], [4, -2]]), [[0, 0], [4, 0]], "2 pixels of negative ids (-2, -1)"),
        (np.array([[2.0**31, 1]]), [[2, 1]], "numbered anew"),
        (np.array([[-1, 2**33]]), [[0, 1]], "negative"),
    ],
)
def test_ids_beyond_bounds_are_numbered_anew_and_negative_ones_kept_apart(
    tmp_path: Path, suffix: str, values: np.ndarray, labels: list[list[int]], said: str
) -> None:
    path = tmp_path / f"x.{suffix}"
    if suffix == "npy":
        np.save(path, values)
    elif suffix == "tif":
        tifffile.imwrite(path, values)
    else:
        scipy_io.savemat(path, {"inst_map": values})
    found = read_labels(path)
    assert found.labels.tolist() == labels and said in " ".join(found.notes)


def cut_off(path: Path) -> None:
    png(path, np.random.default_rng(0).integers(0, 9, (64, 64), np.uint8))
    path.write_bytes(path.read_bytes()[:400])


def false_size(path: Path) -> None:
    """A header that claims 10**10 numbers before four of them."""
    np.save(path, np.zeros((2, 2), np.int32))
    text = path.read_bytes().replace(b"(2, 2)", b"(100000, 100000)")
    path.write_bytes(text.replace(b"          \n", b"\n", 1))


def twice_the_same_id(path: Path) -> None:
    square = {"contour": [[1, 1], [1, 4], [4, 4], [4, 1]]}
    path.write_text(json.dumps({"nuc": {"1": square, "01": square}}))


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        (
            "x.png",
            lambda path: png(path, np.random.default_rng(0).integers(0, 9, (8, 8, 3), np.uint8)),
            "colours",
        ),
        ("x.png", cut_off, "damaged or cut off"),
        ("x.npy", lambda path: np.save(path, np.zeros((3, 4, 4), np.int32)), r"shape \(3, 4, 4\)"),
        ("x.npy", lambda path: np.save(path, np.array({"masks": 1}, object)), "Python objects"),
        ("x.npy", false_size, "damaged or cut off"),
        ("x.jpg", lambda path: png(path, np.zeros((8, 8), np.uint8)), "compression changes ids"),
        ("x.png", lambda path: None, "is not there"),
        ("x.png", Path.mkdir, "holds no mask"),
        ("x.json", twice_the_same_id, "repeat"),
    ],
)
def test_what_is_refused_names_the_file(tmp_path, name, make, said) -> None:
    make(tmp_path / name)
    said = refuses(said, read_labels, tmp_path / name, (8, 8))
    assert name in said and "\n" not in said
