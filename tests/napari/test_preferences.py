from __future__ import annotations

from types import SimpleNamespace

from napari_hovernet._napari import preferences as module
from napari_hovernet._napari.preferences import Preferences, preferences


def set_display(monkeypatch, **values):
    display = SimpleNamespace(**values)
    found = {module.PLUGIN: SimpleNamespace(display=display)}
    monkeypatch.setattr(
        "napari.settings.get_plugin_settings", lambda name: found[name], raising=False
    )


def test_values_of_napari_s_settings_are_used(monkeypatch):
    set_display(monkeypatch, contour=5, show_maps=True, magnitude_colormap="magma")
    assert preferences() == Preferences(5, True, "magma")


def test_unfit_or_missing_values_become_defaults(monkeypatch):
    set_display(monkeypatch, contour=-1, magnitude_colormap="no such map")
    assert preferences() == Preferences()


def test_napari_without_plugin_settings(monkeypatch):
    monkeypatch.delattr("napari.settings.get_plugin_settings", raising=False)
    assert preferences() == Preferences()
