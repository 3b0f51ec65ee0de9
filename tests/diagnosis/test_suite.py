"""The suite of planted faults: it can be built, is split fairly, and judges as it says."""

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.diagnosis import engine, story
from napari_hovernet.core.diagnosis.report import DiagnosisReport, Finding, Remedy
from napari_hovernet.core.diagnosis.story_blob import StoryRow
from napari_hovernet.core.networks.optimus import OptimusDecoder
from napari_hovernet.core.types import Maps

HANDFUL = ("labels mirrored", "targets inward", "file: no HV branch", "own relabel",
           "detached", "flips without negating")  # fmt: skip
"""Quick ones, of every family and both halves."""


@pytest.fixture
def suite(root: Path, shared: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """benchmarks/faults.py as a module."""
    monkeypatch.syspath_prepend(root / "benchmarks")
    monkeypatch.setenv("NAPARI_HOVERNET_SHARED", str(shared))
    return import_module("faults")


@pytest.mark.slow
def test_every_case_can_be_built(suite: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The networks are replaced: only what is planted is of interest."""
    common = import_module("faults_common")

    def nothing(image: Any) -> Maps:
        return Maps(np.zeros(image.shape[:2]), np.zeros((2, *image.shape[:2])))

    monkeypatch.setattr(common, "decoder", lambda: OptimusDecoder(common.DIM, 32, None))
    monkeypatch.setattr(common, "predicted", nothing)
    monkeypatch.setattr(import_module("faults_model"), "predicted", nothing)
    for task in suite.tasks():
        given = task.given()
        lengths = {len(v) for k, v in given.items() if k in ("images", "labels", "np", "hv")}
        assert len(lengths) <= 1, task.name
        assert given, task.name


def test_a_case_is_right_if_its_cause_comes_first_and_its_remedy_fits(suite: Any) -> None:
    task = next(task for task in suite.tasks() if task.name == "targets inward")

    def judged(*findings: Finding) -> Any:
        out = suite.Outcome(task.name, "single", task.half, [], task.cost)
        suite._judge(out, task, DiagnosisReport(findings, 1, 1))
        return SimpleNamespace(good=out.good, remedy=out.remedy)

    mend = Remedy("Store it outward.", "target_sign", "inward")
    right = Finding("data.hv_sign", "fault", "t", "e", certainty=0.9, remedy=mend)
    other = Finding("data.files", "fault", "t", "e", certainty=0.9)
    assert vars(judged(right, other)) == {"good": True, "remedy": True}
    without = judged(Finding("data.hv_sign", "warn", "t", "e"))
    assert vars(without) == {"good": True, "remedy": False}
    assert not judged(other, right).good and not judged().good


@pytest.mark.slow
@pytest.mark.parametrize("name", HANDFUL)
def test_quick_faults_are_named_first(suite: Any, name: str) -> None:
    if any(find_spec(f"{engine.__package__}.{module}") is None for module in engine.MODULES):
        pytest.skip("the checks are being written anew")
    outcome = suite.run(next(task for task in suite.tasks() if task.name == name))
    assert not outcome.crash
    assert outcome.good, outcome.line


@pytest.mark.slow
def test_the_whole_story_holds() -> None:
    parts = story.story_parts()
    assert list(parts) == ["loss", "training", "blob"]
    rows = [row for found in parts.values() for row in found]
    assert len(rows) == 22 and all(row.holds for row in rows)


def test_the_page_names_what_does_not_hold() -> None:
    good = StoryRow("It is so.", "1", {"it": 1.0, "none": float("nan"), "bit": 2e-5}, True, "So.")
    bad = StoryRow("It is | not.", "2", {"it": 3.0}, False, "No.")
    text = story.story_text((good, bad))
    assert "2. It is | not.   DOES NOT HOLD" in text and text.endswith("1 of 2 hold.")
    assert "NaN" in text and "2e-05" in text
    table = story.story_markdown((good, bad)).splitlines()
    assert table[2].startswith("| It is so. | 1 | it: 1<br>") and "\\|" in table[3]
    assert "**Does not hold here.** No." in table[3]
