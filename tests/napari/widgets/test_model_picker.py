from __future__ import annotations

from napari_hovernet._napari.widgets.model_picker import ModelPicker


def test_built_in_first_then_chosen_then_recent(qtbot):
    picker = ModelPicker()
    qtbot.addWidget(picker)
    picker.set_recent(["/m/b.tar", "/m/a.tar"])
    picker.setValue("/m/a.tar")
    titles = [picker.combo.itemText(i) for i in range(picker.combo.count())]
    assert titles == ["compact (built in)", "a.tar  (m)", "b.tar  (m)"]
    assert picker.value() == "/m/a.tar" and picker.combo.currentIndex() == 1


def test_only_a_person_s_choice_is_announced(qtbot):
    picker = ModelPicker()
    qtbot.addWidget(picker)
    said = []
    picker.valueChanged.connect(said.append)
    picker.set_recent(["/m/b.tar"])
    picker.setValue("/m/b.tar")
    assert said == []
    picker.combo.activated.emit(0)
    assert said == ["compact"] == [picker.value()]


def test_the_file_dialog_chooses(qtbot, monkeypatch):
    picker = ModelPicker()
    qtbot.addWidget(picker)
    dialog = "napari_hovernet._napari.widgets.model_picker.QFileDialog.getOpenFileName"
    monkeypatch.setattr(dialog, lambda *a: ("/m/c.tar", ""))
    with qtbot.waitSignal(picker.valueChanged) as signal:
        picker.button.click()
    assert signal.args == ["/m/c.tar"]
    monkeypatch.setattr(dialog, lambda *a: ("", ""))
    with qtbot.assertNotEmitted(picker.valueChanged):
        picker.button.click()
