"""Scores of a prediction over those of its base rates."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem, QWidget

from ...core.measure.compare import CONNECTED, ORACLE, PREDICTION, Comparison
from ...core.types import Evaluation
from .parts import named

COLUMNS = (
    (
        "dice",
        "Dice",
        "Overlap of all nucleus pixels. Does not see whether touching nuclei are one.",
    ),
    ("aji", "AJI", "Aggregated Jaccard index; punishes a merged blob once for each nucleus in it."),
    ("aji_plus", "AJI+", "AJI with every nucleus paired once at most."),
    ("dq", "DQ", "Detection quality: share of nuclei found (IoU above 0.5)."),
    ("sq", "SQ", "Segmentation quality: mean IoU of those that were found."),
    ("pq", "PQ", "Panoptic quality: DQ times SQ."),
)
"""Field of :class:`Evaluation`, header, what it means; all in 0..1, 1 = perfect."""
ROWS = {
    PREDICTION: ("Prediction", "The nuclei of this run as they are now, corrections included."),
    CONNECTED: (
        "Components",
        "The run's mask with every connected area taken for one nucleus: what the scores would "
        "be without any separation. A separation that is worth its name lies well above.",
    ),
    ORACLE: (
        "Oracle",
        "The true maps (NP and HV computed from the truth) through the same separation: the best "
        "it can do. If this is low the separation itself is at fault.",
    ),
}
"""Short title and meaning of each row."""
EMPTY = "-"
TIGHT = "QTableWidget::item { padding: 0px; } QHeaderView::section { padding: 1px; }"
"""Takes napari's padding back, so that two digits show in a narrow dock."""


class ScoreTable(QTableWidget):
    """Three rows, seven columns; shows dashes until there is something to show."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(len(ROWS), len(COLUMNS) + 1, parent)
        named(self, "Scores", "Scores against the truth; hover a header for its meaning.")
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setMinimumSectionSize(0)
        self.setStyleSheet(TIGHT)
        self.setTextElideMode(Qt.TextElideMode.ElideNone)
        self._set_headers()
        self.setValue(None)

    def value(self) -> Comparison | None:
        """Return the comparison shown."""
        return self._shown

    def setValue(self, comparison: Comparison | None) -> None:  # noqa: N802
        """Show a comparison, None = dashes."""
        self._shown = comparison
        rows = dict(comparison.rows()) if comparison is not None else {}
        for row, title in enumerate(ROWS):
            for column, (text, tip) in enumerate(_fields(rows.get(title))):
                self._put(row, column, text, tip)
        self._fit()

    def _set_headers(self) -> None:
        self.setHorizontalHeaderLabels([*(title for _, title, _ in COLUMNS), "Nuclei"])
        self.setVerticalHeaderLabels([title for title, _ in ROWS.values()])
        tips = [*(tip for _, _, tip in COLUMNS), "Number of nuclei of that row."]
        for column, tip in enumerate(tips):
            self.horizontalHeaderItem(column).setToolTip(tip)
        for row, (_, tip) in enumerate(ROWS.values()):
            self.verticalHeaderItem(row).setToolTip(tip)

    def _put(self, row: int, column: int, text: str, tip: str) -> None:
        item = self.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            self.setItem(row, column, item)
        item.setText(text)
        item.setToolTip(tip)

    def _fit(self) -> None:
        self.resizeRowsToContents()
        rows = sum(self.rowHeight(row) for row in range(self.rowCount()))
        height = rows + self.horizontalHeader().sizeHint().height() + 2 * self.frameWidth()
        self.setFixedHeight(height)


def _fields(scores: Evaluation | None) -> list[tuple[str, str]]:
    """Text and tooltip of each cell of a row: two digits, six in the tooltip."""
    if scores is None:
        return [(EMPTY, "")] * (len(COLUMNS) + 1)
    values = [(title, getattr(scores, name)) for name, title, _ in COLUMNS]
    cells = [(f"{value:.2f}", f"{title} {value:.6f}") for title, value in values]
    return [*cells, (f"{scores.n_pred:,}", f"{scores.n_pred:,} nuclei, true {scores.n_true:,}")]
