from __future__ import annotations

from psygnal import Signal
from qtpy.QtWidgets import QLabel

from napari_hovernet._napari.bind import bind


class Emitter:
    changed = Signal(str)


def test_a_deleted_widget_is_called_no_more(qtbot):
    emitter, label = Emitter(), QLabel()
    bind(label, emitter.changed, lambda text: label.setText(str(text)))
    emitter.changed.emit("one")
    assert label.text() == "one"
    label.deleteLater()
    qtbot.waitUntil(lambda: len(emitter.changed) == 0, timeout=2000)
    emitter.changed.emit("two")


def test_an_emitter_that_has_let_go_first_is_fine(qtbot):
    emitter, label = Emitter(), QLabel()
    bind(label, emitter.changed, lambda text: label.setText(str(text)))
    emitter.changed.disconnect()
    with qtbot.waitSignal(label.destroyed, timeout=2000):
        label.deleteLater()
