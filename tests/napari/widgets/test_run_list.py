from __future__ import annotations

from types import SimpleNamespace

from qtpy.QtCore import Qt

from napari_hovernet._napari.widgets.run_list import RunList


def run(number):
    result = SimpleNamespace(nuclei=range(1200), seconds=2.0)
    return SimpleNamespace(
        id=number, title=f"compact {number}", result=result, image=SimpleNamespace(name="slide")
    )


def test_latest_first_and_checked_where_visible(qtbot):
    runs = RunList()
    qtbot.addWidget(runs)
    runs.set_runs([run(1), run(2)], lambda i: i == 2)
    items = [runs.list.item(i) for i in range(2)]
    assert [i.text() for i in items] == ["compact 2   1,200 nuclei", "compact 1   1,200 nuclei"]
    assert [i.checkState() == Qt.CheckState.Checked for i in items] == [True, False]


def test_check_box_and_remove_name_the_run(qtbot):
    runs = RunList()
    qtbot.addWidget(runs)
    runs.set_runs([run(1), run(2)], lambda _: True)
    with qtbot.waitSignal(runs.visibleChanged) as shown:
        runs.list.item(1).setCheckState(Qt.CheckState.Unchecked)
    assert shown.args == [1, False]
    with qtbot.waitSignal(runs.removeRequested) as removed:
        runs.remove.click()
    assert removed.args == [2]


def test_buttons_are_off_when_there_is_nothing_to_do(qtbot):
    runs = RunList()
    qtbot.addWidget(runs)
    runs.set_runs([], lambda _: True)
    runs.set_history(can_undo=False, can_redo=True)
    assert (runs.undo.isEnabled(), runs.redo.isEnabled(), runs.remove.isEnabled()) == (
        False, True, False,
    )  # fmt: skip
