"""The suite of planted faults: it can be built, is split fairly, and judges as it says."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.diagnosis import engine
from napari_hovernet.core.diagnosis.report import DiagnosisReport, Finding, Remedy
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


def test_there_are_enough_cases_in_both_halves(suite: Any) -> None:
    tasks = suite.tasks()
    assert len({task.name for task in tasks}) == len(tasks)
    for part, least in (("single", 110), ("pair", 22), ("healthy", 32)):
        of = [task for task in tasks if task.part == part]
        assert len(of) >= least
        assert min(sum(t.half == half for t in of) for half in ("tune", "report")) > 0.4 * len(of)
    families = {fault.family for fault in suite.FAULTS}
    assert families == {"data", "model", "separation", "loss", "augmentation"}


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
    assert not judged(other, right).good
    assert not judged().good


@pytest.mark.slow
@pytest.mark.parametrize("name", HANDFUL)
def test_quick_faults_are_named_first(suite: Any, name: str) -> None:
    if any(find_spec(f"{engine.__package__}.{module}") is None for module in engine.MODULES):
        pytest.skip("the checks are being written anew")
    outcome = suite.run(next(task for task in suite.tasks() if task.name == name))
    assert not outcome.crash
    assert outcome.good, outcome.line
