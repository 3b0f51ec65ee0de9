"""What is diagnosed: the form of files, and the switch between them and the run."""

from __future__ import annotations

import shlex

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_hovernet._napari.diagnosis_state import TUNER, FilesChoice
from napari_hovernet._napari.widgets.choices import ASK, Choices
from napari_hovernet._napari.widgets.diagnose_setup import DiagnoseSetup
from napari_hovernet._napari.widgets.diagnose_start import STOPPING, DiagnoseStart
from napari_hovernet._napari.widgets.files_editor import FilesEditor
from napari_hovernet._napari.widgets.run_picker import RunPicker
from napari_hovernet.cli.parser import build_parser
from napari_hovernet.core.types import Progress


@pytest.fixture
def editor(qtbot):
    editor = FilesEditor()
    qtbot.addWidget(editor)
    return editor


def pick(combo, value):
    index = combo.findData(value)
    combo.setCurrentIndex(index)
    combo.activated.emit(index)


def test_nothing_is_chosen_at_first(editor):
    assert editor.value() == FilesChoice()
    assert "Choose a model" in editor.value().problem
    assert editor.model.combo.currentText() == "no model"


def test_every_choice_comes_back(editor):
    choice = FilesChoice("/m/a.tar", "/d", TUNER, "story", "/runs/a", "glandular", "default", 7)
    told = []
    editor.valueChanged.connect(told.append)
    editor.setValue(choice)
    assert editor.value() == choice and told == [] and not choice.problem
    editor.setValue(FilesChoice())
    assert editor.value() == FilesChoice()


def test_edits_are_announced(editor):
    told = []
    editor.valueChanged.connect(told.append)
    pick(editor.separation, "merging_relabel")
    pick(editor.model.combo, "compact")
    editor.data.setText("/data")
    editor.images.setValue(3)
    assert told[-1] == FilesChoice("compact", "/data", "merging_relabel", n_samples=3)


def test_dropped_files_find_their_place(editor, tmp_path):
    folder = tmp_path / "odd.pth"
    folder.mkdir()
    assert editor.take(["/m/best.safetensors", str(folder)])
    value = editor.value()
    assert (value.model, value.data) == ("/m/best.safetensors", str(folder))
    assert not editor.take([])


def test_buttons_ask_for_data(editor, monkeypatch):
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: "/folder")
    editor.folder.click()
    assert editor.value().data == "/folder"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/file.npz", ""))
    editor.file.click()
    assert editor.value().data == "/file.npz"
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    editor.file.click()
    assert editor.value().data == "/file.npz"


def test_a_choice_may_ask_for_a_path(qtbot):
    answers = ["/p/tuned.json", ""]
    combo = Choices("Separation", (("", "default", "."), (ASK, "file ...", ".")), answers.pop)
    combo._ask = lambda _parent: answers.pop(0)
    qtbot.addWidget(combo)
    told = []
    combo.valueChanged.connect(told.append)
    pick(combo, ASK)
    assert combo.value() == "/p/tuned.json" and combo.currentText() == "tuned.json"
    pick(combo, ASK)  # the dialog is closed without a choice
    assert combo.value() == "/p/tuned.json" and told == ["/p/tuned.json"]
    assert combo.currentText() == "tuned.json"


def test_run_or_files(qtbot):
    picker = RunPicker()
    setup = DiagnoseSetup(picker)
    qtbot.addWidget(setup)
    setup.show()
    told = []
    setup.valueChanged.connect(lambda: told.append(setup.kind))
    assert picker.isVisible() and not setup.files.isVisible()
    setup._buttons["files"].click()
    assert setup.files.isVisible() and not picker.isVisible() and told == ["files"]
    setup._buttons["run"].click()
    setup.take(["/data"])
    assert setup.kind == "files" and setup.value().data == "/data"


def test_the_command_line_is_one_that_parses():
    choice = FilesChoice(
        "compact", "/my data", "hover_net", "ours", "default", "glandular", "vh_inward_radial", 5
    )
    words = shlex.split(choice.command)
    assert words[0] == "napari-hovernet"
    options = build_parser().parse_args(words[1:])
    assert options.data == "/my data" and options.n_samples == 5
    assert options.hv_convention == "vh_inward_radial"
    assert FilesChoice("compact").command == "napari-hovernet diagnose --model compact"
    assert "TUNED.json" in FilesChoice("compact", separation=TUNER).command


def test_start_and_cancel(qtbot):
    box = DiagnoseStart()
    qtbot.addWidget(box)
    box.show()
    assert not box.cancel.isVisible() and box.start.isEnabled()
    box.set_ready("Choose something.")
    assert not box.start.isEnabled() and box.start.toolTip() == "Choose something."
    box.set_progress(Progress(3, 60, "HV channel order"))
    assert box.cancel.isVisible() and box.words.text() == "4 of 60: HV channel order ..."
    assert (box.bar.value(), box.bar.maximum()) == (3, 60)
    told = []
    box.cancelRequested.connect(lambda: told.append(1))
    box.cancel.click()
    assert told == [1] and box.words.text() == STOPPING and not box.cancel.isEnabled()
    box.set_progress(Progress(4, 60, "more"))
    assert box.words.text() == STOPPING
    box.set_progress(None)
    assert not box.cancel.isVisible() and not box.words.isVisible() and box.cancel.isEnabled()
