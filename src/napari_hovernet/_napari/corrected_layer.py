"""Features and colours of a nuclei layer after corrections.

Beside :mod:`.layers`, :mod:`.study_layers` and :mod:`.outcome_layers` the only place that
changes a run's nuclei layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from napari.layers import Labels
from napari.utils.colormaps import DirectLabelColormap

from ..core.types import Progress
from .outcome_layers import COLUMNS as OUTCOME_COLUMNS
from .outcome_layers import set_columns, warm_up
from .run_layers import colors_by_type, feature_table

if TYPE_CHECKING:
    from collections.abc import Generator

    from ..app.session import Run
    from ..app.study import Findings
    from ..core.types import Nuclei

COMPARED = 16
"""Nuclei whose colours are looked at to tell whether a layer still shows types."""

ROUNDING = 0.02
"""Pixels by which centroids in a table differ for being rounded."""


def show(layer: Labels, run: Run, findings: Findings) -> bool:
    """Bring the features up to date; nothing happens where they are.

    Columns that others have added stay, without a value for new nuclei.

    Returns
    -------
    bool
        Whether the layer's colours are those of types, and types have changed: then
        :func:`color_steps` makes new ones.
    """
    nuclei, table = findings.nuclei, layer.features
    if not _outdated(table, nuclei, run.result.offset):
        return False
    recolor = _types_changed(table, nuclei) and shows_types(layer, run)
    layer.features = with_others(pd.DataFrame(feature_table(nuclei, run)), table)
    if any(name in table for name in OUTCOME_COLUMNS):
        set_columns(layer, findings.comparison)
    return recolor


def color_steps(run: Run, nuclei: Nuclei) -> Generator[Progress, None, DirectLabelColormap | None]:
    """Make the colours of nuclei by type, in a worker thread; touches no layer."""
    yield Progress(0, 0, "Colours ...")
    colormap = colors_by_type(nuclei, run.result.info)
    if colormap is not None:
        warm_up(colormap)
    return colormap


def with_others(new: pd.DataFrame, old: pd.DataFrame) -> pd.DataFrame:
    """Take over the columns of an old table that a new one lacks, by ``index``.

    Examples
    --------
    >>> new = pd.DataFrame({"index": [1, 3]})
    >>> with_others(new, pd.DataFrame({"index": [1, 2], "note": ["a", "b"]}))["note"].tolist()
    ['a', nan]
    """
    others = [name for name in old.columns if name not in new.columns]
    if not others or "index" not in old:
        return new
    return new.merge(old[["index", *others]].drop_duplicates("index"), on="index", how="left")


def _outdated(table: pd.DataFrame, nuclei: Nuclei, offset: tuple[int, int]) -> bool:
    """Whether a table tells of other nuclei than those found now."""
    if not {"index", "area_px", "centroid_x", "centroid_y"} <= set(table):
        return True
    if not np.array_equal(table["index"], nuclei.label):
        return True
    if not np.array_equal(table["area_px"], nuclei.area):
        return True
    row, col = offset
    shown = np.stack((table["centroid_x"] - col, table["centroid_y"] - row), axis=1)
    return bool((np.abs(shown - nuclei.centroid) > ROUNDING).any())


def _types_changed(table: pd.DataFrame, nuclei: Nuclei) -> bool:
    """Whether a nucleus has another type than in a table, or is new there and has one."""
    if not {"index", "type"} <= set(table):
        return True
    before = pd.Series(np.asarray(table["type"]), index=np.asarray(table["index"]))
    before = before[~before.index.duplicated()]
    return bool((before.reindex(nuclei.label, fill_value=0).to_numpy() != nuclei.type).any())


def shows_types(layer: Labels, run: Run) -> bool:
    """Whether the layer's colours are those of its nuclei's types."""
    if not run.result.info.types or not isinstance(layer.colormap, DirectLabelColormap):
        return False
    wanted = colors_by_type(run.result.nuclei, run.result.info)
    if wanted is None:
        return False
    shown = layer.colormap.color_dict
    some = run.result.nuclei.label[:COMPARED].tolist()
    return all(
        label in shown and np.allclose(shown[label], wanted.color_dict[label]) for label in some
    )
