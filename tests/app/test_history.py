from __future__ import annotations

from napari_hovernet.app.jobs import HISTORY_LIMIT, Change, History


def test_a_new_change_ends_redo():
    history = History()
    history.do(Change(added=("a",)))
    history.undo()
    history.do(Change(added=("b",)))
    assert history.items == ("b",) and not history.can_redo and history.redo() is None


def test_undo_restores_the_place_of_what_was_removed():
    history = History()
    a, b, c = items = tuple("abc")
    for item in items:
        history.do(Change(added=(item,)))
    history.do(Change(removed=(b,)))
    assert history.items == (a, c)
    history.undo()
    assert history.items == (a, b, c)


def test_old_changes_are_let_go():
    history = History()
    for i in range(HISTORY_LIMIT + 3):
        item = f"run {i}"
        history.do(Change(added=(item,)))
        history.do(Change(removed=(item,)))
    assert len(history.reachable()) == HISTORY_LIMIT // 2
    for _ in range(HISTORY_LIMIT):
        assert history.undo() is not None
    assert history.undo() is None
