"""The ids of the diagnosis, kept in ``diagnosis_ids.txt``: users name them (``--apply``, reports).

One id a line. Where a check is given up or merged into another, leave its line and say where
its question is answered now: ``model.hv_order -> model.hv_convention``. New ids are added by
``RENEW_SURFACES=1``, which keeps such lines.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest

import napari_hovernet as nh

KEPT = Path(__file__).with_name("diagnosis_ids.txt")
FAMILIES = ("data", "model", "separation", "loss", "augmentation")


@pytest.fixture(scope="module")
def report() -> nh.DiagnosisReport:
    """A diagnosis of the built-in separation alone: it lists all checks, most not tested."""
    return nh.diagnose(separation="local")


def kept() -> dict[str, str]:
    """Each id that users know, and the one that answers now."""
    lines = KEPT.read_text(encoding="utf-8").splitlines() if KEPT.exists() else []
    pairs = (line.partition("->") for line in lines if line.strip())
    return {old.strip(): new.strip() or old.strip() for old, _, new in pairs}


def renew(ids: set[str]) -> None:
    known = kept()
    old = [k if k == v else f"{k} -> {v}" for k, v in known.items()]
    KEPT.write_text("\n".join(sorted({*old, *(ids - {*known, *known.values()})})) + "\n")


def test_no_question_is_lost_and_reports_on_disks_name_answered_ones(report, files) -> None:
    ids = {finding.id for finding in report.findings}
    if os.environ.get("RENEW_SURFACES"):
        renew(ids)
    known = kept()
    lost = {old: new for old, new in known.items() if new not in ids}
    assert not lost, f"no check answers {lost}; name the one that does: old -> new"
    new = sorted(ids - set(known.values()))
    assert not new, f"not kept yet: {new}"
    text = (files / "reports" / "diagnosis.json").read_text(encoding="utf-8")
    found: dict[str, Any] = json.loads(text)
    ids, known = {finding.id for finding in report.findings}, kept()
    assert {known[entry["id"]] for entry in found["findings"]} <= ids


def test_an_id_names_its_family_and_what_was_not_tested_says_what_to_give(report) -> None:
    assert {f.id.partition(".")[0] for f in report.findings} == set(FAMILIES)
    assert all(f.family == f.id.partition(".")[0] for f in report.findings)
    assert report.passed and all(f.id.startswith("separation.") for f in report.passed)
    assert all(f.evidence.startswith("Not tested: ") for f in report.not_tested)
    assert sum("give " in f.evidence for f in report.not_tested) > 20
    assert report.summary.startswith("Nothing wrong was found in ")


def test_faults_are_named_with_evidence_number_and_remedy() -> None:
    """Maps whose HV is stored [V, H]: the first finding says so, and its remedy can be applied."""
    import numpy as np  # noqa: PLC0415

    labels = np.zeros((1, 96, 96), np.int32)
    for i, (r, c) in enumerate([(4, 4), (4, 24), (40, 10), (40, 40), (64, 64)], 1):
        labels[0, r : r + 20, c : c + 20] = i
    hv = nh.hv_targets(labels[0])[::-1]
    report = nh.diagnose(labels=labels, np=(labels > 0).astype(float), hv=hv[None], hv_are="maps")
    first = report.first
    assert first is not None and first.id == "model.hv_direction"
    assert first.verdict == "fault"
    assert (first.remedy.action, first.remedy.value) == ("hv_order", "vh")
    assert first.certainty > 0.5 and first in report.faults
