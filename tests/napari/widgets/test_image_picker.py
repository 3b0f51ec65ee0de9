from __future__ import annotations

from napari_hovernet._napari.widgets.image_picker import ImagePicker, RegionPicker
from napari_hovernet.app.session import ImageChoice


def test_choosing_announces_the_key(qtbot):
    picker = ImagePicker()
    qtbot.addWidget(picker)
    picker.set_images([(7, "top"), (3, "bottom")])
    picker.setValue(ImageChoice(key=3, name="bottom", description="20 x 30 px"))
    assert picker.value() == 3 and picker.description.text() == "20 x 30 px"
    with qtbot.waitSignal(picker.valueChanged) as signal:
        picker.combo.activated.emit(0)
    assert signal.args == [7]


def test_without_images_it_is_disabled_and_says_so(qtbot):
    picker = ImagePicker()
    qtbot.addWidget(picker)
    picker.set_images([])
    picker.setValue(None)
    assert not picker.combo.isEnabled() and picker.value() is None
    assert "No image layer" in picker.description.text()


def test_regions(qtbot):
    picker = RegionPicker()
    qtbot.addWidget(picker)
    picker.setValue("shapes")
    assert picker.value() == "shapes"
    with qtbot.waitSignal(picker.drawRequested):
        picker.button.click()
