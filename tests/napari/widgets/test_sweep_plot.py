"""The heatmap: right way up, right cell clicked, words for every cell."""

from __future__ import annotations

import numpy as np
import pytest
from qtpy.QtCore import QPointF, Qt

from napari_hovernet._napari.widgets.sweep_plot import (
    MOST_TICKS,
    SweepPlot,
    describe,
    key_of,
    levels_of,
    shown_scores,
    ticks_of,
    title_of,
)
from napari_hovernet.core.measure.sweep import Sweep, SweepAxis
from napari_hovernet.core.separation.tuning import TuneParams

ROWS = SweepAxis("np_threshold", (0.2, 0.5))
COLUMNS = SweepAxis("min_area", (0, 20, 1500))
COUNTS = np.array([[9, 8, 0], [1234, 5, -1]])
AJI = np.array([[0.1, 0.25, 0.0], [0.8, 0.4, np.nan]])


def made(aji=AJI, counts=COUNTS, columns=COLUMNS):
    return Sweep(TuneParams(), ROWS, columns, counts, aji)


@pytest.fixture
def plot(qtbot):
    plot = SweepPlot()
    qtbot.addWidget(plot)
    plot.chosen_cells = []
    plot.cellChosen.connect(lambda r, c: plot.chosen_cells.append((r, c)))
    return plot


def frame_of(item):
    """Row and column of the cell a frame lies around."""
    x, y = item.getData()
    assert np.ptp(x) == np.ptp(y) == 1
    return int(y.min()), int(x.min())


def click(plot, row, column):
    """Click the middle of a cell (screen coordinates and all)."""
    at = plot.image.mapToScene(QPointF(column + 0.5, row + 0.5))

    class Event:
        @staticmethod
        def scenePos():  # noqa: N802 - pyqtgraph's name
            return at

    plot.plot.scene().sigMouseClicked.emit(Event())


def test_without_a_sweep_nothing_is_shown(plot):
    plot.setValue(None)
    assert plot.plot.isHidden() and plot.words.isHidden()
    plot.choose(0, 0)
    click(plot, 0, 0)
    assert plot.chosen_cells == []


def test_scores_lie_where_their_values_are(plot):
    plot.setValue(made())
    # pyqtgraph's images are (column, row)
    assert np.array_equal(plot.image.image, AJI.T, equal_nan=True)
    assert plot.image.getLevels().tolist() == [0.0, 0.8]
    assert not plot.plot.isHidden()
    item = plot.plot.getPlotItem()
    assert item.getAxis("left").labelText == "NP threshold"
    assert item.getAxis("bottom").labelText == "Smallest part (px)"
    (left, right), (low, high) = item.viewRange()
    assert (left, right, low, high) == pytest.approx((0, 3, 0, 2))


def test_the_best_is_framed_and_named(plot):
    plot.setValue(made())
    assert plot.best.isVisible() and frame_of(plot.best) == (1, 0)
    words = "Best: NP threshold 0.5, Smallest part (px) 0: AJI 0.800, 1,234 nuclei."
    assert plot.words.text() == words and plot.chosen_cells == []


def test_without_truth_nuclei_are_counted_and_none_is_best(plot):
    plot.setValue(made(aji=None))
    assert np.array_equal(plot.image.image[:, 0], [9, 8, 0]) and np.isnan(plot.image.image[2, 1])
    assert not plot.best.isVisible() and plot.words.isHidden()


def test_a_click_chooses_the_cell_under_it(plot):
    plot.resize(360, 260)
    plot.setValue(made())
    for cell in np.ndindex(AJI.shape):
        click(plot, *cell)
        assert plot.chosen_cells[-1] == cell and frame_of(plot.chosen) == cell
        assert plot.words.text() == describe(made(), *cell)
    assert len(plot.chosen_cells) == AJI.size


def test_a_click_beside_the_heatmap_chooses_nothing(plot):
    plot.setValue(made())
    for row, column in ((-1, 0), (2, 0), (0, 3), (0, -2)):
        click(plot, row, column)
    assert plot.chosen_cells == [] and not plot.chosen.isVisible()


def test_another_sweep_forgets_the_choice(plot):
    plot.setValue(made())
    plot.choose(0, 1)
    plot.setValue(made(aji=None))
    assert not plot.chosen.isVisible() and plot.words.isHidden()
    plot.setValue(None)
    assert plot.plot.isHidden()


def test_one_parameter_has_one_axis(plot):
    plot.setValue(made(AJI[:, :1], COUNTS[:, :1], columns=None))
    item = plot.plot.getPlotItem()
    assert plot.image.image.shape == (1, 2) and item.getAxis("bottom").labelText == ""
    plot.setValue(made())
    assert item.getAxis("bottom").labelText == "Smallest part (px)"


@pytest.mark.parametrize("aji", [np.full((2, 3), np.nan), None])
def test_a_sweep_of_which_nothing_is_allowed_is_drawn_without_warnings(plot, aji):
    nothing = made(aji, np.full((2, 3), -1))
    plot.setValue(nothing)
    plot.grab()
    assert not plot.best.isVisible() and key_of(nothing) == "none of these go together"


def test_it_can_be_drawn_in_both_themes(plot, qtbot):
    plot.resize(340, 260)
    plot.setValue(made())
    images = []
    for theme in ("dark", "light"):
        plot.set_theme(theme)
        assert plot.plot.getPlotItem().titleLabel.text == key_of(made())
        images.append(plot.grab().toImage())
    dark, light = (image.pixelColor(2, 2).lightness() for image in images)
    assert dark < 100 and light > 155
    plot.setValue(made(aji=None))  # the title keeps the theme's colour
    assert plot.plot.getPlotItem().titleLabel.text == "nuclei, dark 0 to bright 1,234"


def test_words_of_a_combination():
    assert describe(made(), 1, 2).endswith("Smallest part (px) 1500: these do not go together.")
    assert describe(made(aji=None), 1, 0) == (
        "NP threshold 0.5, Smallest part (px) 0: 1,234 nuclei."
    )
    assert describe(made(columns=None), 0, 0) == "NP threshold 0.2: AJI 0.100, 9 nuclei."


def test_levels_and_keys():
    assert levels_of(np.array([[3.0, np.nan], [5.0, 4.0]])) == (3.0, 5.0)
    assert levels_of(np.full((2, 2), 7.0)) == (7.0, 8.0)
    assert levels_of(np.full((2, 2), np.nan)) == (0.0, 1.0)
    assert key_of(made()) == "AJI, dark 0.000 to bright 0.800"
    assert key_of(made(aji=None, counts=COUNTS * 100)) == "nuclei, dark 0 to bright 123,400"
    assert np.isnan(shown_scores(made(aji=None))[1, 2])


@pytest.mark.parametrize("n", [1, 2, 7, 8, 20])
def test_ticks_lie_in_the_middle_of_cells_and_do_not_crowd(n):
    ticks = ticks_of(SweepAxis("min_area", tuple(range(n))))
    assert 1 <= len(ticks) <= MOST_TICKS
    assert all(at == int(words) + 0.5 for at, words in ticks)


def test_titles():
    assert title_of(COLUMNS) == "Smallest part (px)" and title_of(ROWS) == "NP threshold"


def test_the_mouse_works_for_real(plot, qtbot):
    plot.resize(360, 260)
    plot.setValue(made())
    plot.show()
    qtbot.waitExposed(plot)
    at = plot.plot.mapFromScene(plot.image.mapToScene(QPointF(1.5, 1.5)))
    qtbot.mouseClick(plot.plot.viewport(), Qt.MouseButton.LeftButton, pos=at)
    qtbot.waitUntil(lambda: plot.chosen_cells == [(1, 1)])
