"""Images, regions and places in a viewer, without a window."""

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_hovernet._napari import viewer as v

from ..refusals import refuses

H, W = 64, 80


def rgb(shape=(H, W), **keywords):
    return Image(np.zeros((*shape, 3), np.uint8), rgb=True, name="slide", **keywords)


@pytest.mark.parametrize(
    ("data", "words", "offer"),
    [
        (np.zeros((3, H, W), np.uint8), "one colour image", "Take as RGB"),
        (np.zeros((H, W, 3), np.uint8), "one colour image", "Take as RGB"),
        (np.zeros((3, 3), np.uint8), "32 on each side", ""),
        (np.zeros((20, 400), np.uint8), "32 on each side", ""),
        (np.full((H, W), np.nan, np.float32), "NaN", ""),
        (np.zeros((5, H, W), np.uint8), "", ""),
        (np.zeros((H, W), np.uint8), "", ""),
    ],
)
def test_what_cannot_be_segmented_is_told_and_offered(data, words, offer):
    image = Image(data, rgb=False, name="it", contrast_limits=(0, 1))
    found = v.choice(image, (0,) * image.ndim, [image])
    assert words in found.error if words else found.error == ""
    assert found.offer == offer


@pytest.mark.parametrize("axis", [0, 2])
def test_colours_on_an_axis_become_an_rgb_layer(axis):
    data = np.moveaxis(np.arange(H * W * 3, dtype=np.uint16).reshape(H, W, 3), 2, axis)
    made = v.as_rgb(Image(data, rgb=False, scale=(1, 1, 1), units=("um",) * 3), [])
    assert made.rgb and np.array_equal(made.data, np.moveaxis(data, axis, 2))
    assert [str(unit) for unit in made.units] == ["micrometer"] * 2  # napari warns of others


def test_three_channels_become_one_image():
    colours = ("red", "green", "blue")
    layers = [Image(np.full((H, W), i, np.uint8), colormap=c) for i, c in enumerate(colours)]
    assert v.choice(layers[1], (0, 0), layers).offer == "Merge as RGB"
    assert v.choice(layers[1], (0, 0), layers[:2]).offer == ""
    assert v.as_rgb(layers[0], layers).data[5, 5].tolist() == [0, 1, 2]


def test_slides_are_run_in_a_drawn_rectangle_or_in_what_the_canvas_shows():
    levels = [np.broadcast_to(np.uint8(0), (n, n, 3)) for n in (24_000, 600)]
    slide, viewer = Image(levels, multiscale=True, rgb=True, name="slide"), ViewerModel()
    viewer.layers.append(slide)
    refuses("What is in view", v.box_for, "layer", slide, viewer)
    viewer, image = ViewerModel(), rgb(scale=(0.5, 0.5))
    viewer.layers.append(image)
    refuses("No rectangle", v.box_for, "shapes", image, viewer)
    viewer.add_shapes([[[5, 5], [5, 30], [25, 30], [25, 5]]], shape_type="rectangle")
    assert v.box_for("shapes", image, viewer) == (10, 51, 10, 61)
    viewer.layers[-1].data = [[[5, 5], [5, 10], [10, 10], [10, 5]]]
    refuses("11 x 11", v.box_for, "shapes", image, viewer)
    viewer = ViewerModel()
    image = viewer.add_image(np.zeros((1000, 1000, 3), np.uint8), scale=(0.5, 0.5))
    camera, size = v.camera_of(viewer), v.canvas_size(viewer)
    camera.center, camera.zoom = (0, 250, 250), 4.0
    r0, r1, c0, c1 = v.box_for("view", image, viewer)
    assert abs((r1 - r0) - size[0] / 4 / 0.5) < 3 and abs((c1 - c0) - size[1] / 4 / 0.5) < 3
    camera.zoom = 1000.0
    refuses("32 on each side", v.box_for, "view", image, viewer)
    camera.center = (0, 9000, 9000)
    refuses("in view", v.box_for, "view", image, viewer)


@pytest.mark.parametrize(
    ("keywords", "metadata", "mpp"),
    [
        ({"scale": (0.25, 0.25), "units": ("um", "um")}, {}, 0.25),
        ({"scale": (0.25, 0.25)}, {}, 0.25),
        ({}, {}, None),
        ({"scale": (50, 50)}, {}, None),
        ({}, {"mpp": 0.4}, 0.4),
        ({"scale": (0.25, 0.5), "units": ("um", "um")}, {}, None),
        ({"affine": [[0, -0.5, 0], [0.5, 0, 0], [0, 0, 1]], "units": ("um", "um")}, {}, 0.5),
    ],
)
def test_resolution_of_a_layer(keywords, metadata, mpp):
    found, source = v.layer_mpp(rgb(metadata=metadata, **keywords))
    assert found == (None if mpp is None else pytest.approx(mpp))
    assert ("not square" in source) == (keywords.get("scale") == (0.25, 0.5))


def test_pixels_go_to_the_world_and_back(planted_run):
    viewer = ViewerModel()
    image = viewer.add_image(
        np.zeros((3, 200, 260), np.uint8), scale=(2, 0.5, 0.5), translate=(0, 7, -3), rotate=20
    )
    run = planted_run(image, step=(2, 0, 0))
    world = v.to_world(run, 17, 33)
    assert len(world) == 3 and v.to_pixel(run, world) == (17, 33)
    assert v.to_pixel(run, v.to_world(run, 500, 33)) is None
    v.fly_to(viewer, run, (10, 30, 20, 60))
    assert viewer.dims.current_step[0] == 2
    r0, r1, c0, c1 = v.view_box(run, viewer)
    assert r0 < 10 and r1 > 30 and c0 < 20 and c1 > 60


def test_keys_leave_brushes_and_other_peoples_keys_alone():
    viewer, hits = ViewerModel(), []
    image = viewer.add_image(np.zeros((8, 8)))
    viewer.bind_key("3", lambda _: hits.append("theirs"))
    keys = v.Keys(viewer, {"2": lambda: hits.append("two"), "3": lambda: hits.append("three")})
    keys.acquire()
    labels = viewer.add_labels(np.zeros((8, 8), int))
    late = viewer.add_image(np.zeros((8, 8)))
    for owner, key in ((image, "2"), (late, "2"), (viewer, "2"), (viewer, "3")):
        owner.keymap[v.coerce_keybinding(key)](owner)
    assert hits == ["two", "two", "two", "theirs"] and not labels.keymap
    keys.release()
    assert not image.keymap and v.coerce_keybinding("3") in viewer.keymap
