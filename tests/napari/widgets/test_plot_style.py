from __future__ import annotations

from napari_hovernet._napari.widgets.plot_style import theme_colors


def test_themes_differ_and_an_unknown_one_is_dark():
    dark, light = theme_colors("dark"), theme_colors("light")
    assert sum(dark.background) < sum(dark.text)
    assert sum(light.background) > sum(light.text)
    assert theme_colors("no such theme") == dark
