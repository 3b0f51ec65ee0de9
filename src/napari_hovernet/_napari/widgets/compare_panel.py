"""The panel "Compare and correct": scores beside base rates; each callback calls one use case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtGui import QDragEnterEvent, QDropEvent, QGuiApplication
from qtpy.QtWidgets import QFileDialog, QWidget

from ...core.measure.compare import VerdictParams, verdict
from ...errors import UserError
from ..bind import bind
from ..comparing import Comparing, comparing_for
from .compare_view import CompareView
from .parts import ERROR_STYLE, set_note, silent

if TYPE_CHECKING:
    import napari

    from ...core.measure.compare import Comparison

SAVE_FILTER = "Table (*.csv);;All of it (*.json)"
SUFFIXES = (".csv", ".json")
COMPARING = "Comparing ..."


class ComparePanel(CompareView):
    """Choose a truth, see what the scores are worth, go from error to error.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    bounds : VerdictParams, optional
        From where on the words call a difference one.
    """

    def __init__(
        self,
        viewer: napari.viewer.Viewer,
        parent: QWidget | None = None,
        bounds: VerdictParams | None = None,
    ) -> None:
        super().__init__(viewer, parent)
        self.comparing: Comparing = comparing_for(viewer)
        self.bounds = bounds or VerdictParams()
        self.setAcceptDrops(True)
        self._connect_editors()
        self._connect_state()
        self._hold_keys()
        self._show_truth()
        self._show_findings()

    def _connect_editors(self) -> None:
        comparing = self.comparing
        self.truth.valueChanged.connect(comparing.choose)
        self.truth.fileChosen.connect(comparing.choose_file)
        self.legend.valueChanged.connect(comparing.tour.choose_kinds)
        self.color.toggled.connect(comparing.colors.set_wanted)
        self.on.clicked.connect(lambda _: comparing.tour.step(1))
        self.back.clicked.connect(lambda _: comparing.tour.step(-1))
        self.copy.clicked.connect(lambda _: self.copy_table())
        self.save.clicked.connect(lambda _: self.ask_and_save())
        self.corrections.told.connect(self.tell)
        self.sides.told.connect(self.tell)

    def _connect_state(self) -> None:
        bind(self, self.comparing.sources_changed, self._show_truth)
        bind(self, self.study.truth_changed, self._show_truth)
        bind(self, self.study.labels_changed, self._show_findings)
        bind(self, self.study.findings_changed, self._show_findings)
        bind(self, self.comparing.tour.moved, self._show_tour)

    def _hold_keys(self) -> None:
        keys = self.comparing.keys
        keys.acquire()

        def release(*_: object) -> None:  # a bound method would not run: this object dies too
            keys.release()

        self.destroyed.connect(release)

    # ------------------------------------------------------------------ actions

    def copy_table(self) -> None:
        """Put the table on the clipboard, with tabs between fields."""
        comparison = self.comparison
        clipboard = QGuiApplication.clipboard()
        if comparison is not None and clipboard is not None:
            from ...core.io.tables import comparison_text  # noqa: PLC0415 - on first use

            clipboard.setText(comparison_text(comparison))

    def ask_and_save(self) -> None:
        """Ask for a file and write the comparison to it."""
        path, chosen = QFileDialog.getSaveFileName(self, "Save the comparison", "", SAVE_FILTER)
        if path:
            self.write(with_suffix(path, chosen))

    def write(self, path: str) -> None:
        """Write the comparison as CSV or, if the name ends in .json, as JSON."""
        comparison = self.comparison
        if comparison is None:
            return
        from ...core.io import tables as files  # noqa: PLC0415 - on first use

        try:
            if path.lower().endswith(".json"):
                files.write_comparison_json(path, comparison, self.comparing.metadata())
            else:
                files.write_comparison_csv(path, comparison)
        except UserError as error:
            self.tell(error)

    # ------------------------------------------------------------------ showing

    @property
    def comparison(self) -> Comparison | None:
        """What is shown, None if there is nothing to compare, or not yet."""
        truth, findings = self.study.truth, self.study.findings
        if truth is None or truth.labels is None or findings is None:
            return None
        return findings.comparison

    def _show_truth(self, *_: Any) -> None:
        self.truth.set_sources(self.comparing.sources(), self.study.truth)
        self._show_findings()

    def _show_findings(self, *_: Any) -> None:
        comparison = self.comparison
        self.table.setValue(comparison)
        self.rates.setValue(comparison)
        remarks = () if comparison is None else verdict(comparison, self.bounds)
        self.verdict.setValue(remarks)
        outcomes = None if comparison is None else comparison.prediction.outcomes.counts()
        self.legend.set_counts(outcomes)
        for button in (self.copy, self.save, self.color):
            button.setEnabled(comparison is not None or button.isChecked())
        self._show_status(comparison)
        self._show_tour()

    def _show_status(self, comparison: Comparison | None) -> None:
        text, bad = self._status(comparison)
        self.status.setStyleSheet(ERROR_STYLE if bad else "")
        set_note(self.status, text)

    def _status(self, comparison: Comparison | None) -> tuple[str, bool]:
        """Return what there is to say of the comparison, and whether it is a problem."""
        run, truth, findings = self.study.run, self.study.truth, self.study.findings
        if run is None or truth is None or truth.labels is None:
            return "", False
        if findings is not None and findings.errors:
            return " ".join(findings.errors), True
        if comparison is None:
            return COMPARING, False
        notes = [note for note in comparison.notes if note not in truth.notes]
        return " ".join(
            [f"The truth holds {comparison.prediction.n_true:,} nuclei.", *notes]
        ), False

    def _show_tour(self, *_: Any) -> None:
        tour = self.comparing.tour
        self.legend.setValue(tour.kinds)
        with silent(self.color):
            self.color.setChecked(self.comparing.colors.wanted)
        set_note(self.where, tour.words)
        for button in (self.on, self.back):
            button.setEnabled(bool(tour.places))

    # ------------------------------------------------------------------ Qt events

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take a file of labels."""
        if dropped_file(event):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Compare with the file that was dropped."""
        path = dropped_file(event)
        if path:
            self.comparing.choose_file(path)
            event.acceptProposedAction()


def dropped_file(event: QDragEnterEvent | QDropEvent) -> str:
    """Return the path of the one file that is dropped, "" if it is none or several."""
    data = event.mimeData()
    urls = data.urls() if data is not None and data.hasUrls() else []
    return str(urls[0].toLocalFile()) if len(urls) == 1 and urls[0].isLocalFile() else ""


def with_suffix(path: str, chosen_filter: str) -> str:
    """Give a path without a known ending that of the filter chosen.

    Examples
    --------
    >>> with_suffix("scores", "All of it (*.json)"), with_suffix("a.CSV", "All of it (*.json)")
    ('scores.json', 'a.CSV')
    """
    if path.lower().endswith(SUFFIXES):
        return path
    return path + (".json" if "json" in chosen_filter else ".csv")
