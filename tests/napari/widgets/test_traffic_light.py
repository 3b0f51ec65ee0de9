from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet._napari.widgets.traffic_light import (
    COLORS,
    NOTHING,
    WAITING,
    TrafficLight,
)
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.magnitude import magnitude_report
from napari_hovernet.core.types import Maps


def report_of(gain=1.0, nuclei=True):
    labels = np.zeros((30, 30), np.int32)
    if nuclei:
        labels[5:26, 5:26] = 1
    hv = gain * hv_targets(labels)
    return magnitude_report(Maps(np=labels > 0, hv=hv), labels)


@pytest.fixture
def light(qtbot):
    light = TrafficLight()
    qtbot.addWidget(light)
    return light


@pytest.mark.parametrize(
    ("gain", "lamp", "word"),
    [(0.05, 0, "collapsed"), (0.5, 1, "weak"), (1.0, 2, "healthy")],
)
def test_lamp_word_and_explanation_follow_the_mean(light, gain, lamp, word):
    report = report_of(gain)
    light.setValue(report)
    assert light.lamps.value() == lamp
    assert light.word.text() == word
    assert light.explanation.text() == report.explanation
    assert light.cells["inside", "mean"].text() == f"{report.inside.mean:.3f}"
    assert light.cells["inside", "n"].text() == "441"
    assert light.cells["outside", "n"].text() == "459"
    assert light.direction.text() == "1.00"


def test_no_green_for_the_wrong_direction(light):
    light.setValue(report_of(-1.0))
    assert light.word.text() == "healthy length, wrong direction"
    assert light.lamps.value() == 1
    assert light.direction.text() == "-1.00"


def test_without_nuclei_no_lamp_is_lit(light):
    light.setValue(report_of(nuclei=False))
    assert light.lamps.value() == -1
    assert light.word.text() == "no nuclei"
    assert light.cells["inside", "median"].text() == light.direction.text() == "-"


def test_nothing_known(light):
    light.setValue(report_of())
    light.setValue(None, waiting=True)
    assert light.word.text() == WAITING and light.lamps.value() == -1
    light.setValue(None)
    assert light.word.text() == NOTHING
    assert {cell.text() for cell in light.cells.values()} == {"-"}
    assert light.explanation.isHidden()


def test_the_lit_lamp_is_the_bright_one(light, qtbot):
    light.show()
    light.setValue(report_of())
    image = light.lamps.grab().toImage()
    ratio = image.devicePixelRatio()
    seen = [image.pixelColor(int((10 + 24 * i) * ratio), int(10 * ratio)) for i in range(3)]
    lit = [color.getRgb()[:3] == full for color, full in zip(seen, COLORS, strict=True)]
    assert lit == [False, False, True]
