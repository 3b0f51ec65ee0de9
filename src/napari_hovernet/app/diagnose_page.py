"""A diagnosis as one HTML file that needs nothing else: cause, pictures, number, what to do."""

from __future__ import annotations

import io
import math
import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from markupsafe import Markup

from ..core.diagnosis.bench import Bench
from ..core.diagnosis.report import Finding, Place, Plot
from ..core.io.files import write_whole
from .diagnose import Diagnosis, Retest
from .diagnose_words import (
    LAYER_WORDS,
    gain_words,
    number_words,
    place_words,
    setup_words,
    untested,
)
from .figures import (
    CELL,
    CYCLE,
    QUIET,
    STYLE,
    PictureParams,
    magnitude_picture,
    outlined_picture,
    plane_picture,
    png_bytes,
)
from .pages import render

if TYPE_CHECKING:
    from matplotlib.axes import Axes

TRUTH, INSTANCES, BOX = (0, 158, 115), (240, 228, 66), (213, 94, 0)
"""Colours, RGB, of true and of predicted outlines, and of the box around what is meant."""
LEAST, MOST, AROUND = 96, 320, 1.4
"""Shortest and longest edge of the part that is shown, and how far it goes beyond the box."""
PANELS, FIRST_PLACES = 5, 3
"""Pictures of one place, and places of the first cause, at most; of the others one is shown."""
LONG_NAME, MANY = 28, 12
"""Characters of a name below an axis, and names that stand there at most."""


def write_html(
    path: str | os.PathLike[str], diagnosis: Diagnosis, retest: Retest | None = None
) -> None:
    """Write the report; a file of that name is replaced."""
    write_whole(path, render_html(diagnosis, retest))


def render_html(diagnosis: Diagnosis, retest: Retest | None = None) -> str:
    """Return the page; after remedies it shows what was before, and what they changed."""
    told = diagnosis if retest is None else retest.before
    report, items = told.report, told.case.items
    causes = [f for f in report.findings if f.is_cause]
    return render(
        "diagnosis.html",
        report=report,
        cards=[_card(told, f, first=f is causes[0]) for f in causes],
        explained=[f for f in report.findings if f.explained_by],
        untested=untested(report),
        retest=retest,
        changed=() if retest is None else setup_words(retest.after.case.setup.changes),
        setup=setup_words(told.case.setup.changes),
        facts=_facts(told),
        failures=[(items[i].name, why) for i, why in sorted(told.bench.failures.items())]
        if items is not None else [],
        words={"number": number_words, "place": place_words, "gain": gain_words},
        colours={"true nuclei": TRUTH, "instances": INSTANCES, "what is meant": BOX},
    )  # fmt: skip


def _card(diagnosis: Diagnosis, finding: Finding, *, first: bool) -> dict[str, Any]:
    network = diagnosis.report.complete
    places = finding.places[: FIRST_PLACES if first else 1]
    if first and not places and finding.plot is None and finding.layers:
        places = largest(diagnosis)  # the first cause has a picture of what it names to look at
    shown = [(p, panels_of(diagnosis.bench, finding, p, network=network)) for p in places]
    return {"finding": finding, "plot": Markup("" if finding.plot is None else svg(finding.plot)),
            "shown": [(place, panels) for place, panels in shown if panels]}  # fmt: skip


def _facts(diagnosis: Diagnosis) -> list[str]:
    """Say in a few words what was tested."""
    case, report = diagnosis.case, diagnosis.report
    facts = [f"{report.items} of {report.of} images"] if report.of else []
    if case.predictor is not None:
        facts.append(f"model {case.predictor.name}")
    if case.separator is not None:
        facts.append(f"separation {case.separator.name}")
    return [*facts, f"{report.seconds:.1f} s"]


# --- pictures --------------------------------------------------------------------------


def window_of(box: tuple[int, int, int, int], shape: tuple[int, int]) -> tuple[slice, slice]:
    """Return the part of an image that is shown around a box."""
    slices = []
    for low, high, size in ((box[0], box[1], shape[0]), (box[2], box[3], shape[1])):
        edge = int(min(max((high - low) * AROUND, LEAST), MOST, size))
        begin = int(min(max((low + high - edge) // 2, 0), size - edge))
        slices.append(slice(begin, begin + edge))
    return slices[0], slices[1]


def largest(diagnosis: Diagnosis) -> tuple[Place, ...]:
    """Return the largest nucleus found in the first image; none of what was stopped before."""
    from scipy.ndimage import find_objects  # noqa: PLC0415 - only here

    bench = diagnosis.bench
    for index in bench.indices[:1] if diagnosis.report.complete else ():
        item, labels = bench.item(index), bench.instances(index)
        if item is not None and item.image is not None and labels is not None and labels.any():
            found = int(np.bincount(labels.ravel())[1:].argmax())
            rows, cols = find_objects(labels)[found]
            box = (rows.start, rows.stop, cols.start, cols.stop)
            return (Place(index, item.name, box, "the largest nucleus found"),)
    return ()


def panels_of(
    bench: Bench, finding: Finding, place: Place, *, network: bool = True
) -> list[tuple[str, bytes]]:
    """Draw a place: name and PNG; without ``network`` only what is there already."""
    item = bench.item(place.item)
    if item is None or item.shape is None or not all(item.shape):
        return []
    part, wanted = window_of(place.box, item.shape), finding.layers or tuple(LAYER_WORDS)
    maps = bench.maps(place.item) if network or bench.case.predictor is None else None
    cut = bench.instances(place.item) if "instances" in wanted and maps is not None else None
    hv = (None, None) if maps is None else maps.hv
    target = (None, None) if item.target_hv is None else item.target_hv
    planes: Mapping[str, Any] = {
        "np": None if maps is None else maps.np, "hv_x": hv[0], "hv_y": hv[1],
        "magnitude": None if maps is None else maps.magnitude, "target_np": item.target_np,
        "target_hv_x": target[0], "target_hv_y": target[1], "types": item.types,
    }  # fmt: skip

    def here(plane: Any) -> Any:
        fits = plane is not None and tuple(plane.shape[:2]) == item.shape
        return np.ascontiguousarray(plane[part]) if fits else None

    truth, size = here(item.labels), PictureParams(window=MOST, edge=MOST)
    lines = [
        (here(x), colour)
        for name, x, colour in (("truth", item.labels, TRUTH), ("instances", cut, INSTANCES))
        if name in wanted
    ]
    lines = [(labels, colour) for labels, colour in lines if labels is not None]
    image = here(item.image)
    if image is None and lines:
        image = np.full((*lines[0][0].shape, 3), 236, np.uint8)
    made = (
        []
        if image is None
        else [("image", png_bytes(_boxed(outlined_picture(image, lines, size), part, place.box)))]
    )
    for name in wanted:
        plane = here(planes.get(name))
        if plane is None:
            continue
        top = 1.0 if name != "types" else max(float(plane.max(initial=0)), 1.0)
        drawn = magnitude_picture(plane, truth, size) if name == "magnitude" else plane_picture(
            plane, (-1.0 if "hv" in name else 0.0, top), truth, size)  # fmt: skip
        made.append((LAYER_WORDS[name], png_bytes(drawn)))
    return made[:PANELS]


def _boxed(picture: Any, part: tuple[slice, slice], box: tuple[int, int, int, int]) -> Any:
    """Draw the box that is meant, where it is not the whole part."""
    import cv2  # noqa: PLC0415 - only here

    (rows, cols), (r0, r1, c0, c1) = part, box
    scale = picture.shape[0] / max(rows.stop - rows.start, 1)
    top, bottom = (round((r - rows.start) * scale) for r in (r0, r1))
    left, right = (round((c - cols.start) * scale) for c in (c0, c1))
    if top <= 0 and left <= 0 and bottom >= picture.shape[0] and right >= picture.shape[1]:
        return picture
    return cv2.rectangle(np.ascontiguousarray(picture), (left, top), (right - 1, bottom - 1), BOX)


# --- plots -----------------------------------------------------------------------------


def svg(plot: Plot) -> str:
    """Draw a plot as an SVG that stands by itself; "" without numbers to show."""
    from matplotlib import rc_context  # noqa: PLC0415 - takes half a second
    from matplotlib.figure import Figure  # noqa: PLC0415

    if not any(math.isfinite(v) for _, values in plot.series for v in values):
        return ""
    draw: dict[str, Callable[[Axes, Plot], None]] = {
        "bars": _bars, "histogram": _histogram, "lines": _lines, "matrix": _matrix
    }  # fmt: skip
    out = io.BytesIO()
    with rc_context(STYLE):
        figure = Figure(CELL, layout="constrained")
        axes = figure.add_subplot()
        axes.set_title(plot.title, loc="left")
        draw[plot.kind](axes, plot)
        axes.set_xlabel(plot.x_label)
        axes.set_ylabel(plot.y_label)
        if plot.line is not None and math.isfinite(plot.line):
            (axes.axvline if plot.upright else axes.axhline)(plot.line, color=QUIET, ls="--", lw=1)
        if len(plot.series) > 1 and plot.kind != "matrix":
            axes.legend(fontsize=7)
        figure.savefig(out, format="svg", metadata={"Date": None})
    text = re.sub(r"<metadata>.*?</metadata>", "", out.getvalue().decode("utf-8"), flags=re.DOTALL)
    return text[text.index("<svg") :]


def _names(axes: Axes, names: tuple[Any, ...]) -> None:
    step = -(-len(names) // MANY) or 1
    short = [str(n) if len(str(n)) <= LONG_NAME else f"{str(n)[: LONG_NAME - 3]}..." for n in names]
    slanted = sum(map(len, short[::step])) > 4 * MANY
    axes.set_xticks(range(0, len(names), step), short[::step], rotation=25 if slanted else 0,
                    ha="right" if slanted else "center")  # fmt: skip


def _bars(axes: Axes, plot: Plot) -> None:
    width = 0.8 / len(plot.series)
    for k, (name, values) in enumerate(plot.series):
        at = np.arange(len(values)) + (k - (len(plot.series) - 1) / 2) * width
        axes.bar(at, np.nan_to_num(values), width, label=name, color=CYCLE[k % len(CYCLE)])
    _names(axes, plot.x)


def _histogram(axes: Axes, plot: Plot) -> None:
    for k, (name, values) in enumerate(plot.series):
        axes.stairs(values, plot.x, label=name, color=CYCLE[k % len(CYCLE)], fill=True, alpha=0.6)


def _lines(axes: Axes, plot: Plot) -> None:
    for k, (name, values) in enumerate(plot.series):
        axes.plot(plot.x[: len(values)], values, label=name, color=CYCLE[k % len(CYCLE)])


def _matrix(axes: Axes, plot: Plot) -> None:
    values = np.array([row for _, row in plot.series], float)
    most = np.nanmax(np.abs(values))
    axes.imshow(values, "PuOr", vmin=-most, vmax=most, aspect="auto")
    axes.grid(visible=False)
    axes.set_yticks(range(len(plot.series)), [name for name, _ in plot.series])
    _names(axes, plot.x)
    for (r, c), value in np.ndenumerate(values):
        if math.isfinite(value):
            axes.text(c, r, f"{value:.2g}", ha="center", va="center", fontsize=7)
