"""Nuclei in the colours of their outcome, lost ones in a layer of their own.

Beside :mod:`.layers` and :mod:`.study_layers` the only place that recolours nuclei.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from ..core.measure.compare import OUTCOME_COLORS
from ..core.types import Progress
from .desk import Desk
from .latest import Latest
from .run_layers import rgba
from .runner import Handlers
from .study_layers import Extra

if TYPE_CHECKING:
    from ..app.session import Run
    from ..core.measure.compare import Comparison
    from ..core.types import Int32
    from ..errors import UserError

_LOG = logging.getLogger(__name__)

UNKNOWN_COLOR = (1.0, 1.0, 1.0, 1.0)
"""A nucleus drawn since the last comparison."""
CLEAR = (0.0, 0.0, 0.0, 0.0)
LOST = "lost"
"""Role of the layer of true nuclei that were merged or missed."""
LOST_KINDS = ("merged", "missed")
LOST_CONTOUR = 2
"""Width in pixels of their outlines, 0 = filled."""
COLUMNS = ("outcome", "iou")
"""Columns that the features table of a run's nuclei gets."""


@dataclass(frozen=True, eq=False)
class OutcomeColors:
    """A colour per predicted nucleus; true nuclei that were lost, int32 (H, W), and theirs."""

    colormap: DirectLabelColormap
    lost: Int32
    lost_colormap: DirectLabelColormap


class OutcomeLayers:
    """Shows the comparison of a desk on its layers, and takes it back.

    Parameters
    ----------
    desk : Desk
        Only a weak reference is kept.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk_ref = weakref.ref(desk)
        self._latest = Latest(desk.runner, "Colours by outcome")
        self._wanted = False
        self._painted: weakref.ref[Labels] | None = None
        self._former: Any = None
        self._ours: Any = None
        self._lost_of: int | None = None
        desk.study.findings_changed.connect(self._update)

    @property
    def wanted(self) -> bool:
        """Whether nuclei shall have the colours of their outcome."""
        return self._wanted

    @property
    def busy(self) -> bool:
        """Whether colours are on their way."""
        return self._latest.busy

    def set_wanted(self, wanted: bool) -> None:
        """Colour by outcome, or give the nuclei their former colours back."""
        self._wanted = wanted
        self._update()

    def _update(self, _findings: Any = None) -> None:
        """Bring columns and colours in line with what is known and wanted now."""
        desk = self._desk_ref()
        if desk is None:
            return
        study, layer = desk.study, desk.instances_layer()
        run, findings, truth = study.run, study.findings, study.truth
        comparison = None if findings is None else findings.comparison
        if layer is not None and findings is not None:
            set_columns(layer, comparison)
        shown = self._wanted and comparison is not None
        self._take_back(desk, run if shown else None, layer if shown else None)
        if not shown or run is None or comparison is None or truth is None or truth.labels is None:
            self._latest.cancel()
            return
        labels = truth.labels

        def done(colors: OutcomeColors) -> None:
            if self._wanted and study.findings is findings:
                self._show(desk, run, colors)

        def failed(error: UserError) -> None:
            _LOG.warning("Colouring %s: %s", run.title, error)

        self._latest.request(lambda: color_steps(labels, comparison), Handlers(done, failed))

    def _show(self, desk: Desk, run: Run, colors: OutcomeColors) -> None:
        layer = desk.instances_layer()
        if layer is None:  # deleted meanwhile, or the viewer is closing
            return
        painted = None if self._painted is None else self._painted()
        if painted is not layer or layer.colormap is not self._ours:
            self._former = layer.colormap
        layer.colormap = colors.colormap
        self._ours, self._painted = layer.colormap, weakref.ref(layer)
        show_lost(desk, run, colors)
        self._lost_of = run.id

    def _take_back(self, desk: Desk, run: Run | None, layer: Labels | None) -> None:
        """Give other layers their former colours back; remove the lost nuclei of other runs."""
        painted = None if self._painted is None else self._painted()
        if painted is not None and painted is not layer:
            if painted.colormap is self._ours:  # else the user has chosen others meanwhile
                painted.colormap = self._former
            self._painted = self._former = self._ours = None
        if self._lost_of is not None and (run is None or run.id != self._lost_of):
            desk.layers.remove(self._lost_of, LOST)
            self._lost_of = None


def color_steps(truth: Int32, comparison: Comparison) -> Generator[Progress, None, OutcomeColors]:
    """Make what is shown of a comparison with true labels (H, W); touches no layer."""
    yield Progress(0, 0, "Colours ...")
    outcomes = comparison.prediction.outcomes
    lost = outcomes.true_ids[np.isin(outcomes.true, LOST_KINDS)]
    kept: Int32 = np.where(np.isin(truth, lost), truth, 0).astype(np.int32)
    colormap, lost_colormap = outcome_colormap(comparison), lost_colors(comparison)
    for found in (colormap, lost_colormap):
        warm_up(found)
    return OutcomeColors(colormap, kept, lost_colormap)


def warm_up(colormap: DirectLabelColormap) -> None:
    """Let napari compile and fill the tables of a colormap in this thread.

    They stay with the colormap, so that putting it onto a layer of 20,000 nuclei takes the
    canvas 0.2 s, not 1 s.
    """
    Labels(np.zeros((1, 1), np.int32), colormap=colormap)


def show_lost(desk: Desk, run: Run, colors: OutcomeColors) -> None:
    """Add the layer of lost true nuclei, or bring it up to date; hidden, it stays hidden."""
    before = desk.layers.find(run.id, LOST)
    visible = before is None or before.visible
    look = {"colormap": colors.lost_colormap, "opacity": 1.0, "contour": LOST_CONTOUR}
    extra = Extra(LOST, "labels", "true nuclei not matched", colors.lost, look)
    desk.layers.show(run, extra).visible = visible


def lost_colors(comparison: Comparison) -> DirectLabelColormap:
    """Return one colour per true nucleus that was merged or missed."""
    outcomes = comparison.prediction.outcomes
    colors: dict[int | None, Any] = {None: np.array(rgba(OUTCOME_COLORS["missed"])), 0: CLEAR}
    colors[1] = colors[None]  # napari takes a map of defaults alone for no map
    for kind in LOST_KINDS:
        color = np.array(rgba(OUTCOME_COLORS[kind]), np.float32)
        for label in outcomes.true_ids[outcomes.true == kind].tolist():
            colors[label] = color
    return DirectLabelColormap(color_dict=colors)


def outcome_colormap(comparison: Comparison) -> DirectLabelColormap:
    """Return one colour per predicted nucleus, by its outcome."""
    outcomes = comparison.prediction.outcomes
    by_kind = {kind: np.array(rgba(c), np.float32) for kind, c in OUTCOME_COLORS.items()}
    colors: dict[int | None, Any] = {None: np.array(UNKNOWN_COLOR), 0: np.array(CLEAR)}
    for label, kind in zip(outcomes.pred_ids.tolist(), outcomes.pred.tolist(), strict=True):
        colors[label] = by_kind[kind]
    return DirectLabelColormap(color_dict=colors)


def set_columns(layer: Labels, comparison: Comparison | None) -> None:
    """Write ``outcome`` and ``iou`` into the features of a layer, or take them out."""
    table = layer.features
    if comparison is None or comparison.places is None or "index" not in table:
        if any(name in table for name in COLUMNS):
            layer.features = table.drop(columns=[c for c in COLUMNS if c in table])
        return
    outcomes, places = comparison.prediction.outcomes, comparison.places
    index = np.asarray(table["index"], np.int64)
    at = np.searchsorted(places.pred_ids, index).clip(max=max(len(places.pred_ids) - 1, 0))
    known = places.pred_ids[at] == index if len(places.pred_ids) else np.zeros(len(index), bool)
    kinds, iou = np.full(len(index), "", dtype=object), np.full(len(index), np.nan)
    kinds[known] = outcomes.pred[at[known]]
    iou[known] = np.round(places.pred_iou[at[known]], 4)
    layer.features = table.assign(outcome=kinds, iou=iou)
