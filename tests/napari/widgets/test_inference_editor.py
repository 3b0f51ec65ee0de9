from __future__ import annotations

from napari_hovernet._napari.widgets.inference_editor import InferenceEditor
from napari_hovernet.app.session import Options
from napari_hovernet.core.params import InferenceParams

WANTED = Options(
    device="cpu",
    inference=InferenceParams(tile=512, batch=4, image_mpp=0.5, precision="float32"),
    separation="hover_net",
    region="view",
)


def test_round_trip_keeps_what_is_not_edited_here(qtbot):
    editor = InferenceEditor()
    qtbot.addWidget(editor)
    with qtbot.assertNotEmitted(editor.valueChanged):
        editor.setValue(WANTED)
    assert editor.value() == WANTED


def test_zero_is_automatic(qtbot):
    editor = InferenceEditor()
    qtbot.addWidget(editor)
    editor.setValue(WANTED)
    with qtbot.waitSignal(editor.valueChanged) as signal:
        editor.tile.setValue(0)
    assert signal.args[0].inference.tile is None and editor.tile.text() == "Automatic"


def test_reference_tiles_have_no_size_to_choose(qtbot):
    editor = InferenceEditor()
    qtbot.addWidget(editor)
    editor.setValue(Options(inference=InferenceParams(tiling="reference")))
    assert not editor.tile.isEnabled()
