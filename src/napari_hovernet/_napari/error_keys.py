"""Keys for the tour of errors, bound while a panel wants them."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from napari.utils.key_bindings import coerce_keybinding

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from .error_tour import ErrorTour

KEYS = {"N": 1, "P": -1, "Shift-N": -1}
"""Key and step. While a Labels, Points or Shapes layer is selected napari keeps P for
drawing; Shift-N leads back there too."""


class ErrorKeys:
    """Binds the keys of a viewer to a tour, and lets them go.

    Parameters
    ----------
    viewer : ViewerModel
        Only a weak reference is kept.
    tour : ErrorTour
    """

    def __init__(self, viewer: ViewerModel, tour: ErrorTour) -> None:
        self._viewer_ref = weakref.ref(viewer)
        self._tour_ref = weakref.ref(tour)
        self._users = 0
        self._bound: dict[str, Callable[[Any], None]] = {}

    @property
    def bound(self) -> tuple[str, ...]:
        """Keys that lead from error to error; those that were taken already are not ours."""
        return tuple(self._bound)

    def acquire(self) -> None:
        """Bind the keys, for one more panel."""
        self._users += 1
        viewer = self._viewer_ref()
        if self._users > 1 or viewer is None:
            return
        for key, by in KEYS.items():
            if coerce_keybinding(key) not in viewer.keymap:
                self._bound[key] = self._stepper(by)
                viewer.bind_key(key, self._bound[key])

    def release(self) -> None:
        """Let the keys go once the last panel has; a key bound anew by others is theirs."""
        self._users = max(self._users - 1, 0)
        viewer = self._viewer_ref()
        if self._users or viewer is None:
            return
        for key, action in self._bound.items():
            if viewer.keymap.get(coerce_keybinding(key)) is action:
                viewer.bind_key(key, None)
        self._bound = {}

    def _stepper(self, by: int) -> Callable[[Any], None]:
        ref = self._tour_ref

        def step(_viewer: Any) -> None:
            tour = ref()
            if tour is not None:
                tour.step(by)

        return step
