from __future__ import annotations

import math

import pytest

from napari_hovernet.core.diagnosis import story, story_training
from napari_hovernet.core.diagnosis.story import story_markdown, story_parts, story_rows, story_text
from napari_hovernet.core.diagnosis.story_loss import loss_rows
from napari_hovernet.core.diagnosis.story_row import StoryRow

ROW = StoryRow("a | b", "1", {"one": 1.0, "none": math.nan, "tiny": 1e-7}, True, "So it is.")


@pytest.fixture(scope="module")
def parts() -> dict[str, tuple[StoryRow, ...]]:
    return story_parts()


def test_every_row_holds(parts: dict[str, tuple[StoryRow, ...]]) -> None:
    failed = [row for rows in parts.values() for row in rows if not row.holds]
    assert not failed
    assert [len(parts[name]) for name in ("loss", "training")] == [6, 3]
    assert len(parts["blob"]) >= 12


def test_the_wrong_rule_buys_length_and_no_direction(
    parts: dict[str, tuple[StoryRow, ...]],
) -> None:
    measured = parts["training"][1].measured
    lengths = [measured[f"wrong rule, lambda {k}: magnitude"] for k in (0, 1, 5)]
    assert lengths == sorted(lengths)
    assert lengths[0] < 0.03
    assert lengths[1] == pytest.approx(0.40, abs=0.06)
    assert lengths[2] == pytest.approx(0.57, abs=0.08)
    assert max(abs(measured[f"wrong rule, lambda {k}: cosine"]) for k in (0, 1, 5)) < 0.1
    assert measured["right rule, lambda 0: magnitude"] == pytest.approx(0.62, abs=0.06)
    assert measured["right rule, lambda 0: cosine"] > 0.95


def test_the_mean_transform_is_exactly_zero() -> None:
    measured = story_training.mean_transform().measured
    assert measured["share of the eight turns that come out right"] == 0.5
    assert measured["largest entry of the mean transform"] == 0.0


def test_numbers_of_the_loss_are_those_of_the_story() -> None:
    epsilon, background, weights, ratio, gradient, test_five = loss_rows()
    assert epsilon.measured["slope at |HV| = 1e-4: 1e-8 over 1e-6"] == pytest.approx(7.1, abs=0.1)
    assert math.isnan(epsilon.measured["slope at 0, 1e-8 under the root, float16"])
    numbers = list(background.measured.values())
    assert [round(v, 5) for v in numbers[:2]] == [0.6084, 0.60836]
    assert weights.measured["NP in NP and HV, expert fix"] < 0.07
    assert ratio.measured["old test, by formula"] == pytest.approx(1.9088, abs=1e-4)
    assert math.isnan(next(iter(gradient.measured.values())))
    assert test_five.measured["old test: relative error after"] > 0.1


def test_rows_that_do_not_hold_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = StoryRow("b", "2", {}, False, "No.")
    text = story_text([ROW, wrong])
    assert "DOES NOT HOLD" in text
    assert text.endswith("1 of 2 hold.")
    assert "**Does not hold here.**" in story_markdown([wrong])
    monkeypatch.setattr(story, "story_parts", lambda: {"a": (ROW,), "b": (wrong,)})
    assert story_rows() == (ROW, wrong)


def test_tables_keep_their_columns() -> None:
    rows = [ROW, StoryRow("c", "d", {f"n{k}": 0.5 for k in range(20)}, True, "e")]
    lines = story_markdown(rows).splitlines()
    assert all(line.replace("\\|", "").count("|") == 5 for line in lines)
    assert "and 12 more" in lines[-1]
    assert "none: NaN" in lines[2]
    assert "tiny: 1e-07" in lines[2]
