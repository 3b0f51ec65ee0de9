"""One finding: what was measured, against what, where it is seen, and what to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget
from superqt import QCollapsible

from ..diagnosis_words import SAID, number, same, subtitle
from .finding_plot import FindingPlot
from .look_bar import LookBar
from .parts import note, set_note
from .place_list import PlaceList
from .remedy_box import RemedyBox
from .value_bar import ValueBar
from .verdict_icons import verdict_pixmap

if TYPE_CHECKING:
    from ...core.diagnosis.report import Finding
    from .plot_style import PlotColors

SIGN_PX = 24
TITLE_SIZE = 1.15
"""Of the title, in sizes of the text."""


class FindingView(QWidget):
    """Shows a finding; hidden without one."""

    placeChosen = Signal(int)  # noqa: N815
    stepped = Signal(int)
    layerChosen = Signal(str)  # noqa: N815

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._finding: Finding | None = None
        self.sign = QLabel()
        self.title, self.under = note("", "Finding"), note("", "Verdict, certainty and id")
        self.evidence = note("", "Evidence")
        self.value, self.plot = ValueBar(), FindingPlot()
        self.places, self.look, self.remedy = PlaceList(), LookBar(), RemedyBox()
        self.numbers = note("", "More numbers")
        self.more = QCollapsible("More numbers")
        self.more.addWidget(self.numbers)
        self._lay_out()
        self.places.valueChanged.connect(self.placeChosen)
        self.places.stepped.connect(self.stepped)
        self.look.valueChanged.connect(self.layerChosen)
        self.setValue(None)

    def _lay_out(self) -> None:
        font = self.title.font()
        font.setBold(True)
        font.setPointSizeF(font.pointSizeF() * TITLE_SIZE)
        self.title.setFont(font)
        words = QVBoxLayout()
        words.setSpacing(0)
        words.addWidget(self.title)
        words.addWidget(self.under)
        head = QHBoxLayout()
        head.addWidget(self.sign, 0, Qt.AlignmentFlag.AlignTop)
        head.addLayout(words, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 4, 0, 0)
        column.addLayout(head)
        for widget in (
            self.evidence,
            self.value,
            self.remedy,
            self.places,
            self.look,
            self.plot,
            self.more,
        ):
            column.addWidget(widget)

    def value_id(self) -> str:
        """Return the id of what is shown, "" if nothing is."""
        return "" if self._finding is None else self._finding.id

    def set_colors(self, colors: PlotColors) -> None:
        """Fit the theme."""
        self.plot.set_colors(colors)

    def setValue(  # noqa: N802
        self, finding: Finding | None, *, ready: bool = True, tunable: bool = False
    ) -> None:
        """Show a finding; see :meth:`RemedyBox.setValue` for the switches."""
        self.remedy.setValue(finding, ready=ready, tunable=tunable)
        if finding is not None and same(finding, self._finding):
            return
        self._finding = finding
        self.setVisible(finding is not None)
        if finding is None:
            return
        self.sign.setPixmap(verdict_pixmap(finding.verdict, SIGN_PX))
        self.sign.setAccessibleName(SAID[finding.verdict])
        set_note(self.title, finding.title)
        set_note(self.under, subtitle(finding))
        set_note(self.evidence, finding.evidence)
        self.value.setValue(finding)
        self.places.set_places(finding.places)
        self.look.set_layers(finding.layers if finding.places else ())
        self.plot.setValue(finding.plot)
        set_note(self.numbers, numbers_text(finding))
        self.more.setVisible(bool(finding.numbers))


def numbers_text(finding: Finding) -> str:
    """Return a table of everything that was measured, as rich text."""
    rows = "".join(
        f"<tr><td>{name}</td><td align='right'>&nbsp;&nbsp;<b>{number(float(value))}</b></td></tr>"
        for name, value in finding.numbers.items()
    )
    return f"<table>{rows}</table>" if rows else ""
