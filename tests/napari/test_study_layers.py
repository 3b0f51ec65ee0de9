from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Vectors

from napari_hovernet._napari.images import METADATA_KEY, placement
from napari_hovernet._napari.layers import RunLayers
from napari_hovernet._napari.study_layers import Extra, StudyLayers
from napari_hovernet.app.session import ImageChoice, Run


@pytest.fixture
def viewer():
    return ViewerModel()


@pytest.fixture
def layers(viewer):
    return StudyLayers(viewer)


@pytest.fixture
def run(viewer, make_result):
    """A run over a region of an image in micrometres, its own layers in the viewer."""
    image = viewer.add_image(
        np.zeros((200, 300, 3), np.uint8),
        rgb=True,
        name="slide",
        scale=(0.5, 0.5),
        translate=(7, 9),
    )
    made = Run(
        3, "compact 3", ImageChoice(1, "slide"), make_result(offset=(10, 20)),
        placement(image, viewer.dims.current_step), {},
    )  # fmt: skip
    RunLayers(viewer).sync((made,), (made,))
    viewer.layers.selection.active = image
    return made


def names(viewer):
    return [layer.name for layer in viewer.layers]


def test_an_image_lies_under_the_outlines_and_everything_else_on_top(viewer, layers, run):
    nuclei = layers.find(3, "instances")
    energy = layers.show(run, Extra("energy", "image", "energy", np.zeros((64, 80), np.float32)))
    blobs = layers.show(run, Extra("blobs", "labels", "blobs", np.zeros((64, 80), np.int32)))
    assert isinstance(energy, Image) and isinstance(blobs, Labels)
    order = viewer.layers
    assert order.index(energy) == order.index(nuclei) - 1 and order.index(blobs) == len(order) - 1
    assert energy.name == "compact 3 · energy"
    assert order.selection.active.name == "slide"


def test_it_lies_where_the_run_lies(viewer, layers, run):
    whole = layers.show(run, Extra("a", "labels", "a", np.zeros((64, 80), np.int32)))
    part = layers.show(run, Extra("b", "labels", "b", np.zeros((4, 5), np.int32), offset=(30, 40)))
    nuclei = layers.find(3, "instances")
    np.testing.assert_allclose(whole.data_to_world((0, 0)), nuclei.data_to_world((0, 0)))
    np.testing.assert_allclose(part.data_to_world((2, 1)), nuclei.data_to_world((32, 41)))
    np.testing.assert_allclose(whole.data_to_world((0, 0)), (7 + 5, 9 + 10))


def test_shown_again_it_is_the_same_layer_with_new_data(viewer, layers, run):
    first = layers.show(run, Extra("x", "labels", "x", np.zeros((64, 80), np.int32)))
    first.name, first.visible, first.opacity = "mine", False, 0.3
    data = np.ones((10, 12), np.int32)
    table = {"index": [1], "kind": ["blob"]}
    again = layers.show(
        run, Extra("x", "labels", "x", data, look={"features": table}, offset=(5, 6))
    )
    assert again is first and again.name == "mine" and again.visible and again.opacity == 0.3
    assert again.data.shape == (10, 12) and list(again.features["kind"]) == ["blob"]
    np.testing.assert_allclose(again.data_to_world((0, 0)), (7 + 7.5, 9 + 13))


def test_another_kind_of_the_same_role_takes_its_place(viewer, layers, run):
    layers.show(run, Extra("x", "labels", "x", np.zeros((64, 80), np.int32)))
    layers.show(run, Extra("x", "image", "x", np.zeros((64, 80), np.float32)))
    found = [x for x in viewer.layers if x.metadata.get(METADATA_KEY, {}).get("role") == "x"]
    assert len(found) == 1 and isinstance(found[0], Image)


def test_a_layer_the_user_deleted_is_made_anew_and_a_renamed_one_is_found(viewer, layers, run):
    extra = Extra("x", "labels", "x", np.zeros((64, 80), np.int32))
    first = layers.show(run, extra)
    viewer.layers.remove(first)
    assert layers.find(3, "x") is None
    layers.remove(3, "x")
    second = layers.show(run, extra)
    second.name = "other"
    assert second is not first and layers.find(3, "x") is second


def test_arrows_start_at_pixels_of_the_run(viewer, layers, run):
    arrows = np.array([[[3.0, 4.0], [1.0, -2.0]]], np.float32)
    layer = layers.show(run, Extra("arrows", "vectors", "arrows", arrows))
    assert isinstance(layer, Vectors) and layer.data.shape == (1, 2, 2)
    np.testing.assert_allclose(layer.data[0], arrows[0])
    np.testing.assert_allclose(layer.data_to_world((3, 4)), (7 + 6.5, 9 + 12))
    layers.show(run, Extra("arrows", "vectors", "arrows", np.zeros((0, 2, 2), np.float32)))
    assert len(layer.data) == 0


def test_a_plane_of_a_stack_gets_layers_of_its_dimensions(viewer, layers, make_result):
    stack = viewer.add_image(np.zeros((5, 64, 80, 3), np.uint8), rgb=True, scale=(2, 1, 1))
    viewer.dims.set_current_step(0, 3)
    made = Run(
        1, "compact 1", ImageChoice(1, "s"), make_result(),
        placement(stack, viewer.dims.current_step), {},
    )  # fmt: skip
    labels = layers.show(made, Extra("x", "labels", "x", np.ones((64, 80), np.int32)))
    arrows = layers.show(made, Extra("y", "vectors", "y", np.ones((6, 2, 2), np.float32)))
    assert labels.data.shape == (1, 64, 80) and labels.translate[0] == 6
    assert arrows.data.shape == (6, 2, 3)
    np.testing.assert_allclose(arrows.data_to_world(arrows.data[0, 0])[0], 6)
    assert (arrows.data[:, 1, 0] == 0).all()  # arrows stay in their plane


def test_large_ones_become_pyramids(viewer, layers, run):
    layer = layers.show(run, Extra("x", "labels", "x", np.zeros((5000, 20), np.int32)))
    assert layer.multiscale and len(layer.data) == 2


@pytest.mark.parametrize(("before", "after"), [(20, 5000), (5000, 20)], ids=["grows", "shrinks"])
def test_a_plain_layer_may_become_a_pyramid_and_back(viewer, layers, run, before, after):
    layers.show(run, Extra("x", "labels", "x", np.zeros((before, 20), np.int32)))
    layer = layers.show(run, Extra("x", "labels", "x", np.ones((after, 20), np.int32)))
    level = layer.data[0] if layer.multiscale else layer.data
    assert level.shape == (after, 20) and layer.multiscale == (after > 4096)
    assert len([x for x in viewer.layers if x.name.endswith("· x")]) == 1


def test_extras_go_with_their_run_and_nothing_else_does(viewer, layers, run):
    layers.show(run, Extra("x", "labels", "x", np.zeros((64, 80), np.int32)))
    before = names(viewer)
    layers.tidy([3])
    assert names(viewer) == before
    layers.tidy([])
    assert names(viewer) == [n for n in before if not n.endswith("· x")]


def test_a_viewer_that_is_gone_is_told():
    layers = StudyLayers(ViewerModel())
    with pytest.raises(TypeError, match="gone"):
        layers.find(1, "x")


def test_a_pyramid_takes_new_data_of_its_kind(viewer, layers, run):
    first = layers.show(run, Extra("x", "labels", "x", np.zeros((5000, 20), np.int32)))
    again = layers.show(run, Extra("x", "labels", "x", np.full((5000, 20), 3, np.int32)))
    assert again is first and int(np.asarray(again.data[1]).min()) == 3


def test_what_the_user_set_survives_a_layer_made_anew(viewer, layers, run):
    first = layers.show(run, Extra("x", "labels", "x", np.zeros((20, 20), np.int32)))
    first.name, first.opacity = "mine", 0.25
    again = layers.show(run, Extra("x", "labels", "x", np.zeros((5000, 20), np.int32)))
    assert again is not first and (again.name, again.opacity) == ("mine", 0.25)
