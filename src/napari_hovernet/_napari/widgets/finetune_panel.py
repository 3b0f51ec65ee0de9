"""The panel "Fine-tune": train in the background, and watch; each callback calls one use case."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt, QTimer, QUrl
from qtpy.QtGui import QDesktopServices, QShowEvent
from qtpy.QtWidgets import QMessageBox, QWidget

from ...errors import UserError
from ..bind import bind
from ..close_question import CloseQuestion
from ..docking import PANEL_MARK, join_tabs
from ..finetuning import FineTuning, finetuning_for
from ..window_end import WindowEnd, main_window_of
from .finetune_view import FinetuneView
from .layers_dialog import LayersDialog
from .parts import set_note
from .run_buttons import copy, sure_to_delete

if TYPE_CHECKING:
    from collections.abc import Callable

    import napari

    from ...app.runs import RunInfo
    from ...app.watch import RunView
    from ...core.params import TrainConfig

TITLE = "Fine-tune"
POLL_MS = 500
"""Time between two looks at the chosen run, so that plots are drawn twice a second at most."""
FADE_MS = 10_000
"""How long a line of what was done stands, ms."""
START_UP_MS = 50
"""The panel is drawn before the model is read (in another thread, but sharing the GIL)."""


class FinetunePanel(FinetuneView):
    """Set a training up, watch runs, take their models.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tuning: FineTuning = finetuning_for(viewer)
        self.preparing = self.tuning.preparing
        self.work = self.tuning.desk.work
        self._connect_setup()
        self._connect_runs()
        self._connect_state()
        self._show_all()
        self.fading = QTimer(self, singleShot=True, interval=FADE_MS)
        self.fading.timeout.connect(self._fade)
        self.timer = QTimer(self)
        self.timer.setInterval(POLL_MS)
        self.timer.timeout.connect(self.tuning.poll)
        self.timer.start()
        QTimer.singleShot(START_UP_MS, self._start_up)

    def _connect_setup(self) -> None:
        self.setup.valueChanged.connect(self._edited)
        self.setup.start.valueChanged.connect(self.preparing.read_model)
        self.setup.data.layersRequested.connect(self.ask_for_layers)
        self.foot.checkRequested.connect(self.check)
        self.foot.startRequested.connect(self.start)

    def _connect_runs(self) -> None:
        self.table.valueChanged.connect(self.tuning.choose)
        self.run.buttons.asked.connect(self.ask)
        self.run.buttons.resultAsked.connect(self.take_result)
        self.run.epochs.pinned.connect(self.tuning.pinned.set_on)
        self.run.epochs.valueChanged.connect(self.tuning.pinned.scroll_to)

    def _connect_state(self) -> None:
        tuning, work = self.tuning, self.work
        bind(self, tuning.runs_changed, self._show_runs)
        bind(self, tuning.view_changed, self._show_view)
        bind(self, self.preparing.checked, self._show_check)
        bind(self, self.preparing.model_changed, self.setup.card.setValue)
        bind(self, self.preparing.model_changed, self._show_estimate)
        bind(self, tuning.pinned.changed, self._show_epochs)
        bind(self, self.preparing.staged, self._add_staged)
        bind(self, tuning.told, self._tell_done)
        bind(self, tuning.failed, self.tell)
        bind(self, work.devices_changed, self._show_devices)
        bind(self, work.session.settings_changed, self._show_recent)
        theme = getattr(tuning.desk.viewer.events, "theme", None)
        if theme is not None:
            bind(self, theme, self._show_theme)

    def _start_up(self) -> None:
        if self.work.closed:
            return
        self.tuning.poll()
        self.preparing.read_model(self.setup.value().start)
        if not self.work.devices:
            self.work.refresh_devices()

    # ------------------------------------------------------------------ actions

    def check(self) -> None:
        """Look at the data in the background."""
        self._try(lambda: self.preparing.check_data(self.config()))

    def start(self) -> None:
        """Start, or queue, a run; a reason not to is told."""
        if self._try(lambda: self.tuning.start(self.config())):
            self.show_runs()

    def config(self) -> TrainConfig:
        """Return what is set up.

        Raises
        ------
        UserError
            If something filled in cannot be used.
        """
        if self.setup.problem:
            raise UserError(self.setup.problem)
        return self.setup.value()

    def ask(self, what: str) -> None:
        """Do something with the chosen run; deleting is asked about."""
        name = self.tuning.chosen
        if name and (what != "remove" or sure_to_delete(self, name)):
            self.tuning.do(name, what)

    def take_result(self, what: str) -> None:
        """Load a model of the chosen run, compare, or show its files."""
        info = self.tuning.info
        if info is None:
            return
        if what in ("best", "last"):
            self._try(lambda: self.tuning.load(what))
        elif what == "compare":
            self._try(self.tuning.compare)
        elif what == "command":
            copy(self.tuning.command())
            self._tell_done("The command line is on the clipboard.")
        else:
            path = info.folder.report if what == "report" else info.folder.path
            QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))

    def ask_for_layers(self) -> None:
        """Let the user tick pairs of open layers."""
        pairs = self.preparing.layer_pairs()
        dialog = LayersDialog([p.title for p in pairs], [p.corrected for p in pairs], self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.chosen.connect(
            lambda at, split: self._try(lambda: self.preparing.stage([pairs[i] for i in at], split))
        )
        dialog.open()

    def tell(self, error: UserError | str) -> None:
        """Show one message; the viewer goes on underneath."""
        box = QMessageBox(QMessageBox.Icon.Warning, TITLE, str(error), parent=self)
        box.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        box.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        box.open()

    def _try(self, action: Callable[[], Any]) -> bool:
        try:
            action()
        except UserError as error:
            self.tell(error)
            return False
        return True

    # ------------------------------------------------------------------ showing

    def _show_all(self) -> None:
        self._show_recent()
        self._show_devices()
        self._show_runs(self.tuning.runs)
        self._show_view(self.tuning.view)
        self._show_check(self.preparing.check)
        self._show_theme()

    def _edited(self, config: TrainConfig) -> None:
        self.preparing.outdate(config)
        self._show_estimate()

    def _show_estimate(self, *_: Any) -> None:
        self.foot.set_estimate(self.tuning.estimate(self.setup.value()))

    def _show_runs(self, runs: tuple[RunInfo, ...]) -> None:
        self.table.set_runs(runs)
        self.table.setValue(self.tuning.chosen)
        self.foot.set_queue(bool(self.tuning.active))
        self._show_info()

    def _show_info(self) -> None:
        info = self.tuning.info
        self.table.update_run(info)
        self.run.set_info(info, self.tuning.log_end())

    def _show_view(self, view: RunView | None) -> None:
        self.run.setValue(view)
        self._show_info()
        self._show_epochs()

    def _show_epochs(self) -> None:
        pinned = self.tuning.pinned
        self.run.epochs.set_pinned(pinned.on)
        self.run.epochs.set_epochs(pinned.epochs(), pinned.epoch)

    def _show_check(self, checked: Any) -> None:
        self.foot.setValue(checked, checking=checked is None and self.preparing.checking)

    def _add_staged(self, folder: str) -> None:
        self.setup.data.add_sources([folder])
        self.preparing.outdate(self.setup.value())

    def _tell_done(self, text: str) -> None:
        set_note(self.message, text)
        self.foot.tell(text)
        self.fading.start()

    def _fade(self) -> None:
        set_note(self.message, "")
        self.foot.tell("")

    def _show_recent(self, *_: Any) -> None:
        self.setup.start.set_recent(self.work.session.settings.recent_models)

    def _show_devices(self, *_: Any) -> None:
        if self.work.devices:
            self.setup.device.set_devices(self.work.devices)

    def _show_theme(self, *_: Any) -> None:
        self.run.set_theme(str(self.tuning.desk.viewer.theme))

    # ------------------------------------------------------------------ Qt events

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Join the other panels' tabs, and learn which window to end with, when first shown."""
        super().showEvent(event)
        if self.property(PANEL_MARK):
            return
        join_tabs(self)
        window = main_window_of(self)
        if window is not None:
            WindowEnd(window, self.work.close)
            CloseQuestion(window, self.tuning)
