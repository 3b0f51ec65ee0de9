"""What layers the samples of a features file become: stacks, one plane per sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels, Layer

from .images import METADATA_KEY
from .run_layers import CONTOUR_COLORMAP, HV_COLORMAP, HV_LIMITS, PROBABILITY_LIMITS

if TYPE_CHECKING:
    from ..app.tokens import TokenPictures, TokenStacks
    from .preferences import Preferences

FEATURES = "features"
"""Metadata entry that names the features file a layer comes from."""
SAMPLES = "samples"
"""Metadata entry with the names of the samples, plane by plane."""
AXES = ("sample", "y", "x")
TRUTH_OPACITY = 0.9

LayerData = tuple[Any, dict[str, Any], str]


def picture_data(pictures: TokenPictures, title: str = "") -> list[LayerData]:
    """Describe the images, and the true nuclei if there are any, lowest first.

    Parameters
    ----------
    pictures : TokenPictures
    title : str
        Before the layers' names; default the family.
    """
    title = title or pictures.family
    name = "tokens as colours" if pictures.of_tokens else "images"
    about = _about(pictures, "images")
    found: list[LayerData] = [
        (pictures.images, {**_look(title, name), "rgb": True, "metadata": about}, "image")
    ]
    if pictures.truth is not None:
        look = {**_look(title, "truth"), "metadata": _about(pictures, "truth")}
        found.append((pictures.truth, {**look, "opacity": TRUTH_OPACITY}, "labels"))
    return found


def stack_layers(stacks: TokenStacks, title: str, wanted: Preferences) -> tuple[Layer, ...]:
    """Make the layers of a run, lowest first; touches no viewer, so any thread may do it.

    Parameters
    ----------
    stacks : TokenStacks
    title : str
        Of the run.
    wanted : Preferences
        Contour, colormap of the magnitude, whether maps start visible.
    """
    maps, pictures = stacks.maps, stacks.pictures
    hv = {"contrast_limits": HV_LIMITS, "colormap": HV_COLORMAP}
    plain = {"contrast_limits": PROBABILITY_LIMITS}
    planes = (
        ("np", "NP", maps.np, {**plain, "colormap": "viridis"}),
        ("hv_horizontal", "HV x", maps.hv[:, 0], hv),
        ("hv_vertical", "HV y", maps.hv[:, 1], hv),
        (
            "magnitude",
            "magnitude",
            maps.magnitude,
            {**plain, "colormap": wanted.magnitude_colormap},
        ),
    )
    shown = {"visible": wanted.show_maps, "blending": "translucent_no_depth"}
    made: list[Layer] = []
    for data, look, kind in picture_data(pictures, title):
        made.append(_outlined(data, look, wanted) if kind == "labels" else Image(data, **look))
    for role, name, data, look in planes:
        about = {"metadata": _about(pictures, role, title), "rgb": False}
        made.append(Image(data, **_look(title, name), **look, **shown, **about))
    about = {"metadata": _about(pictures, "nuclei", title), "colormap": CONTOUR_COLORMAP}
    made.append(_outlined(stacks.labels.copy(), {**_look(title, "nuclei"), **about}, wanted))
    return tuple(made)


def sample_of(layer: Layer | None, plane: int) -> str:
    """Name the sample that a plane of a layer shows, "" if it is none of a features file."""
    names = () if layer is None else samples_of(layer)
    return names[plane] if 0 <= plane < len(names) else ""


def samples_of(layer: Layer) -> tuple[str, ...]:
    """Name the samples of a layer, plane by plane; () if it comes from no features file."""
    return tuple(layer.metadata.get(METADATA_KEY, {}).get(SAMPLES, ()))


def features_of(layer: Layer) -> str:
    """Return the features file a layer comes from, "" if from none."""
    return str(layer.metadata.get(METADATA_KEY, {}).get(FEATURES, ""))


def _look(title: str, name: str) -> dict[str, Any]:
    return {"name": f"{title} · {name}", "axis_labels": AXES}


def _about(pictures: TokenPictures, role: str, title: str = "") -> dict[str, Any]:
    known: dict[str, Any] = {
        FEATURES: str(pictures.features),
        SAMPLES: list(pictures.names),
        "role": role,
        "notes": list(pictures.notes),
    }
    if title:  # the plugin's own map: no image to be segmented
        known["run"] = title
    return {METADATA_KEY: known}


def _outlined(data: Any, look: dict[str, Any], wanted: Preferences) -> Labels:
    layer = Labels(data, **look)
    layer.contour = wanted.contour
    return layer
