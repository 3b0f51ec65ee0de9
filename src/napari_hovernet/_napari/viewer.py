"""A viewer as this program sees it: camera, images that can be segmented, regions, places, keys."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer, Shapes
from napari.utils.key_bindings import coerce_keybinding
from napari.utils.transforms import Affine

from ..app.session import ImageChoice, Run
from ..errors import InputError

if TYPE_CHECKING:
    from napari.components import ViewerModel

LAYER = tuple[Any, dict[str, Any], str]
"""A layer as napari takes it from readers: data, keywords, kind."""
METADATA_KEY = "napari_hovernet"
"""Key under which layers carry what this plugin knows of them."""
SLIDE = "slide"
"""Part of a slide's result that is the slide itself, under "part" there."""
MPP_LIMITS = (0.02, 20.0)
"""Micrometres per pixel taken for a microscope's; a scale outside is no mpp."""
SMALLEST_EDGE = 32
"""Pixels an image or a region must have on each side: fewer hold no nucleus with its rim."""
LARGEST_WHOLE = 400_000_000
"""Pixels up to which a whole layer is segmented; the maps of more do not fit the memory."""
COLOURS = (3, 4)
"""Lengths of an axis that may be one of colours."""
FLY_MARGIN = 0.35
"""Share of the canvas left around a box that is flown to."""
SMALLEST_BOX = 96
"""Edge in pixels of what is shown at least when flying to a small box."""
CLICK_PX = 4
"""Screen pixels the mouse may move between press and release of a click."""
LEFT_BUTTON = 1
_NOT_SAID = ("pixel", "dimensionless", "")
Box = tuple[int, int, int, int]
"""Rows r0..r1 and columns c0..c1 of an array, half open: (r0, r1, c0, c1)."""


SQUARE = 0.01
"""Relative difference of a pixel's height and width that is rounding."""


def bare_viewer(viewer: Any) -> Any:
    """Return the viewer behind the proxy that napari hands to plugins."""
    return getattr(viewer, "__wrapped__", viewer)


# ---------------------------------------------------------------- camera, grid, canvas


def camera_of(viewer: ViewerModel) -> Any:
    """Return the camera: ``viewer.scene.camera`` from napari 0.9 on, else ``viewer.camera``."""
    scene = getattr(viewer, "scene", None)
    return viewer.camera if scene is None else scene.camera


def canvas_size(viewer: ViewerModel) -> tuple[int, int]:
    """Height and width of the canvas in screen pixels; of one cell where the grid is on."""
    canvas = getattr(viewer, "canvas", None)
    if canvas is not None:
        height, width = canvas.viewbox_size(viewer.layers)
        return int(height), int(width)
    height, width = viewer._canvas_size
    if not viewer.grid.enabled:
        return int(height), int(width)
    rows, columns = viewer.grid.actual_shape(len(viewer.layers))
    return int(height // rows), int(width // columns)


def keep_camera(viewer: ViewerModel) -> Callable[[], None]:
    """Remember where the camera is; what is returned brings it back there."""
    camera = camera_of(viewer)
    center, zoom, angles = tuple(camera.center), float(camera.zoom), tuple(camera.angles)

    def restore() -> None:
        camera.center, camera.zoom, camera.angles = center, zoom, angles

    return restore


# ---------------------------------------------------------------- images that can be segmented


@dataclass(frozen=True, eq=False)
class Placement:
    """Where layers made from a plane (or a box in it) lie in the viewer."""

    plane: tuple[int, ...] = ()  # Index of the plane on the axes before the last two
    keywords: dict[str, Any] = field(default_factory=dict)  # scale, rotate, shear, affine, units
    translate: tuple[float, ...] = (0.0, 0.0)

    def at(self, row: float, col: float) -> dict[str, Any]:
        """Return layer keywords that put data pixel (0, 0) onto the plane's (row, col)."""
        k = self.keywords
        inner = Affine(
            scale=k["scale"], rotate=k["rotate"], shear=k["shear"], translate=self.translate
        )
        return {**k, "translate": tuple(float(x) for x in inner((*self.plane, row, col)))}


def placement(layer: Image, step: Sequence[int]) -> Placement:
    """Return where results of the plane in view belong."""
    keywords = {
        "scale": tuple(float(s) for s in layer.scale),
        "rotate": np.asarray(layer.rotate),
        "shear": np.asarray(layer.shear),
        "affine": np.asarray(layer.affine.affine_matrix),
        **units_of(layer),
    }
    return Placement(plane_index(layer, step), keywords, tuple(float(t) for t in layer.translate))


def segmentable(layer: Layer) -> bool:
    """Whether a layer is an image and none of this plugin's own maps, of a run or of a slide."""
    known = layer.metadata.get(METADATA_KEY, {})
    return isinstance(layer, Image) and "run" not in known and known.get("part", SLIDE) == SLIDE


def holds_labels(layer: Layer, run: Run) -> bool:
    """Whether a layer holds whole numbers, is none of ours, and not the image itself."""
    if "run" in layer.metadata.get(METADATA_KEY, {}) or id(layer) == run.image.key:
        return False
    if isinstance(layer, Image):
        return not layer.rgb and np.dtype(full_data(layer).dtype).kind in "iub"
    return isinstance(layer, Labels)


def full_data(layer: Image) -> Any:
    """Return the data at full resolution: level 0 of a pyramid."""
    return layer.data[0] if layer.multiscale else layer.data


def image_shape(layer: Image) -> tuple[int, int]:
    """Height and width of a layer's full-resolution plane."""
    shape = full_data(layer).shape
    height, width = shape[-3:-1] if layer.rgb else shape[-2:]
    return int(height), int(width)


def plane_index(layer: Image, step: Sequence[int]) -> tuple[int, ...]:
    """Return the index of the plane in view on the axes before the last two."""
    extra = layer.ndim - 2
    if extra <= 0:
        return ()
    shape = full_data(layer).shape[:extra]
    own = tuple(step)[-layer.ndim :][:extra]
    return tuple(int(min(max(i, 0), n - 1)) for i, n in zip(own, shape, strict=True))


def plane_data(layer: Image, step: Sequence[int]) -> Any:
    """Return the plane in view, (H, W) or (H, W, 3 or 4), as lazy as the layer's data."""
    data = full_data(layer)
    index = plane_index(layer, step)
    return data[index] if index else data


def choice(layer: Image, step: Sequence[int], others: Sequence[Layer] = ()) -> ImageChoice:
    """Describe an image layer for the session: what it is, or why not and what can be done."""
    error, offer = _unfit(layer, others)
    mpp, source = layer_mpp(layer)
    return ImageChoice(
        key=id(layer),
        name=layer.name,
        description=error or describe(layer, step),
        mpp=mpp,
        mpp_source=source,
        error=error,
        offer=offer,
    )


def describe(layer: Image, step: Sequence[int]) -> str:
    """Return size and kind in words: "1,000 x 1,000 px, RGB, uint8"."""
    data = full_data(layer)
    channels = data.shape[-1] if layer.rgb else 1
    kind = {1: "grey", 3: "RGB", 4: "RGBA"}.get(channels, f"{channels} channels")
    height, width = image_shape(layer)
    parts = [f"{width:,} x {height:,} px", kind, str(data.dtype)]
    if layer.multiscale:
        parts.append(f"{len(layer.data)} levels")
    index = plane_index(layer, step)
    if index:
        counts = zip(index, data.shape, strict=False)
        parts.append("plane " + ", ".join(f"{i + 1} of {n}" for i, n in counts))
    return ", ".join(parts)


def _unfit(layer: Image, others: Sequence[Layer]) -> tuple[str, str]:
    """Say why a layer cannot be segmented and what is offered, ("", "") if it can."""
    data, name = full_data(layer), layer.name
    kind, words, offer = np.dtype(data.dtype).kind, "", ""
    if 0 in data.shape or data.ndim < 2:
        words = f"{name!r} has shape {tuple(data.shape)}: choose an image."
    elif kind not in "uifb":
        words = f"{name!r} holds {data.dtype} values: convert it to 8-bit RGB first."
    elif colour_axis(layer) is not None:
        words, offer = f"{name!r} looks like one colour image, {_by(data.shape)}.", "Take as RGB"
    elif min(image_shape(layer)) < SMALLEST_EDGE:
        words = f"{name!r} is {_by(image_shape(layer))} px; it takes {SMALLEST_EDGE} on each side."
    elif not layer.rgb and three_channels(layer, others):
        words, offer = f"{name!r} is one of three channels of an image.", "Merge as RGB"
    elif kind == "f" and _has_nan(layer):
        words = f"{name!r} holds NaN: replace them first (numpy.nan_to_num)."
    return words, offer


def _by(shape: Sequence[int]) -> str:
    return " x ".join(f"{n:,}" for n in shape)


def _has_nan(layer: Image) -> bool:
    """Look at the coarsest level, or every 16th pixel: a first look, the run reads them all."""
    data = layer.data[-1] if layer.multiscale else layer.data
    if not isinstance(data, np.ndarray):
        return False  # lazy: reading it here would load it
    step = 1 if layer.multiscale else max(1, min(data.shape[-2:]) // 256)
    return bool(np.isnan(data[..., ::step, ::step].min()))


def colour_axis(layer: Image) -> int | None:
    """Return which axis of a layer that is not RGB holds colours: (3, H, W) or (H, W, 3)."""
    shape = full_data(layer).shape
    if layer.rgb or len(shape) != 3:
        return None
    if shape[-1] in COLOURS and min(shape[:2]) >= SMALLEST_EDGE:
        return 2
    if shape[0] in COLOURS and min(shape[1:]) >= SMALLEST_EDGE:
        return 0
    return None


def three_channels(layer: Image, others: Sequence[Layer]) -> tuple[Image, ...]:
    """Return three grey layers that lie on each other in red, green and blue; () if none do."""

    def fits(x: Layer) -> bool:
        return (
            segmentable(x) and not x.rgb and x.ndim == 2 and not x.multiscale
            and x.data.shape == layer.data.shape and np.allclose(x.scale, layer.scale)
            and np.allclose(x.translate, layer.translate)
        )  # fmt: skip

    if layer.multiscale or layer.ndim != 2:
        return ()
    found = {x.colormap.name: x for x in others if isinstance(x, Image) and fits(x)}
    if set(found) != {"red", "green", "blue"}:
        return ()
    return found["red"], found["green"], found["blue"]


def units_of(layer: Layer, axes: Sequence[int] | None = None) -> dict[str, Any]:
    """Return the units of a layer (of some axes) as a keyword; napari warns of mixed ones."""
    units = getattr(layer, "units", None)  # from napari 0.6 on
    if units is None:
        return {}
    return {"units": tuple(units) if axes is None else tuple(units[i] for i in axes)}


def as_rgb(layer: Image, others: Sequence[Layer]) -> Image:
    """Make an RGB layer of one whose colours lie on an axis, or of three channels."""
    axis = colour_axis(layer)
    if axis is None:
        data, drop = np.dstack([x.data for x in three_channels(layer, others)]), 3
    else:
        data, drop = np.moveaxis(np.asarray(full_data(layer)), axis, -1), axis
    keep = [i for i in range(layer.ndim) if i != drop]
    return Image(
        data,
        rgb=True,
        name=f"{layer.name} RGB",
        scale=np.asarray(layer.scale)[keep],
        translate=np.asarray(layer.translate)[keep],
        metadata=dict(layer.metadata),
        **units_of(layer, keep),
    )


def layer_mpp(layer: Layer) -> tuple[float | None, str]:
    """Return micrometres per pixel and where they come from; (None, why) if not known.

    In this order: ``layer.metadata["mpp"]``; scale in a unit of length; a scale other
    than 1 without a unit, taken for micrometres.
    """
    noted = layer.metadata.get("mpp")
    if isinstance(noted, int | float) and MPP_LIMITS[0] <= noted <= MPP_LIMITS[1]:
        return float(noted), "layer metadata"
    tall, scale = _pixel_sides(layer)
    if abs(tall - scale) > SQUARE * scale:
        return None, f"not known: the layer's pixels are {scale:.4g} x {tall:.4g}, not square"
    unit = getattr(layer, "units", (None,))[-1]
    name = "" if unit is None else str(unit)
    if name not in _NOT_SAID:
        return _in_range(scale * _micrometres(unit), f"layer scale in {name}")
    if scale == 1.0:
        return None, "not known: the layer has no scale"
    return _in_range(scale, "layer scale, taken for µm")


def _pixel_sides(layer: Layer) -> tuple[float, float]:
    """Height and width of a pixel in the world: by scale and affine, however it is turned."""
    inner = Affine(scale=layer.scale, rotate=layer.rotate, shear=layer.shear).linear_matrix
    sides = np.linalg.norm(np.asarray(layer.affine.linear_matrix) @ inner, axis=0)
    return float(sides[-2]), float(sides[-1])


def _micrometres(unit: Any) -> float:
    """Return how many micrometres one unit of length is, 0 for other quantities."""
    try:
        return float((1 * unit).to("micrometer").magnitude)
    except (AttributeError, TypeError, ValueError):
        return 0.0


def _in_range(mpp: float, source: str) -> tuple[float | None, str]:
    if MPP_LIMITS[0] <= mpp <= MPP_LIMITS[1]:
        return mpp, source
    return None, f"not known: {source} gives {mpp:g} µm"


# ---------------------------------------------------------------- regions of an image


def box_for(region: str, layer: Image, viewer: ViewerModel) -> Box | None:
    """Return the box a region stands for, None for the whole layer; slivers are refused."""
    height, width = image_shape(layer)
    if region == "layer":
        if height * width > LARGEST_WHOLE:
            raise InputError(
                f"{layer.name!r} is a slide of {_by((width, height))} px: choose 'What is in "
                "view' or draw a rectangle; 'Several images' below segments all of it."
            )
        return None
    box = drawn_box(layer, viewer.layers) if region == "shapes" else seen_box(layer, viewer)
    r0, r1, c0, c1 = box
    if min(r1 - r0, c1 - c0) < SMALLEST_EDGE:
        raise InputError(
            f"The region is {c1 - c0} x {r1 - r0} px; it takes {SMALLEST_EDGE} on each side."
        )
    return box


def clip_box(points: Any, shape: tuple[int, int]) -> Box | None:
    """Return the pixels that (row, col) points span inside an image, None if there are none.

    Pixel i covers i - 0.5 .. i + 0.5, as napari draws it.
    """
    points = np.asarray(points, dtype=float)
    low = np.floor(points.min(axis=0) + 0.5).astype(int)
    high = np.ceil(points.max(axis=0) + 0.5).astype(int)
    r0, c0 = (int(x) for x in np.maximum(low, 0))
    r1, c1 = (int(min(x, n)) for x, n in zip(high, shape, strict=True))
    return (r0, r1, c0, c1) if r1 > r0 and c1 > c0 else None


def seen_box(layer: Image, viewer: ViewerModel) -> Box:
    """Return the part of a layer that is really in view: by the camera, not by what is drawn."""
    corners = seen_corners(viewer)
    extra = layer.ndim - 2
    points = [layer.world_to_data((*np.zeros(extra), *corner))[-2:] for corner in corners]
    box = clip_box(points, image_shape(layer))
    if box is None:
        raise InputError(
            f"No part of {layer.name!r} is in view: move the camera, or choose the whole image."
        )
    return box


def seen_corners(viewer: ViewerModel) -> Any:
    """Return the corners of the canvas in world coordinates (row, col), (4, 2)."""
    size = np.asarray(canvas_size(viewer), float) / camera_of(viewer).zoom
    middle = np.asarray(camera_of(viewer).center, float)[-2:]
    return middle + size * np.array([[-0.5, -0.5], [-0.5, 0.5], [0.5, -0.5], [0.5, 0.5]])


def drawn_polygons(layer: Image, layers: Sequence[Layer]) -> list[list[list[float]]]:
    """Return the selected shapes, or all of the topmost visible Shapes layer: (x, y) in pixels."""
    shapes = next(
        (x for x in reversed(layers) if isinstance(x, Shapes) and x.visible and len(x.data)), None
    )
    if shapes is None:
        raise InputError("No rectangle is drawn: press 'Draw', then drag one over the image.")
    chosen = sorted(shapes.selected_data) or range(len(shapes.data))
    found = []
    for i in chosen:
        world = (shapes.data_to_world(vertex) for vertex in shapes.data[i])
        points = [layer.world_to_data(_pad(point, layer.ndim)) for point in world]
        found.append([[float(p[-1]), float(p[-2])] for p in points])
    return found


def drawn_box(layer: Image, layers: Sequence[Layer]) -> Box:
    """Return the box around what is drawn."""
    points = [point[::-1] for ring in drawn_polygons(layer, layers) for point in ring]
    box = clip_box(points, image_shape(layer))
    if box is None:
        raise InputError(f"What is drawn lies outside {layer.name!r}: draw it on the image.")
    return box


def _pad(point: Any, ndim: int) -> tuple[float, ...]:
    """Fit a world position to a layer of another dimensionality (last axes are shared)."""
    values = tuple(float(x) for x in point)
    return (0.0,) * max(0, ndim - len(values)) + values[-ndim:]


# ---------------------------------------------------------------- where a run lies


def transforms(run: Run) -> tuple[Affine, Affine]:
    """Return what takes a pixel of the run's arrays to the world: inner first, then outer."""
    k = run.placement.at(*run.result.offset)
    inner = Affine(scale=k["scale"], rotate=k["rotate"], shear=k["shear"], translate=k["translate"])
    return inner, Affine(affine_matrix=np.asarray(k["affine"]))


def to_world(run: Run, row: float, col: float) -> tuple[float, ...]:
    """Return the world position of a pixel of the run's arrays."""
    inner, outer = transforms(run)
    plane = (0.0,) * len(run.placement.plane)
    return tuple(float(x) for x in outer(inner((*plane, row, col))))


def to_pixel(run: Run, position: Any) -> tuple[int, int] | None:
    """Return row and column of the run's arrays at a world position, None outside."""
    inner, outer = transforms(run)
    plane = len(run.placement.plane)
    point = np.asarray(position, float)[-(plane + 2) :]
    if len(point) < plane + 2:
        return None
    found = np.rint(inner.inverse(outer.inverse(point))).astype(int)
    row, col = (int(x) for x in found[-2:])
    height, width = run.result.labels.shape
    inside = 0 <= row < height and 0 <= col < width and not found[:-2].any()
    return (row, col) if inside else None


def view_box(run: Run, viewer: ViewerModel) -> Box | None:
    """Return what is in view of the run's arrays, None for nothing of them, or in 3-D."""
    if viewer.dims.ndisplay != 2:
        return None
    origin, down, right = (
        np.asarray(to_world(run, *pixel))[-2:] for pixel in ((0, 0), (1, 0), (0, 1))
    )
    basis = np.stack((down - origin, right - origin), axis=1)
    pixels = np.linalg.solve(basis, (seen_corners(viewer) - origin).T).T
    return clip_box(pixels, run.result.labels.shape)


def origin_of(layer: Layer, run: Run) -> tuple[int, int]:
    """Return the pixel of the whole image at which a layer of the same scale begins."""
    if not np.allclose(np.abs(layer.scale[-2:]), np.abs(run.placement.keywords["scale"][-2:])):
        return 0, 0
    inner, outer = transforms(run)
    world = np.zeros(len(run.placement.plane) + 2)
    own = np.asarray(layer.data_to_world((0.0,) * layer.ndim))[-len(world) :]
    world[-len(own) :] = own
    at = np.rint(inner.inverse(outer.inverse(world))[-2:] + run.result.offset).astype(int)
    return int(at[0]), int(at[1])


def fly_to(viewer: ViewerModel, run: Run, box: tuple[float, float, float, float]) -> None:
    """Bring a box (r0, r1, c0, c1), in pixels of the run's arrays, to the middle."""
    r0, r1, c0, c1 = box
    centre = to_world(run, (r0 + r1 - 1) / 2, (c0 + c1 - 1) / 2)
    corner = to_world(run, (r0 + r1 + 1) / 2, (c0 + c1 + 1) / 2)
    pixel = np.abs(np.subtract(corner, centre))[-2:].max() or 1.0
    for axis, value in enumerate(centre[:-2]):
        viewer.dims.set_point(viewer.dims.ndim - len(centre) + axis, value)
    camera = camera_of(viewer)
    camera.center = (*camera.center[:-2], *centre[-2:])
    extent = np.array([max(r1 - r0, SMALLEST_BOX), max(c1 - c0, SMALLEST_BOX)]) * pixel
    size = np.asarray(canvas_size(viewer), float)
    camera.zoom = float((1 - FLY_MARGIN) * (size / extent).min())


# ---------------------------------------------------------------- clicks and keys


def on_click(clicked: Callable[[Any], None]) -> Callable[[Any, Any], Iterator[None]]:
    """Make a mouse callback that calls ``clicked(world position)`` for a plain left click.

    A drag is none, nor is a click with a modifier, nor one in a mode of the selected layer
    that paints, picks or edits.
    """

    def callback(viewer: Any, event: Any) -> Iterator[None]:
        if event.button != LEFT_BUTTON or event.modifiers or viewer.dims.ndisplay != 2:
            return
        active = viewer.layers.selection.active
        if active is not None and str(active.mode) != "pan_zoom":
            return
        start, position = np.array(event.pos, float), tuple(event.position)
        yield
        while event.type == "mouse_move":
            if np.abs(np.asarray(event.pos, float) - start).max() > CLICK_PX:
                return
            yield
        clicked(position)

    return callback


class Keys:
    """Keys of a viewer and of its images, bound from :meth:`acquire` to :meth:`release`.

    A selected image has keys of its own for the same digits (pan, transform), so it is bound too;
    a selected Labels layer keeps its brushes.
    """

    def __init__(self, viewer: ViewerModel, actions: Mapping[str, Callable[[], None]]) -> None:
        self._viewer_ref = weakref.ref(viewer)
        self._actions = {key: _taking_one(action) for key, action in actions.items()}
        self._bound: list[tuple[Any, str]] = []

    def acquire(self) -> None:
        """Bind the keys; those that somebody has bound already are theirs."""
        viewer = self._viewer_ref()
        if viewer is None or self._bound:
            return
        self._bind(viewer)
        for layer in viewer.layers:
            self._bind_layer(layer)
        viewer.layers.events.inserted.connect(self._inserted)

    def release(self) -> None:
        """Let the keys go; one bound anew by others meanwhile is theirs."""
        viewer = self._viewer_ref()
        if viewer is not None and self._bound:
            viewer.layers.events.inserted.disconnect(self._inserted)
        for ref, key in self._bound:
            owner = ref()
            if owner is not None and owner.keymap.get(coerce_keybinding(key)) is self._actions[key]:
                owner.bind_key(key, None)
        self._bound = []

    def _inserted(self, event: Any) -> None:
        self._bind_layer(event.value)

    def _bind_layer(self, layer: Layer) -> None:
        if isinstance(layer, Image):
            self._bind(layer)

    def _bind(self, owner: Any) -> None:
        for key, action in self._actions.items():
            if coerce_keybinding(key) not in owner.keymap:
                owner.bind_key(key, action)
                self._bound.append((weakref.ref(owner), key))


def _taking_one(action: Callable[[], None]) -> Callable[[Any], None]:
    return lambda _owner: action()
