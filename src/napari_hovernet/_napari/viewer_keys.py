"""Keys of a viewer, bound while a panel wants them."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from napari.utils.key_bindings import coerce_keybinding

if TYPE_CHECKING:
    from napari.components import ViewerModel


class ViewerKeys:
    """Binds keys of a viewer to actions, and lets them go.

    Parameters
    ----------
    viewer : ViewerModel
        Only a weak reference is kept.
    actions : mapping of str to callable
        What each key does; must not keep the viewer alive.
    """

    def __init__(self, viewer: ViewerModel, actions: Mapping[str, Callable[[], None]]) -> None:
        self._viewer_ref = weakref.ref(viewer)
        self._actions = dict(actions)
        self._users = 0
        self._bound: dict[str, Callable[[Any], None]] = {}

    @property
    def bound(self) -> tuple[str, ...]:
        """Keys that are ours now; those that were taken already are not."""
        return tuple(self._bound)

    def acquire(self) -> None:
        """Bind the keys, for one more panel."""
        self._users += 1
        viewer = self._viewer_ref()
        if self._users > 1 or viewer is None:
            return
        for key, action in self._actions.items():
            if coerce_keybinding(key) not in viewer.keymap:
                self._bound[key] = _taking_viewer(action)
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


def _taking_viewer(action: Callable[[], None]) -> Callable[[Any], None]:
    return lambda _viewer: action()
