"""The panel "Inspect HV": is HV long enough, and what is under the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import QLabel, QScrollArea, QWidget

from ...errors import UserError
from ..bind import bind
from ..inspecting import Inspecting
from .bands_editor import BandsEditor
from .magnitude_plot import MagnitudePlot
from .nucleus_picker import NucleusPicker
from .nucleus_plot import NucleusPlot
from .parts import note, set_note
from .plot_style import theme_colors
from .stage_boxes import StageBoxes
from .study_panel import StudyPanel
from .traffic_light import TrafficLight

if TYPE_CHECKING:
    import napari

    from ...core.measure.magnitude import PixelReading

TITLE = "Inspect HV"
NO_PIXEL = "Move the mouse over the image to read NP, HV and the nucleus under it."
GONE = "This run has no maps: run it again to look into them."
HINT = "Click a nucleus in the image, or choose its id."


class InspectorPanel(StudyPanel):
    """Traffic light, histogram, layers on demand, one nucleus, and what is under the cursor.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(viewer, TITLE, parent)
        self.inspecting = Inspecting(self.desk)
        self.light, self.plot = TrafficLight(), MagnitudePlot()
        self.bands, self.stages = BandsEditor(), StageBoxes()
        self.nucleus, self.nucleus_plot = NucleusPicker(), NucleusPlot()
        self.remark = note("", "Inspector remark")
        self.hint = note(HINT, "How to choose a nucleus")
        self.readout = QLabel(NO_PIXEL)
        self._lay_out()
        self._connect()
        self._bind_keys()
        self._show_theme()

    def _lay_out(self) -> None:
        column = self.column
        column.addWidget(self.remark)
        for title, widgets in (
            ("Length of HV", (self.light, self.plot, self.bands)),
            ("Layers", (self.stages,)),
            ("One nucleus", (self.hint, self.nucleus, self.nucleus_plot)),
        ):
            column.addWidget(_heading(title))
            for widget in widgets:
                column.addWidget(widget)
        column.addStretch(1)
        self.readout.setWordWrap(True)
        self.readout.setAccessibleName("Maps under the cursor")
        self.readout.setContentsMargins(8, 4, 8, 6)
        self.readout.setMinimumHeight(2 * self.readout.fontMetrics().height() + 10)
        self.layout().addWidget(self.readout)

    def _connect(self) -> None:
        study, inspecting = self.study, self.inspecting
        self.bands.valueChanged.connect(study.set_bands)
        self.nucleus.valueChanged.connect(self._picked)
        self.nucleus.stepRequested.connect(inspecting.step)
        self.stages.stageToggled.connect(self._stage_toggled)
        self.stages.autoToggled.connect(inspecting.set_auto_limits)
        for signal, slot in (
            (study.run_changed, self._show_run),
            (study.findings_changed, self._show_findings),
            (study.bands_changed, self._show_bands),
            (inspecting.view_changed, self._show_nucleus),
            (inspecting.stages_changed, self._show_stages),
            (inspecting.reading_changed, self._show_reading),
            (self.desk.viewer.events.theme, self._show_theme),
        ):
            bind(self, signal, slot)
        self.destroyed.connect(lambda *_: inspecting.stop())

    def _bind_keys(self) -> None:
        for keys, by in (("Alt+Left", -1), ("Alt+Right", 1)):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda step=by: self.inspecting.step(step))

    # ------------------------------------------------------------------ actions

    def _picked(self, nucleus: int) -> None:
        self.study.look_at(nucleus)
        self.inspecting.fly()

    def _stage_toggled(self, role: str, on: bool) -> None:
        try:
            self.inspecting.show_stage(role, on)
        except UserError as error:
            self.tell(error)
        self._show_stages()

    # ------------------------------------------------------------------ showing

    def _awake(self) -> bool:
        """Whether anybody can see what would be drawn; if not, it is drawn when shown."""
        return self.inspecting.running

    def _show_all(self) -> None:
        self._show_run()
        self._show_bands()
        self._show_nucleus()

    def _show_run(self, *_: Any) -> None:
        if not self._awake():
            return
        run = self.study.run
        usable = run is not None and run.result.maps is not None
        set_note(self.remark, GONE if run is not None and not usable else "")
        for widget in (self.stages, self.nucleus):
            widget.setEnabled(usable)
        self.hint.setVisible(usable)
        self.readout.setText(NO_PIXEL)
        self._show_findings()
        self._show_stages()

    def _show_findings(self, *_: Any) -> None:
        if not self._awake():
            return
        findings, run = self.study.findings, self.study.run
        report = None if findings is None else findings.magnitude
        waiting = run is not None and run.result.maps is not None
        self.light.setValue(report, waiting=waiting)
        self.plot.setValue(report)

    def _show_bands(self, *_: Any) -> None:
        bands = self.study.bands
        self.bands.setValue(bands)
        self.plot.set_bands(bands)
        self.nucleus_plot.set_bands(bands)

    def _show_nucleus(self, *_: Any) -> None:
        if not self._awake():
            return
        inspecting = self.inspecting
        before = self.nucleus.value()
        self.nucleus.setValue(self.study.nucleus)
        picture = inspecting.picture()
        self.nucleus_plot.setValue(inspecting.view, picture, inspecting.trouble)
        if inspecting.view is not None and before != inspecting.view.id:
            QTimer.singleShot(0, self._bring_nucleus)

    def _bring_nucleus(self) -> None:
        """Scroll to the plots of the nucleus, once they have their place."""
        scroll = self.findChild(QScrollArea)
        if scroll is not None and self._awake():
            scroll.ensureWidgetVisible(self.nucleus_plot)

    def _show_stages(self, *_: Any) -> None:
        if self._awake():
            self.stages.setValue(self.inspecting.shown, self.inspecting.auto_limits)

    def _show_reading(self, reading: PixelReading | None) -> None:
        text = NO_PIXEL if reading is None else reading.text
        if text != self.readout.text():
            self.readout.setText(text)

    def _show_theme(self, *_: Any) -> None:
        colors = theme_colors(str(self.desk.viewer.theme))
        self.plot.set_colors(colors)
        self.nucleus_plot.set_colors(colors)

    # ------------------------------------------------------------------ Qt events

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Wake up: follow the cursor, show what is known."""
        super().showEvent(event)
        self.inspecting.start()
        self._show_all()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Sleep: let go of cursor, clicks and camera."""
        self.inspecting.stop()
        super().hideEvent(event)


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    font = label.font()
    font.setBold(True)
    label.setFont(font)
    return label
