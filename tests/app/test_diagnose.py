"""Run, apply a remedy, test again; what was read once is not read again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from napari_hovernet.app.diagnose import (
    case_of_run,
    diagnosis_steps,
    retest_steps,
    unfinished,
)
from napari_hovernet.app.jobs import drive
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.engine import Found
from napari_hovernet.core.diagnosis.params import DiagnosisParams
from napari_hovernet.core.hv import HVReading, hv_targets
from napari_hovernet.core.networks.compact import CompactUNet
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation.tuning import TuneParams
from napari_hovernet.core.types import Maps, Model, ModelInfo
from napari_hovernet.errors import InputError

from .diagnosis_fakes import case, fake_checks, two_nuclei  # noqa: F401

pytestmark = pytest.mark.usefixtures("fake_checks")


def verdicts(report: Any) -> dict[str, str]:
    return {f.id: f.verdict for f in report.findings}


def test_all_that_is_known_comes_with_each_check() -> None:
    steps = diagnosis_steps(case(), DiagnosisParams())
    seen: list[Found] = []
    found = drive(steps, lambda step: seen.append(step) if isinstance(step, Found) else None)
    assert [len(step.findings) for step in seen] == [1, 2, 4]
    assert found.report.first is not None and found.report.first.id == "model.hv_order"
    assert found.report.complete
    assert found.made_by["model.score"] == "model.hv_order"
    assert found.bench.case is found.case


def test_a_remedy_mends_and_only_what_was_wrong_is_tested_again(fake_checks: Any) -> None:  # noqa: F811
    before = drive(diagnosis_steps(case()))
    first = before.report.first
    assert first is not None
    fake_checks.clear()
    after = drive(retest_steps(before, first))
    assert fake_checks == ["data.coverage", "model.hv_order"]
    assert verdicts(after.report) == {
        "data.coverage": "warn",
        "model.score": "warn",
        "data.touching": "ok",
        "model.hv_order": "ok",
        "loss.share": "not tested",
        "loss.finite": "not tested",
    }
    assert after.case.setup.hv_order == "vh"
    assert before.case.setup.hv_order == "hv"
    assert after.bench.raw(0) is before.bench.raw(0)


def test_while_testing_again_what_was_in_order_stays_in_sight() -> None:
    before = drive(diagnosis_steps(case()))
    seen: list[Found] = []
    steps = retest_steps(before, before.report.findings[0])
    drive(steps, lambda step: seen.append(step) if isinstance(step, Found) else None)
    assert "data.touching" in verdicts(seen[0])


def test_what_has_to_be_done_by_hand_cannot_be_applied() -> None:
    before = drive(diagnosis_steps(case()))
    finding = before.report.get("data.coverage")
    assert finding is not None
    with pytest.raises(InputError, match=r"outside of the program: Look at the masks\."):
        drive(retest_steps(before, finding))


def test_a_cancel_leaves_what_was_found() -> None:
    bench = Bench(case())
    steps = diagnosis_steps(bench.case, bench=bench)
    last = None
    for step in steps:
        if isinstance(step, Found):
            last = step
            if len(step.findings) == 2:
                break
    steps.close()
    assert last is not None
    stopped = unfinished(bench, last.findings)
    assert not stopped.report.complete
    assert set(verdicts(stopped.report)) == {"data.touching", "data.coverage"}


def test_a_run_is_a_case_with_its_own_maps_and_instances() -> None:
    labels = two_nuclei()
    maps = Maps(np=labels > 0, hv=hv_targets(labels))
    cut = TuneParams(SeparationParams.preset("hover_net"), HVReading("vh"))
    found = case_of_run(np.zeros((48, 64, 3), np.uint8), maps, labels, labels, cut_with=cut,
                        reading=cut.hv)  # fmt: skip
    assert {"image", "labels", "maps", "instances", "separation"} <= found.has
    assert found.setup.hv_order == "vh"
    assert found.separator is not None and found.separator.params == cut.separation
    seen = Bench(found).maps(0)
    assert seen is not None
    np.testing.assert_array_equal(seen.hv, maps.hv[::-1])


def test_the_network_is_asked_for_what_ifs_only() -> None:
    labels = two_nuclei()
    maps = Maps(np=labels > 0, hv=hv_targets(labels))
    torch.manual_seed(0)
    network = CompactUNet((4, 8)).eval()
    model = Model(network, ModelInfo("compact", config=network.config), torch.device("cpu"))
    image = np.random.default_rng(0).integers(0, 255, (48, 64, 3)).astype(np.uint8)
    found = case_of_run(image, maps, model=model)
    assert found.predictor is not None
    assert found.predictor.maps(image) is maps
    other = found.predictor.maps(image[..., ::-1].copy())
    assert other is not maps and other.shape == maps.shape
