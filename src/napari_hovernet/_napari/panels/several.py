"""More than one image: all selected layers, a folder of them, or all of a slide."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from napari.layers import Image
from qtpy.QtWidgets import QFileDialog, QMenu, QWidget

from ...app.jobs import Steps, relayed
from ...core.slides.params import SLIDE_SUFFIXES
from ...core.types import Progress
from ...errors import InputError, UserError
from ..jobs import Handlers, Latest
from ..viewer import segmentable
from ..workspace import Workspace

if TYPE_CHECKING:
    from ...app.segment import ModelShelf, RunRequest

RESULTS = "nuclei"
"""Folder for the results of a folder, within it."""
FOLDER_FORMATS = ("geojson", "tiff", "csv")
SLIDE_FILTER = f"Slides (*{' *'.join((*SLIDE_SUFFIXES, '.tif', '.tiff'))});;All (*)"


class SeveralMenu(QMenu):
    """What can be segmented at once, made when it is opened."""

    def __init__(self, work: Workspace, parent: QWidget) -> None:
        super().__init__(parent)
        self.work = work
        self._batch = Latest(work.runner, "Segmenting a folder")
        self.aboutToShow.connect(self.fill)

    def fill(self) -> None:
        """Offer what fits the layers that are there, and to stop what is under way."""
        from ..slides import slide_path, slide_runs  # noqa: PLC0415 - imports torch

        work, chosen = self.work, self._selected()
        slide, runs = work.image_layer(), slide_runs(work)
        self.clear()
        for text, enabled, action in (
            (f"Selected layers ({len(chosen)})", len(chosen) > 1 and not work.session.status.busy,
             lambda: work.run_layers(self._selected())),
            ("A folder of images ...", not self._batch.busy, self._ask_folder),
            ("Open a slide ...", True, self._ask_slide),
            ("All of this slide ...", bool(slide_path(slide)) and not runs.busy, self._ask_output),
        ):  # fmt: skip
            entry = self.addAction(text)
            entry.setEnabled(enabled)
            entry.triggered.connect(lambda _=False, action=action: work.attempt(action))
        for text, job in (("Stop the folder", self._batch), ("Stop the slide", runs)):
            if job.busy:
                stop = job.cancel if isinstance(job, Latest) else job.stop
                self.addAction(text).triggered.connect(lambda _=False, stop=stop: stop())

    def _selected(self) -> list[Image]:
        chosen = self.work.viewer.layers.selection
        return [x for x in self.work.viewer.layers if x in chosen and segmentable(x)]

    def _ask_folder(self) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Segment a folder of images")
        if folder:
            self.run_folder(Path(folder))

    def _ask_slide(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a slide", "", SLIDE_FILTER)
        if path:
            from ..slides import slide_runs  # noqa: PLC0415 - imports torch

            slide_runs(self.work).open(Path(path))

    def _ask_output(self) -> None:
        from ..slides import slide_path, slide_runs  # noqa: PLC0415 - imports torch

        layer = self.work.image_layer()
        if layer is None:
            return
        title = "Folder for the result; one that was begun there goes on"
        folder = QFileDialog.getExistingDirectory(self, title, str(Path(slide_path(layer)).parent))
        if folder:
            slide_runs(self.work).start(layer, Path(folder))

    def run_folder(self, folder: Path) -> None:
        """Segment every image file of a folder; results lie in its folder "nuclei"."""
        work, request = self.work, folder_request(self.work)

        def done(said: str) -> None:
            work.say(said, "good")

        def progress(step: Progress) -> None:
            work.say(f"{step.message} ({step.done} of {step.total})")

        handlers = Handlers(done, lambda error: work.say(str(error), "bad"), progress,
                            lambda: work.say("Stopped."))  # fmt: skip
        self._batch.request(lambda: folder_steps(folder, request, work.shelf), handlers)


def folder_request(work: Workspace) -> RunRequest:
    """Return how each image of a folder is run: as the form says, each at its own resolution."""
    from ...app.segment import RunRequest  # noqa: PLC0415 - imports torch
    from ...core.params import SeparationParams  # noqa: PLC0415

    options = work.session.options
    return RunRequest(
        model=work.session.model.source,
        device=options.device,
        image=None,
        inference=replace(options.inference, image_mpp=None),
        separation=SeparationParams.preset(options.separation),
        types=work.types_file,
    )


def folder_steps(folder: Path, request: RunRequest, shelf: ModelShelf) -> Steps[str]:
    """Segment each image file of a folder; one that fails does not stop the others."""
    from ...app.segment import run_steps, write_result  # noqa: PLC0415 - on first use
    from ...core.io.open import SUFFIXES, read_image  # noqa: PLC0415

    paths = sorted(p for p in folder.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise InputError(f"{folder} holds no image ({', '.join(SUFFIXES)}).")
    failed, nuclei = [], 0
    for at, path in enumerate(paths):
        yield (now := Progress(at, len(paths), path.name))
        try:
            file = read_image(path)
            inference = replace(request.inference, image_mpp=file.mpp)
            steps = run_steps(replace(request, image=file.source, inference=inference), shelf)
            result = yield from relayed(steps, lambda _, now=now: now)
            write_result(result, folder / RESULTS / path.stem, FOLDER_FORMATS, image_name=path.name)
            nuclei += result.n
        except UserError as error:
            failed.append(f"{path.name}: {error}")
    said = f"{len(paths) - len(failed)} of {len(paths)} images, {nuclei:,} nuclei, in {RESULTS}/."
    return " ".join((said, *failed))
