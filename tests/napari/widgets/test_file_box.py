from __future__ import annotations

import pytest
from qtpy.QtWidgets import QFileDialog

from napari_hovernet._napari.widgets.file_box import FileBox


@pytest.fixture
def box(qtbot):
    box = FileBox("Features", "Tokens of a ViT.", "Features (*.npz)")
    qtbot.addWidget(box)
    return box


def test_it_shows_the_name_and_keeps_the_path(box):
    heard = []
    box.valueChanged.connect(heard.append)
    box.setValue("/data/x_features.npz")
    assert (box.value(), box.line.text(), box.line.toolTip(), heard) == (
        "/data/x_features.npz", "x_features.npz", "/data/x_features.npz", [])  # fmt: skip
    box.setValue("")
    assert box.line.toolTip() == "Tokens of a ViT." and box.line.placeholderText()


@pytest.mark.parametrize(("answer", "wanted"), [("/d/a.npz", ["/d/a.npz"]), ("", [])])
def test_the_button_asks(answer, wanted, box, monkeypatch):
    heard, asked = [], []
    box.valueChanged.connect(heard.append)
    box.setValue("/data/x.npz")

    def dialog(*given):
        asked.append(given[1:])
        return answer, ""

    monkeypatch.setattr(QFileDialog, "getOpenFileName", dialog)
    box.button.click()
    assert asked == [("Features", "/data", "Features (*.npz)")] and heard == wanted
    assert box.value() == (answer or "/data/x.npz")


def test_names_for_screen_readers(box):
    assert box.line.accessibleName() == "Features" and "Features" in box.button.accessibleName()
