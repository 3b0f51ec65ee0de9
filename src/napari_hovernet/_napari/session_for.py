"""One workspace per viewer, however many docks and proxies there are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from .workspace import Workspace

_WORKSPACES: WeakKeyDictionary[Any, Workspace] = WeakKeyDictionary()


def bare_viewer(viewer: Any) -> Any:
    """Return the viewer behind the proxy that napari hands to plugins."""
    return getattr(viewer, "__wrapped__", viewer)


def session_for(viewer: Any, make: Callable[[Any], Workspace] | None = None) -> Workspace:
    """Return the viewer's workspace, making it on the first call or after it was closed."""
    key = bare_viewer(viewer)
    found = _WORKSPACES.get(key)
    if found is None or found.closed:
        found = (make or Workspace)(key)
        _WORKSPACES[key] = found
    return found


def forget(viewer: Any) -> None:
    """Close and drop a viewer's workspace."""
    found = _WORKSPACES.pop(bare_viewer(viewer), None)
    if found is not None:
        found.close()
