"""How soon a slider edit shows: from the edit to new instances in the layer, and the gaps.

A run on planted maps is put into a real viewer; the slider "Depth" (and then "NP
threshold") is moved again and again, each time once the answer to the last is there, and
then dragged at 30 edits a second. Printed: median and 95th percentile from edit to painted
instances, and the longest gap of a 10 ms timer while dragging, with that of an idle
process beside. Needs a display::

    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/tuner.py
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from typing import Any

import numpy as np
from scene import crowd
from viewer_responsiveness import Control, Gaps, pump

EDITS = 40
WARM_UP = 3
DRAG_S = 4.0
DRAG_RATE = 30
"""Edits per second while dragging."""
WANTED = {1000: 100, 2000: 400}
"""Milliseconds from edit to new instances (p95) by edge of the view."""
WANTED_GAP = 100
"""Milliseconds of the longest gap while dragging."""
SWEPT = {"depth": (0.05, 0.45), "np_threshold": (0.3, 0.7), "hv.scale": (0.5, 2.0)}
"""Sliders that are moved, from where to where."""


def planted_run(edge: int) -> Any:
    """Return a run over planted maps with one nucleus per 1000 pixels."""
    import napari_hovernet as nh  # noqa: PLC0415 - after --help
    from napari_hovernet._napari.images import Placement  # noqa: PLC0415
    from napari_hovernet.app.segment import SegmentParams, SegmentResult  # noqa: PLC0415
    from napari_hovernet.app.session import ImageChoice, Run  # noqa: PLC0415
    from napari_hovernet.core.measure.nuclei import measure  # noqa: PLC0415
    from napari_hovernet.core.synthetic import planted_maps  # noqa: PLC0415

    maps = planted_maps(crowd(edge, edge * edge // 1000))
    found = nh.separate(maps)
    result = SegmentResult(
        labels=found.labels,
        nuclei=measure(found.labels, maps),
        info=nh.ModelInfo("compact"),
        params=SegmentParams(),
        offset=(0, 0),
        mpp=None,
        seconds=0.0,
        maps=maps,
        separation=found,
    )
    flat = {"scale": (1.0, 1.0), "rotate": np.eye(2), "shear": np.zeros(1), "affine": np.eye(3)}
    return Run(1, "planted 1", ImageChoice("planted", "planted"), result, Placement((), flat))


def measure_edge(edge: int) -> dict[str, float]:
    """Return milliseconds by what was measured."""
    import napari  # noqa: PLC0415 - after --help
    from napari_hovernet._napari.session_for import session_for  # noqa: PLC0415

    viewer = napari.Viewer()
    viewer.window.resize(1500, 950)
    work = session_for(viewer)
    work.session.add_run(planted_run(edge), "planted")
    pump(_app(), lambda: work.layers.settled)
    viewer.reset_view()
    _, panel = viewer.window.add_plugin_dock_widget("napari-hovernet", "Tune separation")
    pump(_app(), lambda: not panel.desk.busy)
    found: dict[str, float] = {}
    for name, (low, high) in SWEPT.items():
        values = [low + (high - low) * (k * 7 % 13) / 13 for k in range(EDITS + WARM_UP)]
        times = [edited(panel, name, value) for value in values][WARM_UP:]
        found[f"{name}, edit to instances, median"] = 1000 * float(np.median(times))
        found[f"{name}, edit to instances, p95"] = 1000 * float(np.quantile(times, 0.95))
    control, gaps = Control(), Gaps()
    gaps.enter("drag")
    began = time.perf_counter()
    drag(panel, "depth", SWEPT["depth"])
    found["dragging, longest gap"] = 1000 * gaps.longest["drag"]
    idle = max((gap for when, gap in control.stop() if when > began), default=0.0)
    found["an idle process meanwhile"] = 1000 * idle
    viewer.close()
    return found


def edited(panel: Any, name: str, value: float) -> float:
    """Move one slider and return the seconds until its instances are painted."""
    answered: list[float] = []
    paint = panel.tuner._paint

    def painted(*args: Any) -> None:
        paint(*args)
        answered.append(time.perf_counter())

    panel.tuner._paint = painted
    start = time.perf_counter()
    panel.editor.sliders[name].spin.setValue(value)
    pump(_app(), lambda: bool(answered) and not panel.tuner.busy, 30)
    panel.tuner._paint = paint
    _app().processEvents()
    return answered[0] - start


def drag(panel: Any, name: str, span: tuple[float, float]) -> None:
    """Move a slider to and fro like a hand does."""
    start = time.perf_counter()
    done = 0
    while time.perf_counter() - start < DRAG_S:
        due = int((time.perf_counter() - start) * DRAG_RATE)
        if due > done:
            done = due
            phase = 0.5 - 0.5 * np.cos(done / 15)
            panel.editor.sliders[name].spin.setValue(span[0] + phase * (span[1] - span[0]))
        _app().processEvents()
        time.sleep(0.001)
    pump(_app(), lambda: not panel.tuner.busy)


def _app() -> Any:
    from napari.qt import get_qapp  # noqa: PLC0415 - after --help

    return get_qapp()


def main() -> int:
    """Print a table per edge."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--edges", type=int, nargs="+", default=list(WANTED))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NAPARI_HOVERNET_CONFIG"] = folder
        for edge in options.edges:
            print(f"{edge} x {edge} px, {edge * edge // 1000} nuclei")
            for name, value in measure_edge(edge).items():
                print(f"  {name:45s} {value:7.0f} ms", flush=True)
            wanted = WANTED.get(edge)
            print(f"  (wanted: p95 {wanted or 'any'} ms, gap {WANTED_GAP} ms)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
