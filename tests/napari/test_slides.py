"""The store of a slide opens as pyramids, read when they come into view."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_hovernet._napari.contributions import get_reader, kind_of
from napari_hovernet._napari.slides import SlideLevel
from napari_hovernet.app import slides
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
    drawn = slides._module(DRAWN)
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
