"""The end of a window: it asks first while one of its trainings runs; then everything stops."""

from __future__ import annotations

import gc
import weakref
from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QApplication, QMainWindow, QMessageBox, QWidget

from ..kit import take_away
from ..training import Training

TEXT = (
    "{} goes on in the background when napari is closed; the tab 'Train' shows it again. "
    "Let it go on?"
)
GO_ON, STOP = "Let it go on", "Stop it with a checkpoint"
ASKED = "napari_hovernet_asks"


class CloseQuestion(QObject):
    """Holds a close event back and asks, without stopping the program; the answer closes."""

    def __init__(self, window: QMainWindow, training: Training) -> None:
        super().__init__(window)
        self._window, self._training = window, weakref.ref(training)
        self._answered = False
        self.box: QMessageBox | None = None
        window.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Stop the close event that has to be asked about.

        A program that closes its viewer has hidden the central widget before; it is not asked.
        """
        if event is None or event.type() != QEvent.Type.Close or self._answered:
            return super().eventFilter(watched, event)
        training, middle = self._training(), self._window.centralWidget()
        by_user = self._window.isVisible() and middle is not None and middle.isVisible()
        names = training.still_running() if training is not None and by_user else ()
        if not names:
            return super().eventFilter(watched, event)
        event.ignore()
        self._ask(" and ".join(names))
        return True

    def _ask(self, names: str) -> None:
        if self.box is not None:
            self.box.raise_()
            return
        icon = QMessageBox.Icon.Question
        box = QMessageBox(icon, "Training", TEXT.format(names), parent=self._window)
        go_on = box.addButton(GO_ON, QMessageBox.ButtonRole.AcceptRole)
        stop = box.addButton(STOP, QMessageBox.ButtonRole.DestructiveRole)
        cancel = box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(go_on)
        box.setEscapeButton(cancel)
        box.finished.connect(lambda _: self._done(box.clickedButton(), go_on, stop))
        self.box = box
        box.open()

    def _done(self, clicked: Any, go_on: Any, stop: Any) -> None:
        training, box, self.box = self._training(), self.box, None
        if box is not None:
            take_away(box)
        quits = bool(getattr(self._window, "_quit_app", False))
        if clicked not in (go_on, stop):
            if quits:  # what was asked for with "Quit" is not to be remembered
                self._window._quit_app = False  # type: ignore[attr-defined]
            return
        if clicked is stop and training is not None:
            training.stop_all()
        self._answered = True
        self._window.close(quit_app=True) if quits else self._window.close()  # type: ignore[call-arg]


def ask_before_closing(window: Any, training: Training) -> None:
    """Ask once a window closes; a second call does nothing."""
    if isinstance(window, QMainWindow) and not window.property(ASKED):
        window.setProperty(ASKED, True)
        CloseQuestion(window, training)


class WindowEnd(QObject):
    """Calls a method once when a window has closed, or the program quits.

    A close event alone is no end: napari asks the user and may refuse it. So the window
    is looked at once the event has been handled. The method's object is held weakly, and
    nothing hangs on ``destroyed``: that runs amid a collection, on objects half taken apart.
    """

    def __init__(self, window: QMainWindow, action: Any) -> None:
        super().__init__(window)
        self._action = weakref.WeakMethod(action)
        window.installEventFilter(self)
        app = QApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self._end)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Look at the window after each close event; never stops an event."""
        if event is not None and event.type() == QEvent.Type.Close:
            gc.unfreeze()  # at once: what closes the window may collect before the loop goes on
            QTimer.singleShot(0, self._look)
        return super().eventFilter(watched, event)

    def _look(self) -> None:
        window = self.parent()
        if isinstance(window, QWidget) and not window.isVisible():
            self._end()

    def _end(self) -> None:
        action = self._action()
        if action is not None:
            action()  # a second call does nothing
