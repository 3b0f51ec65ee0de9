"""Plots of findings as SVG: what is drawn lies where its numbers say."""

from __future__ import annotations

import math
import re
from xml.etree import ElementTree

import pytest

from napari_hovernet.app.diagnosis_svg import FRAME, gauge, svg_of_plot
from napari_hovernet.core.diagnosis.report import Finding, Plot


def shapes(svg: str, kind: str) -> list[dict[str, str]]:
    root = ElementTree.fromstring(svg)
    return [e.attrib for e in root.iter() if e.attrib.get("class", "").startswith(kind)]


def test_bars_stand_on_zero_and_the_threshold_lies_across() -> None:
    plot = Plot("bars", "a & b", ("x", "y", "z"), (("n", (0.5, -0.5, math.nan)),), line=0.25)
    svg = svg_of_plot(plot)
    up, down = shapes(svg, "bar")
    assert float(up["y"]) + float(up["height"]) == pytest.approx(float(down["y"]), abs=0.11)
    assert float(up["height"]) == pytest.approx(float(down["height"]), abs=0.11)
    (level,) = shapes(svg, "level")
    at = float(re.findall(r"M\S+ ([\d.]+)H", level["d"])[0])
    assert at == pytest.approx(float(up["y"]) + float(up["height"]) / 2, abs=0.2)


def test_bins_of_a_histogram_are_as_wide_as_their_edges() -> None:
    plot = Plot("histogram", "h", (0, 1, 4), (("n", (3.0, 6.0)),), line=1.0)
    svg = svg_of_plot(plot)
    first, second = shapes(svg, "bar")
    assert float(second["width"]) == pytest.approx(3 * float(first["width"]), abs=0.3)
    assert float(second["height"]) == pytest.approx(2 * float(first["height"]), abs=0.3)
    (level,) = shapes(svg, "level")
    assert float(re.findall(r"M([\d.]+)", level["d"])[0]) == pytest.approx(float(second["x"]), 0.01)


def test_lines_and_a_matrix() -> None:
    lines = svg_of_plot(Plot("lines", "l", (0.5, 1.0, 2.0), (("a", (1.0, 3.0, 2.0)),
                             ("b", (0.0, math.nan, 1.0)))))  # fmt: skip
    found = [s["points"].count(",") for s in shapes(lines, "line")]
    assert found == [3, 2]
    matrix = svg_of_plot(Plot("matrix", "m", ("p", "q"), (("row <1>", (0.0, 1.0)),
                              ("row 2", (math.nan, 0.5)))))  # fmt: skip
    opacity = [float(c["fill-opacity"]) for c in shapes(matrix, "cell")]
    assert opacity[1] == max(opacity) and "row &lt;1&gt;" in matrix


def test_many_long_names_stay_inside() -> None:
    names = tuple(f"a rather long name {i}" for i in range(40))
    svg = svg_of_plot(Plot("bars", "b", names, (("n", tuple(map(float, range(40)))),)))
    assert 0 < svg.count("rotate(-28)") <= 12
    assert max(float(s["x"]) + float(s["width"]) for s in shapes(svg, "bar")) <= FRAME.width


def test_without_numbers_there_is_nothing_to_draw() -> None:
    assert svg_of_plot(Plot("bars", "b", ("x",), (("n", (math.nan,)),))) == ""
    assert svg_of_plot(Plot("lines", "b", (), (("n", ()),))) == ""
    one = svg_of_plot(Plot("lines", "b", (1.0,), (("n", (2.0,)),)))
    ElementTree.fromstring(one)


def test_a_gauge_marks_the_wrong_side_of_the_bound() -> None:
    def made(verdict: str, value: float) -> str:
        certainty = 0.9 if verdict == "fault" else 0.0
        return gauge(Finding("data.coverage", verdict, "a", "b", value, 0.5, "share", certainty))

    for verdict, value, right in (("fault", 0.9, True), ("ok", 0.1, True), ("fault", 0.1, False)):
        svg = made(verdict, value)
        (bad,), (level,) = shapes(svg, "bad"), shapes(svg, "level")
        limit = float(re.findall(r"M([\d.]+)", level["d"])[0])
        assert (float(bad["x"]) >= limit - 0.1) == right
        (mark,) = shapes(svg, "value")
        inside = float(bad["x"]) <= float(mark["cx"]) <= float(bad["x"]) + float(bad["width"])
        assert inside == (verdict == "fault")
    warned = gauge(Finding("data.coverage", "warn", "a", "b", 0.4, 0.5, "share", 0.3))
    assert not shapes(warned, "bad") and "bound 0.5" in warned


def test_a_threshold_on_the_horizontal_axis_of_lines_stands_upright() -> None:
    plot = Plot("lines", "l", (0.0, 0.5, 1.0), (("a", (7.0, 9.0, 8.0)),), line=0.5, on_x=True)
    (level,) = shapes(svg_of_plot(plot), "level")
    middle = [float(c["cx"]) for c in shapes(svg_of_plot(plot), "bar")][1]
    assert float(re.findall(r"M([\d.]+) [\d.]+V", level["d"])[0]) == pytest.approx(middle, abs=0.1)
