from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtWidgets import QFileDialog

from napari_hovernet._napari.widgets.parts import ERROR_STYLE
from napari_hovernet._napari.widgets.truth_picker import NO_TRUTH, READING, TruthPicker
from napari_hovernet.app.study import TruthChoice

LAYER, RUN = ("layer", 1), ("run", 2)
SOURCES = [(LAYER, "mine"), (RUN, "compact 2")]


@pytest.fixture
def picker(qtbot):
    picker = TruthPicker()
    qtbot.addWidget(picker)
    return picker


def items(picker):
    return [picker.combo.itemText(i) for i in range(picker.combo.count())]


def test_sources_are_listed_and_chosen(picker, qtbot):
    picker.set_sources(SOURCES, None)
    assert items(picker) == ["Nothing", "mine", "compact 2"] and picker.value() is None
    assert picker.remark.text() == NO_TRUTH
    with qtbot.waitSignal(picker.valueChanged) as heard:
        picker.combo.setCurrentIndex(2)
        picker.combo.activated.emit(2)
    assert heard.args == [RUN] and picker.value() == RUN


def test_showing_a_choice_announces_nothing(picker, qtbot):
    with qtbot.assertNotEmitted(picker.valueChanged):
        picker.set_sources(SOURCES, TruthChoice(LAYER, "mine"))
    assert picker.value() == LAYER and picker.remark.text() == READING


def test_a_source_that_is_gone_stays_while_it_is_chosen(picker):
    gone = TruthChoice(("layer", 5), "old (removed)", np.zeros((2, 2), np.int32))
    picker.set_sources(SOURCES, gone)
    assert items(picker)[-1] == "old (removed)" and picker.value() == ("layer", 5)
    assert picker.remark.isHidden()
    picker.set_sources(SOURCES, None)
    assert items(picker) == ["Nothing", "mine", "compact 2"]


def test_notes_and_errors_are_shown(picker):
    labels = np.zeros((2, 2), np.int32)
    picker.set_sources(SOURCES, TruthChoice(LAYER, "mine", labels, notes=("One.", "Two.")))
    assert picker.remark.text() == "One. Two." and picker.remark.styleSheet() == ""
    picker.setValue(TruthChoice(LAYER, "mine", error="Too small."))
    assert picker.remark.text() == "Too small." and picker.remark.styleSheet() == ERROR_STYLE


def test_a_file_is_asked_for(picker, monkeypatch, qtbot):
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/a/b.png", ""))
    with qtbot.waitSignal(picker.fileChosen) as heard:
        picker.button.click()
    assert heard.args == ["/a/b.png"]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    with qtbot.assertNotEmitted(picker.fileChosen):
        picker.button.click()
