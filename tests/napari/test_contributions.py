"""Writers, readers and samples, with what napari hands over: a layer's data and keywords."""

import json

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels

from napari_hovernet._napari import contributions as writers
from napari_hovernet._napari.colours import by_type, feature_table
from napari_hovernet._napari.contributions import get_reader, labels_data
from napari_hovernet._napari.layers import Picture, RunLayers
from napari_hovernet._napari.viewer import Placement
from napari_hovernet.app.segment import run_metadata
from napari_hovernet.app.session import ImageChoice, Run

from ..refusals import refuses

PLAIN = {"scale": (1, 1), "rotate": np.eye(2), "shear": [0], "affine": np.eye(3)}


@pytest.fixture
def nuclei(make_result):
    """The instances layer of a typed run that started at row 10, column 20."""
    result = make_result(typed=True, offset=(10, 20))
    run = Run(
        1, "fast 1", ImageChoice(1, "slide"), result, Placement((), PLAIN), run_metadata(result)
    )
    viewer = ViewerModel()
    found = result.nuclei
    picture = Picture(result.labels, by_type(found, result.info), None, feature_table(found, run))
    RunLayers(viewer).show(run, picture)
    return viewer.layers[-1]


def write(writer, path, layer):
    data, attributes, _ = layer.as_layer_data_tuple()
    assert writer(str(path), data, attributes) == [str(path)]
    return path


def test_any_layer_of_labels_is_saved_where_it_lies(tmp_path):
    labels = np.zeros((1, 20, 20), np.int64)
    labels[0, 2:8, 2:8] = 5
    path = write(writers.write_geojson, tmp_path / "n.geojson", Labels(labels))
    assert len(json.loads(path.read_text())["features"]) == 1
    labels = np.zeros((8, 8), np.int64)
    labels[2:5, 3:6] = 2**40
    about = {"scale": (0.5, 0.5), "translate": (5.0, 10.0), "units": ("micrometer",) * 2}
    found = writers.labels_data(labels, about)
    assert (found.offset, found.mpp, found.labels.max()) == ((10, 20), 0.5, 1)


def test_strangers_files_are_left_alone_and_damaged_ones_named(tmp_path):
    other = tmp_path / "other.json"
    other.write_text('{"boxes": []}')
    assert get_reader(str(other)) is None and get_reader(str(tmp_path / "gone.json")) is None
    bad = tmp_path / "bad.geojson"
    bad.write_text('{"type": "FeatureCollection", "features": [')
    refuses(r"bad\.geojson", lambda: get_reader(str(bad))(str(bad)))
    refuses("one plane", labels_data, np.zeros((3, 5, 5), np.int32), {"name": "stack"})


def test_skin_without_a_network_says_so(monkeypatch):
    from skimage import data  # noqa: PLC0415

    def fail():
        raise ConnectionError("no route to host")

    monkeypatch.setattr(data, "skin", fail)
    refuses(r"no route to host.*generated sample", writers.skin_sample)
    monkeypatch.setattr(data, "skin", lambda: np.zeros((9, 9, 3), np.uint8))
    assert writers.skin_sample()[0][2] == "image"
