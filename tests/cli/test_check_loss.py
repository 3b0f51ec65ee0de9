"""check-loss: what it prints, as text and as JSON, and its exit status."""

from __future__ import annotations

import json
from typing import Any

import pytest

from napari_hovernet.core.diagnosis import story
from napari_hovernet.core.diagnosis.story_blob import StoryRow

GOOD = StoryRow("It was said.", "1", {"a": 1.5, "slope": float("nan")}, True, "It is.")
BAD = StoryRow("It was said, too.", "1", {"a": 2.0}, False, "It is not.")


def test_the_claims_are_measured_and_what_came_out_is_printed(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "trained", lambda: GOOD)  # it trains four networks
    outcome = run("check-loss")
    assert outcome.status == 0
    assert outcome.out.rstrip().endswith("7 of 7 corrected checks pass.")
    for words in ("0.6084", "0.60836", "0.0606", "1.90883", "NaN", "was said"):
        assert words in outcome.out
    assert max(map(len, outcome.out.splitlines())) <= 100


def test_json_is_strict_and_a_failing_check_gives_status_1(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seeds: list[int] = []
    monkeypatch.setattr(story, "loss_claims", lambda seed: seeds.append(seed) or (GOOD, BAD))
    outcome = run("check-loss", "--json", "--seed", 3)
    assert (outcome.status, seeds) == (1, [3])
    data = json.loads(outcome.out, parse_constant=pytest.fail)
    assert (data["passed"], data["seed"]) == (False, 3)
    assert set(data["checks"][0]) == {"name", "passed", "expected", "measured", "why"}
    assert data["checks"][0]["measured"]["slope"] == "nan"
    assert "1 of 2 corrected checks pass." in run("check-loss").out


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_is_none_is_refused(run: Any, seed: int) -> None:
    outcome = run("check-loss", f"--seed={seed}")
    assert outcome.status == 2
    assert str(seed) in outcome.errors[0]
    assert not outcome.out
