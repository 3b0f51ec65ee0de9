"""No compiled loop looks beyond its arrays, whatever the maps: run with numba's bounds checks.

Without the checks an index that is out of range reads or writes other memory, and a viewer dies.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import napari_hovernet as nh
from napari_hovernet.core.io.geojson import rasterize, read_geojson, write_geojson
from napari_hovernet.core.measure.blobs import blob_report
from napari_hovernet.core.measure.compare import check_truth, compare
from napari_hovernet.core.measure.magnitude import magnitude_report
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.params import PRESETS, SeparationParams
from napari_hovernet.errors import UserError

TRIES = 24


@pytest.mark.slow
def test_no_loop_leaves_its_arrays(tmp_path: Path) -> None:
    checked = {"NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    done = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], env={**os.environ, **checked},
        capture_output=True, text=True, timeout=900, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout.split()[-1]) >= TRIES


def maps_of(rng: np.random.Generator, trial: int) -> nh.Maps:
    """Maps of odd sizes: noise, of steps, next to nothing, or the largest that are taken."""
    height, width = rng.integers(1, 90, 2)
    probability = rng.random((height, width)).astype(np.float32)
    hv = rng.normal(0, 0.5, (2, height, width)).astype(np.float32)
    if trial % 4 == 1:
        hv = np.sign(hv) * 3
    if trial % 4 == 2:
        hv *= np.float32(1e-38)
    if trial % 4 == 3:
        probability = (probability > 0.3).astype(np.float32)
    types = rng.random((5, height, width)).astype(np.float32)
    return nh.Maps(np=probability, hv=hv, types=types)


def everything(maps: nh.Maps, preset: str, truth: np.ndarray, folder: Path) -> None:
    """Separate, measure, compare, write and read."""
    params = SeparationParams.preset(preset)
    labels = nh.separate(maps, params).labels
    nuclei = measure(labels, maps)
    blob_report(maps, labels)
    magnitude_report(maps, labels)
    compare(check_truth(truth, truth.shape), labels, maps, params)
    nh.evaluate(truth, labels)
    nh.hv_targets(labels)
    write_geojson(folder / "n.geojson", nuclei, labels=labels)
    assert np.array_equal(
        rasterize(read_geojson(folder / "n.geojson"), labels.shape) > 0, labels > 0
    )


def main() -> None:
    """Try all presets on all maps; print how many tries there were."""
    rng, tried = np.random.default_rng(0), 0
    for trial in range(TRIES):
        maps = maps_of(rng, trial)
        truth = rng.integers(0, 9, maps.shape).astype(np.int32)
        for preset in PRESETS:
            try:
                everything(maps, preset, truth, Path(sys.argv[1]))
            except UserError:
                continue
            tried += 1
    print(tried)  # noqa: T201 - to the test


if __name__ == "__main__":
    main()
