"""What a diagnosis found: headline, list, one finding, remedies applied, and what to do with it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from .finding_list import FindingList
from .finding_view import FindingView
from .parts import named, note, set_note
from .remedy_box import AppliedBox

if TYPE_CHECKING:
    from ...core.diagnosis.report import Finding


class DiagnoseResults(QWidget):
    """Widgets below each other; no behaviour of its own."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.headline = note("", "Summary of the diagnosis")
        self.list, self.finding, self.applied = FindingList(), FindingView(), AppliedBox()
        self.save, self.copy = QPushButton("Save report ..."), QPushButton("Copy command line")
        self.message = note("", "What was done last")
        named(self.save, "Save report", "A page with pictures (.html), or the findings (.json).")
        named(self.copy, "Copy command line", "The command that diagnoses the same files.")
        buttons = QHBoxLayout()
        buttons.addWidget(self.save)
        buttons.addWidget(self.copy)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for widget in (self.headline, self.list, self.applied, self.finding):
            column.addWidget(widget)
        column.addLayout(buttons)
        column.addWidget(self.message)
        self.set_findings((), done=False)

    def set_headline(self, text: str, *, bold: bool = True) -> None:
        """Show what was found in one line; what to do first is not bold."""
        font = self.headline.font()
        font.setBold(bold)
        self.headline.setFont(font)
        set_note(self.headline, text)

    def set_findings(self, findings: Sequence[Finding], *, done: bool) -> None:
        """List findings; nothing is listed before there is one.

        Parameters
        ----------
        findings : sequence of Finding
        done : bool
            Whether there is a report to save.
        """
        self.list.set_findings(findings)
        self.list.setVisible(bool(findings))
        self.save.setVisible(bool(findings))
        self.save.setEnabled(done)
