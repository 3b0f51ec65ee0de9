"""The panel "Token decoder": cached features of a frozen ViT in, stacks of maps out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtGui import QDragEnterEvent, QDropEvent, QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import (
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from ...core.tokens.decode import AS_FILE, PREFIX_WORDS, TOKEN_PREFIXES
from ..bind import bind
from ..docking import PANEL_MARK, join_tabs
from ..token_layers import sample_of
from ..tokens import Tokens, tokens_for
from ..window_end import WindowEnd, main_window_of
from .choices import Choices
from .compare_panel import dropped_file
from .file_box import FileBox
from .parts import named, note, set_note, silent
from .run_bar import RunBar

if TYPE_CHECKING:
    import napari

PANEL_WIDTH = 380
MOST_SAMPLES = 2000
CHECKPOINTS = "Checkpoints (*.pth *.pt *.safetensors *.tar);;All files (*)"
FEATURES = "Features (*_features.npz *.npz);;All files (*)"
SPLITS = (
    ("", "Validation, else all", "Validation samples where it is known which these are."),
    ("val", "Validation", "Samples that were not trained on."),
    ("train", "Training", "Samples that were trained on: scores come out too good."),
    ("all", "All", "Both, and those of which it is not known."),
)


class TokenPanel(QWidget):
    """Choose a checkpoint and features, run, see what came out.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
        Given by napari (a proxy is fine).
    """

    def __init__(self, viewer: napari.viewer.Viewer, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tokens: Tokens = tokens_for(viewer)
        self.checkpoint = FileBox(
            "Checkpoint", "A file of the token decoder: Optimus .pth, or ours.", CHECKPOINTS
        )
        self.features = FileBox(
            "Features",
            "FAMILY_features.npz: tokens of a frozen ViT. Targets and images of the same name "
            "beside it are read as well. Opening the file in napari chooses it, too.",
            FEATURES,
        )
        self.prefix = Choices(
            "Tokens before the patches",
            [
                (name, "As the checkpoint says" if name == AS_FILE else name, PREFIX_WORDS[name])
                for name in TOKEN_PREFIXES
            ],
        )
        self.split = Choices("Which samples", SPLITS)
        self.samples = QSpinBox()
        self.samples.setRange(1, MOST_SAMPLES)
        named(self.samples, "Samples", "How many, spread evenly over the file.")
        self.bar = RunBar()
        self.bar.replace.setVisible(False)
        self.result, self.notes = note(name="What came out"), note(name="Notes")
        self.sample = note(name="Sample in view")
        self.study = QPushButton("Look into the sample in view")
        named(
            self.study,
            "Look into the sample in view",
            "Makes a run of it, so that Inspect HV, Tune separation, Check for blobs and Compare "
            "can be used on it.",
        )
        self.undo, self.redo = QPushButton("Undo"), QPushButton("Redo")
        named(self.undo, "Undo the run", "Take the layers of the last run away. (Ctrl+Z)")
        named(self.redo, "Redo the run", "Bring them back. (Ctrl+Shift+Z)")
        self.setAccessibleName("Token decoder")
        self.setMinimumWidth(PANEL_WIDTH)
        self.setAcceptDrops(True)
        self._lay_out()
        self._connect()
        self._show()

    def _lay_out(self) -> None:
        body = QWidget()
        column = QVBoxLayout(body)
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        for title, widget in (
            ("Checkpoint", self.checkpoint),
            ("Features", self.features),
            ("Token prefix", self.prefix),
            ("Which", self.split),
            ("Samples", self.samples),
        ):
            form.addRow(QLabel(title), widget)
        column.addLayout(form)
        for part in (self.bar, self.sample, self.study, self.result, self.notes):
            column.addWidget(part)
        row = QHBoxLayout()
        for button in (self.undo, self.redo):
            row.addWidget(button)
        column.addLayout(row)
        column.addStretch(1)
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QFrame.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setWidget(body)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(scroll)

    def _connect(self) -> None:
        tokens, viewer = self.tokens, self.tokens.work.viewer
        self.checkpoint.valueChanged.connect(lambda path: tokens.choose(checkpoint=path))
        self.features.valueChanged.connect(lambda path: tokens.choose(features=path))
        self.prefix.valueChanged.connect(lambda name: tokens.choose(prefix=name))
        self.split.valueChanged.connect(lambda side: tokens.choose(split=side))
        self.samples.valueChanged.connect(lambda n: tokens.choose(n_samples=n))
        self.bar.runRequested.connect(tokens.run)
        self.bar.cancelRequested.connect(tokens.cancel)
        self.study.clicked.connect(lambda _: tokens.study())
        self.undo.clicked.connect(lambda _: tokens.undo())
        self.redo.clicked.connect(lambda _: tokens.redo())
        bind(self, tokens.changed, self._show)
        bind(self, viewer.dims.events.current_step, self._show_sample)
        bind(self, viewer.layers.selection.events.active, self._show_sample)
        keys = (
            ("Ctrl+Return", tokens.run),
            ("Esc", tokens.cancel),
            ("Ctrl+Z", tokens.undo),
            ("Ctrl+Shift+Z", tokens.redo),
        )
        for key, action in keys:
            shortcut = QShortcut(QKeySequence(key), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(lambda act=action: act())

    # ------------------------------------------------------------------ showing

    def _show(self, *_: Any) -> None:
        tokens, options = self.tokens, self.tokens.options
        self.checkpoint.setValue(options.checkpoint)
        self.features.setValue(options.features)
        self.prefix.setValue(options.prefix)
        self.split.setValue(options.split)
        with silent(self.samples):
            self.samples.setValue(options.n_samples)
        self.bar.setValue(tokens.status, tokens.blocked)
        self.undo.setEnabled(tokens.can_undo)
        self.redo.setEnabled(tokens.can_redo)
        run = tokens.latest
        self.study.setEnabled(run is not None and not tokens.status.busy)
        set_note(self.result, "" if run is None else "\n".join(run.stacks.summary))
        said = () if run is None else run.stacks.notes
        set_note(self.notes, "\n".join(f"• {text}" for text in said))
        self._show_sample()

    def _show_sample(self, *_: Any) -> None:
        viewer = self.tokens.work.viewer
        step = viewer.dims.current_step
        name = sample_of(viewer.layers.selection.active, int(step[-3]) if len(step) > 2 else 0)
        set_note(self.sample, f"In view: {name}" if name else "")

    # ------------------------------------------------------------------ Qt events

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802
        """Take a features file or a checkpoint."""
        if dropped_file(event):
            event.acceptProposedAction()
        else:
            event.ignore()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802
        """Choose what was dropped."""
        if self.tokens.drop(dropped_file(event)):
            event.acceptProposedAction()

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802
        """Join the other panels' tabs, and learn which window to end with, when first shown."""
        super().showEvent(event)
        if self.property(PANEL_MARK):
            return
        join_tabs(self)
        window = main_window_of(self)
        if window is not None:
            WindowEnd(window, self.tokens.work.close)
