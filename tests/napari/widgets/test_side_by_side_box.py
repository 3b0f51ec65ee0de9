from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

from napari_hovernet._napari.desk import desk_for
from napari_hovernet._napari.images import placement
from napari_hovernet._napari.session_for import forget
from napari_hovernet._napari.widgets.side_by_side_box import NO_A, NO_B, SideBySideBox
from napari_hovernet.app.session import ImageChoice, Run

WAIT_MS = 60_000


@pytest.fixture
def viewer(jobs, qapp):
    viewer = ViewerModel()
    yield viewer
    forget(viewer)


@pytest.fixture
def box(viewer, qtbot):
    box = SideBySideBox(viewer)
    qtbot.addWidget(box)
    return box


@pytest.fixture
def add(viewer, make_result, box):
    image = viewer.add_image(np.zeros((64, 80, 3), np.uint8), rgb=True, name="slide")

    def add(number):
        place = placement(image, (0, 0))
        run = Run(number, f"c {number}", ImageChoice(id(image), "slide"), make_result(), place, {})
        desk_for(viewer).work.session.finish(run)
        return run

    return add


@pytest.fixture
def told(box):
    heard = []
    box.told.connect(lambda error: heard.append(str(error)))
    return heard


def actions(box):
    box.menu.aboutToShow.emit()
    return {action.text(): action for action in box.menu.actions() if action.text()}


def test_it_says_what_is_missing(box, add):
    assert box.remark.text() == NO_A and not box.toggle.isEnabled() and not box.other.isEnabled()
    add(1)
    assert box.remark.text() == NO_B and not box.toggle.isEnabled() and box.other.isEnabled()
    add(2)
    assert box.remark.isHidden() and box.toggle.isEnabled()
    assert box.first.text() == "A   c 2   2 nuclei"
    assert box.table.isHidden() and box.legend.isHidden()


def test_the_choice_of_b_stays_and_both_are_shown_and_left(box, add, viewer, qtbot):
    for number in (1, 2, 3):
        add(number)
    assert [box.second.itemData(i) for i in range(2)] == [2, 1]
    box.second.setCurrentIndex(1)
    box._show()
    assert box.second.currentData() == 1
    box.toggle.click()
    assert box.toggle.text() == "Leave" and box.remark.text() == "Comparing ..."
    assert not box.second.isEnabled()
    qtbot.waitUntil(lambda: not box.table.isHidden(), timeout=WAIT_MS)
    assert [box.table.item(0, c).text() for c in range(3)] == ["2", "2", "0"]
    assert not box.legend.isHidden() and box.legend.counts[1].text() == "2"
    assert "B · c 1" in viewer.layers and box.remark.text().startswith("Left: A.")
    box.toggle.click()
    assert box.toggle.text() == "Side by side" and box.table.isHidden() and box.legend.isHidden()
    assert "B · c 1" not in viewer.layers


def test_another_checkpoint_from_the_menu_or_a_file(box, add, viewer, jobs, monkeypatch, qtbot):
    add(1)
    assert list(actions(box)) == ["compact (built in)", "Open file ..."]
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("", ""))
    actions(box)["Open file ..."].trigger()
    assert not box.sides.busy
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: ("/m/other.tar", ""))
    actions(box)["Open file ..."].trigger()
    assert box.remark.text() == "Reading the model file ..." and not box.other.isEnabled()
    qtbot.waitUntil(lambda: box.sides.two is not None, timeout=WAIT_MS)
    assert box.first.text().startswith("A   c 1") and box.second.currentText().startswith("other 2")
    assert jobs.requests[0].model == "/m/other.tar"


def test_what_goes_wrong_is_told(box, add, viewer, jobs, told, qtbot):
    add(1)
    viewer.layers.remove(viewer.layers["slide"])
    actions(box)["compact (built in)"].trigger()
    assert "no longer among the layers" in told[0]


def test_a_failed_run_is_told(box, add, jobs, told, qtbot):
    add(1)
    jobs.error = RuntimeError("no good")
    actions(box)["compact (built in)"].trigger()
    qtbot.waitUntil(lambda: bool(told), timeout=WAIT_MS)
    assert "no good" in told[0] and box.other.isEnabled() and box.remark.text() == NO_B


def test_a_closed_box_is_not_called_any_more(box, add, viewer, qtbot):
    gone = SideBySideBox(viewer)
    gone.deleteLater()
    qtbot.wait(20)
    add(1)
    add(2)
    box.toggle.click()
    qtbot.waitUntil(lambda: box.sides.two is not None, timeout=WAIT_MS)
