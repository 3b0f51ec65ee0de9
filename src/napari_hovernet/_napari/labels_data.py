"""A Labels layer as nuclei, for writers: what the run knew, put onto what is drawn now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..core.types import Int32, Nuclei, TypeInfo
from ..errors import InputError
from .images import METADATA_KEY

COLUMNS = {
    "type": "type",
    "type_probability": "type_probability",
    "magnitude_mean": "magnitude_mean",
    "magnitude_p95": "magnitude_p95",
    "np_mean": "np_mean",
}
"""Fields of :class:`Nuclei` and the columns of a layer's features that hold them."""


@dataclass(frozen=True, eq=False)
class LabelsData:
    """What writers need of a Labels layer.

    Parameters
    ----------
    labels : int32 (H, W)
        As drawn now, edits included.
    nuclei : Nuclei
        Measured now; type and map columns from the layer's features, for nuclei that
        have a row there.
    offset : (int, int)
        Row and column of the layer's first pixel in the whole image.
    mpp : float, optional
        Micrometres per pixel.
    metadata : mapping
        The run's parameters, empty for a layer that is not ours.
    """

    labels: Int32
    nuclei: Nuclei
    offset: tuple[int, int]
    mpp: float | None
    metadata: Mapping[str, Any]


def labels_data(data: Any, attributes: Mapping[str, Any]) -> LabelsData:
    """Read a Labels layer as napari hands it to a writer.

    Parameters
    ----------
    data : array or list of arrays
        (H, W), with leading axes of length 1 allowed; a list is a pyramid.
    attributes : mapping
        The layer's keywords: ``metadata``, ``features``, ``name``.

    Raises
    ------
    InputError
        If the layer is a stack.
    """
    from ..core.measure.nuclei import measure  # noqa: PLC0415 - on first use

    known = dict(attributes.get("metadata", {}).get(METADATA_KEY, {}))
    labels = plane_of(data, str(attributes.get("name", "labels")))
    nuclei = measure(labels, type_names=type_names(known))
    nuclei = with_features(nuclei, attributes.get("features"))
    row, col = known.get("offset", (0, 0))
    return LabelsData(labels, nuclei, (int(row), int(col)), known.get("mpp"), known)


def plane_of(data: Any, name: str) -> Int32:
    """Return the one plane of a layer's data as int32."""
    level = data[0] if isinstance(data, list | tuple) else data
    array = np.asarray(level)
    if array.ndim > 2 and set(array.shape[:-2]) <= {1}:
        array = array.reshape(array.shape[-2:])
    if array.ndim != 2:
        raise InputError(
            f"Layer {name!r} has shape {array.shape}: save one plane, or use napari's own TIFF."
        )
    return array.astype(np.int32, copy=False)


def type_names(known: Mapping[str, Any]) -> dict[int, TypeInfo]:
    """Return the types of the model that made a layer, from its metadata."""
    types = known.get("model", {}).get("types", {}) if isinstance(known.get("model"), dict) else {}
    return {int(i): TypeInfo(t["name"], tuple(t["color"])) for i, t in types.items()}


def with_features(nuclei: Nuclei, features: Any) -> Nuclei:
    """Fill type and map columns from a features table with an ``index`` column.

    Nuclei without a row there (drawn by hand) get type 0 and NaN.
    """
    if features is None or "index" not in features:
        return nuclei
    index = np.asarray(features["index"])
    order = np.argsort(index)
    if not len(index):
        return nuclei
    at = order[np.searchsorted(index, nuclei.label, sorter=order).clip(max=len(index) - 1)]
    there = index[at] == nuclei.label
    filled = {
        field: np.where(there, np.asarray(features[column])[at], _absent(field))
        for field, column in COLUMNS.items()
        if column in features
    }
    if "type" in filled:
        filled["type"] = filled["type"].astype(np.int32)
    return replace(nuclei, **filled)


def _absent(field: str) -> float:
    return 0 if field == "type" else float("nan")
