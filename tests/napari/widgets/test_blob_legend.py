from __future__ import annotations

from types import SimpleNamespace

from napari_hovernet._napari.widgets.blob_legend import BlobLegend


def test_counts_by_status_without_those_that_are_not_met(qtbot):
    legend = BlobLegend()
    qtbot.addWidget(legend)
    assert legend.isHidden()
    rows = [SimpleNamespace(status=s) for s in ["blob"] * 2 + ["single"] * 1500]
    legend.setValue(SimpleNamespace(rows=rows))
    assert not legend.isHidden()
    assert "2&nbsp;blob" in legend.text() and "1,500&nbsp;single" in legend.text()
    assert "separated" not in legend.text() and "rgb(230, 50, 20)" in legend.text()
    legend.setValue(None)
    assert legend.isHidden() and legend.text() == ""
