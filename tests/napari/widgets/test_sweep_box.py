"""Axes of a sweep, its buttons, and what they ask for."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import Qt

from napari_hovernet._napari.widgets.sweep_box import (
    FIRST_STEPS,
    MOST_STEPS,
    NONE,
    AxisEditor,
    SweepBox,
)
from napari_hovernet.core.measure.sweep import MOST_CELLS, Sweep, SweepAxis
from napari_hovernet.core.params import METHODS
from napari_hovernet.core.separation.tuning import TuneParams, tunable, tunables_for
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError

SCORED = Sweep(
    TuneParams(),
    SweepAxis("np_threshold", (0.2, 0.5)),
    None,
    np.array([[5], [-1]]),
    np.array([[0.5], [np.nan]]),
)
COUNTED = Sweep(TuneParams(), SCORED.rows, None, SCORED.counts)


@pytest.fixture
def axis(qtbot):
    axis = AxisEditor("First", optional=False)
    qtbot.addWidget(axis)
    axis.set_method("local", "np_threshold")
    return axis


@pytest.fixture
def box(qtbot):
    box = SweepBox()
    qtbot.addWidget(box)
    box.set_method("local")
    box.said = []
    box.sweepRequested.connect(lambda r, c: box.said.append(("sweep", r, c)))
    box.cancelRequested.connect(lambda: box.said.append("cancel"))
    box.applyRequested.connect(lambda r, c: box.said.append(("apply", r, c)))
    box.failed.connect(lambda text: box.said.append(("failed", text)))
    return box


def choose(axis, name):
    axis.combo.setCurrentIndex(axis.combo.findData(name))


def offered(axis):
    return [axis.combo.itemData(i) for i in range(axis.combo.count())]


# ---------------------------------------------------------------------- an axis


@pytest.mark.parametrize("method", METHODS)
def test_parameters_of_the_method_are_offered(axis, method):
    axis.set_method(method, "np_threshold")
    assert offered(axis) == [t.name for t in tunables_for(method)]


def test_the_axis_wanted_is_chosen_over_its_whole_range(axis):
    found = axis.value()
    assert found.name == "np_threshold" and len(found.values) == FIRST_STEPS
    assert (found.values[0], found.values[-1]) == (0.05, 0.95)


@pytest.mark.parametrize("known", tunables_for("local"), ids=lambda t: t.name)
def test_every_parameter_has_its_range_and_digits(axis, known):
    choose(axis, "min_area")  # whole numbers before
    choose(axis, known.name)
    found = axis.value()
    assert (found.values[0], found.values[-1]) == (known.low, known.high)
    assert axis.low.decimals() == known.decimals and axis.high.singleStep() == known.step


def test_what_is_typed_is_what_is_tried(axis):
    choose(axis, "depth")
    axis.low.setValue(0.1)
    axis.high.setValue(0.3)
    axis.count.setValue(3)
    assert axis.value() == SweepAxis("depth", (0.1, 0.2, 0.3))


def test_more_steps_than_values_are_fewer_values(axis):
    choose(axis, "min_area")
    axis.low.setValue(3)
    axis.high.setValue(5)
    axis.count.setValue(MOST_STEPS)
    assert axis.value().values == (3, 4, 5)


def test_a_range_that_runs_backwards_is_refused(axis):
    axis.low.setValue(0.8)
    axis.high.setValue(0.2)
    with pytest.raises(InputError, match=r"np_threshold from 0\.8 to 0\.2"):
        axis.value()


def test_the_choice_stays_where_another_method_has_it_too(axis):
    choose(axis, "min_area")
    axis.low.setValue(10)
    axis.set_method("hover_net", "np_threshold")
    assert axis.combo.currentData() == "min_area"
    choose(axis, "sobel_size")
    axis.set_method("local", "np_threshold")
    assert axis.combo.currentData() == "np_threshold"


def test_the_same_method_again_leaves_everything(axis):
    choose(axis, "depth")
    axis.low.setValue(0.3)
    axis.set_method("local", "np_threshold")
    assert axis.combo.currentData() == "depth" and axis.low.value() == 0.3


def test_an_optional_axis_is_none_at_first(qtbot):
    axis = AxisEditor("Second", optional=True)
    qtbot.addWidget(axis)
    axis.set_method("local", NONE)
    assert axis.value() is None and offered(axis)[0] == NONE
    assert not (axis.low.isEnabled() or axis.high.isEnabled() or axis.count.isEnabled())
    choose(axis, "depth")
    assert axis.value().name == "depth" and axis.low.isEnabled()
    axis.set_method("local", NONE)
    assert axis.value().name == "depth"
    axis.set_method("hover_net", NONE)  # has no depth
    assert axis.value() is None


def test_the_largest_sweep_that_can_be_set_up_is_allowed():
    assert MOST_STEPS**2 <= MOST_CELLS


# ---------------------------------------------------------------------- the box


def test_sweep_asks_with_both_axes(box, qtbot):
    qtbot.mouseClick(box.run, Qt.MouseButton.LeftButton)
    choose(box.second, "depth")
    box.run.click()
    rows = box.first.value()
    assert box.said == [("sweep", rows, None), ("sweep", rows, box.second.value())]


def test_an_axis_that_runs_backwards_is_told(box):
    box.first.low.setValue(0.9)
    box.first.high.setValue(0.1)
    box.run.click()
    ((kind, text),) = box.said
    assert kind == "failed" and "give low <= high" in text


def test_progress_turns_the_buttons(box):
    assert box.bar.isHidden() and box.run.isEnabled() and not box.cancel.isEnabled()
    box.set_progress(Progress(3, 49, "Trying"))
    assert not box.bar.isHidden() and (box.bar.value(), box.bar.maximum()) == (3, 49)
    assert not box.run.isEnabled() and box.cancel.isEnabled()
    assert box.bar.text() == "3 of 49 combinations"
    box.cancel.click()
    assert box.said == ["cancel"]
    box.set_progress(None)
    assert box.bar.isHidden() and box.run.isEnabled() and not box.cancel.isEnabled()


def test_the_best_is_applied(box):
    assert not box.best.isEnabled()
    box.setValue(SCORED)
    assert box.best.isEnabled() and not box.take.isEnabled()
    box.best.click()
    assert box.said == [("apply", 0, 0)]


def test_without_truth_there_is_no_best_but_a_choice(box):
    box.setValue(COUNTED)
    assert not box.best.isEnabled()
    box.plot.choose(0, 0)
    assert box.take.isEnabled()
    box.take.click()
    assert box.said == [("apply", 0, 0)]


def test_a_combination_that_cannot_be_cannot_be_applied(box):
    box.setValue(SCORED)
    box.plot.choose(1, 0)
    assert not box.take.isEnabled() and "do not go together" in box.plot.words.text()
    box.plot.choose(0, 0)
    assert box.take.isEnabled()


def test_another_sweep_forgets_the_choice(box):
    box.setValue(COUNTED)
    box.plot.choose(0, 0)
    box.setValue(SCORED)
    assert not box.take.isEnabled() and box.best.isEnabled()
    box.setValue(None)
    assert not box.best.isEnabled() and box.plot.plot.isHidden()
    assert box.said == []


def test_remarks_take_room_only_when_there_are_some(box):
    assert box.remark.isHidden()
    box.tell("Tried on the whole run.")
    assert box.remark.text() == "Tried on the whole run." and not box.remark.isHidden()
    box.tell("")
    assert box.remark.isHidden()


def test_everything_has_a_name_for_screen_readers(box):
    for widget in (box.run, box.cancel, box.best, box.take):
        assert widget.accessibleName() and widget.toolTip()
    names = {w.accessibleName() for a in (box.first, box.second) for w in (a.combo, a.low, a.high)}
    assert len(names) == 6
    assert tunable("np_threshold").title in [
        box.first.combo.itemText(i) for i in range(box.first.combo.count())
    ]
