"""Images that store HV in another way than the rest of their set are named."""

from __future__ import annotations

import numpy as np

import napari_hovernet as nh
from napari_hovernet.core.diagnosis.target_mixed import Mixture, mixed_order, mixture_of
from napari_hovernet.core.diagnosis.target_slope import Slopes
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.synthetic import tissue

PLAIN = Slopes(np.eye(2))
LABELS = [tissue((192, 192), seed=seed).labels for seed in range(4)]


def test_the_reading_of_most_is_the_rule() -> None:
    swapped, inward = Slopes(np.eye(2)[::-1]), Slopes(-np.eye(2))
    found = mixture_of({0: PLAIN, 1: PLAIN, 2: PLAIN, 3: swapped, 4: inward, 5: None})
    assert found == Mixture(order=(3,), sign=(4,), told=5)
    assert mixture_of({0: PLAIN, 1: PLAIN}) == Mixture(told=2)


def test_the_finding_names_the_images() -> None:
    found = mixed_order(Mixture(order=(1,), told=3), {0: "a", 1: "odd one", 2: "c"}, ())
    assert (found.id, found.verdict) == ("data.hv_order", "fault")
    assert "odd one" in found.evidence


def test_one_swapped_image_in_a_set_is_found() -> None:
    hv = [hv_targets(labels) for labels in LABELS]
    report = nh.diagnose(labels=LABELS, hv=[hv[0], hv[1][::-1].copy(), *hv[2:]])
    assert report.first is not None
    assert report.first.id == "data.hv_order"
    assert "image 1" in report.first.evidence
    assert not nh.diagnose(labels=LABELS, hv=hv).faults
