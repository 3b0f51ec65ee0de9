"""Files as strangers have them: what each must give, or the word that refuses it."""

import io
import json
import pickle
import sqlite3
import struct
import zipfile
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image

from napari_hovernet.core.data.pairs import find_pairs
from napari_hovernet.core.io.open import read_image, read_labels
from napari_hovernet.errors import InputError

from ...refusals import refuses

RGB = np.random.default_rng(0).integers(0, 255, (40, 60, 3)).astype(np.uint8)
LABELS = np.zeros((40, 60), np.int32)
LABELS[5:15, 5:15], LABELS[20:30, 30:40] = 1, 2
TYPES = np.array([0, 3, 5])[LABELS]
Maker = Callable[[Path], Any]


def tiff(array: Any, **options: Any) -> Maker:
    return lambda path: tifffile.imwrite(path, array, **options)


def picture(mode: str, **options: Any) -> Maker:
    return lambda path: Image.fromarray(RGB).convert(mode).save(path, **options)


def twelve_bit(path: Path) -> None:
    codecs = pytest.importorskip("imagecodecs")
    path.write_bytes(codecs.jpeg_encode(RGB.astype(np.uint16) * 16, bitspersample=12))


PLANES = np.moveaxis(np.pad(RGB, ((0, 8), (0, 4), (0, 0))), 2, 0).copy()
IMAGES: dict[str, tuple[str, Maker, str | None]] = {  # file, maker, what is noted
    "big-endian": ("x.tif", tiff(RGB, byteorder=">"), None),
    "tiled planes, LZW with predictor": ("x.tif", tiff(
        PLANES, tile=(16, 16), planarconfig="separate", photometric="rgb", compression="lzw",
        predictor=True), None),
    "strips, LZW with predictor": ("x.tif", tiff(
        RGB, compression="lzw", predictor=True, rowsperstrip=7), None),
    "12 bits in 16": ("x.tif", tiff(RGB.astype(np.uint16) * 16 + 8, photometric="rgb"), "12-bit"),
    "half floats": ("x.tif", tiff((RGB / 255).astype(np.float16), photometric="rgb"), "0..1"),
    "axes of one": ("x.ome.tif", tiff(
        RGB[None, None], metadata={"axes": "TZYXS"}, photometric="rgb"), None),
    "turned": ("x.tif", tiff(RGB, extratags=[(274, "H", 1, 6, True)]), "orientation 6"),
    "PNG named otherwise": ("x.jpg", picture("RGB", format="PNG"), None),
    "animated": ("x.png", picture("RGB", save_all=True,
                                  append_images=[Image.fromarray(RGB)]), None),
    "name of many alphabets": ("50% größe #1 ?& a%20b 肝.png", picture("RGB"), None),
}  # fmt: skip


@pytest.mark.parametrize("case", IMAGES)
def test_images_are_read_pixel_by_pixel(tmp_path: Path, case: str) -> None:
    name, make, noted = IMAGES[case]
    make(tmp_path / name)
    source = read_image(tmp_path / name).source
    height, width = source.shape
    assert (source.read(0, height, 0, width)[:40, :60] == RGB).all()
    assert noted is None or noted in " ".join(source.notes)


def scans(path: Path) -> None:
    """A picture of a few kB that is gone over 500 times; a large one would take hours."""
    Image.fromarray(RGB).save(path, "JPEG", progressive=True)
    data = path.read_bytes()
    last = data.rindex(b"\xff\xda")
    path.write_bytes(data[:-2] + data[last:-2] * 500 + data[-2:])


def scans_in_a_tiff(path: Path) -> None:
    scans(path)
    data = path.read_bytes()
    tifffile.imwrite(path, iter([data]), shape=(40, 60, 3), dtype=np.uint8, photometric="ycbcr",
                     compression="jpeg", rowsperstrip=40)  # fmt: skip


NO_IMAGES: dict[str, tuple[str, Maker, str]] = {
    "CMYK": ("x.tif", picture("CMYK"), "CMYK colours; convert"),
    "CIELAB": ("x.tif", tiff(RGB, photometric="cielab"), "CIELAB colours; convert"),
    "hundreds of scans": ("x.jpg", scans, "scans, up to 100 are read"),
    "12-bit JPEG": ("x.jpg", twelve_bit, "12-bit and lossless JPEG are not"),
    "BMP": ("x.bmp", picture("RGB"), "no PNG, JPEG or TIFF"),
    "link to itself": ("x.png", lambda path: path.symlink_to(path.name), "cannot be read"),
    "link to nothing": ("x.png", lambda path: path.symlink_to("gone.png"), "not there"),
    "two channels": ("x.ome.tif", tiff(PLANES[:2], metadata={"axes": "CYX"},
                                       photometric="minisblack"), "2 channels"),
    "negative": ("x.tif", tiff(RGB.astype(np.int16) - 100, photometric="rgb"), "down to -100"),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_IMAGES)
def test_what_would_look_otherwise_is_refused(tmp_path: Path, case: str) -> None:
    name, make, why = NO_IMAGES[case]
    make(tmp_path / name)
    refuses(why, read_image, tmp_path / name)


def npy(array: Any) -> Maker:
    return lambda path: np.save(path, array, allow_pickle=True)


def masks(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as file:
        made = io.BytesIO()
        Image.fromarray((LABELS == 1).astype(np.uint8)).save(made, "PNG")
        file.writestr("1.png", made.getvalue())


def palette(path: Path) -> None:
    made = Image.new("P", (60, 40))
    made.putdata(LABELS.ravel().tolist())
    made.putpalette(list(range(255, -1, -1)) * 3)
    made.save(path)


def square(x: int, y: int, *more: Any) -> list[Any]:
    corners = ((0, 0), (10, 0), (10, 10), (0, 10), (0, 0))
    return [[x + a, y + b, *more] for a, b in corners]


def features(*rings: Any, **properties: Any) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": [
        {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]},
         "properties": properties or None} for ring in rings]}  # fmt: skip


def text(value: Any, before: bytes = b"") -> Maker:
    return lambda path: path.write_bytes(before + json.dumps(value).encode())


BOTH = features(square(5, 5), square(30, 20))
SHAPES = [{"label": "tumour", "points": square(5, 5)[:-1], "shape_type": "polygon"},
          {"label": "immune", "points": square(30, 20)[:-1]},
          {"label": "x", "points": [[1, 1], [3, 3]], "shape_type": "rectangle"}]  # fmt: skip
READ: dict[str, tuple[str, Maker, list[int]]] = {  # file, maker, types
    "palette": ("x.png", palette, [0, 0]),
    "big-endian, LZW": ("x.tif", tiff(LABELS, byteorder=">", compression="lzw", predictor=True),
                        [0, 0]),
    "huge ids": ("x.tif", tiff(np.where(LABELS, LABELS.astype(np.int64) + 2**40, 0)), [0, 0]),
    "column by column": ("x.npy", npy(np.asfortranarray(LABELS)), [0, 0]),
    "ids and types": ("x.npy", npy(np.stack([LABELS, TYPES], -1)), [3, 5]),
    "CellViT's PanNuke": ("x.npy", npy({"inst_map": LABELS, "type_map": TYPES}), [3, 5]),
    "mark at the start": ("x.geojson", text(BOTH, b"\xef\xbb\xbf"), [0, 0]),
    "heights": ("x.geojson", text(features(square(5, 5, 0), square(30, 20, 0.0))), [0, 0]),
    "class as a word": ("x.geojson", text(features(square(5, 5), square(30, 20),
                                                   classification="Tumour")), [1, 1]),
    "features in .json": ("x.json", text(BOTH["features"]), [0, 0]),
    "labelme": ("x.json", text({"version": "5", "shapes": SHAPES}), [1, 2]),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_labels_are_read_with_their_types(tmp_path: Path, case: str) -> None:
    name, make, types = READ[case]
    make(tmp_path / name)
    found = read_labels(tmp_path / name, (40, 60))
    assert (found.labels == LABELS).all() and found.type.tolist() == types


def endless_view(path: Path) -> None:
    with closing(sqlite3.connect(path)) as store:
        store.execute(
            "CREATE VIEW annotations AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL "
            "SELECT x + 1 FROM c) SELECT x geometry, x properties FROM c WHERE x < 0"
        )


REFUSED: dict[str, tuple[str, Maker, str]] = {
    "NaN": ("x.tif", tiff(np.where(LABELS, LABELS, np.nan)), "2,200 pixels that are no number"),
    "stack": ("x.tif", tiff(np.stack([LABELS, LABELS, TYPES]).astype(np.uint16),
                            photometric="minisblack"), "not a stack"),
    "JPEG inside": ("x.tif", tiff(np.tile(LABELS, (2, 2)).astype(np.uint8), compression="jpeg"),
                    "changes ids"),
    "zipped masks": ("x.zip", masks, "unpack it"),
    "a store that never ends": ("x.db", endless_view, "annotations is no table"),
    "complex": ("x.npy", npy(LABELS.astype(complex)), "whole numbers"),
    "VIA": ("x.json", text({"a.png": {"regions": []}}), "no GeoJSON, nor JSON of"),
    "one geometry": ("x.geojson", text(BOTH["features"][0]["geometry"]), "FeatureCollection"),
    "numbers as texts": ("x.geojson", text(features([["5", "5"], ["9", "5"], ["9", "9"]])),
                         "must be numbers"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_labels_that_could_be_taken_otherwise_are_refused(tmp_path: Path, case: str) -> None:
    name, make, why = REFUSED[case]
    make(tmp_path / name)
    refuses(why, read_labels, tmp_path / name, (40, 60))


def test_umlauts_as_a_mac_writes_them_are_the_same_name(tmp_path: Path) -> None:
    Image.fromarray(RGB).save(tmp_path / "gro\u0308\u00dfe.png")
    tifffile.imwrite(tmp_path / "gr\u00f6\u00dfe_mask.tif", LABELS)
    assert len(find_pairs(tmp_path)) == 1


CODES = {  # after what, where and how the two sides of a picture are written in its code
    "jpeg": ("jpeg", b"\xff\xc0", 5, ">HH"),
    "jpeg2000": ("jpeg2k", b"\xff\x4f\xff\x51", 8, ">II"),
    "png": ("png", b"IHDR", 4, ">II"),
    "lerc": ("lerc", b"Lerc2 ", 14, "<II"),
    "jpegxr": ("jpegxr", b"WMPHOTO\0", 12, ">HH"),
    "jpegxl": ("jpegxl", b"\xff\x0a", 2, ""),
}


@pytest.mark.parametrize("kind", CODES)
def test_a_tile_that_claims_to_be_far_larger_is_refused(tmp_path: Path, kind: str) -> None:
    """1 kB that says 65,500 x 65,500: the decoder would take 13 GB."""
    codecs, (name, start, more, form) = pytest.importorskip("imagecodecs"), CODES[kind]
    if not getattr(codecs, name.upper()).available:
        pytest.skip(f"imagecodecs has no {name}")
    tile = np.ascontiguousarray(RGB[:32, :32])
    whole = bytes(getattr(codecs, f"{name}_encode")(tile))
    data, at = bytearray(whole), whole.index(start) + more
    if form:
        struct.pack_into(form, data, at, 65500, 65500)
    else:  # bits, lowest first: no multiples of 8, 18 bits of the height, as wide as high
        data[at : at + 3] = (2 << 1 | 65499 << 3 | 1 << 21).to_bytes(3, "little")
    path = tmp_path / "x.tif"
    for code, refused in ((data, True), (whole, False)):
        tifffile.imwrite(path, tile, photometric="rgb", tile=(32, 32))
        with tifffile.TiffFile(path, mode="r+b") as file:
            tags, numbers = file.pages[0].tags, {"jpegxl": 50002, "jpeg2000": 34712, "png": 34933}
            numbers |= {"jpeg": 7, "lerc": 34887, "jpegxr": 34934}
            file.filehandle.seek(0, 2)
            place = file.filehandle.tell()
            file.filehandle.write(bytes(code))
            tags["TileOffsets"].overwrite(place)
            tags["TileByteCounts"].overwrite(len(code))
            tags["Compression"].overwrite(numbers[kind])
        source = read_image(path).source
        if refused:
            refuses(r"its code is of 4,29\d,\d{3},\d{3} px", source.read, 0, 32, 0, 32)
        else:
            assert source.read(0, 32, 0, 32).shape == (32, 32, 3)


def test_bombs_of_scans_and_entities_and_archives_of_other_things_are_refused(tmp_path) -> None:
    scans_in_a_tiff(tmp_path / "x.tif")
    source = read_image(tmp_path / "x.tif").source
    refuses("scans, up to 100 are read", source.read, 0, 40, 0, 60)
    (tmp_path / "x.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><Annotations/>')
    refuses("defines entities", read_labels, tmp_path / "x.xml", SHAPE)
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "")
    refuses(r"x\.zip", read_labels, tmp_path / "x.zip", SHAPE)


SHAPE = (20, 30)
EXPECTED = np.zeros(SHAPE, np.int32)
EXPECTED[2:8, 3:9], EXPECTED[10:15, 12:20] = 1, 2
SQUARES = ([[3, 2], [9, 2], [9, 8], [3, 8]], [[12, 10], [20, 10], [20, 15], [12, 15]])


def cellpose(path: Path) -> Path:
    content = {"masks": EXPECTED.astype(np.uint16), "flows": [np.zeros((2, 3)), None],
               "filename": "x.png", "diameter": np.float64(9.5)}  # fmt: skip
    np.save(path / "x_seg.npy", content, allow_pickle=True)
    return path / "x_seg.npy"


def imagescope(path: Path) -> Path:
    regions = "".join(
        f"<Region Id='{k}'><Vertices>{_vertices(s, 'Vertex')}</Vertices></Region>"
        for k, s in enumerate(SQUARES)
    )
    text = f"<Annotations MicronsPerPixel='0.25'><Annotation Id='1'><Regions>{regions}</Regions>"
    (path / "x.xml").write_text(text + "</Annotation></Annotations>")
    return path / "x.xml"


def _vertices(square: Any, name: str) -> str:
    return "".join(f"<{name} X='{x}' Y='{y}'/>" for x, y in square)


def asap(path: Path) -> Path:
    found = "".join(
        f"<Annotation PartOfGroup='tumour'><Coordinates>{_vertices(s, 'Coordinate')}</Coordinates>"
        "</Annotation>"
        for s in SQUARES
    )
    text = f"<?xml version='1.0'?><ASAP_Annotations><Annotations>{found}</Annotations>"
    (path / "x.xml").write_text(text + "</ASAP_Annotations>")
    return path / "x.xml"


def coco(path: Path) -> Path:
    found = [
        {"image_id": 7, "category_id": 3, "segmentation": [np.ravel(s).tolist()]} for s in SQUARES
    ]
    found.append({"image_id": 8, "category_id": 3, "segmentation": [np.ravel(SQUARES[0]).tolist()]})
    images = [{"id": 7, "file_name": "im/x.png"}, {"id": 8, "file_name": "y.png"}]
    _dump(path / "x.json", {"images": images, "annotations": found,
                            "categories": [{"id": 3, "name": "nucleus"}]})  # fmt: skip
    return path / "x.json"


def coco_runs(path: Path) -> Path:
    found = []
    for k in (1, 2):
        flat = (k == EXPECTED).T.ravel()
        edges = np.flatnonzero(np.diff(np.concatenate([[False], flat, [False]]).astype(int)))
        runs = np.diff(np.concatenate([[0], edges, [flat.size]]))
        counts: Any = runs.tolist() if k == 1 else _compressed(runs)
        found.append({"segmentation": {"size": list(SHAPE), "counts": counts}})
    _dump(path / "x.json", {"images": [], "annotations": found})
    return path / "x.json"


def _compressed(runs: np.ndarray) -> str:
    """As pycocotools writes run lengths."""
    text = ""
    for i, run in enumerate(runs.tolist()):
        value, more = run - (runs[i - 2] if i > 2 else 0), True
        while more:
            bits = value & 31
            value >>= 5
            more = value != -1 if bits & 16 else value != 0
            text += chr((bits | (32 if more else 0)) + 48)
    return text


def cellvit(path: Path) -> Path:
    cells = [{"contour": (np.array(s) - 0.5).tolist(), "type": 1, "type_prob": 0.5}
             for s in SQUARES]  # fmt: skip
    _dump(path / "x.json", {"wsi_metadata": {}, "type_map": {"0": "b", "1": "neoplastic"},
                            "cells": cells})  # fmt: skip
    return path / "x.json"


def tiatoolbox(path: Path) -> Path:
    cells = {f"{k:032x}": {"box": [0, 0, 1, 1], "contour": (np.array(s) - 0.5).tolist(), "type": 1}
             for k, s in enumerate(SQUARES)}  # fmt: skip
    _dump(path / "x.json", cells)
    return path / "x.json"


def store(path: Path) -> Path:
    with sqlite3.connect(path / "x.db") as db:
        db.execute("CREATE TABLE annotations(id INTEGER, geometry BLOB, properties TEXT)")
        for k, square in enumerate(SQUARES):
            ring = np.array([*square, square[0]], "<f8")
            data = struct.pack("<BIII", 1, 3, 1, len(ring)) + ring.tobytes()
            data = zlib.compress(data) if k else data
            db.execute("INSERT INTO annotations VALUES(?, ?, ?)", (k, data, '{"type": "tumour"}'))
    db.close()
    return path / "x.db"


def _dump(path: Path, content: Any) -> None:
    path.write_text(json.dumps(content))


MAKERS = [cellpose, imagescope, asap, coco, coco_runs, cellvit, tiatoolbox, store]
TYPED = {asap: 1, coco: 1, cellvit: 1, tiatoolbox: 1, store: 1}


@pytest.mark.parametrize("make", MAKERS)
def test_each_is_read_with_its_types(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    found = read_labels(make(tmp_path), SHAPE, "x")
    np.testing.assert_array_equal(found.labels, EXPECTED)
    assert set(found.type.tolist()) == {TYPED.get(make, 0)}


@pytest.mark.parametrize("make", [coco, cellvit])
def test_large_ones_are_known_by_their_first_bytes(tmp_path, make) -> None:
    """The list of images, or what is said of the slide, may fill all that is looked at."""
    path = make(tmp_path)
    content = json.loads(path.read_text())
    many = [{"id": 100 + k, "file_name": f"other_{k}.png"} for k in range(20_000)]
    padded = {"images": content.pop("images") + many} if "images" in content else {
        "wsi_metadata": {"slide": "s" * 500_000}}  # fmt: skip
    path.write_text(json.dumps({**padded, **content}))
    np.testing.assert_array_equal(read_labels(path, SHAPE, "x").labels, EXPECTED)


@pytest.mark.parametrize("make", MAKERS)
def test_each_cut_off_or_damaged_is_read_or_refused(tmp_path, make) -> None:
    path = make(tmp_path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for trial in range(30):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 6):
            data[at] = rng.integers(0, 256)
        path.write_bytes(data[: rng.integers(1, len(data))] if trial % 2 else data)
        try:
            read_labels(path, SHAPE, "x")
        except InputError as error:
            assert path.name in str(error) and str(error).isprintable()


def test_code_in_cellpose_s_file_is_never_run(tmp_path: Path) -> None:
    class Runs:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (tmp_path / "ran",)

    content = np.array({"masks": Runs()}, dtype=object)
    np.save(tmp_path / "x_seg.npy", content, allow_pickle=True)
    refuses("no plain value", read_labels, tmp_path / "x_seg.npy")
    assert not (tmp_path / "ran").exists() and pickle.dumps(0)
