from __future__ import annotations

import pytest
from qtpy.QtWidgets import QDialogButtonBox, QFileDialog

from napari_hovernet._napari.widgets.training_dialog import SPLITS, TrainingChoice, TrainingDialog
from napari_hovernet.app import corrections as training_data

FULL = TrainingChoice("/data/mine", "liver_1", "slide 7", "val", "CC0-1.0", True, True)


@pytest.fixture
def dialog(qtbot):
    dialog = TrainingDialog()
    qtbot.addWidget(dialog)
    return dialog


def save(dialog):
    return dialog.buttons.button(QDialogButtonBox.StandardButton.Save)


def test_what_goes_in_comes_out(dialog):
    assert dialog.value() == TrainingChoice()
    dialog.setValue(FULL)
    assert dialog.value() == FULL
    assert SPLITS == training_data.SPLITS


def test_it_says_what_is_missing_and_saves_only_then(dialog):
    assert not save(dialog).isEnabled() and dialog.remark.text() == "Give a folder and a name."
    dialog.folder.setText("x")
    assert dialog.remark.text() == "Give a name."
    dialog.name.setText("  ")
    assert not save(dialog).isEnabled()
    dialog.name.setText("y")
    assert save(dialog).isEnabled() and dialog.remark.isHidden()


def test_save_announces_the_choice_and_cancel_does_not(dialog, qtbot):
    dialog.setValue(FULL)
    heard = []
    dialog.chosen.connect(heard.append)
    dialog.buttons.button(QDialogButtonBox.StandardButton.Cancel).click()
    assert heard == []
    save(dialog).click()
    assert heard == [FULL]


@pytest.mark.parametrize(("picked", "kept"), [("/other", "/other"), ("", "/data/mine")])
def test_browse_fills_in_the_folder(dialog, monkeypatch, picked, kept):
    dialog.setValue(FULL)
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: picked)
    dialog.browse.click()
    assert dialog.value().folder == kept
