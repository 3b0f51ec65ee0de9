"""The ranked list of findings: causes first, then what is in order and what was not tested."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QIcon, QKeyEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTreeWidget, QTreeWidgetItem, QWidget

from ..diagnosis_words import NOT_TESTED, OK, SAID, grouped, sureness
from .parts import named, silent
from .verdict_icons import verdict_icon

if TYPE_CHECKING:
    from ...core.diagnosis.report import Finding

ID_ROLE = Qt.ItemDataRole.UserRole
"""Data of a line: the id of its finding, "" for a group."""
FEWEST_ROWS, MOST_ROWS = 4, 12
"""Lines shown at least, and before the list scrolls."""
ROW_PX = 20
"""Height of a line before there is one."""
TIP = (
    "What was found, the most likely cause first; beneath a cause what it explains. In percent: "
    "how sure it is that this is a cause. Choose a line to see why and to fly to the worst place."
)
GIVE = "Give "
"""How a reason begins that the user can do something about."""
PASSED, UNTESTED = "In order", "Not tested"


class FindingList(QTreeWidget):
    """A tree of findings; choosing one announces its id."""

    valueChanged = Signal(str)  # noqa: N815 - id of the finding the user has chosen

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._verdict = ""
        self._findings: Sequence[Finding] | None = None
        self._open = {PASSED: False, UNTESTED: False}
        self.setColumnCount(2)
        self.setHeaderHidden(True)
        self.setUniformRowHeights(True)
        self.setIndentation(14)
        self.setTextElideMode(Qt.TextElideMode.ElideRight)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        named(self, "Findings", TIP)
        self.currentItemChanged.connect(lambda now, _: self._announce(now))
        self.itemClicked.connect(lambda item, _: self._clicked(item))
        self.itemExpanded.connect(lambda item: self._remember(item, True))
        self.itemCollapsed.connect(lambda item: self._remember(item, False))
        self._fit()

    # ------------------------------------------------------------------ value

    def value(self) -> str:
        """Return the id of the chosen finding, "" if there is none."""
        item = self.currentItem()
        return "" if item is None else str(item.data(0, ID_ROLE) or "")

    def setValue(self, finding_id: str) -> None:  # noqa: N802
        """Choose a finding without announcing it; its group is opened."""
        with silent(self):
            item = self._find(finding_id)
            if item is not None:
                above = item.parent()
                while above is not None:
                    above.setExpanded(True)
                    above = above.parent()
            there = item is self.currentItem()
            self.setCurrentItem(item)
            if item is None:
                self.clearSelection()
        self._fit()
        if item is not None and not there:
            self.scrollToItem(item)

    def set_findings(self, findings: Sequence[Finding]) -> None:
        """Show other findings; the choice, the place and what is open stay."""
        if findings is self._findings:
            return
        self._findings = findings
        chosen, at = self.value(), self.verticalScrollBar().value()
        groups = grouped(findings)
        with silent(self):
            self.clear()
            for cause, explained in groups.causes:
                top = _row(cause)
                top.addChildren(
                    [_row(f, "Likely to follow from the line above.") for f in explained]
                )
                self.addTopLevelItem(top)
                top.setExpanded(True)
            if groups.passed:
                self._group(PASSED, OK, [_row(f) for f in groups.passed], len(groups.passed))
            lines = [_reason_row(why, waiting) for why, waiting in groups.not_tested]
            if lines:
                n = sum(len(waiting) for _, waiting in groups.not_tested)
                self._group(UNTESTED, NOT_TESTED, lines, n)
        if chosen:
            with silent(self):
                self.setCurrentItem(self._find(chosen))
        self._fit()
        self.verticalScrollBar().setValue(at)
        verdict = next((f.verdict for f in findings if f.id == chosen), "")
        if verdict != self._verdict and self.currentItem() is not None:  # it has moved
            self.scrollToItem(self.currentItem())
        self._verdict = verdict

    # ------------------------------------------------------------------ inner

    def _group(self, name: str, verdict: str, lines: list[QTreeWidgetItem], n: int) -> None:
        item = _line(f"{name} ({n})", verdict_icon(verdict), "")
        item.setData(0, ID_ROLE + 1, name)
        item.addChildren(lines)
        self.addTopLevelItem(item)
        item.setExpanded(self._open[name])

    def _find(self, finding_id: str) -> QTreeWidgetItem | None:
        waiting = [self.topLevelItem(i) for i in range(self.topLevelItemCount())]
        while waiting and finding_id:
            item = waiting.pop()
            if item.data(0, ID_ROLE) == finding_id:
                return item
            waiting.extend(item.child(i) for i in range(item.childCount()))
        return None

    def _announce(self, item: QTreeWidgetItem | None) -> None:
        found = "" if item is None else str(item.data(0, ID_ROLE) or "")
        if found:
            self.valueChanged.emit(found)

    def _clicked(self, item: QTreeWidgetItem) -> None:
        """Go to the finding again, or open a group."""
        if not item.data(0, ID_ROLE):
            item.setExpanded(not item.isExpanded())
        elif item is self.currentItem():
            self._announce(item)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802
        """Return goes to the chosen finding again, or opens a group."""
        item = self.currentItem()
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and item is not None:
            self._clicked(item)
            return
        super().keyPressEvent(event)

    def _remember(self, item: QTreeWidgetItem, is_open: bool) -> None:
        name = item.data(0, ID_ROLE + 1)
        if name in self._open:
            self._open[name] = is_open
        self._fit()

    def _fit(self) -> None:
        """Be as high as the lines need, within bounds."""
        rows, item = 0, self.topLevelItem(0)
        while item is not None and rows < MOST_ROWS:
            rows, item = rows + 1, self.itemBelow(item)
        high = self.sizeHintForRow(0) if rows else ROW_PX
        self.setFixedHeight(max(rows, FEWEST_ROWS) * high + 2 * self.frameWidth() + 4)


def _row(finding: Finding, remark: str = "") -> QTreeWidgetItem:
    item = _line(finding.title, verdict_icon(finding.verdict), finding.id)
    item.setText(1, sureness(finding))
    said = f"{SAID[finding.verdict]} {sureness(finding)}".strip()
    tip = "\n".join(x for x in (f"{finding.title} ({said})", remark, finding.evidence) if x)
    for column in (0, 1):
        item.setToolTip(column, tip)
    item.setData(0, Qt.ItemDataRole.AccessibleTextRole, f"{finding.title}, {said}")
    return item


def _reason_row(why: str, waiting: Sequence[Finding]) -> QTreeWidgetItem:
    """Return the line of what has to be given, the checks that wait for it beneath."""
    if len(waiting) == 1 and not why.startswith(GIVE):
        item = _row(waiting[0])
        item.setText(0, f"{waiting[0].title}: {why}")
        return item
    item = _line(f"{why} ({len(waiting)})", None, "")
    item.setToolTip(0, why)
    item.addChildren([_row(f) for f in waiting])
    return item


def _line(text: str, icon: QIcon | None, finding_id: str) -> QTreeWidgetItem:
    item = QTreeWidgetItem([text, ""])
    if icon is not None:
        item.setIcon(0, icon)
    item.setData(0, ID_ROLE, finding_id)
    item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return item
