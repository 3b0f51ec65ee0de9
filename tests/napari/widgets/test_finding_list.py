"""The list of findings: order, groups, choosing, staying."""

from __future__ import annotations

import pytest
from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon

from napari_hovernet._napari.widgets.finding_list import FindingList
from napari_hovernet._napari.widgets.verdict_icons import verdict_icon, verdict_pixmap


@pytest.fixture
def tree(qtbot, findings):
    tree = FindingList()
    qtbot.addWidget(tree)
    tree.set_findings(findings.made_up())
    return tree


def texts(parent, n):
    return [parent(i).text(0) for i in range(n)]


def test_causes_come_first_and_groups_are_folded(tree):
    assert texts(tree.topLevelItem, tree.topLevelItemCount()) == [
        "Touching nuclei are merged again",
        "HV channels may be swapped",
        "In order (3)",
        "Not tested (3)",
    ]
    cause, hint, passed, untested = (tree.topLevelItem(i) for i in range(4))
    assert cause.isExpanded() and texts(cause.child, 1) == ["Too few nuclei"]
    assert (cause.text(1), hint.text(1), passed.text(1)) == ("97%", "41%", "")
    assert not passed.isExpanded() and not untested.isExpanded()
    assert texts(untested.child, 2) == ["Give a loss. (2)", "Pairing: There is one image only."]
    said = cause.data(0, Qt.ItemDataRole.AccessibleTextRole)
    assert said == "Touching nuclei are merged again, fault 97%"


def test_choosing_by_hand_is_announced_by_program_it_is_not(tree, findings):
    told = []
    tree.valueChanged.connect(told.append)
    tree.setValue(findings.HINT)
    assert told == [] and tree.value() == findings.HINT
    tree.setCurrentItem(tree.topLevelItem(0))
    assert told == [findings.CAUSE]
    tree.setCurrentItem(tree.topLevelItem(2))  # a group
    assert told == [findings.CAUSE] and tree.value() == ""
    tree.setValue("")
    assert tree.currentItem() is None


def test_what_is_folded_opens_for_what_is_chosen(tree):
    tree.setValue("loss.l1")
    untested = tree.topLevelItem(3)
    assert untested.isExpanded() and untested.child(0).isExpanded()
    assert tree.currentItem().text(0) == "Loss 1"


def test_new_findings_leave_the_choice_and_what_is_open(tree, findings):
    told = []
    tree.setValue(findings.HINT)
    tree.topLevelItem(2).setExpanded(True)
    tree.valueChanged.connect(told.append)
    tree.set_findings(findings.made_up()[:-1])
    assert tree.value() == findings.HINT and told == []
    assert tree.topLevelItem(2).isExpanded() and "(2)" in tree.topLevelItem(3).text(0)
    tree.set_findings(())
    assert tree.topLevelItemCount() == 0 and tree.value() == ""


def test_return_goes_there_again_and_opens_groups(tree, qtbot, findings):
    told = []
    tree.setValue(findings.CAUSE)
    tree.valueChanged.connect(told.append)
    qtbot.keyClick(tree, Qt.Key.Key_Return)
    assert told == [findings.CAUSE]
    tree.setCurrentItem(tree.topLevelItem(2))
    qtbot.keyClick(tree, Qt.Key.Key_Return)
    assert tree.topLevelItem(2).isExpanded()
    qtbot.keyClick(tree, Qt.Key.Key_Down)
    assert told[-1] == "data.good0"


def test_it_grows_with_its_lines(tree, findings):
    low = tree.height()
    tree.topLevelItem(2).setExpanded(True)
    assert tree.height() > low
    tree.set_findings(())
    assert tree.height() <= low


def test_each_verdict_has_a_shape_of_its_own(qapp):
    shapes = set()
    for verdict in ("fault", "warn", "ok", "not tested"):
        image = verdict_pixmap(verdict).toImage()
        alpha = [image.pixelColor(x, y).alpha() > 128 for x in range(32) for y in range(32)]
        shapes.add(tuple(alpha))
        chosen = verdict_icon(verdict).pixmap(32, QIcon.Mode.Selected).toImage()
        assert chosen == verdict_icon(verdict).pixmap(32).toImage()
    assert len(shapes) == 4
