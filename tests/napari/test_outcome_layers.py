"""Colours by outcome, the layer of lost nuclei, and the columns of the features table."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from napari_hovernet._napari.comparing import comparing_for
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.outcome_layers import (
    LOST,
    outcome_colormap,
    set_columns,
)
from napari_hovernet._napari.session_for import forget
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.measure.compare import ERROR_KINDS, OUTCOME_COLORS, compare

WAIT_MS = 60_000
ORANGE, GREEN, BLUE = (
    np.append(np.array(OUTCOME_COLORS[kind]) / 255, 1) for kind in ("merged", "matched", "missed")
)


def true_labels():
    """Nucleus 1 of the stand-in run is right, 2 holds two true ones, 9 was missed."""
    labels = np.zeros((64, 80), np.int32)
    labels[5:15, 5:15] = 4
    labels[30:40, 20:26], labels[30:40, 26:32], labels[50:60, 50:60] = 5, 6, 9
    return labels


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def comparing(viewer, jobs, qapp, make_result):
    """A run of two nuclei under the glass, compared with three true ones."""
    comparing = comparing_for(viewer)
    image = viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide")
    add_run(comparing, image, make_result(), 1)
    yield comparing
    forget(viewer)


def add_run(comparing, image, result, number):
    choice = ImageChoice(id(image), "slide")
    place = placement(image, comparing.desk.viewer.dims.current_step)
    comparing.desk.work.session.finish(Run(number, f"compact {number}", choice, result, place, {}))


def settle(comparing, qtbot):
    def idle():
        return not (comparing.busy or comparing.desk.busy) and comparing.desk.work.layers.settled

    qtbot.waitUntil(idle, timeout=WAIT_MS)


def start(comparing, viewer, qtbot):
    truth = viewer.add_labels(true_labels(), name="mine")
    comparing.choose(("layer", id(truth)))
    settle(comparing, qtbot)
    return truth, comparing.desk.instances_layer()


def wanted(comparing, on, qtbot):
    comparing.colors.set_wanted(on)
    settle(comparing, qtbot)


def lost(comparing, run=1):
    return comparing.desk.layers.find(run, LOST)


def test_colours_come_and_go(comparing, viewer, qtbot):
    _, nuclei = start(comparing, viewer, qtbot)
    former, layers = nuclei.colormap, list(viewer.layers)
    wanted(comparing, True, qtbot)
    np.testing.assert_allclose(nuclei.get_color(1), GREEN, atol=1e-6)
    np.testing.assert_allclose(nuclei.get_color(2), ORANGE, atol=1e-6)
    layer = lost(comparing)
    assert layer.name == "compact 1 · true nuclei not matched"
    assert np.unique(layer.data).tolist() == [0, 5, 6, 9]
    np.testing.assert_allclose(layer.get_color(9), BLUE, atol=1e-6)
    np.testing.assert_allclose(layer.get_color(5), ORANGE, atol=1e-6)
    assert layer.get_color(0) is None or not layer.get_color(0)[3]
    wanted(comparing, False, qtbot)
    assert nuclei.colormap is former and list(viewer.layers) == layers


def test_colours_follow_the_truth_while_it_is_edited(comparing, viewer, qtbot):
    truth, nuclei = start(comparing, viewer, qtbot)
    wanted(comparing, True, qtbot)
    lost(comparing).visible = False
    truth.fill((55, 55), 0)
    truth.fill((35, 28), 5)
    settle(comparing, qtbot)
    np.testing.assert_allclose(nuclei.get_color(2), GREEN, atol=1e-6)
    assert not lost(comparing).data.any() and not lost(comparing).visible
    former = nuclei.colormap
    comparing.choose(None)
    settle(comparing, qtbot)
    assert nuclei.colormap is not former and lost(comparing) is None
    assert comparing.colors.wanted


def test_a_colormap_the_user_chose_meanwhile_stays(comparing, viewer, qtbot):
    _, nuclei = start(comparing, viewer, qtbot)
    wanted(comparing, True, qtbot)
    nuclei.colormap = DirectLabelColormap(color_dict={None: "red", 1: "blue"})
    chosen = nuclei.colormap
    wanted(comparing, False, qtbot)
    assert nuclei.colormap is chosen


def test_another_run_gets_the_colours_and_the_first_its_own_back(
    comparing, viewer, make_result, qtbot
):
    _, nuclei = start(comparing, viewer, qtbot)
    former = nuclei.colormap
    wanted(comparing, True, qtbot)
    add_run(comparing, viewer.layers["slide"], make_result(), 2)
    settle(comparing, qtbot)
    assert nuclei.colormap is former and lost(comparing) is None
    second = comparing.desk.instances_layer()
    np.testing.assert_allclose(second.get_color(2), ORANGE, atol=1e-6)
    assert lost(comparing, 2) is not None


def test_deleted_layers_break_nothing(comparing, viewer, qtbot):
    truth, nuclei = start(comparing, viewer, qtbot)
    wanted(comparing, True, qtbot)
    viewer.layers.remove(nuclei)
    viewer.layers.remove(lost(comparing))
    truth.fill((55, 55), 0)
    settle(comparing, qtbot)
    wanted(comparing, False, qtbot)
    assert lost(comparing) is None
    comparing.desk.work.session.remove_run(1)
    settle(comparing, qtbot)
    assert [layer.name for layer in viewer.layers] == ["slide", "mine"]


def test_the_features_table_tells_the_outcome(comparing, viewer, qtbot):
    _, nuclei = start(comparing, viewer, qtbot)
    assert nuclei.features["outcome"].tolist() == ["matched", "merged"]
    assert nuclei.features["iou"].tolist() == [1.0, 0.5]
    assert "area_px" in nuclei.features
    comparing.choose(None)
    settle(comparing, qtbot)
    assert "outcome" not in nuclei.features and "iou" not in nuclei.features


def test_columns_go_by_id_whatever_the_order_of_the_rows():
    layer = Labels(np.zeros((4, 4), int), features={"index": [9, 7, 2], "x": [1.0, 2.0, 3.0]})
    true = np.array([[1, 1, 0, 0], [3, 3, 3, 3]])
    pred = np.array([[7, 7, 0, 0], [2, 2, 2, 0]])
    set_columns(layer, compare(true, pred))
    assert layer.features["outcome"].tolist() == ["", "matched", "matched"]
    np.testing.assert_allclose(layer.features["iou"], [np.nan, 1, 0.75])
    assert layer.features["x"].tolist() == [1, 2, 3]
    set_columns(layer, compare(true, np.zeros_like(pred)))
    assert layer.features["outcome"].tolist() == ["", "", ""]


def test_layers_without_a_table_stay_as_they_are():
    layer = Labels(np.zeros((4, 4), int))
    set_columns(layer, compare(np.eye(4, dtype=int), np.eye(4, dtype=int)))
    assert list(layer.features.columns) == []


def test_a_nucleus_drawn_since_is_white():
    colors = outcome_colormap(compare([[1, 0]], [[5, 0]]))
    np.testing.assert_allclose(colors.map(5), GREEN, atol=0.01)
    np.testing.assert_allclose(colors.map(77), (1, 1, 1, 1))
    assert colors.map(0)[3] == 0


def test_every_kind_has_a_colour():
    assert set(OUTCOME_COLORS) == {"matched", *ERROR_KINDS}
    assert len(set(OUTCOME_COLORS.values())) == len(OUTCOME_COLORS)
