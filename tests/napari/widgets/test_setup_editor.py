from __future__ import annotations

from dataclasses import replace

import pytest

from napari_hovernet._napari.widgets.setup_editor import (
    SetupEditor,
    epochs_of,
    threads_beside_a_viewer,
)
from napari_hovernet.core.hv import PRESETS
from napari_hovernet.core.params import (
    CONVENTIONS,
    FAMILIES,
    LOSS_PRESETS,
    AugmentParams,
    DataParams,
    LossParams,
    OptimParams,
    TrainConfig,
)
from napari_hovernet.errors import InputError

OWN = TrainConfig(
    start="/models/a.tar",
    name="mine",
    data=DataParams(("/data/a", "/data/b.csv"), "epidermal", 0.35, 128, "hover_net", 3),
    loss=LossParams(1.5, 3.0, 0.0, 2.5, 5.0, 1e-8, 1e-4, nt_inside_only=False, adaptive=True),
    augment=AugmentParams(True, False, 0.1, (0.9, 1.5), 0.2, (0.7, 1.2), 0.1, 0.0, 0.3, 0.4, 0.5),
    optim=OptimParams(50, 16, 25, 3e-4, 1e-3, "step", 100, "two phases", 1.0),
    precision="bf16",
    device="cpu",
    num_workers=2,
    seed=7,
    save_epochs=(5, 20),
    threads=3,
)


@pytest.fixture
def editor(qtbot):
    editor = SetupEditor()
    qtbot.addWidget(editor)
    return editor


def test_every_choice_comes_back(editor, qtbot):
    with qtbot.assertNotEmitted(editor.valueChanged):
        editor.setValue(OWN)
    assert editor.value() == OWN
    editor.name.setText("other")  # what is read from the boxes is what was shown
    editor.name.editingFinished.emit()
    # a device that is not there becomes "auto"
    assert editor.value() == replace(OWN, name="other", device="auto")


def test_it_begins_with_the_defaults_and_leaves_the_viewer_a_thread(editor):
    assert editor.value() == TrainConfig(threads=threads_beside_a_viewer())
    assert threads_beside_a_viewer() >= 1


def test_an_edit_is_announced_whole(editor, qtbot):
    with qtbot.waitSignal(editor.valueChanged) as told:
        editor.optim.boxes["epochs"].setValue(3)
    assert told.args[0].optim == OptimParams(epochs=3)
    with qtbot.waitSignal(editor.valueChanged) as told:
        editor.loss.form.boxes["lambda_magnitude"].setValue(7.5)
    assert (told.args[0].loss.lambda_magnitude, told.args[0].optim.epochs) == (7.5, 3)


@pytest.mark.parametrize("name", LOSS_PRESETS)
def test_presets_of_the_loss(editor, name):
    editor.loss.preset.setCurrentText(name)
    editor.loss.preset.activated.emit(editor.loss.preset.currentIndex())
    assert editor.value().loss == LOSS_PRESETS[name]
    assert editor.loss.form.boxes["lambda_hv"].value() == LOSS_PRESETS[name].lambda_hv


def test_own_weights_are_called_so(editor):
    editor.loss.form.boxes["lambda_np"].setValue(9.0)
    assert editor.loss.preset.currentText() == "own weights"
    editor.loss.setValue(LOSS_PRESETS["expert fix"])
    assert editor.loss.preset.currentText() == "expert fix"


def test_names_and_epochs_that_cannot_be_are_told(editor, qtbot):
    before = editor.value()
    editor.name.setText("no/name")
    with qtbot.assertNotEmitted(editor.valueChanged):
        editor.name.editingFinished.emit()
    assert "letters, digits" in editor.problem
    assert editor.value() == before
    editor.name.setText("fine")
    editor.epochs.setText("5, x")
    editor.epochs.editingFinished.emit()
    assert "5, x" in editor.problem
    editor.epochs.setText("20 5 5")
    editor.epochs.editingFinished.emit()
    assert not editor.problem
    assert (editor.value().name, editor.value().save_epochs) == ("fine", (5, 20))


def test_a_scale_upside_down_is_told_until_it_is_mended(editor):
    boxes = editor.augment.form.boxes
    boxes["scale.0"].setValue(2.0)
    assert "scale is (2.0, 1.25)" in editor.problem
    assert editor.value().augment.scale == (0.8, 1.25)
    boxes["scale.1"].setValue(3.0)
    assert not editor.problem
    assert editor.value().augment.scale == (2.0, 3.0)


def test_without_augmentation_its_strength_is_grey(editor):
    editor.augment.on.setChecked(False)
    assert editor.value().augment == AugmentParams(on=False)
    assert not editor.augment.fold.isEnabled()


def test_automatic_steps_are_none(editor):
    box = editor.optim.boxes["steps_per_epoch"]
    box.setValue(25)
    assert editor.value().optim.steps_per_epoch == 25
    box.setValue(0)
    assert editor.value().optim.steps_per_epoch is None
    assert box.text() == "automatic"


def test_untrained_networks_can_be_chosen_to_start_from(editor, qtbot):
    combo = editor.start.combo
    with qtbot.waitSignal(editor.start.valueChanged) as told:
        combo.activated.emit(combo.findData("scratch:compact"))
    assert told.args == ["scratch:compact"]
    assert editor.value().start == "scratch:compact"
    assert combo.currentText() == "compact, untrained"
    editor.start.set_recent(["/m/a.tar"])
    assert editor.start.value() == "scratch:compact"
    assert combo.findData("/m/a.tar") > 0


def test_lists_that_are_written_down_twice_agree():
    assert ("auto", *PRESETS) == CONVENTIONS
    assert len(FAMILIES) == 5


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "five"])
def test_epochs_that_are_none(text):
    with pytest.raises(InputError, match="whole numbers from 1"):
        epochs_of(text)


def test_sources_come_and_go(editor, qtbot, tmp_path):
    (tmp_path / "index.csv").write_text("name\n")
    (tmp_path / "x.npz").write_bytes(b"")
    with qtbot.waitSignal(editor.valueChanged):
        editor.data.add_sources([str(tmp_path), str(tmp_path / "x.npz"), "/nowhere", str(tmp_path)])
    table = editor.data.table
    assert editor.value().data.sources == (str(tmp_path), str(tmp_path / "x.npz"), "/nowhere")
    kinds = [table.item(row, 1).text() for row in range(3)]
    assert kinds == ["folder, index", "family file", "not there any more"]
    table.selectRow(1)
    editor.data.remove.click()
    assert editor.value().data.sources == (str(tmp_path), "/nowhere")
