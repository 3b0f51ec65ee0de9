from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet._napari.images import Placement
from napari_hovernet._napari.layers import make_layers
from napari_hovernet._napari.preferences import Preferences
from napari_hovernet._napari.run_layers import features, layer_specs, pyramid, type_colors
from napari_hovernet.app.session import ImageChoice, Run

PLAIN = {"scale": (1, 1), "rotate": np.eye(2), "shear": [0], "affine": np.eye(3)}


@pytest.fixture
def run(make_result):
    def make(typed=False, **keywords):
        result = make_result(typed=typed, **keywords)
        return Run(3, "compact 3", ImageChoice(1, "slide"), result, Placement((), PLAIN))

    return make


def test_features_are_in_pixels_of_the_whole_image(run):
    table = features(run(offset=(100, 1000)))
    assert list(table["centroid_x"]) == [1009.5, 1025.5]
    assert list(table["centroid_y"]) == [109.5, 134.5]
    assert list(table["area_um2"]) == [6.25, 7.5]
    assert "type" not in table


def test_types_give_colours_and_columns(run):
    typed = run(typed=True)
    colors = type_colors(typed).color_dict
    np.testing.assert_allclose(colors[1], (1, 0, 0, 1))
    assert features(typed)["type_name"] == ["neoplastic", "inflammatory"]
    assert type_colors(run()) is None


def test_large_maps_become_pyramids_without_a_copy():
    data = np.zeros((9000, 50), np.float32)
    levels = pyramid(data)
    assert [level.shape for level in levels] == [(9000, 50), (4500, 25), (2250, 13)]
    assert all(np.shares_memory(level, data) for level in levels)


def test_preferences_reach_the_layers(run):
    wanted = Preferences(contour=1, show_maps=True, magnitude_colormap="turbo")
    *maps, nuclei = make_layers(run(), wanted)
    assert nuclei.contour == 1 and all(layer.visible for layer in maps)
    assert maps[3].colormap.name == "turbo"


def test_one_name_one_run_id_five_roles(run):
    specs = layer_specs(run(), Preferences())
    known = [spec.keywords["metadata"]["napari_hovernet"] for spec in specs]
    assert {k["run"] for k in known} == {3}
    assert [k["role"] for k in known] == [
        "np", "hv_horizontal", "hv_vertical", "magnitude", "instances",
    ]  # fmt: skip
