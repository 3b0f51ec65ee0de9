"""Columns grow; what was handed out stays."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.app.watch import FIRST_CAPACITY, Growing


def test_what_was_handed_out_stays_when_rows_are_added_and_cut() -> None:
    rows = Growing(("step", "total"))
    for i in range(FIRST_CAPACITY + 10):
        rows.add([i, 2 * i])
    before = rows.series()
    rows.cut_from("step", 5)
    rows.add([5, -1])
    after = rows.series()
    assert len(before) == FIRST_CAPACITY + 10
    np.testing.assert_array_equal(before["total"], 2 * before["step"])
    np.testing.assert_array_equal(after["step"], np.arange(6))
    assert after.last("total") == -1
    with pytest.raises(ValueError, match="read-only"):
        before["total"][0] = 1


def test_cutting_behind_the_end_changes_nothing() -> None:
    rows = Growing(("step",))
    rows.cut_from("step", 0)
    rows.add([3])
    rows.cut_from("step", 4)
    assert rows.series()["step"].tolist() == [3]
    assert not rows.series().known("total")
    assert np.isnan(rows.series().last("total"))
