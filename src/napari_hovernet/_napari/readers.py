"""Readers of results (hover_net JSON and MAT, GeoJSON from QuPath) and of cached features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from napari.utils.colormaps import DirectLabelColormap

from ..core.types import TypeInfo
from .run_layers import UNTYPED_COLOR, rgba

LAYER = tuple[Any, dict[str, Any], str]
Reader = Callable[[str | list[str]], list[LAYER]]
SNIFF_BYTES = 65536
"""How much of a JSON file is looked at to tell what it is."""
FAMILY = "family"


def get_reader(path: str | list[str]) -> Reader | None:
    """Return a reader for files this plugin knows, None for others."""
    paths = [path] if isinstance(path, str) else list(path)
    kinds = [kind_of(Path(p)) for p in paths]
    if not kinds or "" in kinds:
        return None
    return read_results


def kind_of(path: Path) -> str:
    """Tell "geojson", "json" (hover_net), "mat", "family" or "" by the start of a file.

    "family" is an .npz of a token decoder, if its features are there.

    A file that cannot be opened is "": napari says so itself.
    """
    suffix = path.suffix.lower()
    if suffix == ".mat":
        return "mat"
    if suffix == ".npz":
        return FAMILY if _has_features(path) else ""
    try:
        with path.open("rb") as file:
            start = file.read(SNIFF_BYTES)
    except OSError:
        return ""
    if b'"Feature' in start or suffix == ".geojson":
        return "geojson"
    return "json" if b'"nuc"' in start else ""


def read_results(path: str | list[str]) -> list[LAYER]:
    """Read files into layers: nuclei into labels, samples of features into stacks.

    Raises
    ------
    InputError
        If a file is damaged; the message names it.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return [layer for p in paths for layer in _read_any(Path(p))]


def _has_features(path: Path) -> bool:
    from ..core.data.kinds import find_families  # noqa: PLC0415 - on first use

    return any(family.features is not None for family in find_families(path))


def _read_any(path: Path) -> list[LAYER]:
    if kind_of(path) == FAMILY:
        return _read_family(path)
    return [_read_one(path)]


def _read_family(path: Path) -> list[LAYER]:
    """Show samples of a features file, evenly spread where there are many."""
    from ..app.jobs import drive  # noqa: PLC0415 - on first use
    from ..app.tokens import MOST_SHOWN, picture_steps  # noqa: PLC0415
    from ..core.data.items import evenly  # noqa: PLC0415
    from ..core.tokens.data import find_token_data  # noqa: PLC0415
    from .token_layers import picture_data  # noqa: PLC0415

    data = find_token_data([path], "")
    chosen = tuple(evenly(len(data), MOST_SHOWN))
    some = "" if len(chosen) == len(data) else f" ({len(chosen)} of {len(data)})"
    return picture_data(drive(picture_steps(data, chosen)), f"{data.family}{some}")


def _read_one(path: Path) -> LAYER:
    if kind_of(path) == "mat":
        from ..core.io.hover_net import read_hovernet_mat  # noqa: PLC0415 - on first use

        found = read_hovernet_mat(path)
        table = {"index": found.ids, "type": found.type}
        return _layer(path, found.labels, table, {}, found.notes)
    return _read_polygons(path)


def _read_polygons(path: Path) -> LAYER:
    from ..core.io.geojson import rasterize, read_geojson  # noqa: PLC0415 - on first use
    from ..core.io.hover_net import read_hovernet_json  # noqa: PLC0415

    read = read_geojson if kind_of(path) == "geojson" else read_hovernet_json
    found = read(path)
    table: dict[str, Any] = {
        "index": np.arange(1, len(found) + 1),
        "id": list(found.ids),
        "type": found.type,
        **found.measurements,
    }
    return _layer(path, rasterize(found), table, found.type_names, found.notes)


def _layer(
    path: Path,
    labels: Any,
    table: dict[str, Any],
    types: Mapping[int, TypeInfo],
    notes: tuple[str, ...],
) -> LAYER:
    attributes: dict[str, Any] = {"name": path.stem, "metadata": {"notes": list(notes)}}
    if types:
        table["type_name"] = [types[int(k)].name if int(k) in types else "" for k in table["type"]]
        colors = {i: rgba(t.color) for i, t in types.items()}
        attributes["colormap"] = DirectLabelColormap(
            color_dict={
                None: (0.0, 0.0, 0.0, 0.0),
                0: (0.0, 0.0, 0.0, 0.0),
                **{
                    int(i): colors.get(int(k), UNTYPED_COLOR)
                    for i, k in zip(table["index"], table["type"], strict=True)
                },
            }
        )
    attributes["features"] = table
    return (labels, attributes, "labels")
