"""The dock "HoVer-Net": image, model, run, verdict and view on top of four tabs."""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSize, Qt, QTimer
from qtpy.QtGui import (
    QDragEnterEvent,
    QDropEvent,
    QHideEvent,
    QKeySequence,
    QPainter,
    QPaintEvent,
    QShortcut,
    QShowEvent,
)
from qtpy.QtWidgets import (
    QDockWidget,
    QFileDialog,
    QMainWindow,
    QMenu,
    QProgressBar,
    QSizePolicy,
    QTabWidget,
    QWidget,
)

from ...app.session import VIEWS, Run, Status
from ...app.study import verdict
from ...app.watch import duration
from ...core.weights import BUILT_IN, offered
from ...errors import UserError
from ..colours import COLUMNS, Legend, columns_for
from ..jobs import bind, calling
from ..kit import (
    CHECKPOINT_FILTER,
    CHECKPOINTS,
    RUN_STYLE,
    SWITCH_STYLE,
    Combo,
    Message,
    Switch,
    button,
    column,
    dropped_file,
    named,
    row,
    scrolling,
    take_away,
    tool,
)
from ..viewer import Keys
from ..workspace import TABS, Workspace, workspace_for
from .card import ModelCard
from .check import CheckTab
from .closing import WindowEnd
from .segment import SegmentTab
from .train import TrainTab
from .why import WhyTab

if TYPE_CHECKING:
    import napari

WIDTH = 316
"""Width in pixels at which the dock opens and nothing is cut off."""
START_UP_MS = 50
"""The dock is drawn before torch is imported (in another thread, but sharing the GIL)."""
CANVAS_SHARE = 0.6
"""Least share of a window's width for the image: below it napari's docks of layers move over."""
LAYERS_ARE = "Layer list and controls are the tabs below; More ▾ moves them."
ASK = "ask"
VIEW_TITLES = {
    "image": ("H&E", "The image with outlines."),
    "probability": ("Probability", "NP: how likely each pixel is nucleus, 0 to 1."),
    "hv": ("HV", "Where each pixel lies in its nucleus, by colour; arrows when near."),
    "magnitude": ("Magnitude", "Length of HV, 0 to 1: 0 in a centre, 1 on a rim."),
    "blobs": ("Blobs", "Nuclei by what they are: single, separated, suspected blob."),
    "outcome": ("Outcome", "Nuclei by what became of them against a truth."),
    "types": ("Types", "Nuclei by their type."),
}
TAB_CLASSES = (SegmentTab, CheckTab, TrainTab, WhyTab)


class HoverNetDock(QWidget):
    """One dock for everything; thin: state and actions are those of its :class:`Workspace`."""

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.work: Workspace = workspace_for(viewer)
        self.setObjectName("napari_hovernet_dock")
        self.setAccessibleName("HoVer-Net")
        self.setAcceptDrops(True)
        self._window: weakref.ref[QMainWindow] | None = None
        self._make_head()
        self.tabs = QTabWidget()
        self.tabs.setUsesScrollButtons(False)
        self.pages = [kind(self.work) for kind in TAB_CLASSES]
        self._page = 0  # The tab that was entered last
        for page in self.pages:
            self.tabs.addTab(scrolling(page), page.title)
        self.message = Message("Message")
        self._lay_out()
        self._connect()
        digits = {str(at): calling(self.look, name) for at, name in enumerate(VIEWS, start=1)}
        self.keys = Keys(self.work.viewer, digits)
        self.layer_docks = LayerDocks(self)
        self._show_all()
        QTimer.singleShot(START_UP_MS, self.work.start_up)

    # ------------------------------------------------------------ head

    def _make_head(self) -> None:
        self.image = Combo("Image", "The image to segment; follows the layer you select.")
        self.offer = button("Take as RGB", "Make a colour image of it.", self.work.take_offer)
        self.model = Combo("Model", "The built-in model, or a checkpoint file.")
        self.info = tool("i", "About the model", "What the model is, and its licence.", self.card)
        self.run = button("Run", "", self.start)
        self.run.setStyleSheet(RUN_STYLE)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress")
        self.bar.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.cancel = tool("✕", "Cancel", "Stop after the tile under way. (Esc)", self.stop)
        self.verdict = Message("Verdict")
        self.next = button("Check", "", self._next_step)
        self.next.setFixedWidth(92)
        entries = [
            (name, VIEW_TITLES[name][0], f"{VIEW_TITLES[name][1]} (key {at})")
            for at, name in enumerate(VIEWS, start=1)
        ]
        self.view = Switch(entries)
        self.more = tool("More ▾", "More about the view", "Colours, and maps as layers.")
        self.more.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.more.setPopupMode(self.more.ToolButtonPopupMode.InstantPopup)
        self.more.setStyleSheet(SWITCH_STYLE + "QToolButton::menu-indicator { image: none; }")
        self.menu = QMenu(self)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.more.setMenu(self.menu)
        self.view.add(self.more)
        self.legend = LegendStrip()

    def _lay_out(self) -> None:
        head = QWidget()
        top = column(head, 6)
        top.setSpacing(4)
        top.addWidget(row(self.image, self.offer, stretch=0))
        top.addWidget(row(self.model, self.info, stretch=0))
        top.addWidget(row(self.run, self.bar, self.cancel, stretch=1))
        top.addWidget(row(self.verdict, self.next, stretch=0))
        top.addWidget(self.view)
        top.addWidget(self.legend)
        whole = column(self, 0)
        whole.setSpacing(0)
        whole.addWidget(head)
        whole.addWidget(self.tabs, 1)
        whole.addWidget(self.message)
        self.message.setContentsMargins(6, 2, 6, 2)

    def sizeHint(self) -> QSize:  # noqa: N802
        """Ask for the width at which nothing is cut off."""
        return QSize(WIDTH, super().sizeHint().height())

    def minimumSizeHint(self) -> QSize:  # noqa: N802
        """Take no more than that, whatever a font or a file's name asks for."""
        return QSize(WIDTH, 200)

    # ------------------------------------------------------------ wiring

    def _connect(self) -> None:
        work, session, study = self.work, self.work.session, self.work.study
        self.image.picked.connect(self._image_picked)
        self.model.picked.connect(self._model_picked)
        self.view.picked.connect(session.set_view)
        self.tabs.currentChanged.connect(self._tab_entered)
        for signal, slot in (
            (session.model_changed, self._show_model),
            (session.settings_changed, self._show_model),
            (session.image_changed, self._show_image),
            (session.options_changed, self._show_status),
            (session.status_changed, self._show_status),
            (session.view_changed, self._show_view),
            (session.runs_changed, self._show_verdict),
            (study.run_changed, self._show_verdict),
            (study.labels_changed, self._show_verdict),
            (study.findings_changed, self._show_verdict),
            (work.images_changed, self._show_images),
            (work.legend_changed, self.legend.setValue),
            (work.said, self.message.say),
            (work.tab_changed, self._show_tab),
        ):
            bind(self, signal, slot)
        for keys, action in (
            ("Ctrl+Return", self.start),
            ("Ctrl+Enter", self.start),
            ("Esc", self.stop),
            ("Ctrl+Z", work.undo),
            ("Ctrl+Shift+Z", work.redo),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda act=action: act())

    # ------------------------------------------------------------ actions

    def start(self) -> None:
        """Segment; a reason not to is shown, not raised."""
        if not self.work.session.blocked_reason():
            self.message.say("")
            try:
                self.work.run()
            except UserError:
                return  # the status says why

    def stop(self) -> None:
        """Stop after the tile under way."""
        self.work.cancel()

    def look(self, view: str) -> None:
        """Look at the image, a map, or nuclei in colours that say something."""
        self.work.session.set_view(view)

    def open_tab(self, name: str) -> None:
        """Go to a tab."""
        self.work.go(name)

    def card(self) -> None:
        """Show what the model is."""
        ModelCard(self.work.session.model, self).open_below(self.info)

    def _image_picked(self, key: object) -> None:
        self.work.choose_image(next((x for x in self.work.image_layers() if id(x) == key), None))

    def _model_picked(self, source: str) -> None:
        if source == ASK:
            now = self.work.session.model.source
            start = os.path.dirname(now) or os.path.expanduser("~")
            title = "Open a checkpoint"
            source, _ = QFileDialog.getOpenFileName(self, title, start, CHECKPOINT_FILTER)
            self._show_model()
        if source:
            self.work.choose_model(source)

    def _next_step(self) -> None:
        step = verdict(self.work.study).step
        if step:
            self.work.go(step)

    # ------------------------------------------------------------ showing

    def _show_all(self) -> None:
        self._show_model()
        self._show_images()
        self._show_view()
        self._show_status()
        self._show_tab(self.work.tab)

    def _show_model(self, *_: Any) -> None:
        session = self.work.session
        model = session.model
        known = dict.fromkeys((*offered(), model.source, *session.settings.recent_models))
        entries = [(source, *_title_of(source)) for source in known]
        self.model.fill([*entries, (ASK, "Open a file ...", "Choose a checkpoint file.")])
        self.model.setValue(model.source)
        self.info.setEnabled(model.info is not None or bool(model.error))
        self._show_status()

    def _show_images(self, *_: Any) -> None:
        layers = self.work.image_layers()
        self.image.fill([(id(x), x.name, "") for x in layers] or [(None, "no image", "")])
        self.image.setEnabled(bool(layers))
        self._show_image()

    def _show_image(self, *_: Any) -> None:
        image = self.work.session.image
        self.offer.setVisible(image is not None and bool(image.offer))
        if image is not None:
            self.image.setValue(image.key)
            self.image.setToolTip(image.description)
            self.offer.setText(image.offer)
        self._show_status()

    def _show_view(self, *_: Any) -> None:
        self.view.setValue(self.work.session.view)

    def _show_status(self, *_: Any) -> None:
        status, blocked = self.work.session.status, self.work.session.blocked_reason()
        self.run.setEnabled(not blocked)
        named(self.run, "Run", blocked or "Segment the chosen image. (Ctrl+Return)")
        self.cancel.setEnabled(status.state == "running")
        self.bar.setRange(0, status.total if status.busy else 1)
        self.bar.setValue(status.done if status.busy else 0)
        run = self.work.study.run
        idle = "" if run is None else f"{run.result.seconds:.1f} s on {self._device_of(run)}"
        self.bar.setFormat(progress_text(status) if status.busy else idle)
        self._show_verdict()

    @staticmethod
    def _device_of(run: Run) -> str:
        return str(run.metadata.get("device", "")).upper() or "this computer"

    def _show_verdict(self, *_: Any) -> None:
        text, tone, step = self._headline()
        self.verdict.say(text, tone)
        self.next.setText(step or "Check")
        self.next.setVisible(bool(step))

    def _headline(self) -> tuple[str, str, str]:
        """Return what matters most now: what goes on, what went wrong, or the verdict."""
        session, run = self.work.session, self.work.study.run
        status, image, found = session.status, session.image, verdict(self.work.study)
        wrong = status.error or session.model.error
        unfit = "" if image is None else image.error
        if status.busy:
            return status.message, "", ""
        if wrong or unfit:
            return wrong or unfit, "bad" if wrong else "warn", ""
        if run is None:
            return session.blocked_reason() or "Ready. Press Run.", "", ""
        where = "" if image is None or image.key == run.image.key else f"{run.image.name}: "
        return where + found.text, found.tone, found.step_label

    def _fill_menu(self) -> None:
        work, menu = self.work, self.menu
        menu.clear()
        run = work.study.run
        colours = menu.addMenu("Colour nuclei by")
        for name in columns_for(run):
            entry = colours.addAction(COLUMNS[name])
            entry.setCheckable(True)
            entry.setChecked(work.session.colour_by == name)
            entry.triggered.connect(lambda on, name=name: work.session.set_colour_by(
                name if on else None))  # fmt: skip
        colours.setEnabled(run is not None)
        everywhere = menu.addAction("Maps also away from nuclei")
        everywhere.setCheckable(True)
        everywhere.setChecked(work.live.unmasked)
        everywhere.triggered.connect(work.live.set_unmasked)
        beside = menu.addAction("Layer list and controls as tabs here")
        beside.setCheckable(True)
        beside.setChecked(self.layer_docks.moved)
        beside.setEnabled(self.layer_docks.movable)
        beside.triggered.connect(self._place_layer_docks)
        layers = menu.addAction("All maps as layers")
        layers.setEnabled(run is not None and run.result.maps is not None)
        layers.triggered.connect(lambda _=False: work.layers.add_all_maps(work.study.run))

    def _make_room(self) -> None:
        place = self.work.session.settings.layer_docks
        if place == "tabs" or (place == "auto" and self.layer_docks.crowd()):
            self.layer_docks.move()
            if self.layer_docks.moved and not self.message.text():
                self.message.say(LAYERS_ARE)

    def _place_layer_docks(self, beside: bool) -> None:
        self.work.session.set_layer_docks("tabs" if beside else "left")
        if beside:
            self.layer_docks.move()
        else:
            self.layer_docks.back()
            if self.message.text() == LAYERS_ARE:
                self.message.say("")

    # ------------------------------------------------------------ tabs

    def _show_tab(self, name: str) -> None:
        self.tabs.setCurrentIndex(TABS.index(name))

    def _tab_entered(self, index: int) -> None:
        before, self._page = self._page, index
        if before != index:
            self.pages[before].left()
        self.work.tab = TABS[index]
        self.pages[index].shown()

    # ------------------------------------------------------------ Qt events

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take checkpoint files; anything else goes to napari."""
        if dropped_file(event, CHECKPOINTS):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Choose the checkpoint that was dropped."""
        path = dropped_file(event, CHECKPOINTS)
        if path:
            self.work.choose_model(path)
            event.acceptProposedAction()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802
        """Let Qt delete the dock once napari has let go of it (and nobody took it up).

        Python's garbage collector would empty the closures of its widgets' slots first; a signal
        on the way then calls a function without its variables, and the viewer dies.
        """

        def look() -> None:  # holds the dock until then
            if self.parent() is None and not self.isVisible():
                take_away(self)

        super().changeEvent(event)
        if event is not None and event.type() == QEvent.Type.ParentChange and not self.parent():
            QTimer.singleShot(0, look)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Bind keys, and learn which window to end with."""
        super().showEvent(event)
        self.keys.acquire()
        window = self.window()
        if self._window is None and isinstance(window, QMainWindow):
            self._window = weakref.ref(window)
            WindowEnd(window, self.work.close)
        QTimer.singleShot(0, self._make_room)  # once the window has given the dock its place
        self.pages[TABS.index(self.work.tab)].shown()

    def hideEvent(self, event: QHideEvent) -> None:  # noqa: N802
        """Let the keys go, and take marks away."""
        super().hideEvent(event)
        self.keys.release()
        if event is None or not event.spontaneous():  # not when the window is out of sight
            self.layer_docks.back()
        self.pages[TABS.index(self.work.tab)].left()


class LayerDocks:
    """napari's layer list and controls as tabs beside ours, while ours is shown.

    At the left they take 320 of a laptop's 1366 pixels, whatever is in them.
    """

    NAMES = ("layer controls", "layer list")

    def __init__(self, widget: QWidget) -> None:
        self._widget = weakref.ref(widget)
        self._docks: list[QDockWidget] = []  # What was moved, top to bottom

    @property
    def moved(self) -> bool:
        """Whether they are beside ours."""
        return bool(self._docks)

    @property
    def movable(self) -> bool:
        """Whether there is something to move, or to move back."""
        return self.moved or bool(self._found())

    def crowd(self) -> bool:
        """Whether they leave the image less than its share of the window."""
        found, widget = self._found(), self._widget()
        if not found or widget is None:
            return False
        taken = max(dock.width() for dock in found) + max(widget.width(), WIDTH)
        window = widget.window().width()
        return window - taken < CANVAS_SHARE * window

    def move(self) -> None:
        """Make them tabs beside ours, ours in front."""
        main, own = self._own()
        if self._docks or main is None or own is None:
            return
        self._docks = self._found()
        own.setWindowTitle("HoVer-Net")  # short: the tab's text, and there are three
        for dock in self._docks:
            main.tabifyDockWidget(own, dock)
        own.raise_()

    def back(self) -> None:
        """Put back at the left what was moved and is still where it was put."""
        main, _ = self._own()
        docks, self._docks = self._docks, []
        left = Qt.DockWidgetArea.LeftDockWidgetArea
        for dock in docks if main is not None else ():
            if not dock.isFloating() and main.dockWidgetArea(dock) != left:
                main.addDockWidget(left, dock)
                dock.show()

    def _own(self) -> tuple[QMainWindow | None, QDockWidget | None]:
        at = self._widget()
        main = None if at is None else at.window()
        while at is not None and not isinstance(at, QDockWidget):
            at = at.parentWidget()
        fits = isinstance(main, QMainWindow) and at is not None and not at.isFloating()
        return (main, at) if fits else (None, None)

    def _found(self) -> list[QDockWidget]:
        """Those of napari's docks that are shown at the left."""
        main, _ = self._own()
        docks = [] if main is None else [main.findChild(QDockWidget, name) for name in self.NAMES]
        left = Qt.DockWidgetArea.LeftDockWidgetArea
        return [
            dock
            for dock in docks
            if dock is not None
            and dock.isVisible()
            and not dock.isFloating()
            and main.dockWidgetArea(dock) == left
        ]


class LegendStrip(QWidget):
    """One line that says what the colours on screen mean."""

    def __init__(self) -> None:
        super().__init__()
        self._value = Legend()
        self.setAccessibleName("Legend")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def setValue(self, legend: Legend) -> None:  # noqa: N802
        """Show a legend."""
        self._value = legend
        words = [legend.title, *(text for text, _ in legend.chips), *legend.ends]
        self.setToolTip(" · ".join(word for word in words if word))
        self.setAccessibleDescription(self.toolTip())
        self.update()

    def value(self) -> Legend:
        """Return what is shown."""
        return self._value

    def sizeHint(self) -> QSize:  # noqa: N802
        """One line of the font."""
        return QSize(100, self.fontMetrics().height() + 2)

    def paintEvent(self, _event: QPaintEvent | None) -> None:  # noqa: N802
        """Draw chips, or a ramp between its ends; narrower, then cut, where they do not fit."""
        from qtpy.QtGui import QColor  # noqa: PLC0415

        painter, font = QPainter(self), self.font()
        words = [text for text, _ in self._value.chips]
        room = self.width() - len(words) * (self.height() + 4)
        wanted = self.fontMetrics().horizontalAdvance("".join(words))
        font.setStretch(min(max(100 * room // max(wanted, 1), 75), 100))
        painter.setFont(font)
        metrics = painter.fontMetrics()
        painter.setPen(self.palette().windowText().color())
        height, base, at = self.height(), metrics.ascent() + 1, 0

        def write(text: str) -> None:
            nonlocal at
            painter.drawText(at, base, text)
            at += metrics.horizontalAdvance(text) + 6

        legend = self._value
        if legend.title:
            write(legend.title)
        if legend.ramp:
            write(legend.ends[0])
            step = max((self.width() - at - 40) // len(legend.ramp), 1)
            for color in legend.ramp:
                painter.fillRect(at, 3, step, height - 6, QColor(*color))
                at += step
            at += 6
            write(legend.ends[1])
        for text, color in legend.chips:
            if at + metrics.horizontalAdvance(text) + height - 4 > self.width():
                write("...")
                break
            painter.fillRect(at, 4, height - 8, height - 8, QColor(*color))
            at += height - 4
            write(text)
        painter.end()


def _title_of(source: str) -> tuple[str, str]:
    if source in BUILT_IN:
        model = BUILT_IN[source]
        return f"{source} (built in)", f"{model.about}. {model.terms}. {model.attribution}"
    folder, name = os.path.split(source)
    return f"{name} ({os.path.basename(folder) or folder})", source


def progress_text(status: Status) -> str:
    """Return "3 of 12, 8.0 s left"."""
    if status.total <= 0:
        return ""
    left = "" if status.eta is None else f", {duration(status.eta)} left"
    return f"{status.done} of {status.total}{left}"
