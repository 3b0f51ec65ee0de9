"""The layers of a run that is under diagnosis: those that a finding names on, the others off."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .diagnosis_item import CONTOURS, GROUP, TRUTH_COLORMAP, narrow
from .images import METADATA_KEY
from .study_layers import Extra

if TYPE_CHECKING:
    from ..app.session_state import Run
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
    is shown as white outlines over the maps, in a layer of its own.
    """
    outlines = _outlines(desk, run) if "truth" in roles else None
    wanted = {x for x in (_layer_of(desk, run, role) for role in roles) if x is not None}
    if outlines is not None:
        wanted.add(outlines)
    truth = _truth_layer(desk)
    for layer in desk.viewer.layers:
        known = layer.metadata.get(METADATA_KEY, {})
        ours = "run" in known or GROUP in known or layer is truth
        if layer in wanted:
            layer.visible = True
        elif ours and layer.visible:
            layer.visible = False


def _layer_of(desk: Desk, run: Run, role: str) -> Any:
    if role == "image":
        return next((x for x in desk.viewer.layers if id(x) == run.image.key), None)
    return desk.layers.find(run.id, RUN_ROLES[role]) if role in RUN_ROLES else None


def _outlines(desk: Desk, run: Run) -> Any:
    """Return the layer of the true outlines of a run, None without a truth."""
    truth = desk.study.truth
    labels = None if truth is None else truth.labels
    if labels is None or labels.shape != run.result.labels.shape:
        return None
    found = desk.layers.find(run.id, OUTLINES)
    if found is not None and found.metadata.get(OUTLINES) is labels:
        return found
    look = {"colormap": TRUTH_COLORMAP, "contour": CONTOURS["truth"], "opacity": 1.0}
    found = desk.layers.show(run, Extra(OUTLINES, "labels", "true nuclei", narrow(labels), look))
    found.metadata[OUTLINES] = labels
    found.editable = False
    instances, layers = desk.layers.find(run.id, "instances"), desk.viewer.layers
    if instances is not None:  # beneath, so that white is seen where the two differ
        layers.move(layers.index(found), layers.index(instances))
    return found


def _truth_layer(desk: Desk) -> Any:
    truth = desk.study.truth
    kind, what = truth.key if truth is not None and isinstance(truth.key, tuple) else ("", None)
    if kind == "run":
        return desk.layers.find(int(str(what)), "instances")
    return next((x for x in desk.viewer.layers if kind == "layer" and id(x) == what), None)
