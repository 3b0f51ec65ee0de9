"""Plots that fit napari's theme: one place for their colours and pens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyqtgraph as pg
from napari.utils.theme import available_themes, get_theme

INSIDE_COLOR = (86, 160, 240)
OUTSIDE_COLOR = (235, 150, 70)
"""Curves of pixels inside and outside nuclei; told apart by colour-blind eyes too."""
BAD_COLOR, FAIR_COLOR, GOOD_COLOR = (214, 69, 65), (226, 165, 26), (58, 160, 90)
"""Collapsed, weak, healthy."""
FILL_ALPHA = 70
BAND_ALPHA = 130


@dataclass(frozen=True)
class PlotColors:
    """Background and text of a theme, RGB 0..255."""

    background: tuple[int, int, int]
    text: tuple[int, int, int]


def theme_colors(name: str) -> PlotColors:
    """Look up a theme of napari; its dark one if the name is not known."""
    theme = get_theme(name if name in available_themes() else "dark")
    background, text = (
        tuple(int(x) for x in color.as_rgb_tuple(alpha=False))
        for color in (theme.background, theme.text)
    )
    return PlotColors(background, text)  # type: ignore[arg-type]


def paint(plot: Any, colors: PlotColors) -> None:
    """Give a plot item the colours of a theme: axes, labels, title."""
    pen = pg.mkPen(colors.text)
    for side in ("left", "bottom"):
        axis = plot.getAxis(side)
        axis.setPen(pen)
        axis.setTextPen(pen)
    plot.setTitle(plot.titleLabel.text or None, color=colors.text)


def still(plot: Any) -> None:
    """Keep a plot item from moving, zooming and opening menus: the panel scrolls instead."""
    plot.setMouseEnabled(False, False)
    plot.setMenuEnabled(False)
    plot.hideButtons()
