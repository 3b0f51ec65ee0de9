"""Ask once, when a viewer closes while a training runs, whether it shall go on."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, QObject
from qtpy.QtWidgets import QMainWindow, QMessageBox, QWidget

from .window_end import WindowEnd

if TYPE_CHECKING:
    from .finetuning import FineTuning

TITLE = "Training goes on"
TEXT = (
    "{} goes on in the background when napari is closed. Open the panel 'Fine-tune' again to see "
    "how far it is."
)
GO_ON, STOP = "Let it go on", "Stop it with a checkpoint"


class CloseQuestion(QObject):
    """Asks before the window closes; what was answered is done once it has closed.

    Parameters
    ----------
    window : QMainWindow
        Owns this object.
    tuning : FineTuning
    """

    def __init__(self, window: QMainWindow, tuning: FineTuning) -> None:
        super().__init__(window)
        self._tuning = weakref.ref(tuning)
        self._window = window
        self._stop: bool | None = None
        window.installEventFilter(self)
        WindowEnd(window, self._end)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802
        """Ask at the first close event; never stops an event."""
        closing = event is not None and event.type() == QEvent.Type.Close
        tuning = self._tuning()
        if closing and tuning is not None and self._stop is None and self._window.isVisible():
            names = list(tuning.active_now())
            if names:
                self._stop = ask(self._window, names)
        return super().eventFilter(watched, event)

    def _end(self) -> None:
        tuning = self._tuning()
        if self._stop and tuning is not None:
            tuning.stop_all()


def ask(window: QWidget, names: list[str]) -> bool:
    """Ask whether trainings are to stop; going on is the default."""
    box = QMessageBox(
        QMessageBox.Icon.Question, TITLE, TEXT.format(" and ".join(names)), parent=window
    )
    go_on = box.addButton(GO_ON, QMessageBox.ButtonRole.AcceptRole)
    stop = box.addButton(STOP, QMessageBox.ButtonRole.DestructiveRole)
    box.setDefaultButton(go_on)
    box.setEscapeButton(go_on)
    box.exec()
    return box.clickedButton() is stop
