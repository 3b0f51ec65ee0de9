from __future__ import annotations

import math

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.model_turns import Mirrored, mirrored, run_turns, turns
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.diagnosis.report import Finding
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.core.types import Maps

MADE = tissue((96, 96), seed=1)


def oracle(change: object = None) -> object:
    """Give true maps of the image or of its mirror image, and change them."""

    def network(image: np.ndarray) -> Maps:
        labels = MADE.labels if (image == MADE.image).all() else MADE.labels[:, ::-1]
        prob, hv = (labels > 0).astype(np.float32), hv_targets(np.ascontiguousarray(labels))
        if change is not None:
            prob, hv = change(prob, hv)
        return Maps(np=prob, hv=hv)

    return network


def found(change: object = None, setup: Setup | None = None) -> Finding:
    items = ArrayItems(image=MADE.image, labels=MADE.labels)
    case = Case(items, predictor=Predictor.of(oracle(change)), setup=setup or Setup())
    return next(s for s in run_turns(Bench(case)) if isinstance(s, Finding))


def test_a_network_that_follows() -> None:
    finding = found()
    assert finding.verdict == "ok" and finding.value == pytest.approx(1, abs=0.02)


def test_hv_that_does_not_change_its_sign() -> None:
    finding = found(lambda p, hv: (p, np.stack((np.abs(hv[0]), hv[1]))))
    assert finding.verdict == "fault" and "HV does not follow" in finding.title


def test_maps_that_are_moved() -> None:
    finding = found(lambda p, hv: (np.roll(p, 20, 1), np.roll(hv, 20, 2)))
    assert finding.verdict == "warn" and "apart" in finding.evidence


def test_channels_in_the_other_order_belong_to_another_check() -> None:
    def swap(p: np.ndarray, hv: np.ndarray) -> tuple:
        return p, hv[::-1].copy()

    finding = found(swap)
    assert finding.verdict == "ok" and "see the channel order" in finding.evidence
    again = found(swap, Setup(hv_order="vh"))
    assert again.verdict == "ok" and again.value == pytest.approx(1, abs=0.02)


def test_signs_do_not_matter() -> None:
    assert found(lambda p, hv: (p, -hv)).verdict == "ok"


def test_nothing_to_compare() -> None:
    assert found(lambda p, hv: (0 * p, hv)).verdict == "not tested"
    finding = found(lambda p, hv: (p, 0 * hv))
    assert finding.verdict == "ok" and math.isnan(finding.value)


def test_a_pair_of_maps() -> None:
    maps = Maps(np=(MADE.labels > 0).astype(np.float32), hv=hv_targets(MADE.labels))
    same = mirrored(maps, maps)
    assert (same.np, same.shift) == (pytest.approx(1), 0)
    assert turns([same, Mirrored(1.0, 0.9, -0.2)]).verdict == "ok"
    assert turns([Mirrored(1.0, 0.9, 0.1)]).verdict == "fault"
