"""Readers and writers, a file per format, and the table of formats a result is written in."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from inspect import signature
from typing import Any

from ...errors import InputError


@dataclass(frozen=True)
class Format:
    """A kind of result file; export, command line, manifest and reference are made from it."""

    name: str
    ending: str  # Of the names of its files, behind that of the image
    title: str
    writer: str  # Module here and function in it: "geojson:write_geojson"
    holds: str
    positions: str
    opens_in: str
    suffixes: tuple[str, ...]  # By which a viewer chooses it
    usual: bool = True  # Whether it is written where no format is named

    def write(self, path: str | os.PathLike[str], result: Any, metadata: Any) -> None:
        """Write a result; its writer gets what its arguments name of it, and the metadata."""
        module, _, function = self.writer.partition(":")
        write = getattr(import_module(f".{module}", __name__), function)
        known = {name: getattr(result, name) for name in ("labels", "nuclei", "offset", "mpp")}
        known["metadata"] = metadata
        write(path, **{name: known[name] for name in signature(write).parameters if name in known})


_WHOLE, _REGION = "pixels of the whole image", "pixels of the region"
FORMATS: Mapping[str, Format] = {
    found.name: found
    for found in (
        Format(
            "geojson", ".geojson", "QuPath GeoJSON", "geojson:write_geojson",
            "outline, class, measurements of each nucleus", f"{_WHOLE}, x then y",
            "QuPath, napari", (".geojson",),
        ),
        Format(
            "hovernet-json", ".json", "hover_net JSON", "hover_net:write_hovernet_json",
            "as hover_net writes it: outer boundaries, no holes or second parts",
            f"{_WHOLE}, x then y",
            "hover_net's tools, napari", (".json",),
        ),
        Format(
            "mat", ".mat", "hover_net MAT", "hover_net:write_hovernet_mat",
            "`inst_map`, `inst_uid`, `inst_type`, `inst_centroid`", _REGION,
            "MATLAB, hover_net's tools, napari", (".mat",),
        ),
        Format(
            "tiff", "_labels.tif", "Label TIFF", "labels:write_label_tiff",
            "labels: 0 background, 1..n", _REGION, "anything that reads TIFF", (".tif", ".tiff"),
        ),
        Format(
            "imagej-roi", "_rois.zip", "ImageJ ROIs", "rois:write_rois",
            "outline and type (as group) of each nucleus, holes and second parts too",
            f"{_WHOLE}, x then y", "ImageJ and Fiji (ROI Manager), napari", (".zip",),
            usual=False,  # it ends at 65,000 pixels
        ),
        Format(
            "csv", ".csv", "CSV of features", "tables:write_table",
            "one line per nucleus", _WHOLE, "spreadsheets, R, Python", (".csv",),
        ),
    )
}  # fmt: skip
"""Formats by name, in the order they are listed."""
USUAL = tuple(name for name, found in FORMATS.items() if found.usual)
"""Those that are written where none is named."""


def parse_formats(text: str) -> tuple[str, ...]:
    """Read a list of format names, separated by commas; each once, in the usual order."""
    names = [name.strip().lower().replace("_", "-") for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in FORMATS]
    if unknown or not names:
        raise InputError(
            f"Unknown format {', '.join(unknown) or repr(text)}; choose from {', '.join(FORMATS)}."
        )
    return tuple(name for name in FORMATS if name in names)
