"""What the views look like, as plain arrays: colours of nuclei, maps over the tissue, legends.

Knows neither Qt nor layers, so that a worker thread makes all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ..core.hv import read_hv

if TYPE_CHECKING:
    from ..app.session import Run
    from ..app.study import Findings
    from ..core.separation.tuning import TuneParams
    from ..core.types import Float32, Maps, ModelInfo, Nuclei

RGB = tuple[int, int, int]
UInt8 = npt.NDArray[np.uint8]

BRIGHT: tuple[RGB, ...] = (
    (255, 242, 51), (26, 255, 255), (115, 255, 64), (255, 158, 26),
    (242, 242, 255), (102, 191, 255), (255, 115, 191), (191, 255, 179),
)  # fmt: skip
"""Outlines that stand out on purple and brown; neighbours differ."""
OVER_MAP: Mapping[str, RGB] = {
    "probability": (25, 25, 25), "magnitude": (120, 235, 255), "hv": (25, 25, 25)
}  # fmt: skip
"""Outlines over a map: one colour that the map has not, so that the map speaks."""
UNTYPED: RGB = (191, 191, 191)
UNKNOWN: RGB = (255, 255, 255)
"""A nucleus that is not yet looked into, as one just drawn."""
BLOB_COLOURS: Mapping[str, RGB] = {
    "single": (165, 165, 165), "separated": (0, 170, 165), "blob": (230, 50, 20)
}  # fmt: skip
"""Red, cyan and grey differ in lightness too, and stay apart with every colour vision."""
UNCERTAIN_COLOUR: RGB = (245, 205, 60)
MOST_COLOURS = 65_535
"""Ids that can have a colour each; napari looks up colours by 16 bits."""
ANGLES, LENGTHS = 256, 64
"""Steps of direction and length of the key of HV colours."""
RAMP_STEPS = 64
OUTCOME_WORDS = {"matched": "true", "spurious": "extra"}
"""Outcomes that have another word on screen."""
MAPS = {"probability": "NP", "hv": "HV", "magnitude": "magnitude"}
"""Views that show a map, and what their layers are called."""
COLUMNS = {
    "area_um2": "area (µm²)", "area_px": "area (px)", "np_mean": "probability",
    "magnitude_mean": "magnitude", "type_probability": "type probability",
}  # fmt: skip
"""Columns that nuclei can be coloured by, and their names."""
SHARES = ("np_mean", "magnitude_mean", "type_probability")
"""Columns that are shown from 0 to 1, whatever their values."""


@dataclass(frozen=True)
class Legend:
    """What colours mean: words with a colour each, or a ramp between two numbers."""

    chips: tuple[tuple[str, RGB], ...] = ()
    ramp: tuple[RGB, ...] = ()
    ends: tuple[str, str] = ("", "")
    title: str = ""


@dataclass(frozen=True, eq=False)
class Colouring:
    """Colours of nuclei by id, float32 (n + 1, 4): id i has row (i - 1) % n + 1, 0 is clear."""

    colors: Float32
    legend: Legend


@dataclass(frozen=True, eq=False)
class MapPicture:
    """A map to be shown: float32 (H, W) with NaN where nothing is, or uint8 (H, W, 4)."""

    view: str
    data: Any
    colormap: str = ""


def cyclic(colours: tuple[RGB, ...]) -> Float32:
    """Return a table that gives ids one colour after the other."""
    table = np.ones((len(colours) + 1, 4), np.float32)
    table[0] = 0
    table[1:, :3] = np.asarray(colours, np.float32) / 255
    return table


def table_of(ids: npt.NDArray[Any], colours: Any, other: RGB = UNKNOWN) -> Float32:
    """Return a table with the colour (n, 3), 0..255, of each id, and another for all others."""
    top = min(int(ids.max(initial=1)), MOST_COLOURS)
    table = np.ones((top + 1, 4), np.float32)
    table[:, :3] = np.asarray(other, np.float32) / 255
    inside = ids <= top
    table[ids[inside], :3] = np.asarray(colours, np.float32).reshape(-1, 3)[inside] / 255
    table[0] = 0
    return table


def colouring(
    view: str, column: str | None, nuclei: Nuclei, run: Run, found: Findings | None
) -> Colouring:
    """Return the colours of nuclei in a view, or by a column of their features."""
    if column in columns_for(run):
        return by_column(str(column), nuclei, run)
    if view == "types":
        return by_type(nuclei, run.result.info)
    if view == "blobs" and found is not None:
        return by_blob(found)
    if view == "outcome" and found is not None and found.comparison is not None:
        return by_outcome(found)
    if view in OVER_MAP:
        return Colouring(cyclic((OVER_MAP[view],)), map_legend(view))
    words = {"blobs": "looking for blobs ...", "outcome": "needs a truth: choose one in Check"}
    return Colouring(cyclic(BRIGHT), Legend(title=words.get(view, "")))


def by_type(nuclei: Nuclei, info: ModelInfo) -> Colouring:
    """Colour nuclei by their type; the legend counts those that are there, most first."""
    if not info.types:
        return Colouring(cyclic(BRIGHT), Legend(title="this model finds no types"))
    palette = {i: t.color for i, t in info.types.items() if i}
    colours = [palette.get(kind, UNTYPED) for kind in nuclei.type.tolist()]
    counts = Counter(kind for kind in nuclei.type.tolist() if kind in palette)
    chips = tuple((f"{n:,} {info.types[i].name}", palette[i]) for i, n in counts.most_common())
    return Colouring(table_of(nuclei.label, colours, UNTYPED), Legend(chips))


def by_blob(found: Findings) -> Colouring:
    """Colour nuclei by what their connected area is: single, separated, still a blob."""
    from ..core.measure.blobs import BLOB, STATUSES  # noqa: PLC0415 - imports numba

    report = found.blobs
    status = np.where(report.instance_suspected, BLOB, np.minimum(report.instance_status, BLOB - 1))
    palette = np.array([BLOB_COLOURS.get(name, UNKNOWN) for name in STATUSES])
    ids = report.instance_ids
    counts = {name: int((status == STATUSES.index(name)).sum()) for name in BLOB_COLOURS}
    words = {"blob": "in blobs"}
    chips = tuple((f"{counts[n]:,} {words.get(n, n)}", c) for n, c in BLOB_COLOURS.items())
    return Colouring(table_of(ids, palette[status]), Legend(chips))


def by_outcome(found: Findings) -> Colouring:
    """Colour nuclei by what became of them against the truth."""
    from ..core.measure.compare import OUTCOME_COLORS  # noqa: PLC0415 - imports numba

    if found.comparison is None:
        raise TypeError("There is no comparison to colour by.")
    outcomes = found.comparison.prediction.outcomes
    colours = [OUTCOME_COLORS[str(kind)] for kind in outcomes.pred]
    counts = outcomes.counts()
    words = {name: OUTCOME_WORDS.get(name, name) for name in OUTCOME_COLORS}
    some = ((name, c) for name, c in OUTCOME_COLORS.items() if counts[name])
    chips = tuple((f"{counts[name]:,} {words[name]}", c) for name, c in some)
    return Colouring(table_of(outcomes.pred_ids, colours), Legend(chips))


def colour_of(kind: str) -> RGB:
    """Return the colour in which places of a kind are shown."""
    from ..core.measure.compare import OUTCOME_COLORS  # noqa: PLC0415 - imports numba

    known = {"blob": BLOB_COLOURS["blob"], "uncertain": UNCERTAIN_COLOUR, **OUTCOME_COLORS}
    return known[kind]


def by_column(column: str, nuclei: Nuclei, run: Run) -> Colouring:
    """Colour nuclei by a number of their features; shares from 0 to 1, areas by their spread."""
    values = np.asarray(feature_table(nuclei, run)[column], np.float64)
    low, high = 0.0, 1.0
    if column not in SHARES and values.size:
        low, high = (float(x) for x in np.nanpercentile(values, (2, 98)))
    at = np.clip((values - low) / max(high - low, 1e-9), 0, 1)
    ramp = np.asarray(ramp_of("viridis"), np.float32)
    known = np.isfinite(at)
    colours = np.where(known[:, None], ramp[(np.nan_to_num(at) * (RAMP_STEPS - 1)).astype(int)],
                       UNTYPED)  # fmt: skip
    ends = (f"{low:.3g}", f"{high:.3g}")
    legend = Legend(ramp=ramp_of("viridis"), ends=ends, title=COLUMNS[column])
    return Colouring(table_of(nuclei.label, colours), legend)


def columns_for(run: Run | None) -> tuple[str, ...]:
    """Return the columns that nuclei of a run can be coloured by."""
    if run is None:
        return ()
    absent = set() if run.result.mpp else {"area_um2"}
    absent |= {"area_px"} if run.result.mpp else set()
    absent |= set() if run.result.info.types else {"type_probability"}
    return tuple(name for name in COLUMNS if name not in absent)


# ---------------------------------------------------------------- maps over the tissue


def map_picture(
    view: str, maps: Maps, params: TuneParams, *, unmasked: bool, colormap: str = "inferno"
) -> MapPicture | None:
    """Return the map of a view, HV read as ``params`` say; None for a view without one.

    Away from nuclei the network is untrained, so a map is clear where NP is below half of the
    threshold, unless ``unmasked``.
    """
    if view not in MAPS:
        return None
    read = read_hv(maps, params.hv)
    least = 0.0 if unmasked else params.separation.np_threshold / 2
    if view == "hv":
        return MapPicture(view, hv_picture(read, least))
    values = read.np if view == "probability" else read.magnitude
    if least > 0:
        values = np.where(read.np < least, np.float32(np.nan), values)
    return MapPicture(view, values, "viridis" if view == "probability" else colormap)


def hv_picture(maps: Maps, least: float = 0.0) -> UInt8:
    """Colour HV by its direction, white where it has no length; clear where NP is small.

    Returns uint8 (H, W, 4). A good nucleus is a wheel of all colours about a white middle.
    """
    turn = np.arctan2(maps.hv[1], maps.hv[0]) * np.float32(ANGLES / (2 * np.pi))
    angle = np.rint(turn).astype(np.int16) & (ANGLES - 1)
    length = np.minimum(maps.magnitude, 1) * (LENGTHS - 1)
    picture = np.empty((*maps.shape, 4), np.uint8)
    picture[..., :3] = hv_key()[angle, length.astype(np.int16)]
    alpha = np.ones_like(maps.np) if least <= 0 else np.where(maps.np < least, 0, maps.np)
    np.multiply(np.clip(alpha, 0, 1), 255, out=alpha)
    picture[..., 3] = alpha
    return picture


@cache
def hv_key() -> UInt8:
    """Return the colour of each direction and length, uint8 (ANGLES, LENGTHS, 3).

    Right is red, down yellow, left cyan, up blue; through white at length 0.
    """
    anchors = np.array([(225, 40, 40), (240, 200, 30), (20, 175, 165), (60, 70, 215)], np.float32)
    at = np.arange(ANGLES) * 4 / ANGLES
    low = at.astype(int) % 4
    share = (at % 1)[:, None]
    full = anchors[low] * (1 - share) + anchors[(low + 1) % 4] * share
    length = np.linspace(0, 1, LENGTHS)[None, :, None]
    key: UInt8 = np.rint(255 + (full[:, None] - 255) * length).astype(np.uint8)
    return key


def map_legend(view: str) -> Legend:
    """Return what the colours of a map mean."""
    if view == "hv":
        key = hv_key()
        names = zip(("→", "↓", "←", "↑"), range(0, ANGLES, ANGLES // 4), strict=True)
        chips = tuple((name, (*key[at, -1].tolist(),)) for name, at in names)
        return Legend((*chips, ("no length", (255, 255, 255))), title="from the centre")
    name = "viridis" if view == "probability" else "inferno"
    return Legend(ramp=ramp_of(name), ends=("0", "1"), title=MAPS[view])


@cache
def ramp_of(name: str) -> tuple[RGB, ...]:
    """Return a colormap of napari in steps."""
    from napari.utils.colormaps import ensure_colormap  # noqa: PLC0415 - slow to import

    colors = ensure_colormap(name).map(np.linspace(0, 1, RAMP_STEPS))
    return tuple((int(r), int(g), int(b)) for r, g, b in np.rint(colors[:, :3] * 255))


# ---------------------------------------------------------------- features


def feature_table(nuclei: Nuclei, run: Run) -> dict[str, Any]:
    """Return the features of nuclei of a run, one row each, ``index`` = label id.

    Centroids are pixels of the whole image, x to the right and y down; areas are
    pixels, and µm² as well where the mpp is known.
    """
    row, col = run.result.offset
    table: dict[str, Any] = {
        "index": nuclei.label,
        "area_px": nuclei.area,
        "centroid_x": np.round(nuclei.centroid[:, 0] + col, 2),
        "centroid_y": np.round(nuclei.centroid[:, 1] + row, 2),
        "np_mean": np.round(nuclei.np_mean, 4),
        "magnitude_mean": np.round(nuclei.magnitude_mean, 4),
        "magnitude_p95": np.round(nuclei.magnitude_p95, 4),
    }
    if run.result.mpp:
        table["area_um2"] = np.round(nuclei.area * run.result.mpp**2, 2)
    if run.result.info.types:
        names = {i: t.name for i, t in run.result.info.types.items()}
        table["type"] = nuclei.type
        table["type_name"] = [names.get(int(k), "not typed") for k in nuclei.type]
        table["type_probability"] = np.round(nuclei.type_probability, 4)
    return table


def found_columns(table: dict[str, Any], found: Findings | None) -> dict[str, Any]:
    """Add what was found out about each nucleus: suspected blob, outcome and IoU."""
    if found is None or len(found.nuclei) != len(table["index"]):
        return table
    report = found.blobs
    suspects = report.instance_ids[report.instance_suspected]
    table = {
        **table,
        "blob": np.isin(table["index"], suspects),
        "uncertain": np.isin(table["index"], found.uncertain.nuclei),
    }
    if found.comparison is not None and found.comparison.places is not None and len(table["index"]):
        outcomes, places = found.comparison.prediction.outcomes, found.comparison.places
        rows = np.searchsorted(outcomes.pred_ids, table["index"]).clip(max=len(outcomes.pred) - 1)
        kinds = [OUTCOME_WORDS.get(str(kind), str(kind)) for kind in outcomes.pred[rows]]
        table |= {"outcome": kinds, "iou": np.round(places.pred_iou[rows], 3)}
    return table
