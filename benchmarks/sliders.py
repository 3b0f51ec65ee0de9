"""CPU time of an edit with a slider: every number of a method, at several values.

    python benchmarks/sliders.py --edge 1000

On planted maps, 1,000 nuclei per megapixel.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
from scene import crowd

import napari_hovernet as nh
from napari_hovernet.core.separation.tuning import StagedTuner, tunables_for, with_value
from napari_hovernet.core.synthetic import planted_maps

METHODS = ("local", "hover_net")
WANTED_MS = {1000: 50, 2000: 150}
"""Most that 95 of 100 edits may take, by edge."""
PLACES = np.linspace(0.2, 0.8, 5)
"""Where on a slider, 0 to 1."""


def edits(method: str, maps: nh.Maps) -> dict[str, list[float]]:
    """Milliseconds of edits away from the preset, by what is edited."""
    tuner, base = StagedTuner(maps), nh.TuneParams(nh.SeparationParams.preset(method))
    tuner(base)
    spent: dict[str, list[float]] = {}
    for known in tunables_for(method):
        for place in PLACES:
            value = known.snap(known.low + (known.high - known.low) * float(place))
            params = with_value(base, known.name, value)
            started = time.process_time()
            tuner(params)
            spent.setdefault(known.name, []).append(1e3 * (time.process_time() - started))
    return spent


def main() -> None:
    """Parse the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=int, default=1000)
    edge = parser.parse_args().edge
    maps = planted_maps(crowd(edge, edge * edge // 1000))
    for method in METHODS:
        spent = edits(method, maps)
        middle, most = np.percentile(np.concatenate(list(spent.values())), [50, 95])
        print(f"{method}, {edge} x {edge} px: median {middle:.0f} ms, p95 {most:.0f} ms", end="")
        print(f" (wanted {WANTED_MS.get(edge, '-')})")
        for name, times in spent.items():
            print(f"    {name:18}{np.median(times):7.1f}")


if __name__ == "__main__":
    main()
