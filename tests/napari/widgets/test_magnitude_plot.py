from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet._napari.widgets.magnitude_plot import HEADROOM, MagnitudePlot, top_of
from napari_hovernet._napari.widgets.plot_style import theme_colors
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.magnitude import MagnitudeBands, magnitude_report
from napari_hovernet.core.types import Maps


@pytest.fixture
def report():
    labels = np.zeros((40, 40), np.int32)
    labels[5:26, 5:26] = 1
    return magnitude_report(Maps(np=labels > 0, hv=hv_targets(labels)), labels)


@pytest.fixture
def plot(qtbot):
    plot = MagnitudePlot()
    qtbot.addWidget(plot)
    return plot


def test_both_histograms_are_shares_of_their_own_pixels(plot, report):
    plot.setValue(report)
    for curve, counts in (
        (plot.inside, report.counts_inside),
        (plot.outside, report.counts_outside),
    ):
        x, y = curve.getOriginalDataset()
        np.testing.assert_allclose(y, 100 * counts / counts.sum())
        np.testing.assert_array_equal(x, report.edges)
    assert plot.mean.isVisible() and plot.mean.value() == pytest.approx(report.inside.mean)


def test_bounds_and_target_are_drawn_where_they_are(plot):
    plot.set_bands(MagnitudeBands(collapsed=0.2, weak=0.3, healthy=0.4, target_low=0.5))
    assert [line.value() for line in plot.bounds.values()] == [0.2, 0.3, 0.4]
    assert plot.target.getRegion() == (0.5, 0.69)
    assert "exact maps 0.5-0.69" in plot.key.text()


def test_a_spike_of_the_outside_does_not_flatten_the_inside(plot, report):
    plot.setValue(report)
    _, inside = plot.inside.getOriginalDataset()
    _, top = plot.plot.viewRange()[1]
    assert top == pytest.approx(HEADROOM * 2 * inside.max())
    assert plot.outside.getOriginalDataset()[1].max() > top


def test_heights():
    assert top_of(np.array([1.0, 4.0]), np.array([5.0])) == 5
    assert top_of(np.array([1.0, 4.0]), np.array([90.0])) == 8
    assert top_of(np.zeros(2), np.array([90.0])) == 90
    assert top_of(np.zeros(2), np.zeros(2)) == 1


def test_none_clears_and_no_nuclei_draw_no_mean(plot, report):
    plot.setValue(report)
    plot.setValue(None)
    assert not plot.mean.isVisible()
    assert plot.inside.getOriginalDataset()[1].tolist() == [0]
    labels = np.zeros((5, 5), np.int32)
    plot.setValue(magnitude_report(Maps(np=labels, hv=np.ones((2, 5, 5))), labels))
    assert not plot.mean.isVisible()
    assert plot.outside.getOriginalDataset()[1].max() == pytest.approx(100)


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_it_takes_the_colours_of_the_theme(plot, theme):
    colors = theme_colors(theme)
    plot.set_colors(colors)
    assert plot.plot.backgroundBrush().color().getRgb()[:3] == colors.background
    axis = plot.plot.getPlotItem().getAxis("left")
    assert axis.textPen().color().getRgb()[:3] == colors.text
