"""Predicted types against true ones."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.map_types import model_types, type_table

GOOD = np.array([
    [0, 0, 0, 0, 0], [0, 900, 50, 20, 5], [0, 40, 400, 30, 9], [0, 10, 20, 300, 4],
    [0, 1, 5, 9, 90],
])  # fmt: skip


def test_background_is_never_a_prediction() -> None:
    chances = np.zeros((3, 2, 2))
    chances[0] = 1.0
    chances[2, 0] = 0.5
    table = type_table([(np.array([[1, 2], [0, 2]]), chances)], 3)
    assert table.tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 1]]


def test_good_types_are_ok() -> None:
    finding = model_types(GOOD)
    assert finding.verdict == "ok"
    assert finding.value == pytest.approx(np.trace(GOOD) / GOOD.sum())
    assert finding.plot is not None


@pytest.mark.parametrize("by", [1, -1])
def test_a_numbering_that_is_off_is_found_with_what_to_add(by: int) -> None:
    true = np.roll(GOOD, -by, 0)
    finding = model_types(true, setup_offset=2)
    assert (finding.verdict, finding.remedy.action) == ("fault", "type_offset")
    assert finding.remedy.value == 2 + by


def test_another_order_of_types_is_told_by_name() -> None:
    finding = model_types(GOOD[[0, 3, 2, 1, 4]])
    assert (finding.verdict, finding.remedy.action) == ("fault", "")
    assert "1 is predicted as 3" in finding.evidence


def test_types_that_are_hardly_ever_right_are_a_warning() -> None:
    always = np.zeros((4, 4), np.int64)
    always[1:, 3] = 700, 200, 20
    assert model_types(always).verdict == "warn"
    assert model_types(np.zeros((4, 4), np.int64)).verdict == "not tested"
