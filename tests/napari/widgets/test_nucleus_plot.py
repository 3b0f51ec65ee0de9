from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet._napari.widgets.nucleus_plot import HV_RANGE, NucleusPlot, words
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.magnitude import MagnitudeBands, nucleus_view
from napari_hovernet.core.types import Maps


@pytest.fixture
def view():
    labels = np.zeros((50, 60), np.int32)
    labels[20:31, 20:31], labels[20:31, 31:42] = 1, 2
    return nucleus_view(Maps(np=labels > 0, hv=hv_targets(labels)), labels, 1)


@pytest.fixture
def plot(qtbot):
    plot = NucleusPlot()
    qtbot.addWidget(plot)
    return plot


def test_profiles_are_h_across_and_v_down_within_fixed_limits(plot, view):
    plot.setValue(view)
    for item, curve, profile in (
        (plot.across, plot._h, view.across),
        (plot.down, plot._v, view.down),
    ):
        x, y = curve.line.getData()
        np.testing.assert_array_equal(x, profile.position)
        np.testing.assert_array_equal(y, profile.value)
        assert item.viewRange()[1] == pytest.approx(list(HV_RANGE))
    _, own = plot._h.own.getOriginalDataset()
    _, others = plot._h.others.getOriginalDataset()
    top = HV_RANGE[1]
    assert view.across.position[own == top].tolist() == list(range(20, 31))
    assert view.across.position[others == top].tolist() == list(range(31, 42))


def test_crop_lies_at_its_pixels_under_the_arrows(plot, view):
    plot.setValue(view)
    rect = plot._image.mapRectToParent(plot._image.boundingRect())
    assert rect.getRect() == pytest.approx((view.box.c0 - 0.5, view.box.r0 - 0.5, 35, 35))
    x, _ = plot._arrows.getOriginalDataset()
    assert len(x) == 6 * len(view.arrows)
    np.testing.assert_array_equal(plot._image.image, view.np)
    picture = np.full((*view.np.shape, 3), 200, np.uint8)
    plot.setValue(view, picture)
    np.testing.assert_array_equal(plot._image.image, picture)


def test_own_histogram_and_target(plot, view):
    plot.set_bands(MagnitudeBands(target_low=0.6, target_high=0.7))
    plot.setValue(view)
    _, counts = plot._bars.getOriginalDataset()
    assert counts.sum() == view.area
    assert plot._target.getRegion() == (0.6, 0.7)


def test_words_name_numbers_and_neighbours(view):
    text = words(view)
    assert text.startswith("Nucleus 1: 121 px, magnitude mean 0.")
    assert text.endswith("direction cosine 1.00. Touches: 2.")


def test_none_hides_the_plots_and_tells_the_trouble(plot, view):
    plot.setValue(view)
    plot.setValue(None, trouble="There is no nucleus 9; ids start at 1.")
    assert plot.canvas.isHidden()
    assert plot.summary.text() == "There is no nucleus 9; ids start at 1."
    plot.setValue(None)
    assert plot.summary.isHidden()
