from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_hovernet._napari.images import placement, segmentable
from napari_hovernet._napari.layers import RunLayers
from napari_hovernet._napari.side_layers import (
    DIFFERENCE_COLORS,
    GridView,
    difference_layer,
    image_copy,
    no_difference,
    outline_copy,
)
from napari_hovernet._napari.study_layers import StudyLayers
from napari_hovernet._napari.view import camera_of, canvas_size, grid_of
from napari_hovernet.app.session import ImageChoice, Run
from napari_hovernet.core.measure.changes import KINDS, MATCHED, ONLY_A

PLACED = {"scale": (0.5, 0.5), "translate": (7, 9), "rotate": 20}


@pytest.fixture
def viewer(qapp):
    return ViewerModel()


@pytest.fixture
def run(viewer, make_result):
    image = viewer.add_image(np.zeros((200, 300, 3), np.uint8), rgb=True, name="slide", **PLACED)
    run = Run(
        1, "compact 1", ImageChoice(id(image), "slide"), make_result(offset=(10, 20), typed=True),
        placement(image, (0, 0)), {},
    )  # fmt: skip
    RunLayers(viewer).sync((run,), (run,))
    return run


def cells(n=3):
    return [
        [Image(np.zeros((9, 9)), name=f"i{k}"), Labels(np.zeros((9, 9), int), name=f"l{k}")]
        for k in range(n)
    ]


def where(viewer):
    """Name of every visible layer and the cell it is in."""
    grid, layers = grid_of(viewer), viewer.layers
    return {x.name: grid.position(layers.index(x), layers) for x in layers if x.visible}


# ---------------------------------------------------------------------- the grid


def test_cells_stand_from_left_to_right_whatever_lies_beneath(viewer, run):
    GridView(viewer).enter(cells())
    assert where(viewer) == {
        "i0": (0, 0), "l0": (0, 0), "i1": (0, 1), "l1": (0, 1), "i2": (0, 2), "l2": (0, 2),
    }  # fmt: skip
    assert [x.name for x in viewer.layers][-6:] == ["i2", "l2", "i1", "l1", "i0", "l0"]
    assert viewer.layers.selection.active.name == "l0"


def test_the_viewer_is_given_back_as_it_was(viewer, run):
    grid, camera = grid_of(viewer), camera_of(viewer)
    grid.shape, grid.stride = (2, -1), 3
    camera.center, camera.zoom = (0, 12.5, 30.25), 2.5
    viewer.layers["compact 1 · NP"].visible = True
    viewer.layers["slide"].visible = False
    viewer.layers.selection.active = viewer.layers["compact 1 · NP"]
    before = [(x.name, x.visible) for x in viewer.layers]
    view = GridView(viewer)
    view.enter(cells())
    assert view.on and grid.enabled
    assert camera.center[-2:] == (12.5, 30.25)
    camera.zoom, camera.center = 9, (0, 1, 1)
    view.leave()
    view.leave()
    assert [(x.name, x.visible) for x in viewer.layers] == before and not view.on
    assert (grid.enabled, grid.shape, grid.stride) == (False, (2, -1), 3)
    assert camera.zoom == 2.5 and camera.center[-2:] == (12.5, 30.25)
    assert viewer.layers.selection.active.name == "compact 1 · NP"


@pytest.mark.parametrize("zoom", [0.5, 40.0], ids=["whole", "part"])
def test_a_cell_shows_what_the_canvas_showed(viewer, run, zoom):
    camera_of(viewer).zoom = zoom
    height, width = canvas_size(viewer)
    GridView(viewer).enter(cells())  # of 9 x 9 pixels
    zoomed, (tall, wide) = camera_of(viewer).zoom, canvas_size(viewer)
    assert wide < width / 3
    seen = (min(height / zoom, 9), min(width / zoom, 9))
    assert seen[0] * zoomed <= tall and seen[1] * zoomed <= wide
    assert max(seen[0] * zoomed / tall, seen[1] * zoomed / wide) > 0.9


def test_layers_that_come_meanwhile_are_hidden_and_shown_afterwards(viewer, run, qtbot):
    view = GridView(viewer)
    view.enter(cells())
    viewer.add_image(np.zeros((5, 5)), name="new")
    viewer.add_image(np.zeros((5, 5)), name="new and hidden", visible=False)
    qtbot.waitUntil(lambda: not viewer.layers["new"].visible, timeout=60_000)
    assert set(where(viewer)) == {"i0", "l0", "i1", "l1", "i2", "l2"}
    assert where(viewer)["l1"] == (0, 1) and where(viewer)["l0"] == (0, 0)
    view.leave()
    assert viewer.layers["new"].visible and not viewer.layers["new and hidden"].visible


def test_layers_that_go_meanwhile_are_not_missed(viewer, run):
    view = GridView(viewer)
    view.enter(cells())
    viewer.layers.remove(viewer.layers["slide"])
    view.leave()
    assert "slide" not in viewer.layers and viewer.layers["compact 1 · nuclei"].visible


def test_a_cell_taken_away_by_hand_is_told_once_the_hand_is_off(viewer, run, qtbot):
    view, lost = GridView(viewer), []
    view.lost.connect(lambda: lost.append(view.leave()))
    view.enter(cells())
    viewer.layers.remove(viewer.layers["l1"])
    assert lost == []
    qtbot.waitUntil(lambda: lost == [None], timeout=60_000)
    assert not view.on and not any(x.name.startswith(("i", "l")) for x in viewer.layers)


def test_a_cell_of_one_layer_is_fine_too(viewer, run):
    GridView(viewer).enter([[cell[1]] for cell in cells()])
    assert where(viewer) == {"l0": (0, 0), "l1": (0, 1), "l2": (0, 2)}


# ---------------------------------------------------------------------- the layers


def test_an_image_is_shown_twice_but_not_copied_nor_offered_as_another(viewer, run):
    image = viewer.layers["slide"]
    image.gamma = 0.7
    copy = image_copy(image, run, "side image A", "A · slide")
    assert np.shares_memory(copy.data, image.data) and copy.rgb and copy.gamma == 0.7
    np.testing.assert_allclose(copy.data_to_world((3, 4)), image.data_to_world((3, 4)))
    assert not segmentable(copy) and segmentable(image) and "run" not in image.metadata
    pyramid = Image([np.zeros((64, 80)), np.zeros((32, 40))], multiscale=True, name="p")
    assert image_copy(pyramid, run, "x", "x").multiscale


def test_outlines_look_and_lie_like_the_nuclei_and_cannot_be_painted(viewer, run):
    like = StudyLayers(viewer).find(1, "instances")
    like.contour, like.opacity = 3, 0.6
    made = outline_copy(run, run.result.labels, like, "side outlines A", "A · compact 1")
    np.testing.assert_allclose(made.data_to_world((3, 4)), like.data_to_world((3, 4)))
    assert (made.contour, made.opacity, made.editable) == (3, 0.6, False)
    np.testing.assert_allclose(made.get_color(1), (1, 0, 0, 1))  # by type
    assert made.features["area_px"].tolist() == [100, 120]
    assert made.colormap is not like.colormap
    alone = outline_copy(run, run.result.labels, None, "x", "x")
    assert alone.contour == 2 and alone.name == "x"


def test_differences_have_colours_and_words(viewer, run):
    kinds = no_difference((64, 80))
    kinds[:5], kinds[5:9] = MATCHED, ONLY_A
    layer = difference_layer(run, kinds, "side difference", "B - A")
    assert layer.contour == 0 and not layer.editable
    np.testing.assert_allclose(
        layer.get_color(ONLY_A)[:3], np.array(DIFFERENCE_COLORS[ONLY_A]) / 255
    )
    assert layer.get_color(MATCHED)[3] < 0.5  # pale
    viewer.add_layer(layer)
    at = layer.data_to_world((6, 6))
    assert "only in A" in layer.get_status(at, world=True)["value"]
    assert set(DIFFERENCE_COLORS) == set(KINDS) and len(set(DIFFERENCE_COLORS.values())) == 6


def test_on_a_plane_of_a_stack_all_of_them_lie_on_it(viewer, make_result):
    stack = viewer.add_image(np.zeros((5, 64, 80, 3), np.uint8), rgb=True, scale=(2, 1, 1))
    made = Run(1, "c 1", ImageChoice(id(stack), "s"), make_result(), placement(stack, (3, 0, 0)))
    outline = outline_copy(made, made.result.labels, None, "x", "x")
    copy = image_copy(stack, made, "y", "y")
    assert outline.data_to_world((0, 2, 3))[0] == 6 and copy.ndim == outline.ndim == 3
