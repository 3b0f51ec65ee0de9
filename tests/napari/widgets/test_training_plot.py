from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet._napari.plots import MOST_POINTS, PLOTS, points, thinned
from napari_hovernet._napari.widgets.plot_style import theme_colors
from napari_hovernet._napari.widgets.training_plot import NOTHING, TrainingPlot
from napari_hovernet.app.watch import EPOCH_COLUMNS, HEAD_COLUMNS, STEP_COLUMNS, RunWatch

STEPS = 10
"""Per epoch, as recorded."""
TITLES = [kind.title for kind in PLOTS]


@pytest.fixture
def view(store):
    return RunWatch(store.record(upto=3).folder).catch_up()


@pytest.fixture
def plot(qtbot):
    plot = TrainingPlot()
    qtbot.addWidget(plot)
    return plot


def curve(plot, column):
    return plot._items[column].getData()


def test_every_column_that_is_drawn_exists():
    known = {"steps": STEP_COLUMNS, "heads": HEAD_COLUMNS, "epochs": EPOCH_COLUMNS}
    for kind in PLOTS:
        for line in kind.lines:
            series, _, column = line.column.partition(".")
            assert column in known[series], line.column


@pytest.mark.parametrize("at", range(len(PLOTS)))
def test_each_plot_shows_what_was_recorded(plot, view, at):
    plot.choose(at)
    plot.setValue(view)
    kind = PLOTS[at]
    drawn = [line for line in kind.lines if curve(plot, line.column)[0] is not None]
    assert drawn and plot.key.text() != NOTHING
    for line in drawn:
        x, _ = curve(plot, line.column)
        assert np.all((x >= 0) & (x <= view.n_epochs))
        assert line.title.replace(" ", "&nbsp;") in plot.key.text()


def test_places_are_epochs_and_values_those_of_the_events(plot, view):
    plot.choose(TITLES.index("AJI and PQ"))
    plot.setValue(view)
    x, y = curve(plot, "epochs.aji")
    assert x.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(y, [0, 0.1, 0.2, 0.3])
    plot.choose(TITLES.index("Loss terms"))
    x, y = curve(plot, "steps.np")
    np.testing.assert_allclose(x, np.arange(1, 3 * STEPS + 1) / STEPS)
    np.testing.assert_allclose(10**y, 1 / np.arange(1, 3 * STEPS + 1))
    assert curve(plot, "steps.nt")[0] is None  # 0 all along: types are not learnt


def test_shares_are_percent(plot, view):
    plot.choose(TITLES.index("Loss shares"))
    plot.setValue(view)
    assert set(curve(plot, "steps.share_np")[1]) == {25.0}
    assert "<b>25%</b>" in plot.key.text()


def test_only_the_magnitude_has_bounds(plot, view):
    plot.setValue(view)
    assert not any(bound.isVisible() for bound in plot.bounds)
    plot.choose(TITLES.index("Magnitude in nuclei"))
    assert [bound.value() for bound in plot.bounds] == [0.10, 0.25, 0.50]
    assert all(bound.isVisible() for bound in plot.bounds)
    low, high = plot.item.viewRange()[1]
    assert low <= 0 and high >= 0.5  # the bounds are in sight, however short HV is


def test_the_same_view_is_drawn_once(plot, view, monkeypatch):
    plot.setValue(view)
    monkeypatch.setattr(plot, "_draw", lambda: pytest.fail("drawn again"))
    plot.setValue(view)


def test_a_run_that_said_nothing_and_no_run(plot, tmp_path):
    for view in (RunWatch(tmp_path).catch_up(), None):
        plot.setValue(view)
        assert plot.key.text() == NOTHING


def test_values_that_are_not_known_leave_a_gap(plot, store):
    recorder = store.record(upto=1, state="running")
    recorder.write("step", epoch=2, step=11, total=float("nan"), terms={"np": None})
    recorder.step(12)
    plot.setValue(RunWatch(recorder.folder).catch_up())
    y = plot._items["steps.total"].yData
    assert np.isnan(y[-2]) and np.isfinite(y[-1])


def test_long_runs_are_thinned():
    x = np.arange(100_001.0)
    few_x, few_y = thinned(x, x * 2)
    assert len(few_x) <= MOST_POINTS and few_x[-1] == x[-1]
    np.testing.assert_allclose(few_y, 2 * few_x)


def test_columns_without_any_value_are_no_line(view):
    line = next(x for kind in PLOTS for x in kind.lines if x.column == "epochs.train_total")
    x, y = points(view, line)
    assert len(x) == 4 and np.all(y == 3.0)


def test_themes(plot):
    plot.set_colors(theme_colors("light"))
    light = plot.plot.backgroundBrush().color().lightness()
    plot.set_colors(theme_colors("dark"))
    assert light > plot.plot.backgroundBrush().color().lightness()
