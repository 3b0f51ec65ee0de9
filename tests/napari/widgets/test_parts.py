from __future__ import annotations

from qtpy.QtWidgets import QSpinBox

from napari_hovernet._napari.widgets.parts import note, set_note, silent, swatch_pixmap


def test_an_empty_note_takes_no_room(qtbot):
    label = note("some")
    qtbot.addWidget(label)
    set_note(label, "")
    assert label.isHidden()


def test_silent_restores_even_after_an_error(qtbot):
    spin = QSpinBox()
    qtbot.addWidget(spin)
    try:
        with silent(spin):
            raise KeyError
    except KeyError:
        assert not spin.signalsBlocked()


def test_swatch_has_its_colour(qapp):
    assert swatch_pixmap((255, 165, 0)).toImage().pixelColor(5, 5).getRgb()[:3] == (255, 165, 0)
