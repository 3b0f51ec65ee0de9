"""The store of a slide opens as pyramids, read when they come into view."""

import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers._source import layer_source

from napari_hovernet._napari import slides as slides_view
from napari_hovernet._napari.contributions import get_reader, kind_of
from napari_hovernet._napari.slides import SlideLevel, follow
from napari_hovernet._napari.viewer import camera_of, seen_corners
from napari_hovernet._napari.workspace import Workspace
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.slide_runs import read_job
from napari_hovernet.app.slides import SlideJob, slide_steps
from napari_hovernet.core.slides.params import OFF, SLIDE_SUFFIXES, SlideParams
from napari_hovernet.core.slides.source import open_slide
from napari_hovernet.core.slides.store import SlideStore
from napari_hovernet.errors import OutputError

from ..refusals import refuses

pytest.importorskip("zarr")
pytest.importorskip("pyarrow")
DRAWN = Path(__file__).parents[1] / "core" / "slides" / "drawn.py"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("slide")
    drawn = SimpleNamespace(**runpy.run_path(str(DRAWN)))
    drawn.write_slide(folder / "a.tif", drawn.scene((560, 600)))
    params = SlideParams(block=512, mask=OFF)
    job = SlideJob(
        (str(folder / "a.tif"),), folder / "a.zarr", f"{DRAWN}:stub", "cpu", slide_params=params
    )
    drive(slide_steps(job))
    return folder / "a.zarr"


@pytest.fixture
def viewer() -> Any:
    return ViewerModel()


def test_store_opens_as_layers(store: Path, viewer: Any) -> None:
    opened(viewer, store)
    names = [layer.name for layer in viewer.layers]
    assert (names[0], names[-1]) == ("a · slide", "a · nuclei")
    labels = viewer.layers[-1]
    assert labels.multiscale and labels.scale.tolist() == [0.25, 0.25]
    qc = viewer.layers["a · weak share per 256 px"]
    assert qc.extent.world[1].max() <= 256 * 3 * 0.25


def test_store_by_url_opens_as_layers_and_other_folders_are_left_alone(store, tmp_path) -> None:
    memory = pytest.importorskip("fsspec").filesystem("memory")
    memory.put(str(store), "/look/a.zarr", recursive=True)
    here, far = (get_reader(path)(path) for path in (str(store), "memory://look/a.zarr"))
    assert [about["name"] for _, about, _ in far] == [about["name"] for _, about, _ in here]
    np.testing.assert_array_equal(far[-1][0][0][:], here[-1][0][0][:])
    assert get_reader("memory://look/none.zarr") is None
    (tmp_path / "x.zarr").mkdir()
    assert kind_of(tmp_path / "x.zarr") == "" and get_reader(str(tmp_path / "x.zarr")) is None


def test_a_level_is_read_like_an_array(store: Path) -> None:
    source = open_slide(store.parent / "a.tif")
    level, whole = SlideLevel(source), source.read(0, 560, 0, 600)
    for key in (
        (slice(3, 90), slice(5, 77)),
        (slice(0, 560, 7), slice(None), slice(None)),
        (5, slice(2, 9), 1),
        4,
    ):
        np.testing.assert_array_equal(level[key], whole[key])
    np.testing.assert_array_equal(np.asarray(level), whole)


def opened(viewer: Any, path: Path) -> None:
    for data, about, kind in get_reader(str(path))(str(path)):
        getattr(viewer, f"add_{kind}")(data, **about)


def shown(viewer: Any, store: Path) -> Any:
    opened(viewer, store)
    return follow(viewer, store)


def test_few_nuclei_are_points_and_many_a_density(store, viewer, monkeypatch, qtbot) -> None:
    view = shown(viewer, store)
    camera = camera_of(viewer)
    camera.center, camera.zoom = (0, 70, 75), 0.5
    view.look()
    places = view._places
    assert len(view.layer("points").data) == len(places) > 100
    assert not view.layer("qc/nuclei").visible and view.layer("labels").visible
    assert view.layer("labels").contour == 2
    assert set(view.layer("points").size) == {slides_view.POINT_PX}
    monkeypatch.setattr(slides_view, "MOST_POINTS", len(places) // 2)
    view._ready = None
    view.look()
    assert not len(view.layer("points").data)
    assert view.layer("qc/nuclei").visible and not view.layer("labels").visible
    height, width = seen_corners(viewer)[3] - seen_corners(viewer)[0]
    camera.zoom = camera.zoom * max(height, width) / (100 * 0.25)  # 100 px
    view.look()
    assert set(view.layer("points").size) == {slides_view.DOT_PX}  # outlines are to be seen
    inside = np.abs(view.layer("points").data - (280, 300)).max(axis=1) <= 100
    near = (np.abs(places[:, 1::-1] - (280, 300)) <= 40).all(axis=1)
    assert inside.all() and near.sum() <= len(inside) <= len(places) // 2
    camera.center = (0, 40, 50)  # out of what was ready: at once, not when the camera rests
    assert (np.abs(view.layer("points").data - (160, 200)).max(axis=1) <= 100).all()
    assert view.layer("points").data[:, 0].min() < 160
    viewer.layers.remove(view.layer("labels"))
    assert view.over


def test_a_click_on_a_hot_spot_flies_there_and_computes_it(store, viewer, qtbot) -> None:
    view = shown(viewer, store)
    seen: list[Any] = []
    view._compute = seen.append
    qc = view.layer("qc/nuclei")
    viewer.layers.selection.active = view.layer("labels")
    view._clicked((0.0, 0.0))
    assert not seen
    viewer.layers.selection.active = qc
    view._clicked((70.0, 70.0))
    row, col = np.unravel_index(int(qc.data.argmax()), qc.data.shape)
    middle = [(row + 0.5) * 256 * 0.25, (col + 0.5) * 256 * 0.25]
    np.testing.assert_allclose(camera_of(viewer).center[-2:], middle)
    assert seen == [viewer]


def test_a_run_that_goes_on_elsewhere_is_followed(store, viewer, tmp_path, qtbot) -> None:
    params = SlideParams(block=192, mask=OFF)
    job = SlideJob((str(store.parent / "a.tif"),), tmp_path / "a.zarr", f"{DRAWN}:stub", "cpu",
                   slide_params=params)  # fmt: skip
    steps = slide_steps(job)
    while next(steps).done < 2:
        pass
    view = shown(viewer, tmp_path / "a.zarr")
    assert view.layer("labels").name == "a · nuclei: 2 of 12 blocks done"
    assert view.layer("magnitude").visible and view.layer("points") is None
    assert view.layer("qc/nuclei") is None
    for _ in steps:
        pass
    view.watch()
    assert view.layer("labels").name == "a · nuclei" and view.layer("qc/nuclei") is not None
    assert int(np.asarray(view.layer("labels").data[0]).max()) == len(view._places) > 100


def test_a_slide_opens_before_anything_was_found_on_it(store, viewer, tmp_path) -> None:
    slide = tmp_path / "b.svs"
    slide.write_bytes((store.parent / "a.tif").read_bytes())
    opened(viewer, slide)
    (layer,) = viewer.layers
    assert (layer.name, layer.rgb, layer.scale.tolist()) == ("b", True, [0.25, 0.25])
    whole = open_slide(store.parent / "a.tif").read(0, 560, 0, 600)
    np.testing.assert_array_equal(np.asarray(layer.data[10:90, 5:77]), whole[10:90, 5:77])
    assert slides_view.slide_path(layer) == str(slide)


def test_a_slide_without_small_levels_gets_one(store, monkeypatch) -> None:
    monkeypatch.setattr(slides_view, "MOST_AT_ONCE", 50_000)
    (data, about, _), *_ = slides_view.read_picture(store.parent / "a.tif")
    assert about["multiscale"] and [level.shape for level in data] == [(560, 600, 3), (187, 200, 3)]


@pytest.fixture
def at_work(store, viewer, tmp_path, qtbot, monkeypatch) -> Any:
    """A workspace with a slide open, a model that is drawn into it, and what it has said."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    work, said = Workspace(viewer), list[str]()
    work.said.connect(lambda text, _tone: said.append(text))
    work.session.choose_model(f"{DRAWN}:stub", remember=False)
    work.session.set_options(replace(work.session.options, device="cpu"))
    slides_view.slide_runs(work).open(store.parent / "a.tif")
    work.choose_image(viewer.layers[0])
    yield SimpleNamespace(work=work, viewer=viewer, said=said, runs=slides_view.slide_runs(work))
    work.close()


def test_a_slide_is_segmented_beside_the_viewer_stopped_and_goes_on(at_work, tmp_path, qtbot):
    work, runs, viewer = at_work.work, at_work.runs, at_work.viewer
    layer = viewer.layers[0]
    corners = np.array([[20, 30], [20, 200], [300, 200], [300, 30]]) * 0.25
    viewer.add_shapes([corners], shape_type="polygon")
    work.session.choose_model(f"{DRAWN}:typed", remember=False)
    (tmp_path / "types.json").write_text('{"1": ["beside", [9, 9, 9], ["left", 1]]}')
    types = str(tmp_path / "types.json")
    work.session.set_options(replace(work.session.options, region="shapes", types=types))
    runs.start(layer, tmp_path)
    runs.stop()
    qtbot.waitUntil(lambda: not runs.busy, timeout=60_000)
    assert "was stopped" in at_work.said[-1]
    runs.start(layer, tmp_path)
    qtbot.waitUntil(lambda: not runs.busy, timeout=120_000)
    store = SlideStore(str(tmp_path / "a.zarr"))
    rows, cols = np.nonzero(store.tissue.cells)
    assert rows.max() * 32 <= 300 and cols.max() * 32 <= 200
    assert len(slides_view.read_places(store)) > 10
    assert re.fullmatch(r"a\.zarr: [\d,]+ nuclei\.", at_work.said[-1])
    assert store.run.takes == {1: ("left", 1)}
    assert work.image_layer() is layer  # maps and overviews are no images to run on
    assert [x.name for x in work.image_layers()] == ["a"]
    names = [x.name for x in viewer.layers]
    assert names.count("a") == 1  # the slide is not added twice
    assert {"a · weak share per 256 px", "a · NP", "a · nuclei"} <= set(names)
    assert follow(viewer, tmp_path / "a.zarr").layer("slide") is layer
    assert read_job(tmp_path / "a.zarr.job.json").slides == (slides_view.slide_path(layer),)


def draw_all(at_work: Any, mpp: float) -> None:
    """Draw around all of the slide: what is drawn into the stub is no tissue to look at."""
    corners = np.array([[0, 0], [0, 600], [560, 600], [560, 0]]) * mpp
    at_work.viewer.add_shapes([corners], shape_type="polygon")
    options = at_work.work.session.options
    at_work.work.session.set_options(replace(options, region="shapes"))


def test_a_slide_that_another_reader_opened_is_run_too_and_not_with_other_parameters(
    at_work: Any, store: Path, tmp_path: Path, qtbot: Any
) -> None:
    work, runs, viewer = at_work.work, at_work.runs, at_work.viewer
    viewer.layers.clear()
    path = store.parent / "a.tif"
    with layer_source(path=str(path)):  # as napari's own reader adds it
        layer = viewer.add_image(open_slide(path).read(0, 560, 0, 600))
    work.choose_image(layer)
    inference = replace(work.session.options.inference, image_mpp=0.25)
    work.session.set_options(replace(work.session.options, inference=inference))
    draw_all(at_work, 1.0)
    runs.start(layer, tmp_path)
    qtbot.waitUntil(lambda: not runs.busy, timeout=120_000)
    assert re.fullmatch(r"a\.zarr: [\d,]+ nuclei\.", at_work.said[-1])
    slide = follow(viewer, tmp_path / "a.zarr").layer("slide")  # where the result lies: in um
    assert slide is not layer and slide.scale.tolist() == [0.25, 0.25]
    work.session.set_options(replace(work.session.options, separation="hover_net"))
    runs.start(layer, tmp_path)
    qtbot.waitUntil(lambda: not runs.busy, timeout=60_000)
    assert "was begun otherwise: separation" in at_work.said[-1]


def test_a_slide_goes_on_when_its_viewer_is_closed(at_work, tmp_path, qtbot) -> None:
    draw_all(at_work, 0.25)
    at_work.runs.start(at_work.viewer.layers[0], tmp_path)
    qtbot.waitUntil((tmp_path / "a.zarr.log").exists, timeout=60_000)
    at_work.work.close()
    store = SlideStore(str(tmp_path / "a.zarr"))
    qtbot.waitUntil(lambda: store.finished, timeout=120_000)


def test_the_manifest_lists_the_endings_of_slides() -> None:
    manifest = (Path(__file__).parents[2] / "napari.yaml").read_text(encoding="utf-8")
    assert all(f'"*{ending}"' in manifest for ending in SLIDE_SUFFIXES)


def test_what_keeps_a_slide_from_being_run_is_said(at_work, tmp_path, qtbot) -> None:
    runs, viewer = at_work.runs, at_work.viewer
    drawn = viewer.add_image(np.zeros((64, 64, 3), np.uint8), name="made here")
    refuses("does not come from a file", runs.start, drawn, tmp_path)
    at_work.work.session.choose_model(str(tmp_path / "gone.pth"), remember=False)
    runs.start(viewer.layers[0], tmp_path)
    qtbot.waitUntil(lambda: not runs.busy, timeout=60_000)
    assert "gone.pth" in at_work.said[-1]
    (tmp_path / "blocked").write_text("")
    draw_all(at_work, 0.25)
    refuses("blocked", runs.start, viewer.layers[0], tmp_path / "blocked", by=OutputError)
    (tmp_path / "x.json").write_text('{"slides": 3}')
    refuses("no job of a slide", read_job, tmp_path / "x.json")


def test_looking_at_slides_loads_no_torch(store: Path) -> None:
    code = """
import sys
from pathlib import Path
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication
from napari_hovernet._napari.contributions import get_reader
from napari_hovernet._napari.slides import follow, read_picture
viewer, store, app = ViewerModel(), sys.argv[1], QApplication([])
for layer in read_picture(Path(store.replace(".zarr", ".tif"))) + get_reader(store)(store):
    viewer._add_layer_from_data(*layer)
assert len(follow(viewer, Path(store)).layer("points").data) > 100
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, str(store)], check=True)
