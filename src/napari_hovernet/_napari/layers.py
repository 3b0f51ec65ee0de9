"""The only place that adds, removes or recolours layers.

Each image has one Labels layer of nuclei, which shows the run under the glass, and at most two
layers of maps, made when first looked at; all of them take new data rather than be made anew,
because a layer that comes or goes stops the viewer for 0.1 to 0.4 s.
"""

from __future__ import annotations

import weakref
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer, Shapes, Vectors
from napari.utils.colormaps import Colormap, CyclicLabelColormap
from psygnal import Signal

from ..core.types import kernel
from .colours import MAPS, Colouring, MapPicture
from .viewer import METADATA_KEY, Box, units_of

if TYPE_CHECKING:
    from ..app.session import Run
    from ..core.types import Int32

PYRAMID_EDGE = 4096
"""Longest edge in pixels that is shown without a pyramid; larger maps stall the canvas."""
REGION_EDGE_PX = 2
HV_COLORMAP = Colormap(
    [
        [0.02, 0.19, 0.38, 1.0],
        [0.26, 0.58, 0.76, 1.0],
        [0.97, 0.97, 0.97, 1.0],
        [0.84, 0.38, 0.30, 1.0],
        [0.40, 0.00, 0.12, 1.0],
    ],
    name="HV blue-white-red",
)
"""Diverging: blue is left of (above) the centre, red right of (below) it, white the centre."""
EDITS = ("paint", "data", "set_data")
"""Events of a Labels layer once a stroke, fill or polygon is done; on undo, redo, new data.
None of them fires within a stroke."""
NUCLEI, VALUES, DIRECTIONS, ARROWS = "nuclei", "values", "directions", "arrows"
"""Roles of the layers an image may have: outlines, NP or magnitude, HV, arrows of HV."""
ARROW_COLOR, ARROW_WIDTH = "#202020", 0.16
PLUGIN = "napari-hovernet"
MAGNITUDE_COLORMAPS = ("inferno", "magma", "viridis", "turbo", "gray")


@dataclass(frozen=True)
class Preferences:
    """How results look: plugin settings of napari (``configurations`` in the manifest)."""

    contour: int = 2  # Width of outlines in pixels of the image, 0 = filled
    show_maps: bool = False  # Whether all maps become layers after each run
    magnitude_colormap: str = "inferno"


def preferences() -> Preferences:
    """Read the settings; the defaults where napari has none (before 0.9) or they are unfit."""
    default = Preferences()
    try:
        from napari.settings import get_plugin_settings  # noqa: PLC0415 - on first use

        display = get_plugin_settings(PLUGIN).display
    except (ImportError, KeyError, AttributeError):
        return default
    contour = getattr(display, "contour", default.contour)
    colormap = getattr(display, "magnitude_colormap", default.magnitude_colormap)
    return Preferences(
        contour=contour if isinstance(contour, int) and contour >= 0 else default.contour,
        show_maps=bool(getattr(display, "show_maps", default.show_maps)),
        magnitude_colormap=colormap if colormap in MAGNITUDE_COLORMAPS else "inferno",
    )


class NucleiLayer(Labels):
    """Labels whose outlines are found 10 times as fast; a plain Labels layer to all others."""

    @property
    def _type_string(self) -> str:
        return "labels"

    def _calculate_contour(self, labels: Any, data_slice: tuple[slice, ...]) -> Any:
        if labels.ndim != 2 or self.contour < 1:
            return super()._calculate_contour(labels, data_slice)
        return outlines(np.asarray(labels), int(self.contour), data_slice)


def redraw(layer: Labels, *part: slice) -> None:
    """Draw a part (rows, columns) that was written to, as napari does within a stroke.

    A refresh lays the layer out anew, which takes longer.
    """
    stroke = not layer.multiscale and layer._slice_input.ndisplay == len(part) and layer.loaded
    if not (stroke and layer.contour):  # filled ones are drawn from what napari has kept
        layer.refresh(extent=False, thumbnail=False)
        return
    by, lead = int(layer.contour), layer.data.shape[: -len(part)]
    around = [slice(max(p.start - by, 0), p.stop + by) for p in part]
    layer._updated_slice = (*(slice(0, n) for n in lead), *around)
    layer._partial_labels_refresh()


def outlines(labels: Any, width: int, part: tuple[slice, ...]) -> Any:
    """Return labels (H, W) within a part of them, 0 but on rims ``width`` pixels wide."""
    rows, cols = (s.indices(n) for s, n in zip(part, labels.shape, strict=True))
    found = np.zeros((rows[1] - rows[0], cols[1] - cols[0]), labels.dtype)
    _rims(labels, width, (rows[0], rows[1], cols[0], cols[1]), found)
    return found


@kernel
def _rims(labels: Any, width: int, box: Any, found: Any) -> None:
    """Copy pixels that have another id within ``width`` along their row or column."""
    height, breadth = labels.shape
    r0, r1, c0, c1 = box
    rim = np.empty(c1 - c0, np.bool_)
    for r in range(r0, r1):
        own, rim[:] = labels[r, c0:c1], False
        for d in range(1, width + 1):
            a, b = min(max(c0, d), c1), max(min(c1, breadth - d), c0)
            _differ(own, labels[max(r - d, 0), c0:c1], rim)
            _differ(own, labels[min(r + d, height - 1), c0:c1], rim)
            _differ(own[a - c0 :], labels[r, a - d : c1 - d], rim[a - c0 :])
            _differ(own[: b - c0], labels[r, c0 + d : b + d], rim[: b - c0])
        for c in range(own.size):
            found[r - r0, c] = own[c] if rim[c] else 0


@kernel
def _differ(own: Any, other: Any, rim: Any) -> None:
    """Add pixels of a row that have another id than those of another row."""
    for c in range(own.size):
        rim[c] |= own[c] != other[c]


@dataclass(frozen=True, eq=False)
class Picture:
    """What is to be seen of a run, made by a worker thread."""

    labels: Int32  # int32 (H, W)
    colouring: Colouring
    map: MapPicture | None = None
    features: Mapping[str, Any] = field(default_factory=dict)


class RunLayers:
    """Shows one run at a time on the layers of its image; holds the viewer weakly.

    ``edited`` is emitted with the Labels layer when the user has painted on it, ``picked`` with
    the id that was selected on it, as napari's table of features does.
    """

    edited: ClassVar[Signal] = Signal(object)
    picked: ClassVar[Signal] = Signal(int)

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer_ref = weakref.ref(viewer)
        self._known: dict[tuple[Hashable, str], weakref.ref[Layer]] = {}
        self.run: Run | None = None  # The run that is shown
        self._picture: Picture | None = None
        self._ours = False  # Whether a change under way is our own

    @property
    def viewer(self) -> ViewerModel:
        """The viewer; TypeError once it is gone."""
        viewer = self._viewer_ref()
        if viewer is None:
            raise TypeError("The viewer of these layers is gone.")
        return viewer

    # ------------------------------------------------------------ what is there

    def find(self, run: Run, role: str) -> Layer | None:
        """Return a layer of the run's image by its role, None if it is not there (any more)."""
        ref = self._known.get((run.image.key, role))
        layer = None if ref is None else ref()
        return layer if layer is not None and layer in self.viewer.layers else None

    @property
    def nuclei(self) -> Labels | None:
        """The Labels layer of the run that is shown, None if the user has deleted it."""
        found = None if self.run is None else self.find(self.run, NUCLEI)
        return found if isinstance(found, Labels) else None

    def drawn(self) -> Int32 | None:
        """Return the nuclei as drawn now, int32 (H, W); a view of the layer's data."""
        layer = self.nuclei
        return None if layer is None else plane_of(layer)

    @property
    def strokes(self) -> int:
        """Corrections by hand that can be taken back; new nuclei in the layer begin anew."""
        return len(getattr(self.nuclei, "_undo_history", ()))

    @property
    def strokes_undone(self) -> int:
        """Corrections by hand that can be made again."""
        return len(getattr(self.nuclei, "_redo_history", ()))

    # ------------------------------------------------------------ showing a run

    def show(self, run: Run, picture: Picture) -> None:
        """Bring nuclei, colours, features and map of a run onto the screen."""
        other = self.run is not run
        self.run = run
        with _flag(self):
            layer = self._nuclei_for(run, picture)
            before = None if other else self._picture
            if before is None or before.labels is not picture.labels:
                self.paint(picture.labels)
            if before is None or not _same(before.colouring.colors, picture.colouring.colors):
                layer.colormap = label_colormap(picture.colouring.colors)
            if before is None or before.features is not picture.features:
                layer.features = dict(picture.features)
            self._show_map(run, picture.map)
            if other:
                self._dress(layer, run, NUCLEI, NUCLEI)
                layer.visible = True
                self._hide_others(run)
        self._picture = picture

    def paint(
        self, labels: Int32, box: Box | None = None, corner: tuple[int, int] = (0, 0)
    ) -> None:
        """Write instances into the layer, in place: all, or those within a box.

        ``corner`` is the row and column of the run's arrays at which ``labels`` begin.
        """
        layer = self.nuclei
        if layer is None:
            return
        plane = plane_of(layer)
        r0, r1, c0, c1 = box or (0, plane.shape[0], 0, plane.shape[1])
        top, left = corner
        plane[r0:r1, c0:c1] = labels[r0 - top : r1 - top, c0 - left : c1 - left]
        if hasattr(layer, "_reset_history"):  # strokes on what was there cannot be taken back
            layer._reset_history()
        redraw(layer, slice(r0, r1), slice(c0, c1))

    def correct(self, rows: Any, cols: Any, ids: Any) -> None:
        """Give pixels (n,) other ids as a stroke of the user does: it can be taken back."""
        layer = self.nuclei
        if layer is None or layer.multiscale:
            return
        plane = np.zeros(len(rows), np.intp)
        layer.data_setitem((plane,) * (layer.ndim - 2) + (rows, cols), np.asarray(ids))
        self.edited.emit(layer)

    def take_edit(self, labels: Int32) -> None:
        """Note that the layer shows these labels already: the user has drawn them."""
        if self._picture is not None:
            p = self._picture
            self._picture = Picture(labels, p.colouring, p.map, p.features)

    def clear(self, keys: set[Hashable]) -> None:
        """Remove the layers of images that are not among ``keys``: they have no run any more."""
        for (key, role), ref in list(self._known.items()):
            if key in keys:
                continue
            layer = ref()
            if layer is not None and layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
            del self._known[key, role]
        if self.run is not None and self.run.image.key not in keys:
            self.run = self._picture = None

    def frame(self, box: Box | None) -> None:
        """Draw a frame around a part of the run's arrays (no layer of its own), None = none."""
        layer = self.nuclei
        overlay = None if layer is None else layer._overlays.get("selection_box")
        if overlay is None:
            return
        if box is not None:
            r0, r1, c0, c1 = box
            overlay.bounds = ((r0 - 1.5, c0 - 1.5), (r1 + 0.5, c1 + 0.5))
        overlay.visible = box is not None

    def show_arrows(self, arrows: Any | None, step: float = 1.0) -> None:
        """Show HV as arrows (n, 2, 2) in pixels of the run's arrays, None = hide them."""
        run = self.run
        layer = None if run is None else self.find(run, ARROWS)
        if run is None or arrows is None:
            if layer is not None and layer.visible:
                layer.visible = False
            return
        data = np.asarray(arrows, np.float32)
        plane = len(run.placement.plane)
        data = np.concatenate((np.zeros((len(data), 2, plane), np.float32), data), axis=2)
        if not isinstance(layer, Vectors):
            layer = Vectors(
                data, ndim=plane + 2, edge_color=ARROW_COLOR, vector_style="arrow",
                **self._keywords(run, ARROWS, "HV arrows"),
            )  # fmt: skip
            self._add(layer, run, ARROWS)
        else:
            layer.data = data
            layer.visible = True
        if layer.edge_width != step * ARROW_WIDTH:
            layer.edge_width = step * ARROW_WIDTH

    # ------------------------------------------------------------ layers on request

    def add_all_maps(self, run: Run) -> tuple[Image, ...]:
        """Add NP, HV horizontal, HV vertical and magnitude as layers, hidden, to stay."""
        maps, hv = run.result.maps, {"contrast_limits": (-1.0, 1.0), "colormap": HV_COLORMAP}
        share = {"contrast_limits": (0.0, 1.0)}
        made = []
        for role, name, data, look in (
            ("np", "NP", maps.np, {**share, "colormap": "viridis"}),
            ("hv_horizontal", "HV horizontal", maps.hv[0], hv),
            ("hv_vertical", "HV vertical", maps.hv[1], hv),
            ("magnitude", "magnitude", maps.magnitude,
             {**share, "colormap": preferences().magnitude_colormap}),
        ):  # fmt: skip
            layer = self.extra(run, role, "image", name, data, {**look, "rgb": False})
            layer.visible = False
            made.append(layer)
        return tuple(made)

    def extra(
        self, run: Run, role: str, kind: str, name: str, data: Any, look: Mapping[str, Any]
    ) -> Any:
        """Add a layer of its own to a run's image ("image", "labels" or "vectors"), or update it.

        ``data`` lies on the run's arrays. Take it away with :meth:`remove`, or hide it.
        """
        layer = self.find(run, role)
        data, more = _fitted(data, run) if kind != "vectors" else (np.asarray(data), {})
        if layer is not None:
            layer.data = data
            self._dress(layer, run, role, name)
            return layer
        keywords = {**self._keywords(run, role, name), **more, **look}
        contour = keywords.pop("contour", None)
        layer = {"image": Image, "labels": NucleiLayer, "vectors": Vectors}[kind](data, **keywords)
        if contour is not None:
            layer.contour = contour
        self._add(layer, run, role, below=kind == "image")
        return layer

    def remove(self, run: Run, role: str) -> None:
        """Remove a layer of a role, if it is there."""
        layer = self.find(run, role)
        if layer is not None:
            self.viewer.layers.remove(layer)
        self._known.pop((run.image.key, role), None)

    def add_region(self, image: Image) -> Shapes:
        """Add an empty Shapes layer over an image, selected and ready to draw a rectangle."""
        layer = Shapes(
            ndim=image.ndim, name="region to segment", scale=image.scale,
            translate=image.translate, rotate=image.rotate, shear=image.shear, affine=image.affine,
            edge_color="yellow", face_color="transparent", edge_width=REGION_EDGE_PX,
            **units_of(image),
        )  # fmt: skip
        self.viewer.layers.append(layer)
        self.viewer.layers.selection.active = layer
        layer.mode = "add_rectangle"
        return layer

    # ------------------------------------------------------------ how it is done

    def _nuclei_for(self, run: Run, picture: Picture) -> Labels:
        layer = self.find(run, NUCLEI)
        data, more = _fitted(picture.labels, run)
        if isinstance(layer, Labels) and not _takes(layer, data, more):
            self.viewer.layers.remove(layer)
            layer = None
        if isinstance(layer, Labels):
            if plane_of(layer).shape != picture.labels.shape:
                layer.data = _fitted(picture.labels.copy(), run)[0]
            return layer
        data, _ = _fitted(picture.labels.copy(), run)
        colormap = label_colormap(picture.colouring.colors)
        keywords = self._keywords(run, NUCLEI, NUCLEI)
        layer = NucleiLayer(data, opacity=1.0, colormap=colormap, **more, **keywords)
        layer.contour = preferences().contour
        for name in EDITS:
            getattr(layer.events, name).connect(self._layer_edited)
        layer.events.selected_label.connect(self._label_selected)
        self._add(layer, run, NUCLEI)
        return layer

    def select(self, nucleus: int) -> None:
        """Select a nucleus in the layer, so that napari's table of features shows its row."""
        layer = self.nuclei
        if layer is not None and nucleus and layer.mode == "pan_zoom":
            with _flag(self):
                layer.selected_label = nucleus

    def _label_selected(self, event: Any) -> None:
        """Tell what was selected; new colours announce the selection again, brushes choose one."""
        layer = event.source
        if not self._ours and layer is self.nuclei and layer.mode == "pan_zoom":
            self.picked.emit(int(layer.selected_label))

    def _layer_edited(self, event: Any) -> None:
        if not self._ours and event.source is self.nuclei:
            self.edited.emit(event.source)

    def lacks(self, run: Run, picture: MapPicture | None) -> bool:
        """Whether the layer of a map is yet to be made."""
        role = _role_of(picture)
        return role is not None and self.find(run, role) is None

    def _show_map(self, run: Run, picture: MapPicture | None) -> None:
        """Show one map and hide the other; made when first looked at."""
        wanted = _role_of(picture)
        for role in (VALUES, DIRECTIONS):
            layer = self.find(run, role)
            if role != wanted and layer is not None and layer.visible:
                layer.visible = False
        if picture is None or wanted is None:
            return
        layer = self.find(run, wanted)
        before = None if self._picture is None else self._picture.map
        if before is picture and layer is not None:
            layer.visible = True
            return
        data, more = _fitted(picture.data, run)
        name = MAPS[picture.view]
        if isinstance(layer, Image) and not _takes(layer, data, more):
            self.viewer.layers.remove(layer)
            layer = None
        if not isinstance(layer, Image):
            look = {"contrast_limits": (0.0, 1.0), "colormap": picture.colormap} \
                if wanted == VALUES else {}  # fmt: skip
            layer = Image(
                data, rgb=wanted == DIRECTIONS, blending="translucent_no_depth",
                **look, **more, **self._keywords(run, wanted, name),
            )  # fmt: skip
            self._add(layer, run, wanted, below=True)
            return
        layer.data = data
        if wanted == VALUES:
            layer.contrast_limits = (0.0, 1.0)
            layer.colormap = picture.colormap
        self._dress(layer, run, wanted, name)
        layer.visible = True

    def _add(self, layer: Layer, run: Run, role: str, *, below: bool = False) -> None:
        """Add a layer on top, or under the nuclei; selection stays as it is."""
        layers, nuclei = self.viewer.layers, self.find(run, NUCLEI)
        at = layers.index(nuclei) if below and nuclei is not None else len(layers)
        active = layers.selection.active
        layers._activate_on_insert = False  # two changes of the selection take 0.1 s
        layers.insert(at, layer)
        layers._activate_on_insert = True
        if active in layers and layers.selection.active is not active:
            layers.selection.active = active
        self._known[run.image.key, role] = weakref.ref(layer)

    def _keywords(self, run: Run, role: str, name: str) -> dict[str, Any]:
        return {
            "name": f"{run.title} · {name}",
            "metadata": {METADATA_KEY: {"run": run.id, "role": role, **run.metadata}},
            **run.placement.at(*run.result.offset),
        }

    def _dress(self, layer: Layer, run: Run, role: str, name: str) -> None:
        """Give a layer that was another run's the name, metadata and place of this one."""
        for key, value in self._keywords(run, role, name).items():
            if key == "affine":
                if not np.allclose(layer.affine.affine_matrix, value):
                    layer.affine = value
            elif not np.array_equal(getattr(layer, key), value):
                setattr(layer, key, value)

    def _hide_others(self, run: Run) -> None:
        """Hide the layers of other images that lie on this one's."""
        own = self.find(run, NUCLEI)
        for (key, _), ref in self._known.items():
            layer = ref()
            if key != run.image.key and layer is not None and layer.visible and _meet(layer, own):
                layer.visible = False


class _flag:  # noqa: N801 - reads as a word
    """Mark changes as our own while they are made."""

    def __init__(self, layers: RunLayers) -> None:
        self._layers = layers

    def __enter__(self) -> None:
        self._layers._ours = True

    def __exit__(self, *_: object) -> None:
        self._layers._ours = False


def label_colormap(colors: Any) -> CyclicLabelColormap:
    """Make napari's colormap of a table of colours: no dictionary, nothing to compile."""
    return CyclicLabelColormap(colors, name="nuclei", background_value=0)


def _role_of(picture: MapPicture | None) -> str | None:
    return None if picture is None else DIRECTIONS if picture.view == "hv" else VALUES


def plane_of(layer: Labels) -> Int32:
    """Return the one plane of a Labels layer at full resolution, (H, W); a view of its data."""
    level = layer.data[0] if layer.multiscale else layer.data
    plane: Int32 = level.reshape(level.shape[-2:])
    return plane


def pyramid(data: Any, axes: tuple[int, int], edge: int = PYRAMID_EDGE) -> list[Any]:
    """Return views of two axes at 1, 1/2, 1/4 ... until the longest edge fits.

    Every level is a strided view: it costs no memory, and label ids stay label ids.
    """
    levels = [data]
    half = tuple(slice(None, None, 2) if i in axes else slice(None) for i in range(data.ndim))
    while max(levels[-1].shape[i] for i in axes) > edge:
        levels.append(levels[-1][half])
    return levels


def _fitted(data: Any, run: Run) -> tuple[Any, dict[str, Any]]:
    """Fit an array (H, W) or (H, W, 4) to the run's axes; large ones become pyramids."""
    plane = len(run.placement.plane)
    levels = pyramid(data[(None,) * plane], (plane, plane + 1))
    more = {"multiscale": len(levels) > 1}
    return (levels if len(levels) > 1 else levels[0]), more


def _takes(layer: Any, data: Any, more: Mapping[str, Any]) -> bool:
    """Whether a layer can take data: a pyramid just where it is one, of as many axes."""
    level = data[0] if more["multiscale"] else data
    own = layer.data[0] if layer.multiscale else layer.data
    fits = bool(layer.multiscale) == more["multiscale"] and own.ndim == level.ndim
    if isinstance(layer, Labels):  # the user may have exchanged it
        fits = fits and isinstance(own, np.ndarray) and own.flags.writeable
        fits = fits and own.dtype == level.dtype
    return fits


def _same(a: Any, b: Any) -> bool:
    return a is b or (a.shape == b.shape and bool(np.array_equal(a, b)))


def _meet(a: Layer, b: Layer | None) -> bool:
    """Whether two layers lie on each other."""
    if b is None:
        return True
    one, two = (x.extent.world[:, -2:] for x in (a, b))
    return bool((one[0] < two[1]).all() and (two[0] < one[1]).all())
