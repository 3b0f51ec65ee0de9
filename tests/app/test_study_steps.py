from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.app.jobs import JobCancelled, drive
from napari_hovernet.app.study import Case, finding_steps
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.magnitude import MagnitudeBands
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.types import Maps, ModelInfo, TypeInfo


@pytest.fixture
def labels():
    """Two squares that touch, and one alone."""
    made = np.zeros((40, 50), np.int32)
    made[5:15, 5:15], made[5:15, 15:25], made[25:35, 30:40] = 1, 2, 3
    return made


def case(labels, **changes):
    maps = Maps(np=(labels > 0).astype(np.float32), hv=hv_targets(labels))
    given = {"separation": SeparationParams(), "info": ModelInfo("compact"), **changes}
    return Case(maps=maps, labels=labels, **given)


def test_everything_is_found_out(labels):
    info = ModelInfo("hovernet", types={1: TypeInfo("neoplastic", (255, 0, 0))})
    found = drive(finding_steps(case(labels, info=info, mask=labels > 0)))
    assert found.nuclei.label.tolist() == [1, 2, 3] and found.nuclei.area.tolist() == [100] * 3
    assert found.nuclei.type_names[1].name == "neoplastic"
    assert found.magnitude.verdict == "healthy" and found.magnitude.inside.n == 300
    assert (found.blobs.n_components, found.blobs.n_instances) == (2, 3)
    assert found.comparison is None and found.errors == ()


def test_a_truth_is_compared_with_and_the_oracle_cut_as_the_run(labels):
    truth = labels.copy()
    truth[truth == 2] = 1  # the truth holds one where the run has two
    merging = SeparationParams.preset("merging_relabel")
    found = drive(finding_steps(case(labels, truth=truth, separation=merging)))
    assert found.comparison.prediction.n_true == 2 and found.comparison.prediction.n_pred == 3
    plain = drive(finding_steps(case(labels, truth=labels))).comparison
    faulty = drive(finding_steps(case(labels, truth=labels, separation=merging))).comparison
    assert plain.prediction.aji == 1 == plain.oracle.aji
    assert faulty.oracle.aji == pytest.approx(faulty.connected_components.aji)
    assert faulty.oracle.aji < 0.8


def test_a_truth_of_another_size_spoils_nothing_else(labels):
    found = drive(finding_steps(case(labels, truth=np.zeros((7, 9), np.int32))))
    assert found.comparison is None and len(found.nuclei) == 3
    assert "7 x 9" in found.errors[0] and "40 x 50" in found.errors[0]


def test_bands_reach_the_verdict(labels):
    bands = MagnitudeBands(healthy=0.95, weak=0.9, target_low=0.96, target_high=0.97)
    assert drive(finding_steps(case(labels, bands=bands))).magnitude.verdict == "weak"


def test_no_nuclei_at_all(labels):
    found = drive(finding_steps(case(np.zeros_like(labels), truth=labels)))
    assert len(found.nuclei) == 0 and found.magnitude.verdict == "no nuclei"
    assert found.blobs.n_instances == 0 and found.comparison.prediction.aji == 0


def test_it_can_be_stopped_between_two_questions(labels):
    seen = []
    with pytest.raises(JobCancelled):
        drive(finding_steps(case(labels)), seen.append, lambda: len(seen) >= 2)
    assert [step.done for step in seen] == [0, 1]
