"""Hear of edits of one Labels layer at a time."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from napari.layers import Labels

EDITS = ("paint", "data", "set_data")
"""Events of a Labels layer once a stroke, fill or polygon is done; on undo, redo, new data.
None of them fires within a stroke."""


class LayerEdits:
    """Connects a function to the edits of one layer; holds neither of them alive."""

    def __init__(self) -> None:
        self._layer: weakref.ref[Labels] | None = None

    @property
    def layer(self) -> Labels | None:
        """The layer that is followed, None if there is none (any more)."""
        return None if self._layer is None else self._layer()

    def follow(self, layer: Labels | None, edited: Callable[[Any], None]) -> None:
        """Call ``edited`` after edits of this layer from now on, and of no other; None = none.

        It must be the same function each time.
        """
        before = self.layer
        if layer is before:
            return
        for name in EDITS:
            if before is not None:
                getattr(before.events, name).disconnect(edited)
            if layer is not None:
                getattr(layer.events, name).connect(edited)
        self._layer = None if layer is None else weakref.ref(layer)
