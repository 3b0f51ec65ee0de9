from __future__ import annotations

import pytest

from napari_hovernet._napari.widgets.outcome_legend import MEANINGS, OutcomeLegend
from napari_hovernet.core.measure.compare import ERROR_KINDS, OUTCOME_COLORS


@pytest.fixture
def legend(qtbot):
    legend = OutcomeLegend(OUTCOME_COLORS)
    qtbot.addWidget(legend)
    return legend


def test_counts_stand_beside_their_colours(legend):
    assert set(MEANINGS) == {"matched", *ERROR_KINDS}
    assert {label.text() for label in legend.counts.values()} == {"-"}
    legend.set_counts({kind: 1000 * i for i, kind in enumerate(MEANINGS)})
    assert legend.counts["matched"].text() == "0" and legend.counts["missed"].text() == "3,000"
    icon = legend.boxes["merged"].icon().pixmap(12, 12).toImage().pixelColor(5, 5)
    assert (icon.red(), icon.green(), icon.blue()) == OUTCOME_COLORS["merged"]
    legend.set_counts(None)
    assert legend.counts["missed"].text() == "-"


def test_kinds_are_chosen_with_the_boxes(legend, qtbot):
    assert legend.value() == frozenset(ERROR_KINDS)
    with qtbot.waitSignal(legend.valueChanged) as heard:
        legend.boxes["missed"].click()
    assert heard.args == [frozenset(ERROR_KINDS) - {"missed"}]
    with qtbot.assertNotEmitted(legend.valueChanged):
        legend.setValue(frozenset({"split"}))
    assert legend.value() == {"split"}
