from __future__ import annotations

from napari.components import ViewerModel
from napari.utils.key_bindings import coerce_keybinding

from napari_hovernet._napari.viewer_keys import ViewerKeys

J, K = coerce_keybinding("J"), coerce_keybinding("K")


def test_keys_act_while_any_panel_wants_them(qapp):
    viewer, done = ViewerModel(), []
    keys = ViewerKeys(viewer, {"J": lambda: done.append(1), "K": lambda: done.append(-1)})
    keys.acquire()
    keys.acquire()
    viewer.keymap[J](viewer)
    viewer.keymap[K](viewer)
    assert done == [1, -1] and keys.bound == ("J", "K")
    keys.release()
    assert J in viewer.keymap
    keys.release()
    assert J not in viewer.keymap and keys.bound == ()
    keys.release()
    keys.acquire()
    assert J in viewer.keymap


def test_keys_of_others_stay_theirs(qapp):
    viewer = ViewerModel()

    def theirs(_viewer):
        return None

    viewer.bind_key("J", theirs)
    keys = ViewerKeys(viewer, {"J": lambda: None, "K": lambda: None})
    keys.acquire()
    assert keys.bound == ("K",) and viewer.keymap[J] is theirs
    viewer.bind_key("K", theirs, overwrite=True)
    keys.release()
    assert viewer.keymap[J] is theirs and viewer.keymap[K] is theirs


def test_a_viewer_that_is_gone_is_not_missed(qapp):
    keys = ViewerKeys(ViewerModel(), {"J": lambda: None})
    keys.acquire()
    keys.release()
    assert keys.bound == ()
