"""The layers of a run that is under diagnosis: those that a finding names on, the others off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .diagnosis_item import CONTOURS, GROUP, TRUTH_COLORMAP, narrow
from .images import METADATA_KEY
from .study_layers import Extra, make_extra

if TYPE_CHECKING:
    from ..app.session import Run
    from .desk import Desk

RUN_ROLES = {
    "np": "np",
    "hv_x": "hv_horizontal",
    "hv_y": "hv_vertical",
    "magnitude": "magnitude",
    "instances": "instances",
}
"""Layers of a run by what findings call them."""
OUTLINES = "true outlines"
"""Role of the layer of true outlines that a diagnosis adds to a run."""


def switch_layers(desk: Desk, run: Run, roles: frozenset[str]) -> None:
    """Switch on what a finding names of a run's layers, and everything else of this plugin off.

    Layers that the user has added stay as they are, but for the run's image and the truth: that
    is shown as white outlines over the maps, in a layer of its own (see :func:`outline`).
    """
    wanted = {x for x in (_layer_of(desk, run, role) for role in roles) if x is not None}
    truth = _truth_layer(desk)
    for layer in desk.viewer.layers:
        known = layer.metadata.get(METADATA_KEY, {})
        ours = "run" in known or GROUP in known or layer is truth
        if layer in wanted:
            layer.visible = True
        elif ours and layer.visible:
            layer.visible = False


def outline(desk: Desk, run: Run) -> None:
    """Show the true outlines of a run beneath its nuclei; white is seen where the two differ."""
    truth = desk.study.truth
    labels = None if truth is None else truth.labels
    if labels is None or labels.shape != run.result.labels.shape:
        return
    found, layers = desk.layers.find(run.id, OUTLINES), desk.viewer.layers
    if found is not None and found.metadata.get(OUTLINES) is labels:
        found.visible = True
        return
    look = {"colormap": TRUTH_COLORMAP, "contour": CONTOURS["truth"], "opacity": 1.0}
    extra = Extra(OUTLINES, "labels", "true nuclei", narrow(labels), look)
    if found is None:
        found = make_extra(run, extra)
        instances, active = desk.layers.find(run.id, "instances"), layers.selection.active
        layers.insert(len(layers) if instances is None else layers.index(instances), found)
        if active is not None and active in layers:
            layers.selection.active = active
    else:
        found = desk.layers.show(run, extra)
    found.metadata[OUTLINES] = labels
    found.editable = False


def _layer_of(desk: Desk, run: Run, role: str) -> Any:
    if role == "image":
        return next((x for x in desk.viewer.layers if id(x) == run.image.key), None)
    ours = OUTLINES if role == "truth" else RUN_ROLES.get(role, "")
    return desk.layers.find(run.id, ours) if ours else None


def _truth_layer(desk: Desk) -> Any:
    truth = desk.study.truth
    kind, what = truth.key if truth is not None and isinstance(truth.key, tuple) else ("", None)
    if kind == "run":
        return desk.layers.find(int(str(what)), "instances")
    return next((x for x in desk.viewer.layers if kind == "layer" and id(x) == what), None)
