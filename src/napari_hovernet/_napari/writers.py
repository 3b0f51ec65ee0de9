"""Writers of Labels layers: QuPath GeoJSON, hover_net JSON and MAT, CSV, label TIFF."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .labels_data import labels_data


def write_geojson(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write nuclei as GeoJSON for QuPath."""
    from ..core.io.geojson import write_geojson as write  # noqa: PLC0415 - on first use

    made = labels_data(data, attributes)
    write(path, made.nuclei, offset=made.offset, mpp=made.mpp, metadata=made.metadata)
    return [path]


def write_hovernet_json(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write nuclei as hover_net's JSON."""
    from ..core.io.hover_net import write_hovernet_json as write  # noqa: PLC0415

    made = labels_data(data, attributes)
    write(path, made.nuclei, offset=made.offset, mpp=made.mpp, metadata=made.metadata)
    return [path]


def write_hovernet_mat(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write labels and nuclei as hover_net's MAT."""
    from ..core.io.hover_net import write_hovernet_mat as write  # noqa: PLC0415

    made = labels_data(data, attributes)
    write(path, made.labels, made.nuclei)
    return [path]


def write_csv(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write one line of features per nucleus."""
    from ..core.io.tables import write_table  # noqa: PLC0415 - on first use

    made = labels_data(data, attributes)
    write_table(path, made.nuclei, offset=made.offset, mpp=made.mpp)
    return [path]


def write_label_tiff(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write the labels as TIFF."""
    from ..core.io.labels import write_label_tiff as write  # noqa: PLC0415

    made = labels_data(data, attributes)
    write(path, made.labels, mpp=made.mpp, metadata=made.metadata)
    return [path]
