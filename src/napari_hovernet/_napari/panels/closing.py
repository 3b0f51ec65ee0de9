"""A window that closes while one of its trainings runs asks first; Cancel keeps it open."""

from __future__ import annotations

import weakref
from typing import Any

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMainWindow, QMessageBox

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
            box.deleteLater()
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
