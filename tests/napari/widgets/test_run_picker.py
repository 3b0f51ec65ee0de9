from __future__ import annotations

from types import SimpleNamespace

import pytest

from napari_hovernet._napari.widgets.run_picker import NO_RUN, RunPicker


def run(number):
    return SimpleNamespace(
        id=number,
        title=f"compact {number}",
        result=SimpleNamespace(n=1200),
        image=SimpleNamespace(name="slide"),
    )


@pytest.fixture
def picker(qtbot):
    picker = RunPicker()
    qtbot.addWidget(picker)
    return picker


def test_without_a_run_it_says_what_to_do(picker):
    picker.set_runs([])
    assert picker.value() == 0 and not picker.combo.isEnabled()
    assert picker.remark.text() == NO_RUN and not picker.remark.isHidden()


def test_latest_first_with_nuclei_and_image(picker):
    picker.set_runs([run(1), run(2)])
    texts = [picker.combo.itemText(i) for i in range(picker.combo.count())]
    assert texts == ["compact 2   1,200 nuclei   slide", "compact 1   1,200 nuclei   slide"]
    assert picker.value() == 2 and picker.remark.isHidden() and picker.combo.isEnabled()


def test_the_choice_stays_while_its_run_is_there(picker):
    picker.set_runs([run(1), run(2)])
    picker.setValue(1)
    picker.set_runs([run(1), run(2), run(3)])
    assert picker.value() == 1
    picker.set_runs([run(2), run(3)])
    assert picker.value() == 3
    picker.setValue(77)
    assert picker.value() == 3


def test_only_the_user_announces_a_choice(picker, qtbot):
    heard = []
    picker.valueChanged.connect(heard.append)
    picker.set_runs([run(1), run(2)])
    picker.setValue(1)
    assert heard == []
    picker.combo.setCurrentIndex(0)
    picker.combo.activated.emit(0)
    assert heard == [2]
