from __future__ import annotations

import pytest

from napari_hovernet._napari.widgets.mpp_editor import MppEditor, mpp_remark


@pytest.mark.parametrize(
    ("mpp", "model", "words"),
    [
        (0.25, 0.25, "no resampling"),
        (0.26, 0.25, "no resampling"),
        (0.5, 0.25, "enlarged 2.00x"),
        (0.125, 0.25, "reduced to 0.50x"),
        (None, 0.25, "type its value"),
        (0.5, None, "model's resolution is not known"),
    ],
)
def test_the_remark_says_what_will_happen(mpp, model, words):
    assert words in mpp_remark(mpp, "layer scale", model, 0.1)


def test_a_typed_value_is_announced_and_no_longer_from_the_layer(qtbot):
    editor = MppEditor()
    qtbot.addWidget(editor)
    editor.set_context((0.5, "layer scale in µm"), 0.25, 0.1)
    editor.setValue(0.5)
    assert "From layer scale in µm" in editor.remark.text()
    with qtbot.waitSignal(editor.valueChanged) as signal:
        editor.spin.setValue(0.25)
    assert signal.args == [0.25] and "From typed in" not in editor.remark.text()
    assert "Typed in." in editor.remark.text()


def test_zero_is_not_known(qtbot):
    editor = MppEditor()
    qtbot.addWidget(editor)
    editor.setValue(None)
    assert editor.value() is None and editor.spin.text() == "not known"
