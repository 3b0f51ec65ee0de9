"""What the manifest offers besides the dock: commands, readers, writers, samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from napari.layers import Labels
from napari.viewer import Viewer

from ..core.io import FORMATS, Format
from ..core.io.far import Far, place
from ..core.slides.params import SLIDE_SUFFIXES
from ..core.types import Int32, Nuclei, TypeInfo
from ..errors import InputError, UserError
from .colours import UNTYPED, table_of
from .layers import label_colormap
from .viewer import COLOURS, LAYER, METADATA_KEY, layer_mpp

Reader = Callable[[str | list[str]], list[LAYER]]
PLUGIN, WIDGET = "napari-hovernet", "HoVer-Net"

# ---------------------------------------------------------------- commands


def open_tab(viewer: Viewer, tab: str) -> None:
    """Open the dock, or bring the one that is there to the front, at a tab."""
    dock, widget = viewer.window.add_plugin_dock_widget(PLUGIN, WIDGET)
    dock.show()
    dock.raise_()
    widget.open_tab(tab)


def open_segment(viewer: Viewer) -> None:
    """Open the dock at "Segment"."""
    open_tab(viewer, "segment")


def open_check(viewer: Viewer) -> None:
    """Open the dock at "Check"."""
    open_tab(viewer, "check")


def open_train(viewer: Viewer) -> None:
    """Open the dock at "Train"."""
    open_tab(viewer, "train")


def open_why(viewer: Viewer) -> None:
    """Open the dock at "Why?"."""
    open_tab(viewer, "why")


def undo_run(viewer: Viewer) -> None:
    """Take the last change of parameters, or the last run, back."""
    _step(viewer, "undo")


def redo_run(viewer: Viewer) -> None:
    """Bring back what was undone."""
    _step(viewer, "redo")


def _step(viewer: Viewer, way: str) -> None:
    from napari.utils.notifications import show_info  # noqa: PLC0415 - on first use

    from .workspace import workspace_for  # noqa: PLC0415

    work = workspace_for(viewer)
    if getattr(work, f"can_{way}"):
        getattr(work, way)()
    else:
        show_info(f"There is nothing to {way}.")


# ---------------------------------------------------------------- readers

SNIFF_BYTES = 65536
"""How much of a JSON file is looked at to tell what it is."""
FAMILY, OUTLINES, LABELS = "family", "outlines", "labels"
SLIDE, PICTURE = "slide", "picture"
CELLPOSE = "_seg.npy"
"""How the names of Cellpose's files end."""


def get_reader(path: str | list[str]) -> Reader | None:
    """Return a reader for files this plugin knows, None for others."""
    paths = [path] if isinstance(path, str) else list(path)
    kinds = [kind_of(place(p)) for p in paths]
    return read_results if kinds and "" not in kinds else None


def kind_of(path: Path | Far) -> str:
    """Tell "outlines", "labels", "family", "slide", "picture" or "" (not ours).

    "slide" is the store of a slide's result, "picture" a slide itself, "family" an .npz of a token
    decoder, if its features are there. A file that cannot be opened is "": napari says so itself.
    """
    suffix = Path(path.name).suffix.lower()
    if isinstance(path, Far) or path.is_dir() or suffix in SLIDE_SUFFIXES:
        result = (path / "run.json").exists()
        return SLIDE if result else PICTURE if _is_slide(path, suffix) else ""
    if suffix == ".mat" or path.name.lower().endswith(CELLPOSE):
        return LABELS
    if suffix == ".npz":
        from ..core.data.kinds import find_families  # noqa: PLC0415 - on first use

        return FAMILY if any(f.features is not None for f in find_families(path)) else ""
    try:
        if not path.is_file():
            return ""
        with path.open("rb") as file:
            start = file.read(SNIFF_BYTES)
    except OSError:
        return ""
    from ..core.io.foreign import json_kind  # noqa: PLC0415
    from ..core.io.rois import is_rois  # noqa: PLC0415

    ours = b'"Feature' in start or suffix == ".geojson" or b'"nuc"' in start or is_rois(start)
    region = suffix == ".xml" and b"<Annotation" in start
    return OUTLINES if ours or region or (suffix == ".json" and json_kind(start)) else ""


def _is_slide(path: Path | Far, suffix: str) -> bool:
    """Tell a slide from other OME-Zarr, and from other DICOM."""
    from ..core.slides.source import ZARR_FILES, open_slide  # noqa: PLC0415 - on first use

    if suffix in SLIDE_SUFFIXES and suffix != ".dcm":
        return True
    if path.is_dir() and not any((path / name).exists() for name in ZARR_FILES):
        return False
    try:
        return open_slide(path, to_look=True).array.channels in COLOURS
    except UserError:
        return False


def read_results(path: str | list[str]) -> list[LAYER]:
    """Read files into layers: nuclei into labels, samples of features into stacks."""
    paths = [path] if isinstance(path, str) else list(path)
    return [layer for p in paths for layer in _read_any(place(p))]


def _read_any(path: Path | Far) -> list[LAYER]:
    kind = kind_of(path)
    if kind == FAMILY:
        return _read_family(path)
    if kind == SLIDE:
        from .slides import read_slide  # noqa: PLC0415 - on first use

        return read_slide(path)
    if kind == PICTURE:
        from .slides import read_picture  # noqa: PLC0415

        return read_picture(path)
    from ..core.io.open import read_labels, read_outlines  # noqa: PLC0415 - on first use

    if kind == LABELS:
        made = read_labels(path)
        return [_layer(path, made.labels, {"index": made.ids, "type": made.type}, {}, made.notes)]
    from ..core.io.geojson import rasterize  # noqa: PLC0415

    found = read_outlines(path)
    if found is None:
        raise InputError(f"{path.name} holds no outlines of nuclei.")
    table: dict[str, Any] = {
        "index": np.arange(1, len(found) + 1),
        "id": list(found.ids),
        "type": found.type,
        **found.measurements,
    }
    sizes = zip(found.box[2:], found.shape or (1, 1), strict=True)  # no nuclei: as the image
    labels = rasterize(found, tuple(max(size) for size in sizes))  # type: ignore[arg-type]
    return [_layer(path, labels, table, found.type_names, found.notes)]


def _read_family(path: Path) -> list[LAYER]:
    """Show samples of a features file, evenly spread where there are many."""
    from ..app.jobs import drive  # noqa: PLC0415 - on first use
    from ..app.tokens import MOST_SHOWN, picture_steps  # noqa: PLC0415
    from ..core.data.items import evenly  # noqa: PLC0415
    from ..core.tokens.data import find_token_data  # noqa: PLC0415

    data = find_token_data([path], "")
    chosen = tuple(evenly(len(data), MOST_SHOWN))
    some = "" if len(chosen) == len(data) else f" ({len(chosen)} of {len(data)})"
    return token_pictures(drive(picture_steps(data, chosen)), f"{data.family}{some}")


def token_pictures(pictures: Any, title: str) -> list[LAYER]:
    """Describe images of samples, and true nuclei if there are any, lowest first."""
    about = {
        "features": str(pictures.features),
        "samples": list(pictures.names),
        "notes": list(pictures.notes),
    }
    shared = {"axis_labels": ("sample", "y", "x")}

    def look(name: str, role: str) -> dict[str, Any]:
        known = {METADATA_KEY: {**about, "role": role}}
        return {**shared, "name": f"{title} · {name}", "metadata": known}

    name = "tokens as colours" if pictures.of_tokens else "images"
    found: list[LAYER] = [(pictures.images, {**look(name, "images"), "rgb": True}, "image")]
    if pictures.truth is not None:
        found.append((pictures.truth, look("truth", "truth"), "labels"))
    return found


def _layer(
    path: Path,
    labels: Any,
    table: dict[str, Any],
    types: Mapping[int, TypeInfo],
    notes: tuple[str, ...],
) -> LAYER:
    attributes: dict[str, Any] = {"name": path.stem, "metadata": {"notes": list(notes)}}
    if types:
        kinds = [int(k) for k in table["type"]]
        table["type_name"] = [types[k].name if k in types else "" for k in kinds]
        colours = [types[k].color if k in types else UNTYPED for k in kinds]
        attributes["colormap"] = label_colormap(table_of(np.asarray(table["index"]), colours))
    attributes["features"] = table
    return (labels, attributes, "labels")


# ---------------------------------------------------------------- writers

COLUMNS = ("type", "type_probability", "magnitude_mean", "magnitude_p95", "np_mean")
"""Fields of :class:`Nuclei` that columns of a layer's features hold."""


@dataclass(frozen=True, eq=False)
class LabelsData:
    """A Labels layer as nuclei: what the run knew, put onto what is drawn now."""

    labels: Int32  # int32 (H, W)
    nuclei: Nuclei  # Measured now; types and maps from the features, where there is a row
    offset: tuple[int, int]  # Row and column of the first pixel in the whole image
    mpp: float | None
    metadata: Mapping[str, Any]  # The run's parameters, empty for a layer that is not ours


def labels_data(data: Any, attributes: Mapping[str, Any]) -> LabelsData:
    """Read a Labels layer as napari hands it to a writer; InputError if it is a stack."""
    from ..core.measure.nuclei import measure  # noqa: PLC0415 - on first use

    known = dict(attributes.get("metadata", {}).get(METADATA_KEY, {}))
    labels = _plane_of(data, str(attributes.get("name", "labels")))
    nuclei = measure(labels, type_names=_type_names(known))
    nuclei = _with_features(nuclei, attributes.get("features"))
    offset, mpp = _place_of(attributes)
    row, col = known.get("offset", offset)
    return LabelsData(labels, nuclei, (int(row), int(col)), known.get("mpp", mpp), known)


def _place_of(attributes: Mapping[str, Any]) -> tuple[tuple[int, int], float | None]:
    """First row and column of a layer of one's own, by its scale and translate, and its mpp."""
    layer = Labels(
        np.zeros((1, 1), np.uint8),
        **{name: attributes[name][-2:] for name in ("scale", "translate", "units")
           if attributes.get(name) is not None},
    )  # fmt: skip
    place = [round(float(t / s)) for t, s in zip(layer.translate, layer.scale, strict=True)]
    return (place[0], place[1]), layer_mpp(layer)[0]


def _plane_of(data: Any, name: str) -> Int32:
    array = np.asarray(data[0] if isinstance(data, list | tuple) else data)
    if array.ndim > 2 and set(array.shape[:-2]) <= {1}:
        array = array.reshape(array.shape[-2:])
    if array.ndim != 2:
        raise InputError(
            f"Layer {name!r} has shape {array.shape}: save one plane, or use napari's own TIFF."
        )
    from ..core.io.labels import renumbered  # noqa: PLC0415 - on first use

    return renumbered(array, f"Layer {name!r}")[0]


def _type_names(known: Mapping[str, Any]) -> dict[int, TypeInfo]:
    model = known.get("model")
    types = model.get("types", {}) if isinstance(model, dict) else {}
    return {int(i): TypeInfo(t["name"], tuple(t["color"])) for i, t in types.items()}


def _with_features(nuclei: Nuclei, features: Any) -> Nuclei:
    """Fill type and map columns from a table with an ``index``; without a row 0 and NaN."""
    if features is None or "index" not in features or not len(features["index"]):
        return nuclei
    index = np.asarray(features["index"])
    order = np.argsort(index)
    at = order[np.searchsorted(index, nuclei.label, sorter=order).clip(max=len(index) - 1)]
    there = index[at] == nuclei.label
    filled = {
        name: np.where(there, np.asarray(features[name])[at], 0 if name == "type" else np.nan)
        for name in COLUMNS
        if name in features
    }
    if "type" in filled:
        filled["type"] = filled["type"].astype(np.int32)
    return replace(nuclei, **filled)


Writer = Callable[[str, Any, Mapping[str, Any]], list[str]]


def __getattr__(name: str) -> Writer:
    """``write_NAME`` for each format in the table: ``write_geojson`` ..."""
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


# ---------------------------------------------------------------- samples

TISSUE_EDGE_PX = 768
TISSUE_SEED = 7
ESTIMATED_MPP = 0.5
"""Micrometres per pixel of scikit-image's tissue pictures, estimated from their nuclei."""


def tissue_sample() -> list[LAYER]:
    """Return generated H&E-like tissue and, hidden, the nuclei it was made of."""
    from ..core.synthetic import tissue  # noqa: PLC0415 - on first use

    made = tissue(shape=(TISSUE_EDGE_PX, TISSUE_EDGE_PX), seed=TISSUE_SEED)
    truth = {
        **_scaled(made.mpp, "tissue, true nuclei"),
        "visible": False,
        "features": {"index": range(1, len(made.types) + 1), "type": made.types},
    }
    return [
        (made.image, {**_scaled(made.mpp, "tissue"), "rgb": True}, "image"),
        (made.labels, truth, "labels"),
    ]


def _picture(name: str, title: str) -> list[LAYER]:
    from skimage import data  # noqa: PLC0415 - on first use

    try:
        image = getattr(data, name)()
    except (OSError, ValueError, ImportError) as error:
        raise InputError(
            f"The {title} sample is downloaded by scikit-image (pooch) on first use, and that "
            f"failed: {error}. Check the network, or open the IHC or the generated sample."
        ) from error
    return [(image, {**_scaled(ESTIMATED_MPP, title), "rgb": True}, "image")]


ihc_sample = partial(_picture, "immunohistochemistry", "IHC")
"""Real tissue, brown immunostain and blue nuclei; comes with scikit-image."""
skin_sample = partial(_picture, "skin", "skin")
"""Real H&E of skin; scikit-image downloads it once."""


def _scaled(mpp: float, name: str) -> dict[str, Any]:
    """Return scale and units; the viewer's scale bar and the dock read mpp from them."""
    return {
        "name": name,
        "scale": (mpp, mpp),
        "units": ("micrometer", "micrometer"),
        "metadata": {"mpp": mpp, METADATA_KEY: {"sample": name}},
    }
