"""Layers of one item under diagnosis: read, placed, switched, exchanged, taken out."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels

from napari_hovernet._napari.diagnosis_item import item_steps
from napari_hovernet._napari.diagnosis_layers import ItemLayers
from napari_hovernet._napari.diagnosis_words import LAYER_NAMES
from napari_hovernet._napari.view import camera_of
from napari_hovernet.app.jobs import drive
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import TARGETS, ArrayItems, Case
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError

ROLES = ("image", "np", "magnitude", "hv_x", "hv_y", "truth", "instances")


def labels(shape=(60, 80)):
    made = np.zeros(shape, np.int32)
    made[5:25, 5:25], made[30:50, 40:62] = 1, 2
    return made


@pytest.fixture
def bench():
    truth = labels()
    image = np.full((2, 60, 80, 3), 200, np.uint8)

    def network(_image):
        return Maps(np=truth > 0, hv=hv_targets(truth))

    items = ArrayItems(image=image, labels=[truth, truth], np=[truth > 0] * 2)
    return Bench(Case(items, kind=TARGETS, predictor=Predictor.of(network)))


@pytest.fixture
def layers(qapp):
    viewer = ViewerModel()
    shown = ItemLayers(viewer, later=lambda action: action())
    shown.viewer = viewer
    return shown


def test_everything_of_an_item_is_read(bench):
    view = drive(item_steps(bench, 1))
    assert set(view.arrays) == {*ROLES, "target_np"} and view.name == "image 1"
    assert set(view.made) == set(view.arrays)
    assert view.arrays["instances"].max() == 2 and view.shape == (60, 80)
    assert isinstance(view.made["truth"], Labels) and isinstance(view.made["hv_x"], Image)
    known = view.made["np"].metadata["napari_hovernet"]
    assert known["run"] and "run" not in view.made["image"].metadata["napari_hovernet"]


def test_the_network_is_left_alone_on_request(bench):
    view = drive(item_steps(bench, 0, whole=False))
    assert set(view.arrays) == {"image", "truth", "target_np"} and not view.whole


def test_what_cannot_be_read_is_an_error():
    broken = Bench(Case(ArrayItems(names=["a.tif"], image=[np.zeros((4, 4, 7), object)])))
    with pytest.raises(InputError, match="cannot be shown"):
        drive(item_steps(broken, 0))


def test_layers_stand_in_order_and_only_those_asked_for_are_on(layers, bench):
    layers.show(drive(item_steps(bench, 0)), {"image", "hv_x", "truth"}, (30, 50, 40, 62))
    names = [x.name for x in layers.viewer.layers]
    wanted = [role for role in LAYER_NAMES if role in {*ROLES, "target_np"}]
    assert names == [f"Diagnosis: image 0 · {LAYER_NAMES[r]}" for r in wanted]
    on = [x.name.rpartition(" · ")[2] for x in layers.viewer.layers if x.visible]
    assert on == ["image", "HV x", "true nuclei"] and layers.settled
    assert camera_of(layers.viewer).center[-2:] == pytest.approx((39.5, 50.5))


def test_the_group_lies_beside_what_is_there(layers, bench):
    layers.viewer.add_image(np.zeros((100, 100)), name="mine")
    layers.show(drive(item_steps(bench, 0)), {"image"}, (0, 10, 0, 10))
    mine, image = layers.viewer.layers[0], layers.viewer.layers[1]
    assert image.translate[1] > mine.extent.world[1][1]
    assert mine.visible and layers.viewer.layers.selection.active is mine
    assert camera_of(layers.viewer).center[-1] > 100


def test_another_item_takes_the_place_of_the_first(layers, bench):
    first, second = drive(item_steps(bench, 0)), drive(item_steps(bench, 1))
    layers.show(first, {"image"}, None)
    corner = layers.layers()[0].translate
    layers.show(second, {"image", "np"}, None)
    assert {x.name.partition(" · ")[0] for x in layers.viewer.layers} == {"Diagnosis: image 1"}
    assert layers.shown is second and np.array_equal(layers.layers()[0].translate, corner)
    assert len(layers.layers()) == 8


def test_the_same_item_is_only_switched(layers, bench):
    view = drive(item_steps(bench, 0))
    layers.show(view, {"image"}, None)
    before = list(layers.viewer.layers)
    layers.show(view, {"image", "hv_y"}, (0, 10, 0, 10))
    assert list(layers.viewer.layers) == before
    assert [x.name[-4:] for x in before if x.visible] == ["mage", "HV y"]
    layers.look(frozenset({"truth"}))
    assert [x.visible for x in layers.viewer.layers].count(True) == 1
    layers.viewer.layers.remove(before[0])  # the user may delete one
    layers.show(view, {"image"}, None)
    assert len(layers.layers()) == len(before) - 1


def test_clearing_leaves_the_users_layers(layers, bench):
    mine = layers.viewer.add_image(np.zeros((10, 10)))
    layers.show(drive(item_steps(bench, 0)), {"image"}, None)
    layers.clear()
    assert list(layers.viewer.layers) == [mine] and layers.shown is None


def test_a_slow_viewer_sees_what_it_looks_at_first(qapp, bench):
    waiting = []
    viewer = ViewerModel()  # only a weak reference is kept
    shown = ItemLayers(viewer, later=waiting.append)
    shown.show(drive(item_steps(bench, 0)), {"image", "truth"}, (0, 20, 0, 20))
    waiting.pop()()
    names = [x.name.rpartition(" · ")[2] for x in shown.layers()]
    assert names == ["image", "true nuclei"] and not shown.settled
    second = drive(item_steps(bench, 1))
    shown.show(second, {"image"}, None)  # asked for in the meantime
    while waiting:
        waiting.pop()()
    assert {x.name.partition(" · ")[0] for x in shown.layers()} == {"Diagnosis: image 1"}
    assert len(shown.layers()) == 8 and shown.settled


def test_maps_of_another_size_lie_over_the_image(qapp):
    truth = labels()
    half = hv_targets(truth[::2, ::2])
    items = ArrayItems(image=np.zeros((1, 60, 80, 3), np.uint8), hv=[half], np=[truth[::2, ::2]])
    view = drive(item_steps(Bench(Case(items, kind=TARGETS)), 0))
    layer = view.made["target_hv_x"]
    assert tuple(layer.scale) == (2.0, 2.0) and tuple(layer.translate) == (0.5, 0.5)
