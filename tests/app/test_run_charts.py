"""Charts: what they show, how they are thinned, drawn as SVG and as a picture."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from napari_hovernet.app.figures import (
    COLOURS,
    FRAME,
    Chart,
    Frame,
    Line,
    charts_of,
    plot_of,
    save_plot,
    svg_of,
    thinned,
    ticks,
)
from napari_hovernet.app.watch import EPOCH_COLUMNS, HEAD_COLUMNS, STEP_COLUMNS, RunView, Series
from napari_hovernet.errors import InputError, OutputError


@pytest.fixture
def view() -> RunView:
    steps = {name: np.linspace(0.1, 0.9, 40) for name in STEP_COLUMNS}
    steps["step"] = np.arange(1.0, 41.0)
    epochs = {name: np.linspace(0.2, 0.8, 5) for name in EPOCH_COLUMNS}
    epochs["epoch"] = np.arange(5.0)
    heads = {name: np.linspace(0.1, 0.3, 4) for name in HEAD_COLUMNS}
    heads["step"] = np.array([1.0, 10.0, 20.0, 30.0])
    heads["nt"] = np.zeros(4)
    return RunView(
        name="a", state="done", steps_per_epoch=10, steps=Series(steps), epochs=Series(epochs),
        heads=Series(heads),
    )  # fmt: skip


def test_base_rates_stand_beside_the_scores(view: RunView) -> None:
    charts = {chart.title: chart for chart in charts_of(view)}
    assert len(charts) == 9
    names = {title: [line.name for line in chart.lines] for title, chart in charts.items()}
    assert names["Nuclei that come apart"] == ["AJI", "connected components", "oracle", "PQ"]
    assert names["Nuclei against background"] == ["Dice", "all foreground"]
    assert names["HV error"] == ["mean squared", "a map of zeros"]
    assert names["HV magnitude inside nuclei"] == ["training", "validation", "truth"]
    levels = [value for value, _ in charts["HV magnitude inside nuclei"].levels]
    assert levels == [0.10, 0.25, 0.50]
    assert names["Shares of the gradient"] == ["NP", "HV"]  # types take no part
    assert charts["Loss"].lines[0].x[-1] == 4.0  # 40 steps of 10 are 4 epochs


def test_ranges_hold_curves_and_levels() -> None:
    chart = Chart("x", (Line("a", "main", np.array([0.0, 1]), np.array([0.3, 0.4])),),
                  ((0.5, "healthy"),), (0.0, None))  # fmt: skip
    low, high = chart.y_range()
    assert low == 0
    assert high > 0.5
    flat = Chart("x", (Line("a", "main", np.array([2.0]), np.array([3.0])),))
    assert flat.x_range() == (2, 3)
    assert flat.y_range()[0] < 3 < flat.y_range()[1]


def test_gaps_divide_a_curve() -> None:
    y = np.array([np.nan, 1, 2, np.nan, 3])
    parts = list(Line("a", "main", np.arange(5.0), y).parts())
    assert [values.tolist() for _, values in parts] == [[1, 2], [3]]
    svg = svg_of(Chart("a", (Line("a", "main", np.arange(5.0), y),)))
    assert (svg.count("<polyline"), svg.count("<circle")) == (1, 1)


def test_thinning_keeps_the_mean() -> None:
    rng = np.random.default_rng(0)
    x, y = np.arange(10_000.0), rng.normal(size=10_000)
    thin_x, thin_y = thinned(x, y, 100)
    assert len(thin_x) == 100
    np.testing.assert_allclose(thin_y, y.reshape(100, 100).mean(1))
    np.testing.assert_allclose(thin_x, x.reshape(100, 100).mean(1))


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1e-6, 3e-6), (0, 12345), (0.1, 0.11)])
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 3 <= len(found) <= 8
    assert low <= min(found) + 1e-12
    assert max(found) <= high + 1e-12
    assert ticks(1, 1) == [1]


def test_an_svg_is_xml_and_its_texts_are_escaped() -> None:
    line = Line('<b>"&', "main", np.arange(2.0), np.array([0.0, 1.0]))
    root = ElementTree.fromstring(svg_of(Chart("a < b", (line,), ((0.5, "<i>"),)), Frame()))
    assert root.attrib["aria-label"] == 'a < b: <b>"&'
    points = next(e for e in root if e.tag == "polyline").attrib["points"].split()
    assert [float(point.split(",")[0]) for point in points] == [46, 448]
    heights = [float(point.split(",")[1]) for point in points]
    assert heights[0] > heights[1]  # up is more


def test_a_picture_shows_every_chart(view: RunView, tmp_path: Path) -> None:
    path = save_plot(view, tmp_path / "curves.png")
    with Image.open(path) as stored:
        picture = np.asarray(stored)
    assert picture.shape[1] == 3 * FRAME.width
    purple = np.array([int(COLOURS["main"][i : i + 2], 16) for i in (1, 3, 5)])
    assert ((picture == purple).all(-1)).sum() > 100
    assert plot_of(RunView(name="b")).min() < 100  # it says that there is nothing yet
    with pytest.raises(InputError, match=r"does not end in \.png"):
        save_plot(view, tmp_path / "curves.pdf")
    with pytest.raises(OutputError):
        save_plot(view, tmp_path / "no" / "curves.png")
