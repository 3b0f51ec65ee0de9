"""Panels of this plugin share one place in the window, as tabs."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

PANEL_MARK = "napari_hovernet_panel"
"""Qt property that tells a panel of this plugin."""


def join_tabs(panel: QWidget) -> None:
    """Put a panel behind the same tabs as the other panels, once it has its dock.

    Call it when the panel is shown for the first time. A panel that floats, or a window
    without another panel, is left as it is.
    """
    panel.setProperty(PANEL_MARK, True)
    timer = QTimer(panel)  # dies with the panel
    timer.setSingleShot(True)
    timer.timeout.connect(lambda: _join(panel))
    timer.start(0)


def dock_of(panel: QWidget) -> QDockWidget | None:
    """Return the dock a panel sits in, None if it is in none."""
    widget: QWidget | None = panel
    while widget is not None and not isinstance(widget, QDockWidget):
        widget = widget.parentWidget()
    return widget


def _join(panel: QWidget) -> None:
    dock = dock_of(panel)
    window = dock.parentWidget() if dock is not None else None
    if dock is None or not isinstance(window, QMainWindow) or dock.isFloating():
        return
    area = window.dockWidgetArea(dock)
    for other in window.findChildren(QDockWidget):
        same_place = not other.isFloating() and window.dockWidgetArea(other) == area
        if other is not dock and same_place and other.isVisible() and _holds_panel(other):
            if dock not in window.tabifiedDockWidgets(other):
                window.tabifyDockWidget(other, dock)
            break
    dock.raise_()


def _holds_panel(dock: QDockWidget) -> bool:
    return any(child.property(PANEL_MARK) for child in dock.findChildren(QWidget))
