from __future__ import annotations

from qtpy.QtWidgets import QLabel

from napari_hovernet._napari.side_layers import DIFFERENCE_COLORS
from napari_hovernet._napari.widgets.difference_legend import DifferenceLegend
from napari_hovernet.core.measure.changes import KINDS, MERGED


def test_every_kind_has_colour_words_and_count(qtbot):
    legend = DifferenceLegend(DIFFERENCE_COLORS)
    qtbot.addWidget(legend)
    texts = [label.text() for label in legend.findChildren(QLabel)]
    assert set(KINDS.values()) <= set(texts)
    swatches = [x.pixmap() for x in legend.findChildren(QLabel) if not x.pixmap().isNull()]
    colors = [p.toImage().pixelColor(2, 2).getRgb()[:3] for p in swatches]
    assert colors == [DIFFERENCE_COLORS[kind] for kind in KINDS]
    legend.setValue({kind: 1000 * kind for kind in KINDS})
    assert legend.counts[MERGED].text() == f"{1000 * MERGED:,}"
    legend.setValue(None)
    assert legend.counts[MERGED].text() == "-"
