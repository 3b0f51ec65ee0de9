"""Notice that the window a widget sits in has closed for good."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QMainWindow, QWidget


def main_window_of(widget: QWidget) -> QMainWindow | None:
    """Return the main window around a widget, also when its dock floats."""
    parent = widget.parent()
    while parent is not None and not isinstance(parent, QMainWindow):
        parent = parent.parent()
    return parent


class WindowEnd(QObject):
    """Calls an action once when a window has closed, is destroyed, or the program quits.

    Parameters
    ----------
    window : QMainWindow
        Owns this object.
    action : callable
        Called without arguments, on the main thread.

    Notes
    -----
    A close event alone is no end: napari asks the user and may refuse it. So the window
    is looked at once the event has been handled.
    """

    def __init__(self, window: QMainWindow, action: Callable[[], None]) -> None:
        super().__init__(window)
        self._window = window
        self._action: Callable[[], None] | None = action
        window.installEventFilter(self)

        def end(*_: object) -> None:  # a bound method would not run: this object dies too
            action()

        window.destroyed.connect(end)
        app = QApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self._end)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Look at the window after each close event; never stops an event."""
        if event is not None and event.type() == QEvent.Type.Close:
            QTimer.singleShot(0, self._look)
        return super().eventFilter(watched, event)

    def _look(self) -> None:
        if not self._window.isVisible():
            self._end()

    def _end(self) -> None:
        action, self._action = self._action, None
        if action is not None:
            action()
