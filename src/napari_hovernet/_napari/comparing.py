"""Which truth a run is compared with: found, followed while it is edited, told of when it goes."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from napari.layers import Labels, Layer
from psygnal import Signal
from qtpy.QtCore import QTimer

from ..app.study import Given, TruthChoice, TruthSource, file_source, target_of, truth_steps
from ..errors import InputError, UserError
from .desk import Desk, desk_for
from .error_tour import ErrorTour
from .images import METADATA_KEY
from .latest import Latest
from .layer_edits import LayerEdits
from .outcome_layers import OutcomeLayers
from .runner import Handlers
from .viewer_keys import ViewerKeys

if TYPE_CHECKING:
    from ..app.session import Run
    from ..app.study import Target

FOLLOW_MS = 250
"""Edits of the truth within this time are taken in together."""
GONE = " (removed)"
"""Ends the name of a truth whose layer or run is no longer there."""
KEYS = {"N": 1, "P": -1, "Shift-N": -1}
"""Key and step from error to error. While a Labels, Points or Shapes layer is selected napari
keeps P for drawing; Shift-N leads back there too."""
ITSELF = "A run is not compared with itself: choose another truth."


class Comparing:
    """Finds true labels for the run of a desk and keeps them up to date.

    Parameters
    ----------
    desk : Desk
        Only a weak reference is kept.

    Attributes
    ----------
    colors : OutcomeLayers
    tour : ErrorTour
    keys : ViewerKeys
    """

    sources_changed: ClassVar[Signal] = Signal()

    def __init__(self, desk: Desk) -> None:
        self._desk_ref = weakref.ref(desk)
        self._latest = Latest(desk.runner, "Reading the truth")
        self._key: Hashable = None
        self._files: dict[str, TruthSource] = {}
        self._edits = LayerEdits()
        self._named: dict[int, weakref.ref[Layer]] = {}
        self._asked = False
        self.colors, self.tour = OutcomeLayers(desk), ErrorTour(desk)
        self.keys = ViewerKeys(
            desk.viewer, {k: partial(self.tour.step, n) for k, n in KEYS.items()}
        )
        layers = desk.viewer.layers.events
        layers.inserted.connect(self._layers_changed)
        layers.removed.connect(self._layers_changed)
        desk.work.session.runs_changed.connect(self._runs_changed)
        desk.study.run_changed.connect(self._run_changed)
        self._layers_changed()

    @property
    def desk(self) -> Desk:
        """The desk; TypeError once it is gone."""
        desk = self._desk_ref()
        if desk is None:
            raise TypeError("The desk of this comparison is gone.")
        return desk

    @property
    def truth(self) -> TruthChoice | None:
        """What the run is compared with."""
        return self.desk.study.truth

    @property
    def busy(self) -> bool:
        """Whether a truth is being read, or a layer made."""
        return self._asked or self._latest.busy or self.colors.busy

    # ------------------------------------------------------------------ what there is

    def sources(self) -> list[tuple[Hashable, str]]:
        """Key and name of everything to compare with: layers, then runs, then files opened."""
        desk = self.desk
        layers = [(_layer_key(x), x.name) for x in reversed(desk.viewer.layers) if usable(x)]
        runs = [(("run", r.id), r.title) for r in desk.work.session.runs if r is not desk.run]
        files = [(s.key, s.name) for s in self._files.values()]
        return [*layers, *runs, *files]

    def choose(self, key: Hashable) -> None:
        """Compare with a source, None = with nothing."""
        self._key = key
        source = self._source(key)
        self._edits.follow(self._layer(key), self._edited)
        if source is None:
            self._latest.cancel()
            self.desk.study.choose_truth(None)
            return
        self.desk.study.choose_truth(TruthChoice(source.key, source.name))
        self.refresh()

    def choose_file(self, path: str) -> None:
        """Compare with the labels in a file; it stays among the sources."""
        self._files[path] = file_source(path)
        self.sources_changed.emit()
        self.choose(("file", path))

    def refresh(self) -> None:
        """Read the truth again, in the background; nothing happens if it has not changed."""
        desk, run = self.desk, self.desk.run
        source = self._source(self._key)
        if source is None or run is None:
            return
        if self._key == ("run", run.id):
            self._latest.cancel()
            desk.study.choose_truth(TruthChoice(source.key, source.name, error=ITSELF))
            return
        target, before = target_of(run), self.truth

        def done(choice: TruthChoice) -> None:
            if choice is not before:
                desk.study.choose_truth(self._named_now(choice))

        def failed(error: UserError) -> None:
            desk.study.choose_truth(TruthChoice(source.key, source.name, error=str(error)))

        self._latest.request(lambda: truth_steps(source, target, before), Handlers(done, failed))

    def metadata(self) -> dict[str, Any]:
        """Return what was compared with what, JSON-able."""
        desk = self.desk
        run, truth = desk.run, desk.study.truth
        instances = desk.study.instances
        return {
            "run": None if run is None else {**run.metadata, "title": run.title},
            "corrected": instances is not None and instances.corrected,
            "truth": None if truth is None else truth.name,
            "notes": [] if truth is None else list(truth.notes),
        }

    # ------------------------------------------------------------------ sources

    def _source(self, key: Hashable) -> TruthSource | None:
        kind, what = key if isinstance(key, tuple) else ("", None)
        if kind == "file":
            return self._files.get(str(what))
        if kind == "layer":
            layer = self._layer(key)
            return None if layer is None else layer_source(layer, self.desk.run)
        if kind == "run":
            run = next((r for r in self.desk.work.session.runs if r.id == what), None)
            return None if run is None else run_source(run, self.desk)
        return None

    def _layer(self, key: Hashable) -> Labels | None:
        return next((x for x in self.desk.viewer.layers if _layer_key(x) == key), None)

    def _named_now(self, choice: TruthChoice) -> TruthChoice:
        """Give a choice the name that its layer has by now."""
        layer = self._layer(choice.key)
        if layer is not None:
            return replace(choice, name=layer.name)
        if self._source(choice.key) is None and not choice.name.endswith(GONE):
            return replace(choice, name=choice.name + GONE)
        return choice

    # ------------------------------------------------------------------ following

    def _edited(self, _event: Any = None) -> None:
        if not self._asked:
            self._asked = True
            QTimer.singleShot(FOLLOW_MS, self._refresh_soon)

    def _refresh_soon(self) -> None:
        self._asked = False
        desk = self._desk_ref()
        if desk is not None and not desk.work.closed:
            self.refresh()

    def _layers_changed(self, _event: Any = None) -> None:
        here = {id(x): weakref.ref(x) for x in self.desk.viewer.layers if usable(x)}
        for key, ref in here.items():
            layer = ref()
            known = self._named.get(key)
            if layer is not None and (known is None or known() is not layer):
                layer.events.name.connect(self._renamed)
        self._named = here
        self._edits.follow(self._layer(self._key), self._edited)
        self._tell_if_gone()
        self.sources_changed.emit()

    def _renamed(self, _event: Any = None) -> None:
        self._tell_if_gone()
        self.sources_changed.emit()

    def _runs_changed(self, _runs: Any = None) -> None:
        self._tell_if_gone()
        self.sources_changed.emit()

    def _tell_if_gone(self) -> None:
        """Bring the name up to date; labels of a layer that is gone are kept."""
        truth = self.truth
        if truth is None:
            return
        now = self._named_now(replace(truth, name=truth.name.removesuffix(GONE)))
        if now.name != truth.name:
            self.desk.study.choose_truth(now)

    def _run_changed(self, _run: Any = None) -> None:
        """Check the truth anew for another run: size and place may differ."""
        truth = self.truth
        if truth is not None and self.desk.run is not None:
            if self._source(self._key) is not None:
                self.desk.study.choose_truth(TruthChoice(truth.key, truth.name))
                self.refresh()
            elif (
                truth.labels is not None and truth.labels.shape != self.desk.run.result.labels.shape
            ):
                self.desk.study.choose_truth(None)
        self.sources_changed.emit()


def usable(layer: Layer) -> bool:
    """Whether a layer can be a truth: Labels, and none that this plugin made."""
    return isinstance(layer, Labels) and "run" not in layer.metadata.get(METADATA_KEY, {})


def _layer_key(layer: Layer) -> Hashable:
    return ("layer", id(layer))


def layer_source(layer: Labels, run: Run | None) -> TruthSource:
    """Labels of a layer as drawn when they are read; of a stack, the plane of the run."""
    data = layer.data[0] if layer.multiscale else layer.data
    plane = () if run is None or run.placement is None else run.placement.plane

    def read(_target: Target) -> Given:
        extra = len(data.shape) - 2
        index = plane[-extra:] if 0 < extra <= len(plane) else ()
        fits = all(i < n for i, n in zip(index, data.shape, strict=False))
        return Given(data[index] if index and fits else data)

    return TruthSource(_layer_key(layer), layer.name, read)


def run_source(run: Run, desk: Desk) -> TruthSource:
    """Nuclei of another run as drawn now, corrections included."""
    layer = desk.layers.find(run.id, "instances")
    data = run.result.labels
    if isinstance(layer, Labels):
        level = layer.data[0] if layer.multiscale else layer.data
        data = level.reshape(level.shape[-2:])
    here = desk.run
    notes: tuple[str, ...] = ()
    if here is not None and here.image.key != run.image.key:
        notes = (f"{run.title} was made from another layer ({run.image.name}).",)

    def read(_target: Target) -> Given:
        if data.ndim != 2:
            raise InputError(f"{run.title} has shape {data.shape}; give one plane.")
        return Given(data, run.result.offset, notes)

    return TruthSource(("run", run.id), run.title, read)


_COMPARING: weakref.WeakKeyDictionary[Desk, Comparing] = weakref.WeakKeyDictionary()


def comparing_for(viewer: Any) -> Comparing:
    """Return what compares in a viewer (a proxy is fine), making it on the first call."""
    desk = desk_for(viewer)
    found = _COMPARING.get(desk)
    if found is None:
        found = _COMPARING[desk] = Comparing(desk)
    return found
