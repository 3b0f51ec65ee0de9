"""The fold "Files" of the tab "Why?": questions about data sets and models, and token decoders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from qtpy.QtWidgets import QCheckBox, QFileDialog, QWidget

from ...app.diagnose import DiagnoseChoice
from ...app.session import ImageChoice, Run
from ...core.types import Progress
from ...errors import UserError
from ..contributions import token_pictures
from ..jobs import Handlers, Latest, bind
from ..kit import (
    CHECKPOINT_FILTER,
    Combo,
    Elided,
    Message,
    button,
    column,
    heading,
    named,
    plain,
    row,
    tool,
)
from ..viewer import METADATA_KEY, choice, placement
from ..workspace import Workspace

if TYPE_CHECKING:
    from ...app.jobs import Steps
    from ...app.tokens import TokenStacks
    from ..asking import Asking

TITLE_PX = 70
NO_MODEL, CHOSEN, ASK = "", "chosen", "ask"
DATA = "Data (*.csv *.npz *.npy *.mat *.png *.tif *.tiff);;All files (*)"
FEATURES = "Features (*_features.npz *.npz);;All files (*)"
SPLITS = (("", "validation, else all", "Validation samples where it is known which these are."),
          ("train", "training", "Samples that were trained on: scores come out too good."),
          ("all", "all", "Both, and those of which it is not known."))  # fmt: skip


class Place(QWidget):
    """A file or folder: its name, and buttons to choose it or leave it out."""

    def __init__(self, title: str, tip: str, work: Workspace, key: str, kinds: str) -> None:
        super().__init__()
        self._work, self._key, self._title, self._kinds = work, key, title, kinds
        self.label = Elided()
        label = plain(title)
        label.setFixedWidth(TITLE_PX)
        parts: list[QWidget] = [label, self.label]
        if key == "data":
            parts.append(tool("Folder ...", f"{title}: a folder", tip, self._ask_folder))
        parts.append(tool("File ...", f"{title}: a file", tip, self._ask_file))
        parts.append(tool("✕", f"No {title.lower()}", "Leave it out.", lambda: self.setValue("")))
        column(self, 0).addWidget(row(*parts, stretch=1))
        self.setValue(self.value())

    def value(self) -> str:
        """Return the path, "" if there is none."""
        return str(self._work.forms["why"].get(self._key, ""))

    def setValue(self, path: str) -> None:  # noqa: N802
        """Take a path."""
        self._work.forms["why"][self._key] = path
        self.label.setText(Path(path).name or "none")
        self.label.setToolTip(path)

    def _ask_folder(self) -> None:
        self._take(QFileDialog.getExistingDirectory(self, self._title, self.value()))

    def _ask_file(self) -> None:
        self._take(QFileDialog.getOpenFileName(self, self._title, self.value(), self._kinds)[0])

    def _take(self, path: str) -> None:
        if path:
            self.setValue(path)


class FilesBox(QWidget):
    """Data, model, separation: whatever there is, all may be left out but one."""

    def __init__(self, work: Workspace, asking: Asking) -> None:
        super().__init__()
        self.work, self.asking = work, asking
        tip = "Images with labels, stored targets, maps, PanNuke folds, a family's files ..."
        self.data = Place("Data", tip, work, "data", DATA)
        entries = ((NO_MODEL, "none", ""), (CHOSEN, "the one chosen above", ""))
        self.model = Combo("Model", "Whose maps are looked at.", entries)
        self.model.setValue(work.forms["why"].get("model", CHOSEN))
        self.model.picked.connect(lambda value: work.forms["why"].update(model=value))
        self.go = button("Ask about these", "Make all checks that they allow.", self.ask)
        self.tokens = TokenBox(work)
        title = plain("Model")
        title.setFixedWidth(TITLE_PX)
        layout = column(self, 0)
        for widget in (self.data, row(title, self.model, stretch=1), row(self.go),
                       heading("Token decoder"), self.tokens):  # fmt: skip
            layout.addWidget(widget)

    def ask(self) -> None:
        """Ask about what is chosen; what is wrong with it is told."""
        model = self.work.session.model.source if self.model.value() == CHOSEN else ""
        separation = self.work.session.options.separation if model else ""
        self.asking.ask_files(DiagnoseChoice(model, self.data.value(), separation))


class TokenBox(QWidget):
    """Features of a frozen transformer and a decoder's checkpoint in, samples as runs out."""

    def __init__(self, work: Workspace) -> None:
        super().__init__()
        self.work = work
        self._running = Latest(work.runner, "Decoding tokens", self)
        tip = "FAMILY_features.npz: tokens of a frozen ViT; targets and images beside it are read."
        self.features = Place("Features", tip, work, "features", FEATURES)
        tip = "A file of the token decoder: Optimus .pth, or ours."
        self.checkpoint = Place("Decoder", tip, work, "decoder", CHECKPOINT_FILTER)
        self.split = Combo("Which samples", "Which samples of the file are run.", SPLITS)
        self.typed = QCheckBox("Class 0 is a type")
        named(self.typed, "Class 0 is a type", "The decoder's types have no background: 0 is the "
              "first type, as the Optimus family stores them.")  # fmt: skip
        self.go = button("Run decoder", "Decode up to 20 samples.", self.run)
        self.look = button("Nuclei of this sample", "Make a run of the sample in view, for all "
                           "tabs.", self.look_at)  # fmt: skip
        self.words = Message("What came out", 3)
        layout = column(self, 0)
        for widget in (self.features, self.checkpoint, row(self.split, self.go, stretch=0),
                       self.typed, self.words, row(self.look)):  # fmt: skip
            layout.addWidget(widget)
        bind(self, work.viewer.layers.events.inserted, self._layer_came)
        for layer in work.viewer.layers:
            self._take_file_of(layer)
        self._show()

    @property
    def stacks(self) -> TokenStacks | None:
        """What the last run made."""
        found: TokenStacks | None = self.work.forms["why"].get("stacks")
        return found

    def run(self) -> None:
        """Decode; the images come as one stack, with the true nuclei if there are any."""
        features, checkpoint = self.features.value(), self.checkpoint.value()
        if not features or not checkpoint:
            self.words.say("Choose features and a decoder first.", "warn")
            return
        split, device = self.split.value() or None, self.work.session.options.device
        background = False if self.typed.isChecked() else None

        def steps() -> Steps[TokenStacks]:
            from ...app.tokens import TokenChoice, TokenRequest, token_run_steps  # noqa: PLC0415

            chosen = TokenChoice(n_samples=20, split=split)
            request = TokenRequest(checkpoint, features, choice=chosen, device=device,
                                   types_background=background)  # fmt: skip
            return (yield from token_run_steps(request))

        def progress(step: Progress) -> None:
            self.words.say(step.message)

        def failed(error: UserError) -> None:
            self.words.say(str(error), "bad")

        self._running.request(steps, Handlers(self._take, failed, progress))

    def _take(self, stacks: TokenStacks) -> None:
        """Show the samples that were run, in place of those shown before."""
        viewer = self.work.viewer
        for layer in [x for x in viewer.layers if self._samples_of(x)]:
            viewer.layers.remove(layer)
        for data in token_pictures(stacks.pictures, stacks.pictures.family):
            viewer.add_layer(Layer.create(*data))
        self.work.forms["why"]["stacks"] = stacks
        self._show()
        self.look_at()

    def look_at(self) -> None:
        """Make an ordinary run of the sample in view: all tabs look into it."""
        stacks, work = self.stacks, self.work
        layer = next((x for x in work.image_layers() if self._samples_of(x)), None)
        if stacks is None or layer is None:
            self.words.say("Run the decoder first.", "warn")
            return
        step = work.viewer.dims.current_step
        plane = placement(layer, step)
        at, image = int(plane.plane[0]), choice(layer, step)

        def steps() -> Steps[Run]:
            from ...app.segment import run_metadata  # noqa: PLC0415 - imports torch
            from ...app.tokens import sample_steps  # noqa: PLC0415

            result = yield from sample_steps(stacks, at)
            name = stacks.pictures.names[at]
            key = ImageChoice((image.key, at), f"{image.name}, {name}")
            return Run(0, f"{stacks.pictures.family} {name}", key, result, plane,
                       run_metadata(result))  # fmt: skip

        def done(run: Run) -> None:
            work.session.add_run(replace(run, id=work.free_number()), f"{run.title} is shown.")

        def failed(error: UserError) -> None:
            self.words.say(str(error), "bad")

        self._running.request(steps, Handlers(done, failed))

    def _samples_of(self, layer: Any) -> tuple[str, ...]:
        return tuple(layer.metadata.get(METADATA_KEY, {}).get("samples", ()))

    def _layer_came(self, event: Any) -> None:
        self._take_file_of(event.value)

    def _take_file_of(self, layer: Any) -> None:
        path = layer.metadata.get(METADATA_KEY, {}).get("features", "")
        if isinstance(path, str) and path:
            self.features.setValue(path)

    def _show(self) -> None:
        stacks = self.stacks
        self.look.setEnabled(stacks is not None)
        if stacks is not None:
            self.words.say(" ".join(stacks.summary))
