"""One finding: words, number, examples, maps, remedy, plot."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from qtpy.QtGui import QColor

from napari_hovernet._napari.diagnosis_state import Applied
from napari_hovernet._napari.widgets.finding_view import FindingView
from napari_hovernet._napari.widgets.look_bar import LookBar
from napari_hovernet._napari.widgets.place_list import PlaceList
from napari_hovernet._napari.widgets.remedy_box import AppliedBox, RemedyBox
from napari_hovernet._napari.widgets.value_bar import ValueBar, ends


@pytest.fixture
def by_id(findings):
    return {f.id: f for f in findings.made_up()}


@pytest.fixture
def view(qtbot):
    view = FindingView()
    qtbot.addWidget(view)
    return view


def test_a_finding_is_shown_with_all_that_belongs_to_it(view, by_id, findings):
    view.setValue(by_id[findings.CAUSE], ready=True, tunable=True)
    view.show()
    assert view.under.text() == "fault · 97% sure · separation.relabel"
    assert view.evidence.text() == "60 nuclei became 21."
    assert view.value.words.text() == "<b>0.287 AJI</b>, threshold 0.6"
    assert "Leave the relabel out." in view.remedy.text.text()
    assert view.remedy.apply.isEnabled() and view.remedy.tuner.isVisible()
    assert view.places.list.count() == 3 and view.plot.isVisible()
    assert "instances" in view.numbers.text() and "21" in view.numbers.text()
    assert view.sign.accessibleName() == "fault"
    view.setValue(None)
    assert not view.isVisible() and view.value_id() == ""


def test_what_a_finding_lacks_takes_no_room(view, by_id):
    view.setValue(by_id["data.good0"])
    view.show()
    hidden = (view.remedy, view.places, view.look, view.plot, view.more)
    assert not any(widget.isVisible() for widget in hidden)
    assert view.value.isVisible()
    view.setValue(by_id["loss.l0"])
    assert not view.value.isVisible() and view.evidence.text() == "Not tested: give a loss."


def test_ranking_anew_leaves_the_chosen_example(view, by_id, findings):
    cause = by_id[findings.CAUSE]
    view.setValue(cause)
    view.places.setValue(2)
    view.setValue(replace(cause), ready=False)
    assert view.places.value() == 2 and not view.remedy.apply.isEnabled()
    view.setValue(replace(cause, evidence="Other."))
    assert view.places.value() == -1 and view.evidence.text() == "Other."


def test_choices_are_passed_on(view, by_id, findings):
    told = []
    view.placeChosen.connect(told.append)
    view.stepped.connect(told.append)
    view.layerChosen.connect(told.append)
    view.remedy.applyRequested.connect(lambda: told.append("apply"))
    view.setValue(by_id[findings.HINT])
    view.places.list.setCurrentRow(0)
    view.look.buttons["hv_y"].click()
    view.remedy.apply.click()
    view.setValue(by_id[findings.CAUSE])
    view.places.on.click()
    view.places.back.click()
    assert told == [0, "hv_y", "apply", 1, -1]


# ------------------------------------------------------------------ examples, maps


def test_examples_say_where_they_are(qtbot, findings):
    widget = PlaceList()
    qtbot.addWidget(widget)
    assert widget.isHidden()
    widget.set_places(findings.places(2))
    first, second = (widget.list.item(i).text() for i in range(2))
    assert first == "1. three nuclei became one (image 0, rows 0-20, columns 0-30)"
    assert second == "2. image 0, rows 10-30, columns 20-50"
    assert not widget.on.isHidden()
    widget.set_places(findings.places(1))
    assert widget.on.isHidden()


def test_an_example_chosen_by_program_is_not_announced(qtbot, findings):
    widget, told = PlaceList(), []
    qtbot.addWidget(widget)
    widget.set_places(findings.places(3))
    widget.valueChanged.connect(told.append)
    widget.setValue(1)
    assert told == [] and widget.value() == 1
    widget.list.itemClicked.emit(widget.list.item(1))  # back to where it is already
    widget.list.setCurrentRow(2)
    assert told == [1, 2]


def test_maps_are_offered_one_at_a_time(qtbot):
    bar = LookBar()
    qtbot.addWidget(bar)
    assert bar.isHidden() and bar.value() == ""
    bar.set_layers(("truth", "hv_y", "np"))
    assert list(bar.buttons) == ["hv_y", "np"] and bar.value() == "hv_y"
    bar.buttons["np"].click()
    assert bar.value() == "np" and not bar.buttons["hv_y"].isChecked()
    bar.set_layers(("np", "truth"))
    assert bar.isHidden()


# ------------------------------------------------------------------ remedy


def test_a_remedy_in_words_alone_has_no_button(qtbot, by_id, findings):
    box = RemedyBox()
    qtbot.addWidget(box)
    cause = by_id[findings.CAUSE]
    box.setValue(replace(cause, remedy=replace(cause.remedy, action="")))
    box.show()
    assert box.text.isVisible() and not box.apply.isVisible()
    box.setValue(cause, ready=False)
    assert box.apply.isVisible() and not box.apply.isEnabled()
    assert "Wait" in box.apply.toolTip() and not box.tuner.isVisible()
    box.setValue(cause)
    assert "separation local" in box.apply.toolTip()


def test_applied_remedies_are_listed_with_what_they_changed(qtbot):
    box = AppliedBox()
    qtbot.addWidget(box)
    assert box.isHidden()
    made = Applied("a.b", "HV channels are swapped", "HV read as vh", "fault", "ok")
    box.setValue((made, made))
    assert len(box.lines) == 2 and not box.isHidden()
    told = []
    box.undoRequested.connect(lambda: told.append(1))
    box.undo.click()
    assert told == [1]
    box.setValue(())
    assert box.isHidden() and box.lines == []


# ------------------------------------------------------------------ number


@pytest.mark.parametrize(
    ("value", "threshold", "unit", "expected"),
    [
        (0.86, 0.5, "share", (0.0, 1.0)),
        (1.4, 0.5, "share", (0.0, 1.68)),
        (-0.5, 0.3, "cosine", (-1.0, 1.0)),
        (-3.0, 1.0, "px", (-3.6, 1.2)),
        (5.0, math.nan, "px", (0.0, 6.0)),
        (0.0, 0.0, "", (0.0, 1.0)),
    ],
)
def test_the_scale_shows_value_and_threshold(value, threshold, unit, expected):
    assert ends(value, threshold, unit) == pytest.approx(expected)


def test_the_bar_reaches_from_zero_to_the_value(qtbot, by_id, findings):
    bar = ValueBar()
    qtbot.addWidget(bar)
    bar.resize(208, 60)
    bar.setValue(replace(by_id[findings.SYMPTOM], value=0.75))
    bar.show()
    image = bar.bar.grab().toImage()
    scale = image.width() / bar.bar.width()

    def red(share):
        x = 4 + share * (bar.bar.width() - 8)
        color = QColor(image.pixel(int(x * scale), int(5 * scale)))
        return color.red() > color.blue() + 60

    assert red(0.1) and red(0.7) and not red(0.85)
    bar.setValue(None)
    assert bar.isHidden()
