"""Writers of Labels layers: ``write_NAME`` for each format in the table, ``write_geojson`` ..."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..core.io import FORMATS, Format
from .labels_data import labels_data

Writer = Callable[[str, Any, Mapping[str, Any]], list[str]]


def __getattr__(name: str) -> Writer:
    found = FORMATS.get(name.removeprefix("write_").replace("_", "-"))
    if found is None or not name.startswith("write_"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _writer(found)


def _writer(kind: Format) -> Writer:
    def write(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
        """Write the nuclei of a layer as they are drawn now."""
        made = labels_data(data, attributes)
        kind.write(path, made, made.metadata)
        return [path]

    return write
