"""The pinned validation image of the chosen training run: which epoch, and whether at all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from psygnal import Signal

from ..errors import UserError
from .latest import Latest
from .run_previews import PreviewLayers, preview_steps
from .runner import Handlers

if TYPE_CHECKING:
    from ..app.watch import RunView
    from .desk import Desk
    from .run_previews import Preview

_LOG = logging.getLogger(__name__)


class Pinned:
    """Shows one epoch of a run at a time, and follows the latest.

    Signals
    -------
    changed
        Another epoch is shown, or it was switched on or off.

    Parameters
    ----------
    desk : Desk
    view : callable
        Gives the chosen run as of the last look, None if there is none.
    """

    changed: ClassVar[Signal] = Signal()

    def __init__(self, desk: Desk, view: Callable[[], RunView | None]) -> None:
        self.layers = PreviewLayers(desk.viewer)
        self.on, self.follow, self.epoch = False, True, 0
        self._view = view
        self._shown = ("", -1)
        self._latest = Latest(desk.runner, "Reading a pinned image")

    @property
    def busy(self) -> bool:
        """Whether an epoch is on its way into the viewer."""
        return self._latest.busy or not self.layers.settled

    def epochs(self) -> tuple[int, ...]:
        """List the epochs of which the chosen run kept its pinned image."""
        view = self._view()
        return () if view is None else tuple(sorted({p.epoch for p in view.previews}))

    def set_on(self, on: bool) -> None:
        """Show the pinned image in the viewer, or take it out."""
        self.on, self._shown = on, ("", -1)
        if not on:
            self._latest.cancel()
            self.layers.clear()
        self.update()
        self.changed.emit()

    def other_run(self) -> None:
        """Begin with the latest epoch of another run."""
        self.follow, self.epoch = True, 0
        self.changed.emit()

    def update(self) -> None:
        """Follow the run: show its latest epoch unless the user looks at another one."""
        epochs = self.epochs()
        if not epochs:
            return
        if self.follow or self.epoch not in epochs:
            self.epoch = epochs[-1]
        if self.on:
            self._show()
        self.changed.emit()

    def scroll_to(self, epoch: int) -> None:
        """Look at another epoch; the latest one is followed as new ones come."""
        epochs = self.epochs()
        self.follow = bool(epochs) and epoch == epochs[-1]
        self.epoch = epoch
        if self.on:
            self._show()
        self.changed.emit()

    def _show(self) -> None:
        view, epoch = self._view(), self.epoch
        path = None if view is None else view.preview(epoch)
        if view is None or path is None or self._shown == (view.name, epoch):
            return
        name = view.name
        self._shown = (name, epoch)

        def done(preview: Preview) -> None:
            if self.on and self._shown == (name, epoch):
                self.layers.show(preview, in_view=not self.layers.shows(name))

        def failed(error: UserError) -> None:
            _LOG.warning("%s", error)
            self._shown = ("", -1)

        make = not self.layers.layers()
        self._latest.request(
            lambda: preview_steps(name, epoch, path, make=make), Handlers(done, failed)
        )
