"""What to do about a finding, here and now where it can be done here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from ..diagnosis_words import SAID, change_words
from .parts import named, note, set_note
from .verdict_icons import verdict_pixmap

if TYPE_CHECKING:
    from ...core.diagnosis.report import Finding
    from ..diagnosis_state import Applied

SIGN_PX = 16
WAITING = "Wait until the diagnosis is done."
APPLY_TIP = (
    "Read everything as the remedy says and make the checks that failed again. Your files and "
    "layers are not changed."
)


class RemedyBox(QWidget):
    """The remedy in words, and buttons to apply it or to take it to the tuner."""

    applyRequested = Signal()  # noqa: N815
    tunerRequested = Signal()  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.text = note("", "What to do")
        self.apply = QPushButton("Apply remedy")
        self.tuner = QPushButton("Use in Tuner")
        named(self.apply, "Apply remedy", APPLY_TIP)
        named(
            self.tuner,
            "Use in Tuner",
            "Set the separation panel to this value: the nuclei change in the viewer at once.",
        )
        row = QHBoxLayout()
        row.addWidget(self.apply)
        row.addWidget(self.tuner)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.text)
        column.addLayout(row)
        self.apply.clicked.connect(lambda _: self.applyRequested.emit())
        self.tuner.clicked.connect(lambda _: self.tunerRequested.emit())
        self.setValue(None)

    def setValue(  # noqa: N802
        self, finding: Finding | None, *, ready: bool = True, tunable: bool = False
    ) -> None:
        """Show the remedy of a finding.

        Parameters
        ----------
        finding : Finding, optional
        ready : bool
            Whether it can be applied now.
        tunable : bool
            Whether the tuner can take it.
        """
        remedy = None if finding is None else finding.remedy
        words = "" if remedy is None else remedy.text
        self.setVisible(bool(words))
        set_note(self.text, f"<b>What to do:</b> {words}" if words else "")
        can = remedy is not None and bool(remedy.action)
        self.apply.setVisible(can)
        self.apply.setEnabled(ready)
        self.tuner.setVisible(can and tunable)
        if remedy is not None and can:
            tip = f"{change_words(remedy.action, remedy.value)}. {APPLY_TIP}"
            self.apply.setToolTip(tip if ready else WAITING)


class AppliedBox(QWidget):
    """Remedies applied so far, what they changed, and a way back."""

    undoRequested = Signal()  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lines: list[QWidget] = []
        self.undo = QPushButton("Undo the last remedy")
        named(self.undo, "Undo the last remedy", "Back to the findings before it. (Ctrl+Z)")
        self._column = QVBoxLayout(self)
        self._column.setContentsMargins(0, 0, 0, 0)
        self._column.setSpacing(2)
        self._column.addWidget(self.undo)
        self.undo.clicked.connect(lambda _: self.undoRequested.emit())
        self.setValue(())

    def setValue(self, applied: Sequence[Applied]) -> None:  # noqa: N802
        """List remedies, the last one at the end."""
        for line in self.lines:
            self._column.removeWidget(line)
            line.hide()
            line.deleteLater()
        self.lines = [_line(each) for each in applied]
        for at, line in enumerate(self.lines):
            self._column.insertWidget(at, line)
        self.setVisible(bool(applied))


def _line(applied: Applied) -> QWidget:
    """Return signs and words: "[x] -> [v] separation local: was fault, now in order"."""
    line = QWidget()
    row = QHBoxLayout(line)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(3)
    for part in (applied.before, "\u2192", applied.after):
        sign = QLabel(part)
        if part in SAID:
            sign.setPixmap(verdict_pixmap(part, SIGN_PX))
            sign.setAccessibleName(SAID[part])
        row.addWidget(sign, 0, Qt.AlignmentFlag.AlignTop)
    words = (
        f"{applied.change}: {applied.title} was {SAID[applied.before]}, is {SAID[applied.after]}"
    )
    text = note(words, "Applied remedy")
    row.addWidget(text, 1)
    return line
