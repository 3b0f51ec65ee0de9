"""All checks run, whatever one of them does; closing the generator cancels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core.diagnosis import engine
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import MAPS, TARGETS, ArrayItems, Case
from napari_hovernet.core.diagnosis.engine import (
    Found,
    diagnose,
    diagnose_steps,
    kind_of,
    predictor_of,
)
from napari_hovernet.core.diagnosis.registry import Check, all_checks
from napari_hovernet.core.diagnosis.report import FAULT, OK, Finding
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import InputError

LABELS = np.zeros((2, 16, 16), np.int32)


def good(_: Bench) -> Iterator[Progress | Finding]:
    yield Progress(0, 1, "reading")
    yield Finding("data.empty", OK, "Empty", "none")


def bad(_: Bench) -> Iterator[Progress | Finding]:
    yield Finding("data.coverage", FAULT, "Coverage", "86 %", certainty=0.9)


def user_error(_: Bench) -> Iterator[Progress | Finding]:
    yield Progress(0, 1)
    raise InputError("too few nuclei.")


def crash(_: Bench) -> Iterator[Progress | Finding]:
    raise RuntimeError("boom")
    yield


def silent(_: Bench) -> Iterator[Progress | Finding]:
    yield from ()


RUNS = {"empty": good, "coverage": bad, "files": user_error, "np": crash, "touching": silent}


@pytest.fixture
def _checks(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = [Check(f"data.{n}", n, ("labels",), run) for n, run in RUNS.items()]
    checks.append(Check("model.mpp", "mpp", ("model",), good))
    monkeypatch.setattr(engine, "all_checks", lambda families: tuple(checks))


def bench() -> Bench:
    return Bench(Case(ArrayItems(labels=LABELS)))


def run_through(steps: Any) -> tuple[list[Progress], Any]:
    seen = []
    while True:
        try:
            seen.append(next(steps))
        except StopIteration as stop:
            return seen, stop.value


@pytest.mark.usefixtures("_checks")
def test_one_check_ends_no_other() -> None:
    seen, report = run_through(diagnose_steps(bench()))
    assert report.first.id == "data.coverage"
    assert report.get("data.empty").verdict == OK
    told = {f.id: f.evidence for f in report.not_tested}
    assert "too few nuclei" in told["data.files"]
    assert "boom" in told["data.np"]
    assert "nothing to measure" in told["data.touching"]
    assert told["model.mpp"] == "Not tested: give a model."
    assert any(step.message == "reading" for step in seen)
    found = [step for step in seen if isinstance(step, Found)]
    assert found[0].findings[0].id == "data.empty"
    assert len(found[-1].findings) == 5


@pytest.mark.usefixtures("_checks")
def test_only_the_checks_asked_for_run() -> None:
    _, report = run_through(diagnose_steps(bench(), frozenset({"data.empty"})))
    assert [f.id for f in report.findings] == ["data.empty"]


@pytest.mark.usefixtures("_checks")
def test_closing_cancels() -> None:
    steps = diagnose_steps(bench())
    next(steps)
    steps.close()
    with pytest.raises(StopIteration):
        next(steps)


def test_every_check_has_an_id_of_its_own_and_a_known_family() -> None:
    ids = [check.id for check in all_checks()]
    assert len(ids) == len(set(ids))
    assert {check.family for check in all_checks(("data",))} <= {"data"}


def test_nothing_to_diagnose_is_an_error() -> None:
    with pytest.raises(InputError, match="nothing to diagnose"):
        diagnose()


def test_a_file_that_is_no_model_is_told_not_raised(tmp_path: Any) -> None:
    predictor, error = predictor_of(tmp_path / "none.pth")
    assert predictor is None
    assert "none.pth" in error


@pytest.mark.parametrize(
    ("given", "model", "kind"),
    [
        ({"np": np.array([[[0.0, 0.4, 1.0]]]), "hv": None}, False, MAPS),
        ({"np": np.array([[[0, 1, 1]]]), "hv": None}, False, TARGETS),
        ({"hv": np.zeros((1, 2, 4, 4))}, False, TARGETS),
        ({"np": np.array([[[0.0, 0.4, 1.0]]])}, True, TARGETS),
    ],
)
def test_targets_and_maps_are_told_apart(given: dict[str, Any], model: bool, kind: str) -> None:
    assert kind_of("auto", given, model) == kind
    with pytest.raises(InputError, match="hv_are"):
        kind_of("guess", given, model)
