"""Boxes, sliders and small widgets, without a viewer."""

import gc
import weakref

import pytest
from qtpy.QtCore import QLocale, QPoint, QPointF, Qt
from qtpy.QtGui import QWheelEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_hovernet._napari.forms import Form, Number, SliderRow, read_number, rows_of
from napari_hovernet._napari.kit import Combo, Elided, Message, column, plain, take_away
from napari_hovernet.core.choices import Choice
from napari_hovernet.core.params import InferenceParams, OptimParams
from napari_hovernet.core.separation.tuning import tunable


def wheel(widget):
    middle = QPointF(widget.rect().center())
    event = QWheelEvent(
        middle, QPointF(widget.mapToGlobal(middle.toPoint())), QPoint(0, 120), QPoint(0, 120),
        Qt.MouseButton.NoButton, Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase,
        False,
    )  # fmt: skip
    QApplication.sendEvent(widget, event)


@pytest.fixture(params=["C", "de_DE"])
def locale(request):
    before = QLocale()
    QLocale.setDefault(QLocale(request.param))
    yield request.param
    QLocale.setDefault(before)


def test_numbers_are_read_in_c_and_with_a_comma(qtbot, locale):
    box = Number(Choice(default=1.0, low=0, high=10, step=0.01))
    qtbot.addWidget(box)
    for typed in ("0.5", "0,5"):
        box.setValue(1.0)
        box.lineEdit().selectAll()
        qtbot.keyClicks(box.lineEdit(), typed)
        qtbot.keyClick(box.lineEdit(), Qt.Key.Key_Return)
        assert box.value() == 0.5 and box.text() == "0.50"
    assert read_number("1e-4") == 1e-4


def test_numbers_may_be_grouped_go_by_1_2_5_and_slider_and_box_do_the_same(qtbot):
    whole = Number(Choice(default=5, low=0, high=9000, step=1))
    lr = Number(rows_of(OptimParams, "lr")[0])
    for box in (whole, lr):
        qtbot.addWidget(box)
    assert whole.valueFromText("1,500") == 1500 and whole.valueFromText("12") == 12
    lr.setValue(1e-4)
    assert lr.text() == "1e-4"
    lr.stepBy(1)
    assert lr.value() == pytest.approx(2e-4) and lr.valueFromText("nonsense") == lr.value()
    row, told = SliderRow(tunable("min_area")), []
    qtbot.addWidget(row)
    row.valueChanged.connect(told.append)
    row.set_default(20)
    row.setValue(20)
    row.slider.setValue(row.slider.value() + 5)
    row.box.setValue(31)
    row.reset.click()
    assert told == [25, 31, 20] and not row.reset.isEnabled()


def test_the_wheel_changes_nothing_without_focus(qtbot):
    slider = SliderRow(tunable("np_threshold"))
    combo = Combo("It", "", [(1, "one", ""), (2, "two", "")])
    form = Form(rows_of(InferenceParams, "tile", "tiling"), InferenceParams())
    for widget in (slider, combo, form):
        qtbot.addWidget(widget)
        widget.show()
    before = slider.value()
    for widget in (slider.slider, slider.box, combo, *form.boxes.values()):
        widget.clearFocus()
        wheel(widget)
    assert slider.value() == before and combo.value() == 1
    assert form.value() == InferenceParams()


def test_a_form_tells_what_is_wrong_and_announces_only_what_is_right(qtbot):
    form = Form(rows_of(InferenceParams, "tile", "batch", "precision"), InferenceParams())
    qtbot.addWidget(form)
    with qtbot.waitSignal(form.valueChanged) as told:
        form.boxes["tile"].setValue(512)
    assert told.args[0].tile == 512 and form.problem == ""
    form.boxes["precision"].setValue("float16")
    form.boxes["precision"].picked.emit("float16")
    assert form.value().precision == "float16"
    form.boxes["tile"].setValue(form.boxes["tile"].minimum())
    assert form.value().tile is None


def test_long_words_widen_nothing_and_are_never_markup(qtbot):
    name = "NVIDIA H200 141GB HBM3e (MIG 7g) " * 3
    made = (Elided(name), Combo("It", "", [(1, name, "")]), Message("m"), plain("<b>x</b>"))
    for widget in made:
        qtbot.addWidget(widget)
    made[2].say(name * 5)
    assert all(widget.minimumSizeHint().width() < 120 for widget in made)
    assert made[0].text() == name and made[3].textFormat() == Qt.TextFormat.PlainText
    tall = made[2].sizeHint().height()
    made[2].say("")
    assert made[2].sizeHint().height() == tall


def test_what_is_taken_away_is_left_to_qt_and_not_to_the_garbage_collector(qtbot):
    whole, gone = QWidget(), []
    qtbot.addWidget(whole)
    line = SliderRow(tunable("np_threshold"))
    column(whole).addWidget(line)
    line.destroyed.connect(lambda: gone.append(True))
    kept = weakref.ref(line)
    take_away(line)
    del line
    gc.collect()
    assert kept() is not None and not gone
    qtbot.waitUntil(lambda: bool(gone), timeout=60_000)
