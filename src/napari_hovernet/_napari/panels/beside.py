"""Before and after a training beside each other, in a window of its own: the viewer stays as is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyqtgraph as pg
from qtpy.QtWidgets import QDialog, QWidget

from ...app.curves import Pair
from ...core.types import Progress
from ...errors import UserError
from ..jobs import Handlers, bind, calling
from ..kit import Combo, Message, button, column, plain, row

if TYPE_CHECKING:
    from ..training import Training

SIZE = (980, 560)
PINNED, IMAGE = "pinned", "image"


class Pictures(pg.GraphicsLayoutWidget):
    """Two pictures with captions that are moved and magnified together."""

    def __init__(self) -> None:
        super().__init__()
        self.captions = [self.addLabel("", row=0, col=at, color="w", size="11pt") for at in (0, 1)]
        self.boxes = [self.addViewBox(row=1, col=at, lockAspect=True, invertY=True)
                      for at in (0, 1)]  # fmt: skip
        self.boxes[1].setXLink(self.boxes[0])
        self.boxes[1].setYLink(self.boxes[0])
        self.images = [pg.ImageItem(axisOrder="row-major") for _ in self.boxes]
        for box, image in zip(self.boxes, self.images, strict=True):
            box.addItem(image)

    def setValue(self, pair: Pair) -> None:  # noqa: N802
        """Show two sides of one image; one of another size is shown whole."""
        before = self.images[0].image
        fresh = before is None or before.shape != pair.before.picture.shape
        for side, image, caption in zip(
            (pair.before, pair.after), self.images, self.captions, strict=True
        ):
            image.setImage(side.picture)
            caption.setText(side.caption.replace("<", "&lt;"))
        if fresh:
            self.boxes[0].autoRange()

    def clear_all(self) -> None:
        """Take the pictures away."""
        for image, caption in zip(self.images, self.captions, strict=True):
            image.clear()
            caption.setText("")


class Beside(QDialog):
    """Which image, which epoch, two pictures, one sentence."""

    def __init__(self, training: Training, parent: QWidget) -> None:
        super().__init__(parent)
        self.training = training
        self.setWindowTitle("Before and after")
        self.resize(*SIZE)
        self.image = Combo("Image", "The image both models are shown on.")
        self.epoch = Combo("After", "The model after: an epoch whose maps were kept.")
        self.again = button("Cancel", "Stop after the tile under way.", training.comparing.cancel)
        self.pictures = Pictures()
        self.words = Message("What came of it", 1)
        layout = column(self)
        head = row(plain("On"), self.image, plain("after"), self.epoch, self.again, stretch=1)
        head.layout().setStretch(3, 1)  # type: ignore[union-attr]
        layout.addWidget(head)
        layout.addWidget(self.pictures, 1)
        layout.addWidget(self.words)
        self.image.picked.connect(self._look)
        self.epoch.picked.connect(self._look)
        bind(self, training.view_changed, self._fill)

    def open_now(self) -> None:
        """Show the window with the run that is chosen now."""
        self.pictures.clear_all()
        self._fill()
        found = self.training.outcome
        if found is not None:
            self.epoch.setValue(found.epoch)
        self.show()
        self.raise_()
        self._look()

    def _fill(self, *_: Any) -> None:
        epochs = self.training.epochs()
        self.epoch.fill([(n, f"epoch {n}", "") for n in reversed(epochs) if n])
        chosen = self.training.work.session.image
        entries = [(PINNED, "the first validation image", "Its maps were kept: shown at once.")]
        if chosen is not None and not chosen.error:
            tip = "Runs both models on the region that Segment has, and cuts both alike."
            entries.append((IMAGE, f"{chosen.name} (runs both models)", tip))
        self.image.fill(entries if self.epoch.count() else entries[1:])

    def _look(self, *_: Any) -> None:
        which = self.image.value()
        self.epoch.setEnabled(which == PINNED)
        self.again.setEnabled(True)
        handlers = Handlers(calling(self._show), calling(self._failed), calling(self._progress),
                            calling(self._say, "Stopped."))  # fmt: skip
        try:
            if which == PINNED:
                self.training.compare_pinned(int(self.epoch.value()), handlers)
            else:
                self.training.compare_image(handlers)
        except UserError as error:
            self._failed(error)

    def _progress(self, step: Progress) -> None:
        of = f" ({step.done} of {step.total})" if step.total else ""
        self.words.say(step.message + of)

    def _show(self, pair: Pair) -> None:
        self.pictures.setValue(pair)
        self._say(pair.words)

    def _failed(self, error: UserError) -> None:
        self._say(str(error), "bad")

    def _say(self, text: str, tone: str = "") -> None:
        self.again.setEnabled(False)
        self.words.say(text, tone)
