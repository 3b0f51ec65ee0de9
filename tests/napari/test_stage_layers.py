"""Layers of stages and arrows, and the limits of map layers, on a ViewerModel."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Vectors

from napari_hovernet._napari import stage_layers
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.layers import RunLayers
from napari_hovernet._napari.stage_layers import AUTO_MARK, LIMITS, STAGES
from napari_hovernet._napari.study_layers import StudyLayers
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.measure.magnitude import ArrowParams, nucleus_view


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def layers(viewer):
    return StudyLayers(viewer)


@pytest.fixture
def run(viewer, make_result):
    image = viewer.add_image(np.zeros((200, 300, 3), np.uint8), rgb=True, scale=(0.5, 0.5))
    made = Run(
        3, "compact 3", ImageChoice(1, "slide"), make_result(offset=(10, 20)),
        placement(image, viewer.dims.current_step), {},
    )  # fmt: skip
    RunLayers(viewer).sync((made,), (made,))
    return made


@pytest.mark.parametrize(
    ("role", "kind", "name"),
    [("energy", Image, "energy"), ("markers", Labels, "markers"), ("mask", Labels, "mask")],
)
def test_a_stage_is_the_very_array_that_ran(layers, run, role, kind, name):
    layer = layers.show(run, stage_layers.stage_extra(run, role))
    assert isinstance(layer, kind)
    assert layer.name == f"compact 3 · {name}"
    assert np.shares_memory(layer.data, getattr(run.result.separation, role))


def test_energy_has_fixed_limits_whatever_its_values(layers, run):
    layer = layers.show(run, stage_layers.stage_extra(run, "energy"))
    assert tuple(layer.contrast_limits) == (-1, 1)


def test_arrows_start_on_nuclei_of_the_box_and_lie_where_the_run_lies(layers, run):
    labels = run.result.labels
    layer = stage_layers.show_arrows(layers, run, labels, (0, 20, 0, 20), ArrowParams())
    assert isinstance(layer, Vectors)
    rows, cols = layer.data[:, 0].astype(int).T
    assert set(labels[rows, cols]) == {1}
    assert len(rows) == 100
    nuclei = layers.find(3, "instances")
    np.testing.assert_allclose(layer.data_to_world((7, 8)), nuclei.data_to_world((7, 8)))


def test_arrows_shown_again_are_thinned_anew_in_the_same_layer(layers, run):
    labels = run.result.labels
    first = stage_layers.show_arrows(layers, run, labels, None, ArrowParams())
    thin, many = first.edge_width, len(first.data)
    again = stage_layers.show_arrows(layers, run, labels, None, ArrowParams(limit=20))
    assert again is first
    assert 0 < len(again.data) <= 20 < many
    assert again.edge_width > thin


def test_the_frame_is_drawn_around_the_nucleus(layers, run):
    view = nucleus_view(run.result.maps, run.result.labels, 2)
    layer = stage_layers.show_frame(layers, run, view)
    corners = np.concatenate((layer.data[:, 0], layer.data.sum(axis=1)))
    assert corners.min(axis=0).tolist() == [28, 18]
    assert corners.max(axis=0).tolist() == [41, 33]


def test_auto_limits_are_named_and_taken_back(layers, run):
    layers.show(run, stage_layers.stage_extra(run, "energy"))
    before = {x.name for x in stage_layers.map_layers(layers, run).values()}
    stage_layers.set_auto_limits(layers, run, True)
    assert stage_layers.auto_limits(layers, run)
    found = stage_layers.map_layers(layers, run)
    assert set(found) == set(LIMITS)
    assert {x.name for x in found.values()} == {name + AUTO_MARK for name in before}
    assert tuple(found["hv_vertical"].contrast_limits) == pytest.approx((0.3, 1.3))  # flat
    stage_layers.set_auto_limits(layers, run, True)
    assert found["np"].name.count(AUTO_MARK) == 1
    stage_layers.set_auto_limits(layers, run, False)
    assert not stage_layers.auto_limits(layers, run)
    assert {x.name for x in found.values()} == before
    for role, layer in found.items():
        assert tuple(layer.contrast_limits) == LIMITS[role]
        assert tuple(layer.contrast_limits_range) == LIMITS[role]


def test_auto_limits_are_the_extremes_of_the_data(layers, run):
    run.result.maps.hv[0, 3, 4], run.result.maps.hv[0, 5, 6] = -0.2, 0.9
    stage_layers.set_auto_limits(layers, run, True)
    layer = layers.find(3, "hv_horizontal")
    assert tuple(layer.contrast_limits) == pytest.approx((-0.2, 0.9))


def test_limits_a_user_set_by_hand_are_left_alone(layers, run):
    layer = layers.find(3, "np")
    layer.contrast_limits = (0.2, 0.6)
    stage_layers.set_auto_limits(layers, run, False)
    assert tuple(layer.contrast_limits) == (0.2, 0.6)


def test_a_layer_the_user_deleted_does_not_matter(viewer, layers, run):
    viewer.layers.remove(layers.find(3, "magnitude"))
    stage_layers.set_auto_limits(layers, run, True)
    stage_layers.set_auto_limits(layers, run, False)
    assert "magnitude" not in stage_layers.map_layers(layers, run)


def test_every_stage_has_a_role_of_its_own():
    assert len(set(STAGES)) == 4
