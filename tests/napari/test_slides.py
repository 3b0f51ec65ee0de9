"""The store of a slide opens as pyramids, read when they come into view."""

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_hovernet._napari import slides as slides_view
from napari_hovernet._napari.contributions import get_reader, kind_of
from napari_hovernet._napari.slides import SlideLevel, follow
from napari_hovernet._napari.viewer import camera_of, seen_corners
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.slides import SlideJob, slide_steps
from napari_hovernet.core.slides.params import OFF, SlideParams
from napari_hovernet.core.slides.source import open_slide

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


def test_store_opens_as_layers(store: Path) -> None:
    from napari.components import ViewerModel  # noqa: PLC0415

    viewer: Any = ViewerModel()
    for data, about, kind in get_reader(str(store))(str(store)):
        getattr(viewer, f"add_{kind}")(data, **about)
    names = [layer.name for layer in viewer.layers]
    assert names[0] == "a · slide"
    assert names[-1] == "a · nuclei"
    labels = viewer.layers[-1]
    assert labels.multiscale
    assert labels.scale.tolist() == [0.25, 0.25]
    qc = viewer.layers["a · weak share per 256 px"]
    assert qc.extent.world[1].max() <= 256 * 3 * 0.25


def test_a_folder_that_is_no_store_is_left_to_others(tmp_path: Path) -> None:
    (tmp_path / "x.zarr").mkdir()
    assert kind_of(tmp_path / "x.zarr") == ""
    assert get_reader(str(tmp_path / "x.zarr")) is None


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


def shown(viewer: Any, store: Path) -> Any:
    for data, about, kind in get_reader(str(store))(str(store)):
        getattr(viewer, f"add_{kind}")(data, **about)
    return follow(viewer, store)


def test_few_nuclei_are_points_and_many_a_density(store, monkeypatch, qtbot) -> None:
    from napari.components import ViewerModel  # noqa: PLC0415

    viewer: Any = ViewerModel()
    view = shown(viewer, store)
    camera = camera_of(viewer)
    camera.center, camera.zoom = (0, 70, 75), 0.5
    view.look()
    places = view._places
    assert len(view.layer("points").data) == len(places) > 100
    assert not view.layer("qc/nuclei").visible
    assert view.layer("labels").visible
    monkeypatch.setattr(slides_view, "MOST_POINTS", len(places) // 2)
    view._ready = None
    view.look()
    assert not len(view.layer("points").data)
    assert view.layer("qc/nuclei").visible
    assert not view.layer("labels").visible
    height, width = seen_corners(viewer)[3] - seen_corners(viewer)[0]
    camera.zoom = camera.zoom * max(height, width) / (100 * 0.25)  # 100 px
    view.look()
    inside = np.abs(view.layer("points").data - (280, 300)).max(axis=1) <= 100
    near = (np.abs(places[:, 1::-1] - (280, 300)) <= 40).all(axis=1)
    assert inside.all()
    assert near.sum() <= len(inside) <= len(places) // 2
    viewer.layers.remove(view.layer("labels"))
    assert view.over


def test_a_click_on_a_hot_spot_flies_there_and_computes_it(store: Path, qtbot: Any) -> None:
    from napari.components import ViewerModel  # noqa: PLC0415

    viewer: Any = ViewerModel()
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


def test_a_run_that_goes_on_elsewhere_is_followed(store: Path, tmp_path: Path, qtbot: Any) -> None:
    from napari.components import ViewerModel  # noqa: PLC0415

    params = SlideParams(block=192, mask=OFF)
    job = SlideJob((str(store.parent / "a.tif"),), tmp_path / "a.zarr", f"{DRAWN}:stub", "cpu",
                   slide_params=params)  # fmt: skip
    steps = slide_steps(job)
    while next(steps).done < 2:
        pass
    viewer: Any = ViewerModel()
    view = shown(viewer, tmp_path / "a.zarr")
    assert view.layer("labels").name == "a · nuclei: 2 of 12 blocks done"
    assert view.layer("magnitude").visible
    assert view.layer("points") is None
    assert view.layer("qc/nuclei") is None
    for _ in steps:
        pass
    view.watch()
    assert view.layer("labels").name == "a · nuclei"
    assert view.layer("qc/nuclei") is not None
    assert int(np.asarray(view.layer("labels").data[0]).max()) == len(view._places) > 100
