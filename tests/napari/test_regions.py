from __future__ import annotations

import numpy as np
import pytest
from napari.layers import Image, Shapes

from napari_hovernet._napari.regions import Box, box_for, clip_box, drawn_box
from napari_hovernet.errors import InputError

SQUARE = np.array([[10, 10], [10, 30], [25, 30], [25, 10]])


def image(**keywords):
    return Image(np.zeros((40, 50, 3), np.uint8), rgb=True, name="slide", **keywords)


def test_clip_box_counts_every_pixel_touched_and_stays_inside():
    assert clip_box([[-9, -9], [100, 100]], (40, 50)) == Box(0, 40, 0, 50)
    assert clip_box([[3, 3], [3, 3]], (40, 50)) == Box(3, 4, 3, 4)
    assert clip_box([[60, 60], [70, 70]], (40, 50)) is None


def test_whole_layer_is_no_box():
    assert box_for("layer", image(), []) is None


def test_selected_shapes_count_before_the_others():
    shapes = Shapes([SQUARE, SQUARE + 5], name="roi")
    assert drawn_box(image(), [shapes]) == Box(10, 31, 10, 36)
    shapes.selected_data = {0}
    assert drawn_box(image(), [shapes]) == Box(10, 26, 10, 31)


def test_shapes_in_another_scale_are_brought_to_pixels():
    shapes = Shapes([SQUARE], scale=(0.25, 0.25))
    assert drawn_box(image(scale=(0.5, 0.5)), [shapes]) == Box(5, 13, 5, 16)


def test_a_shape_of_a_stack_serves_a_plane():
    shapes = Shapes([np.insert(SQUARE, 0, 2, axis=1)], ndim=3)
    assert drawn_box(image(), [shapes]) == Box(10, 26, 10, 31)


def test_nothing_drawn_or_drawn_outside_is_said():
    with pytest.raises(InputError, match="No rectangle"):
        drawn_box(image(), [])
    with pytest.raises(InputError, match="outside 'slide'"):
        drawn_box(image(), [Shapes([SQUARE + 500])])


def test_hidden_shapes_do_not_count():
    with pytest.raises(InputError, match="No rectangle"):
        drawn_box(image(), [Shapes([SQUARE], visible=False)])
