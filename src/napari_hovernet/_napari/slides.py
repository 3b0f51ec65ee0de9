"""A slide, or the store of its result, as layers; pixels are read when they come into view.

:class:`SlideView` is what moves with the camera: points of the nuclei in view, density where they
are too many, blocks that land while a run goes on (started anywhere), clicks on hot spots.
:class:`SlideRuns` has whole slides segmented, in a process beside the viewer.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from napari.layers import Image, Labels, Layer, Points
from napari.utils.colormaps import ensure_colormap
from qtpy.QtCore import QTimer

from napari import current_viewer

from ..app.slide_runs import process_steps, write_beside
from ..app.slides import ENDING, SlideJob, SlideOutcome
from ..core.inference.tiles import scaled_separation, working_scale
from ..core.io.far import Far
from ..core.params import SeparationParams
from ..core.slides.blocks import QC_CELL
from ..core.slides.finish import read_places
from ..core.slides.params import SlideParams
from ..core.slides.source import SlideSource, open_slide
from ..core.slides.store import BLOCKS, MAGNITUDE_STEPS, RUN, SlideStore, own_levels
from ..core.types import Progress
from ..core.weights import offered
from ..errors import InputError, UserError
from .jobs import Handlers, QtJob
from .layers import NucleiLayer, preferences
from .viewer import (
    LAYER,
    METADATA_KEY,
    SLIDE,
    bare_viewer,
    camera_of,
    canvas_size,
    drawn_polygons,
    on_click,
    seen_corners,
)
from .workspace import Workspace, workspace_for

MICROMETRES = ("micrometer", "micrometer")
SHOWN = {
    "np": ("NP", "gray", 255.0),
    "magnitude": ("HV magnitude, mean inside nuclei", "inferno", MAGNITUDE_STEPS),
    "magnitude_max": ("HV magnitude, largest", "inferno", MAGNITUDE_STEPS),
}
"""Pyramids: title, colours, and the value that is 1."""
MOST_AT_ONCE = 16_000_000
"""Pixels of the coarsest level of a slide that napari may read as a whole."""


@dataclass(frozen=True, eq=False)
class SlideLevel:
    """A level of a slide as a lazy (H, W, 3) array."""

    source: SlideSource
    ndim: int = 3

    @property
    def shape(self) -> tuple[int, int, int]:
        """Height, width, colours."""
        return (*self.source.shape, 3)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Kind of its values."""
        return np.dtype(np.uint8)

    @property
    def size(self) -> int:
        """Number of values."""
        return 3 * self.source.shape[0] * self.source.shape[1]

    def __array__(self, *_: Any, **__: Any) -> Any:
        """Read all of it: napari does so with coarse levels."""
        return self[:]

    def __getitem__(self, key: Any) -> Any:
        """Read what a slice touches; steps and single rows are taken from it."""
        given = key if isinstance(key, tuple) else (key,)
        keys = (*given, *(slice(None) for _ in range(3 - len(given))))
        box, rest = [], []
        for k, n in zip(keys[:2], self.shape, strict=False):
            if isinstance(k, slice):
                start, stop, step = k.indices(n)
                box.append((start, max(stop, start)))
                rest.append(slice(None, None, step))
            else:
                box.append((int(k), int(k) + 1))
                rest.append(0)
        (r0, r1), (c0, c1) = box
        if r1 <= r0 or c1 <= c0:
            return np.zeros((r1 - r0, c1 - c0, 3), np.uint8)[(*rest, keys[2])]
        return self.source.read(r0, r1, c0, c1)[(*rest, keys[2])]


def read_slide(path: Path | Far) -> list[LAYER]:
    """Return the layers of a store, and have them follow the viewer they are added to."""
    viewer = current_viewer()
    if viewer is not None:  # once napari has added them
        QTimer.singleShot(0, lambda: follow(bare_viewer(viewer), path))
    return read_layers(path)


def read_layers(path: Path | Far) -> list[LAYER]:
    """Return the slide (if it is still there), its maps, overviews and nuclei, lowest first."""
    store = SlideStore(str(path))
    run, group = store.run, store.group("r")
    name, mpp = run.source.name, run.source.mpp

    def look(part: str, title: str, cell: int = 1, **more: Any) -> dict[str, Any]:
        known = {"mpp": mpp, METADATA_KEY: {"slide": str(path), "part": part, "mpp": mpp}}
        shift = mpp * (cell - 1) / 2
        return {"name": f"{name} · {title}", "scale": (mpp * cell,) * 2, "units": MICROMETRES,
                "translate": (shift, shift), "metadata": known, **more}  # fmt: skip

    layers: list[LAYER] = []
    try:
        source = open_slide(run.source.path, run.source.level, mpp)
        about = look(SLIDE, "slide", rgb=True)
        about["metadata"][METADATA_KEY]["path"] = source.path
        layers.append(_pictured(_levels(source), about, "image"))
    except UserError:  # moved: its result can be looked at without it
        pass
    for key, (title, colours, one) in SHOWN.items():
        about = look(key, title, colormap=colours, contrast_limits=(0, one), blending="additive",
                     visible=not store.finished and key == "magnitude")  # fmt: skip
        layers.append(_pictured(_pyramid(store, group, key), about, "image"))
    if "qc" in group:
        for key in sorted(group["qc"]):
            values = group[f"qc/{key}/0"][:]
            high = float(values.max()) or 1.0
            title = f"{key.replace('_', ' ')} per 256 px"
            about = look(f"qc/{key}", title, QC_CELL, colormap="inferno", visible=False,
                         contrast_limits=(0.0, high), opacity=0.6)  # fmt: skip
            layers.append((values, about, "image"))
    labels = _pyramid(store, group, "labels")
    layers.append(_pictured(labels, look(LABELS, "nuclei", opacity=1.0), "labels"))
    return layers


def read_picture(path: Path | Far) -> list[LAYER]:
    """Return a slide itself, before anything was found on it."""
    source = open_slide(path, to_look=True)
    about: dict[str, Any] = {"path": str(path), "part": SLIDE}
    more: dict[str, Any] = {"name": source.name, "rgb": True, "metadata": {METADATA_KEY: about}}
    if source.mpp:
        about["mpp"] = more["metadata"]["mpp"] = source.mpp
        more.update(scale=(source.mpp,) * 2, units=MICROMETRES)
    return [_pictured(_levels(source), more, "image")]


def _levels(source: SlideSource) -> list[Any]:
    """Return a slide's level and those below it; a small one is made where there is none."""
    levels: list[Any] = [SlideLevel(replace(source, level=n, shape=source.levels[n]))
                         for n in range(source.level, len(source.levels))]  # fmt: skip
    step = int((np.prod(levels[-1].shape[:2]) / MOST_AT_ONCE) ** 0.5) + 1
    if step > 1:  # napari reads all of the last one
        last = levels[-1].source
        levels.append(replace(last, levels=()).overview(step))
    return levels


def _pictured(levels: list[Any], about: dict[str, Any], kind: str) -> LAYER:
    """Describe a pyramid; one of a single level is none to napari."""
    several = len(levels) > 1
    return (levels if several else levels[0], {**about, "multiscale": several}, kind)


def _pyramid(store: SlideStore, group: Any, name: str) -> list[Any]:
    """Return the levels, finest first; before the end only those that blocks write alone."""
    levels = sorted(group[name].array_keys(), key=int)
    alone = own_levels(store.run.recipe.slide_params.block, len(levels))
    return [group[f"{name}/{n}"] for n in (levels if store.finished else levels[:alone])]


# ---------------------------------------------------------------- what moves with the camera

LABELS, POINTS, DENSITY = "labels", "points", "qc/nuclei"
"""Parts of a slide's result, by which its layers are found."""
MOST_POINTS = 20_000
"""Nuclei in view beyond which their density is shown; without a GPU each takes 4 us to draw."""
AROUND = 0.5
"""Share of the view that is kept ready on each side, so that a small pan costs nothing."""
HOT_WINDOW = 3 * QC_CELL
"""Edge in pixels of what is flown to and computed again."""
SETTLED_MS, LANDED_MS, READING_MS = 150, 2000, 300
POINT_PX, DOT_PX = 9, 3
"""Width of a point, pixels of the slide: far off it is the nucleus, near it is in its outline."""

_VIEWS: WeakKeyDictionary[Any, dict[str, SlideView]] = WeakKeyDictionary()


def follow(viewer: Any, path: Path | Far) -> SlideView:
    """Return what moves with the camera for the layers of a store; made on the first call."""
    views = _VIEWS.setdefault(viewer, {})
    if str(path) not in views or views[str(path)].over:
        views[str(path)] = SlideView(viewer, path)
    return views[str(path)]


class SlideView:
    """Keeps the layers of a store fit for what is in view."""

    def __init__(self, viewer: Any, path: Path | Far) -> None:
        self._viewer_ref, self.path = weakref.ref(viewer), path
        self.store, self.over, self.landed = SlideStore(str(path)), False, -1
        self._places: Any = None
        self._ready: Any = None  # Box (r0, r1, c0, c1) of the points that are shown
        self._many: bool | None = None
        self._zoom, self._near = 0.0, False  # At the last look
        self._outline()
        self._settled, self._clock = QTimer(), QTimer()
        self._settled.setSingleShot(True)
        self._settled.timeout.connect(self.look)
        self._clock.timeout.connect(self.watch)
        for event in (camera_of(viewer).events.center, camera_of(viewer).events.zoom):
            event.connect(self._moved)
        self._click = on_click(self._clicked)
        viewer.mouse_drag_callbacks.append(self._click)
        viewer.layers.events.removed.connect(self._removed)
        if not self.store.finished:
            self._clock.start(LANDED_MS)
            self.watch()
        self.look()

    def layer(self, part: str) -> Any:
        """Return the layer of a part, None if there is none."""
        viewer, wanted = self._viewer_ref(), {"slide": str(self.path), "part": part}
        layers = () if viewer is None else viewer.layers
        known = ((x, x.metadata.get(METADATA_KEY, {})) for x in layers)
        return next((x for x, k in known if wanted.items() <= k.items()), None)

    def _outline(self) -> None:
        """Draw nuclei as those of images are; a reader can give napari's own class alone."""
        if isinstance(layer := self.layer(LABELS), Labels):
            layer.__class__ = NucleiLayer
            layer.contour = preferences().contour

    def _moved(self, _event: Any = None) -> None:
        viewer = self._viewer_ref()
        if viewer is not None and self._ready and camera_of(viewer).zoom == self._zoom:
            self.look()  # now, so that the move and other points are drawn together
        else:
            self._settled.start(SETTLED_MS)

    def _removed(self, _event: Any = None) -> None:
        """Stop when the nuclei are gone: the user has closed the slide."""
        if self.layer(LABELS) is None and not self.over:
            self.over = True
            self._settled.stop()
            self._clock.stop()
            viewer = self._viewer_ref()
            if viewer is not None and self._click in viewer.mouse_drag_callbacks:
                viewer.mouse_drag_callbacks.remove(self._click)

    # -------------------------------------------------------- a run that goes on

    def watch(self) -> None:
        """Show blocks that have landed since, and the whole result at its end."""
        if self.store.finished:
            if self._clock.isActive():  # else the whole is there already
                self._clock.stop()
                self._renew()
            return
        files = (self.store.folder / BLOCKS).iterdir()
        landed = sum(file.name.endswith(".json") for file in files)
        labels = self.layer(LABELS)
        if landed == self.landed or labels is None:
            return
        self.landed = landed
        name = self.store.run.source.name
        labels.name = f"{name} · nuclei: {landed} of {len(self.store.blocks)} blocks done"
        for part in SHOWN:
            if (layer := self.layer(part)) is not None:
                layer.refresh()

    def _renew(self) -> None:
        viewer = self._viewer_ref()
        if viewer is None:
            return
        chosen = viewer.layers.selection.active
        for data, about, kind in read_layers(self.path):
            part = about["metadata"][METADATA_KEY]["part"]
            if part != SLIDE:
                old, new = self.layer(part), Layer.create(data, about, kind)
                viewer.add_layer(new)
                if old is not None:
                    viewer.layers.remove(old)
                    new.name = about["name"]  # while both were there it had a number
        viewer.layers.selection.active = chosen if chosen in viewer.layers else None
        self._ready = self._many = None
        self._outline()
        self.look()

    # -------------------------------------------------------- points and density

    def look(self) -> None:
        """Show the nuclei in view as points if they are few, else their density."""
        viewer = self._viewer_ref()
        if self.over or viewer is None or not self.store.finished:
            return
        if self._places is None:
            self._places = read_places(self.store)
        self._zoom = camera_of(viewer).zoom
        near = self._zoom * self.store.run.source.mpp >= 1  # a pixel is one on the screen, or more
        if near != self._near and (layer := self.layer(POINTS)) is not None:
            layer.current_size = layer.size = DOT_PX if near else POINT_PX
        self._near = near
        corners = seen_corners(viewer) / self.store.run.source.mpp
        low, high = corners.min(axis=0), corners.max(axis=0)
        ready = self._ready
        if ready is not None and (ready[0] <= low).all() and (high <= ready[1]).all():
            return
        here = self._within(low, high)
        many = int(here.sum()) > MOST_POINTS
        self._ready = None
        if not many:
            more = (high - low) * AROUND
            wide = self._within(low - more, high + more)
            if int(wide.sum()) <= MOST_POINTS:
                here, low, high = wide, low - more, high + more
            self._ready = (low, high)
        self._show(viewer, self._places[here] if not many else self._places[:0])
        if many != self._many:  # only then: what the user hides stays hidden
            self._many = many
            for part, wanted in ((DENSITY, many), (LABELS, not many)):
                if (layer := self.layer(part)) is not None:
                    layer.visible = wanted

    def _within(self, low: Any, high: Any) -> Any:
        x, y = self._places[:, 0], self._places[:, 1]
        return (y >= low[0]) & (y < high[0]) & (x >= low[1]) & (x < high[1])

    def _show(self, viewer: Any, places: Any) -> None:
        layer, run = self.layer(POINTS), self.store.run
        if not len(places) and (layer is None or not len(layer.data)):
            return
        colours = ensure_colormap("viridis").map(places[:, 2])
        if layer is not None:
            if not len(places):
                layer.data = places[:, 1::-1]
                return
            with layer.events.set_data.blocker(), layer.events.face_color.blocker():
                layer.data = places[:, 1::-1]
                layer.face_color = colours  # now all is drawn, once
            return
        known = {"slide": str(self.path), "part": POINTS, "mpp": run.source.mpp}
        active = viewer.layers.selection.active
        about = {
            "name": f"{run.source.name} · nuclei in view by HV magnitude",
            "size": DOT_PX if self._near else POINT_PX, "border_width": 0, "antialiasing": 0,
            "scale": (run.source.mpp,) * 2, "units": MICROMETRES, "metadata": {METADATA_KEY: known},
        }  # fmt: skip
        viewer.add_layer(Points(places[:, 1::-1], face_color=colours, **about))
        viewer.layers.selection.active = active

    # -------------------------------------------------------- hot spots

    def _clicked(self, position: Any) -> None:
        viewer = self._viewer_ref()
        active = None if viewer is None else viewer.layers.selection.active
        known = {} if active is None else active.metadata.get(METADATA_KEY, {})
        if known.get("slide") == str(self.path) and known.get("part", "").startswith("qc/"):
            self.fly_to_hot_spot(active, position)

    def fly_to_hot_spot(self, layer: Any, position: Any) -> None:
        """Fly to the hottest of the cells around a click, and compute that window again."""
        viewer, values = self._viewer_ref(), np.asarray(layer.data)
        row, col = (int(i) for i in np.rint(layer.world_to_data(position)[-2:]))
        if viewer is None or not (0 <= row < values.shape[0] and 0 <= col < values.shape[1]):
            return
        top, left = max(row - 1, 0), max(col - 1, 0)
        around = values[top : row + 2, left : col + 2]
        r, c = np.unravel_index(int(around.argmax()), around.shape)
        mpp = self.store.run.source.mpp
        camera = camera_of(viewer)
        middle = [(first + i + 0.5) * QC_CELL * mpp for first, i in ((top, r), (left, c))]
        camera.center = (*camera.center[:-2], *middle)
        camera.zoom = float(min(canvas_size(viewer)) / (HOT_WINDOW * mpp))
        layer.visible = False  # it would cover what one came to see
        self._compute(viewer)

    def _compute(self, viewer: Any, waits: int = 30) -> None:
        """Run the slide's model on what is in view, for the tabs to work on."""
        work, slide, run = workspace_for(viewer), self.layer(SLIDE), self.store.run
        if slide is None:
            work.say("The slide is not where it was: only its stored result is shown.", "warn")
            return
        session = work.session
        known = run.model in offered() or Path(run.model).is_file()
        if known and session.model.source != run.model:
            work.choose_model(run.model, remember=False)
        if session.model.reading and waits:
            QTimer.singleShot(READING_MS, lambda: self._compute(viewer, waits - 1))
            return
        work.choose_image(slide)
        session.set_options(replace(session.options, region="view"))
        try:
            work.run()
        except UserError as error:
            work.say(str(error), "bad")


# ---------------------------------------------------------------- whole slides

_RUNS: WeakKeyDictionary[Workspace, SlideRuns] = WeakKeyDictionary()


def slide_runs(work: Workspace) -> SlideRuns:
    """Return what segments whole slides for a viewer; made on the first call."""
    if work not in _RUNS:
        _RUNS[work] = SlideRuns(work)
    return _RUNS[work]


def slide_path(layer: Any) -> str:
    """Return the file of a slide or colour image, however it was opened; "" for other layers."""
    known = {} if layer is None else layer.metadata.get(METADATA_KEY, {})
    if known.get("part") == SLIDE:
        return str(known.get("path", ""))
    own = layer is not None and layer.rgb and layer.ndim == 2 and not known
    return str(layer.source.path or "") if own else ""


class SlideRuns:
    """Segments a whole slide in a process of its own; its blocks show as they land."""

    def __init__(self, work: Workspace) -> None:
        self._work_ref = weakref.ref(work)
        self._job: QtJob | None = None
        self._shown = ""

    @property
    def busy(self) -> bool:
        """Whether a slide is under way that was started here."""
        return self._job is not None

    def open(self, path: Path) -> None:
        """Open a slide of any kind, or a result, on the viewer."""
        work = self._work_ref()
        if work is None:
            return
        stored = (path / RUN).is_file()
        for data, about, kind in read_layers(path) if stored else read_picture(path):
            work.viewer.add_layer(Layer.create(data, about, kind))
        if stored:
            follow(work.viewer, path)

    def start(self, layer: Image, folder: Path) -> None:
        """Segment all of a slide, or what is drawn on it; UserError if that cannot be begun."""
        work = self._work_ref()
        if work is None or self._job is not None:
            return
        job = slide_job(work, layer, folder)
        output, self._shown = Path(job.output), ""

        def progress(step: Progress) -> None:
            work.say(f"{output.name}: {step.message}")
            if not self._shown and (output / RUN).is_file():
                self._shown = str(output)
                work.attempt(lambda: self._show(work, layer, output))

        def over(text: str, tone: str) -> None:
            self._job = None
            work.say(text, tone)

        def done(found: SlideOutcome) -> None:
            work.attempt(lambda: self._show(work, layer, output))
            follow(work.viewer, output).watch()
            failed = f"; {len(found.failed)} blocks failed: start it again" if found.failed else ""
            told = f"{output.name}: {found.summary['nuclei']:,} nuclei{failed}."
            over(told, "warn" if failed else "good")

        handlers = Handlers(
            done, lambda error: over(str(error), "bad"), progress,
            lambda: over(f"{output.name} was stopped; the same again goes on there.", ""),
        )  # fmt: skip
        steps = lambda: process_steps(job, lambda: work.closed)  # noqa: E731
        self._job = work.runner.start("Segmenting a slide", steps, handlers)
        work.say(f"{output.name}: starting ...")

    def stop(self) -> None:
        """End the run; what is done stays."""
        if self._job is not None:
            self._job.cancel()

    def _show(self, work: Workspace, layer: Image, output: Path) -> None:
        """Add the layers of the result above the slide, if it lies there as the result does."""
        viewer, known = work.viewer, layer.metadata.get(METADATA_KEY, {})
        mpp = SlideStore(str(output)).run.source.mpp
        there = layer in viewer.layers and (known.get("part"), known.get("mpp")) == (SLIDE, mpp)
        if any(x.metadata.get(METADATA_KEY, {}).get("slide") == str(output) for x in viewer.layers):
            return
        chosen = viewer.layers.selection.active
        for data, about, kind in read_layers(output):
            part = about["metadata"][METADATA_KEY]["part"]
            if part != SLIDE or not there:
                viewer.add_layer(Layer.create(data, about, kind))
        if there:
            known["slide"] = str(output)
        viewer.layers.selection.active = chosen
        follow(viewer, output)


def slide_job(work: Workspace, layer: Image, folder: Path) -> SlideJob:
    """Put together what the form says; nuclei of this slide that were tuned set the separation."""
    options, info = work.session.options, work.session.model.info
    path, run = slide_path(layer), work.study.run
    if not path:
        raise InputError(f"{layer.name!r} does not come from a file: save it, and open the file.")
    if why := work.session.model.error:
        raise InputError(why)
    inference = options.inference
    source = open_slide(path, mpp=inference.image_mpp)  # says what is missing
    separation = SeparationParams.preset(options.separation)
    if run is not None and run.image.key == id(layer) and work.study.cut_with and info:
        scale = working_scale(info, inference)
        separation = scaled_separation(work.study.cut_with, 1 / scale)
    output = folder / f"{source.name}{ENDING}"
    params = SlideParams()
    if max(source.shape) <= 2 * params.block:  # else there is nothing to see until the end
        params = replace(params, block=params.block // 4)
    if options.region == "shapes":
        rings = drawn_polygons(layer, work.viewer.layers)
        areas = [{"type": "Feature", "properties": {"objectType": "annotation"}, "geometry":
                  {"type": "Polygon", "coordinates": [[*r, r[0]]]}} for r in rings]  # fmt: skip
        drawn = {"type": "FeatureCollection", "features": areas}
        params = replace(params, mask=str(write_beside(output, ".region.geojson", drawn)))
    return SlideJob(
        (path,), output, work.session.model.source, options.device, inference, separation, params,
        types=work.types_file,
    )  # fmt: skip
