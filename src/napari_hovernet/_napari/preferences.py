"""Plugin settings from napari's Preferences (``configurations`` in the manifest)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

PLUGIN = "napari-hovernet"
MAGNITUDE_COLORMAPS = ("inferno", "magma", "viridis", "turbo", "gray")


@dataclass(frozen=True)
class Preferences:
    """How results look.

    Parameters
    ----------
    contour : int
        Width of nucleus outlines in screen-independent pixels, 0 = filled.
    show_maps : bool
        Whether NP, HV and magnitude start visible.
    magnitude_colormap : str
        Colormap of the magnitude, one of ``MAGNITUDE_COLORMAPS``.
    """

    contour: int = 2
    show_maps: bool = False
    magnitude_colormap: str = "inferno"


def preferences() -> Preferences:
    """Read the settings; the defaults where napari has none (before 0.9) or they are unfit."""
    try:
        from napari.settings import get_plugin_settings  # noqa: PLC0415 - on first use

        display = get_plugin_settings(PLUGIN).display
    except (ImportError, KeyError, AttributeError):
        return Preferences()
    return _checked(display)


def _checked(display: Any) -> Preferences:
    default = Preferences()
    contour = getattr(display, "contour", default.contour)
    colormap = getattr(display, "magnitude_colormap", default.magnitude_colormap)
    return Preferences(
        contour=contour if isinstance(contour, int) and contour >= 0 else default.contour,
        show_maps=bool(getattr(display, "show_maps", default.show_maps)),
        magnitude_colormap=colormap if colormap in MAGNITUDE_COLORMAPS else "inferno",
    )
