"""Connections that end with their widget."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject


def bind(owner: QObject, signal: Any, slot: Callable[..., Any]) -> None:
    """Connect a psygnal signal or napari event to a slot for the life of ``owner``.

    Emitters that outlive a widget would go on calling it after Qt has deleted it.
    The release hangs on ``destroyed`` as a plain function: a bound method of the
    object that is being destroyed is never called.

    Parameters
    ----------
    owner : QObject
        When Qt destroys it, the connection is cut.
    signal : psygnal SignalInstance or napari EventEmitter
        Anything with ``connect`` and ``disconnect``.
    slot : callable
        Receives what the signal carries.
    """
    signal.connect(slot)

    def release(*_: object) -> None:
        try:
            signal.disconnect(slot)
        except (ValueError, TypeError, KeyError):
            return  # already gone: the emitter dropped it, or was itself cleared

    owner.destroyed.connect(release)
