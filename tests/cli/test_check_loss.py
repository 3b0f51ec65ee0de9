"""check-loss: what it prints, as text and as JSON, and its exit status."""

from __future__ import annotations

import json
from typing import Any

import pytest

from napari_hovernet.cli.train import TEXT_WIDTH
from napari_hovernet.core import loss_checks as command
from napari_hovernet.core.loss_checks import LossCheck, check_loss

GOOD = LossCheck("Good", True, {"a": 1.5, "count": 3}, "It was said.", "It is.")
BAD = LossCheck("Bad", False, {"slope": float("nan"), "grad": None}, "It was said.", "It is not.")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the training of the further checks out."""
    monkeypatch.setattr(command, "check_length", lambda seed: (GOOD,))


def test_the_real_checks_pass_and_are_printed_with_what_was_measured(run: Any) -> None:
    outcome = run("check-loss")
    assert outcome.status == 0
    text = outcome.out
    assert text.rstrip().endswith("7 of 7 corrected checks pass.")
    for words in ("0.60840", "0.60836", "0.06062", "1.90883", "None", "nan", "as they were"):
        assert words in text
    for name in (check.name for check in check_loss()):
        assert f"{name}: passes" in text
    assert max(map(len, text.splitlines())) <= TEXT_WIDTH


def test_json_holds_the_same_and_is_strict(run: Any, quick: None) -> None:
    outcome = run("check-loss", "--json", "--seed", 3)
    assert outcome.status == 0

    def refuse(word: str) -> None:
        raise AssertionError(word)

    data = json.loads(outcome.out, parse_constant=refuse)
    assert data["passed"] is True
    assert data["seed"] == 3
    assert len(data["checks"]) == 6
    assert set(data["checks"][0]) == {"name", "passed", "claim", "measured", "why"}
    assert data["checks"][0]["measured"]["slope at 0, 1e-6 outside the root, float32"] == "nan"
    want = check_loss(3)[2].measured["old test, epsilon 1e-8"]
    assert data["checks"][2]["measured"]["old test, epsilon 1e-8"] == want


def test_a_failing_check_is_named_and_gives_status_1(
    run: Any, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "check_loss", lambda seed: (GOOD, BAD))
    outcome = run("check-loss")
    assert outcome.status == 1
    assert "Bad: FAILS" in outcome.out
    assert "2 of 3 corrected checks pass; failed: Bad." in outcome.out
    outcome = run("check-loss", "--json")
    assert outcome.status == 1
    assert json.loads(outcome.out)["passed"] is False


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_is_none_is_refused(run: Any, seed: int) -> None:
    outcome = run("check-loss", f"--seed={seed}")
    assert outcome.status == 2
    assert str(seed) in outcome.errors[0]
    assert not outcome.out
