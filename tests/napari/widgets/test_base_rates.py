from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet._napari.widgets.base_rates import LEVEL_STYLES, BaseRates, Verdict
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.compare import Remark, compare
from napari_hovernet.core.types import Maps


@pytest.fixture
def rates(qtbot):
    rates = BaseRates()
    qtbot.addWidget(rates)
    return rates


def labels():
    y, x = np.mgrid[-20:21, -20:21]
    return (x**2 + y**2 <= 18**2).astype(np.int32)


def texts(rates):
    return {key: field.text() for key, field in rates.fields.items()}


def test_hv_is_shown_beside_what_zeros_get(rates):
    maps = Maps(np=labels(), hv=0.5 * hv_targets(labels()))
    comparison = compare(labels(), labels(), maps)
    rates.setValue(comparison)
    hv = comparison.hv
    assert texts(rates) == {
        "dice": f"{comparison.all_foreground_dice:.3f}",
        "mse": f"{hv.zero_mse / 4:.3f} ({hv.zero_mse:.3f})",
        "cosine": "1.000",
        "magnitude": f"{hv.true_magnitude / 2:.3f} ({hv.true_magnitude:.3f})",
    }
    assert all(len(field.toolTip()) > 20 for field in rates.fields.values())


def test_what_is_not_defined_is_a_dash(rates):
    assert set(texts(rates).values()) == {"-"}
    rates.setValue(compare(labels(), labels()))
    assert texts(rates)["mse"] == texts(rates)["cosine"] == "-" != texts(rates)["dice"]
    empty = np.zeros((4, 4), int)
    rates.setValue(compare(empty, empty, Maps(np=empty, hv=np.zeros((2, 4, 4)))))
    assert texts(rates)["mse"] == "- (-)"
    rates.setValue(None)
    assert set(texts(rates).values()) == {"-"}


def test_remarks_come_in_their_colours_and_go(qtbot):
    verdict = Verdict()
    qtbot.addWidget(verdict)
    verdict.setValue([Remark("bad", "Bad."), Remark("good", "Good.")])
    assert verdict.texts() == ["Bad.", "Good."]
    styles = [label.styleSheet() for label in verdict._labels]
    assert styles == [LEVEL_STYLES["bad"], LEVEL_STYLES["good"]]
    verdict.setValue([Remark("neutral", "So so.")])
    assert verdict.texts() == ["So so."]
    verdict.setValue([])
    assert verdict.texts() == []
