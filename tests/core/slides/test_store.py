"""The store: the finished result is that of one image, and nothing half done passes for done."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.app.jobs import drive
from napari_hovernet.core.params import InferenceParams, SeparationParams
from napari_hovernet.core.slides import store as module
from napari_hovernet.core.slides.blocks import Recipe, segment_block
from napari_hovernet.core.slides.finish import export_geojson, finish_steps, read_nuclei
from napari_hovernet.core.slides.mask import find_tissue
from napari_hovernet.core.slides.packed import pack
from napari_hovernet.core.slides.params import OFF, SlideParams
from napari_hovernet.core.slides.source import open_slide

from ...refusals import refuses
from .copies import KINDS, copy_as
from .drawn import single_run, stub

pytest.importorskip("zarr")
pytest.importorskip("pyarrow")
RECIPE = Recipe(InferenceParams(), SeparationParams(), SlideParams(block=256, context=64))


def made(slide: Path, out: Path, recipe: Recipe = RECIPE) -> module.SlideStore:
    source = open_slide(slide)
    run = module.Run.of(source, recipe, stub().info, "stub")
    return module.create_store(out, run, find_tissue(source, OFF))


def compute(store: module.SlideStore) -> None:
    for block in store.blocks:
        if store.done(block) is None:
            run = store.run
            module.write_block(
                store, segment_block(stub(), run.source, block, run.recipe, store.tissue)
            )


def finish(store: module.SlideStore) -> dict:
    return drive(finish_steps(store))


@pytest.fixture(scope="module")
def finished(slide: Path, tmp_path_factory: pytest.TempPathFactory) -> module.SlideStore:
    store = made(slide, tmp_path_factory.mktemp("store") / "out.zarr")
    compute(store)
    finish(store)
    return module.SlideStore(store.path)


def test_finished_store_holds_the_result_of_one_image(finished, image) -> None:
    labels, nuclei = single_run(image)
    group = finished.group("r")
    np.testing.assert_array_equal(group["labels/0"][:], labels)
    parts = list(read_nuclei(finished))
    ids = np.concatenate([part.label for part in parts])
    order = np.argsort(ids)
    np.testing.assert_array_equal(ids[order], np.arange(1, len(nuclei) + 1))
    contours = [c for part in parts for c in part.contours]
    for k, i in enumerate(order):
        np.testing.assert_array_equal(contours[i], nuclei.contours[k])
    assert finished.finished and not list((finished.folder / "blocks").glob("*.npz"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_slide_gives_the_same_result(kind, finished, image, tmp_path) -> None:
    store = made(copy_as(kind, tmp_path, image), tmp_path / "out.zarr")
    compute(store)
    finish(store)
    assert results(store) == results(finished)


def results(store: module.SlideStore) -> dict[str, bytes]:
    """All files but those that tell of the run, and the picture (made of the slide's levels)."""
    own = {"run.json", "summary.json", "overlay.png"}
    files = [f for f in store.folder.rglob("*") if f.is_file() and f.parent.name != "blocks"]
    return {str(f.relative_to(store.folder)): f.read_bytes() for f in files if f.name not in own}


def test_maps_and_overviews_fit_the_labels(finished: module.SlideStore) -> None:
    group = finished.group("r")
    labels, hv = group["labels/0"][:], group["hv/0"][:]
    magnitude = group["magnitude/0"][:]
    inside = labels > 0
    assert magnitude[inside].mean() / 200 == pytest.approx(
        np.hypot(*hv[:, inside].astype(float)).mean() / 100, abs=0.01
    )
    assert len(group["labels"]) == len(module.level_shapes(labels.shape)) == 2
    assert set(np.unique(group["labels/1"][:])) <= set(np.unique(labels))
    assert group["qc/nuclei/0"][:].sum() == labels.max()
    assert group["np/0"][:][inside].mean() > 200  # holes are filled
    ome = dict(group["labels"].attrs)["ome"]["multiscales"][0]
    assert ome["datasets"][1]["coordinateTransformations"][0]["scale"] == [0.5, 0.5]
    geo = json.loads(
        __import__("pyarrow.parquet").parquet.read_schema(finished.folder / "nuclei.parquet")
        .metadata[b"geo"]
    )  # fmt: skip
    assert geo["primary_column"] == "geometry"


def test_geojson_is_streamed_and_packed(finished: module.SlideStore, tmp_path: Path) -> None:
    export_geojson(finished, tmp_path / "out.geojson.gz")
    found = json.loads(gzip.decompress((tmp_path / "out.geojson.gz").read_bytes()))
    assert len(found["features"]) == int(finished.group("r")["labels/0"][:].max())


def test_missing_blocks_are_told_and_made_good_later(slide: Path, tmp_path: Path) -> None:
    store = made(slide, tmp_path / "out.zarr")
    compute(store)
    lost = store.blocks[4]
    store.marker(lost).unlink()  # killed after its data, before its marker
    (store.folder / "failed.json").write_text("{}")
    assert finish(store)["missing_blocks"] == [lost.name] and not store.finished
    compute(store)
    finish(store)
    again = store.group("r")["labels/0"][:]
    assert store.finished and again[lost.core.slices()].any()


def test_other_parameters_are_refused_by_name(slide: Path, tmp_path: Path) -> None:
    made(slide, tmp_path / "out.zarr")
    made(slide, tmp_path / "out.zarr")  # the same goes on
    other = replace(RECIPE, separation=SeparationParams(np_threshold=0.6))
    refuses(r"separation.np_threshold was 0.45, now 0.6", made, slide, tmp_path / "out.zarr", other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("1")
    refuses("no result of a slide", made, slide, tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()


def test_markers_of_other_parameters_do_not_count(finished: module.SlideStore) -> None:
    block = finished.blocks[0]
    marker = finished.marker(block)
    before = marker.read_bytes()
    try:
        marker.write_bytes(before[:20])  # cut off
        assert finished.done(block) is None
        marker.write_text(json.dumps({"run": "other"}))
        assert finished.done(block) is None
    finally:
        marker.write_bytes(before)


def test_pyramids_keep_what_they_promise() -> None:
    labels = np.array([[0, 5, 7], [5, 0, 7], [0, 0, 0]], np.int32)
    np.testing.assert_array_equal(module.halved(labels, 3), [[5, 7], [0, 0]])
    magnitude = np.array([[0, 100], [0, 200]], np.uint8)
    assert (module.halved(magnitude, 1), module.halved(magnitude, 2)) == (150, 200)
    assert (module.halved(magnitude, 0), module.own_levels(4096, 8)) == (75, 4)
    assert module.own_levels(192, 8) == 1


@pytest.mark.parametrize("low", [0, 1], ids=["nothing", "nuclei everywhere"])
def test_packed_labels_are_renumbered_without_unpacking(low: int) -> None:
    rng, blosc = np.random.default_rng(0), pytest.importorskip("numcodecs").Blosc()
    ids = np.r_[0, rng.permutation(2**31 - 1 - np.arange(3000))].astype(np.int32)
    for runs in (1, 2, 3, 40, 3000):
        for edge in (1, 8, 96):
            labels = np.repeat(rng.integers(0, 3000, edge * edge // runs + 1), runs)
            labels = (labels * rng.integers(low, 2, labels.shape))[: edge * edge]
            labels = labels.reshape(edge, edge).astype(np.int32)
            data = np.frombuffer(pack(labels), np.uint8).copy()
            assert (np.frombuffer(blosc.decode(data), np.int32) == labels.ravel()).all()
            found = np.frombuffer(blosc.decode(module.renumbered(data, 1, ids)), np.int32)
            np.testing.assert_array_equal(found, ids[labels].ravel())


def test_nuclei_of_blocks_that_are_not_exact_stay_whole(slide: Path, tmp_path: Path) -> None:
    params = SlideParams(block=192, context=64)
    recipe = Recipe(InferenceParams(), SeparationParams.preset("hover_net"), params)
    store = made(slide, tmp_path / "out.zarr", recipe)
    results = [
        segment_block(stub(), store.run.source, b, recipe, store.tissue) for b in store.blocks
    ]
    for result in results:
        module.write_block(store, result)
    finish(store)
    order = np.sort(np.concatenate([r.first for r in results]))
    expected = np.zeros(store.run.source.shape, np.int32)
    ids = [np.r_[0, np.searchsorted(order, r.first) + 1] for r in results]
    for result, own in zip(results, ids, strict=True):
        expected[result.block.core.slices()] = own[result.labels]
    for result, own in zip(results, ids, strict=True):
        expected.ravel()[result.spill_at] = own[result.spill_id]
    assert sum(len(r.spill_at) for r in results) > 100
    np.testing.assert_array_equal(store.group("r")["labels/0"][:], expected)
