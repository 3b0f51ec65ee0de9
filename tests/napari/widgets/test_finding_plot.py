"""The figure of a finding: every kind, names, thresholds, numbers that are missing."""

from __future__ import annotations

import math

import pyqtgraph as pg
import pytest

from napari_hovernet._napari.widgets.finding_plot import (
    FindingPlot,
    described,
    height_of,
    key_text,
)
from napari_hovernet._napari.widgets.plot_style import theme_colors
from napari_hovernet.core.diagnosis.report import Plot

BARS = Plot("bars", "AJI", ("a", "b" * 40), (("one", (0.2, 0.9)),), "", "AJI", 0.5)
TWO = Plot("bars", "AJI", ("a", "b"), (("one", (0.2, 0.9)), ("two", (math.nan, 0.1))))
HISTOGRAM = Plot("histogram", "|HV|", (0.0, 0.5, 1.0), (("all", (3.0, 1.0)),), "|HV|", "px", 0.25)
LINES = Plot("lines", "Zoom", (0.5, 1.0, 2.0), (("AJI", (0.1, math.nan, 0.3)),), "zoom", "AJI", 0.2)
NAMED = Plot("lines", "Zoom", ("low", "high"), (("AJI", (0.1, 0.3)),))
MATRIX = Plot("matrix", "Cosine", ("H", "V"), (("0", (0.0, 1.0)), ("1", (0.9, math.nan))))
EMPTY = Plot("lines", "Nothing", (), ())


@pytest.fixture
def widget(qtbot):
    widget = FindingPlot()
    qtbot.addWidget(widget)
    widget.set_colors(theme_colors("light"))
    return widget


def items(widget, kind):
    return [x for x in widget.item.items if isinstance(x, kind)]


def test_without_a_plot_it_is_hidden(widget):
    assert widget.isHidden()
    widget.setValue(BARS)
    widget.show()
    assert widget.isVisible() and widget.title.text() == "AJI"
    widget.setValue(None)
    assert not widget.isVisible() and items(widget, pg.BarGraphItem) == []


@pytest.mark.parametrize("plot", [BARS, TWO, HISTOGRAM, LINES, NAMED, MATRIX, EMPTY])
def test_every_kind_draws_in_both_themes(widget, plot):
    widget.setValue(plot)
    widget.show()
    for theme in ("dark", "light"):
        widget.set_colors(theme_colors(theme))
        assert not widget.grab().isNull()
    assert widget.widget.height() == height_of(plot)


def test_bars_lie_beside_their_names(widget):
    widget.setValue(BARS)
    (bars,) = items(widget, pg.BarGraphItem)
    assert bars.opts["width"] == [0.2, 0.9] and bars.opts["y"].tolist() == [0.0, 1.0]
    names = [text for _, text in widget.item.getAxis("left")._tickLevels[0]]
    assert names[0] == "a" and len(names[1]) == 22 and names[1].endswith("…")
    (line,) = items(widget, pg.InfiniteLine)
    assert (line.value(), line.angle) == (0.5, 90)
    widget.setValue(TWO)
    one, two = items(widget, pg.BarGraphItem)
    assert two.opts["width"] == [0.0, 0.1] and two.opts["y"][0] > one.opts["y"][0]


def test_the_threshold_of_lines_lies_flat_and_of_histograms_stands(widget):
    widget.setValue(LINES)
    assert items(widget, pg.InfiniteLine)[0].angle == 0
    widget.setValue(HISTOGRAM)
    (line,) = items(widget, pg.InfiniteLine)
    assert (line.angle, line.value()) == (90, 0.25)
    x, y = items(widget, pg.PlotDataItem)[0].getData()
    assert x.tolist() == [0.0, 0.5, 1.0] and y.tolist() == [3.0, 1.0]


def test_a_small_matrix_shows_its_numbers(widget):
    widget.setValue(MATRIX)
    texts = [x.toPlainText() for x in items(widget, pg.TextItem)]
    assert texts == ["0", "1", "0.9", "-"]
    large = Plot("matrix", "", tuple("abcdefghijkl"), (("0", tuple(range(12))),))
    widget.setValue(large)
    assert items(widget, pg.TextItem) == []


def test_words_for_the_key_and_for_screen_readers():
    assert "threshold&nbsp;0.5" in key_text(BARS) and "two" in key_text(TWO)
    assert key_text(MATRIX) == ""
    assert described(BARS).startswith("a 0.2, ") and described(LINES) == "Zoom. AJI over zoom"
