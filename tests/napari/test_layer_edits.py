"""Edits of one layer at a time are heard of."""

from __future__ import annotations

import gc

import numpy as np
from napari.layers import Labels

from napari_hovernet._napari.layer_edits import LayerEdits


def labels() -> Labels:
    return Labels(np.zeros((20, 20), np.int32))


def test_strokes_undo_and_new_data_of_the_followed_layer_alone():
    heard: list[object] = []
    edits, first, second = LayerEdits(), labels(), labels()
    note = heard.append
    edits.follow(first, note)
    first.paint((5, 5), 3)
    assert heard
    heard.clear()
    first.undo()
    assert heard
    heard.clear()
    second.paint((5, 5), 3)
    assert not heard
    edits.follow(second, note)
    first.data = np.ones((20, 20), np.int32)
    assert not heard
    second.data = np.ones((20, 20), np.int32)
    assert heard
    assert edits.layer is second


def test_following_twice_is_heard_once_and_nothing_is_kept_alive():
    heard: list[object] = []
    edits, layer, note = LayerEdits(), labels(), heard.append
    edits.follow(layer, note)
    layer.fill((2, 2), 1)
    once = len(heard)
    edits.follow(layer, note)
    heard.clear()
    layer.fill((2, 2), 2)
    assert len(heard) == once
    edits.follow(None, note)
    heard.clear()
    layer.fill((2, 2), 3)
    assert not heard and edits.layer is None
    edits.follow(layer, note)
    del layer
    heard.clear()
    gc.collect()
    assert edits.layer is None
