"""The two mistakes do what they are known for, on true and on real maps."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.metrics import evaluate
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.separation.published import merged
from napari_hovernet.core.types import Maps

PEAKS = SeparationParams.preset("magnitude_peaks")
MERGING = SeparationParams.preset("merging_relabel")


def two_discs() -> np.ndarray:
    labels = np.zeros((40, 70), np.int32)
    y, x = np.mgrid[:40, :70]
    labels[(y - 20) ** 2 + (x - 22) ** 2 <= 13**2] = 1
    labels[((y - 20) ** 2 + (x - 47) ** 2 <= 13**2) & (labels == 0)] = 2
    return labels


def exact(labels: np.ndarray, factor: float = 1.0) -> Maps:
    return Maps(np=labels > 0, hv=hv_targets(labels) * np.float32(factor))


def test_seeds_of_the_magnitude_lie_on_the_rim_and_break_nuclei_up():
    labels = two_discs()
    maps = exact(labels)
    found = separate(maps, PEAKS)
    assert found.n > 4
    depth = ndimage.distance_transform_edt(labels > 0)
    assert np.median(depth[found.markers > 0]) < 2 < np.median(depth[labels > 0])
    assert ((found.labels > 0) == found.mask).all()


def test_its_result_does_not_depend_on_the_length_of_hv():
    labels = two_discs()
    reference = separate(exact(labels), PEAKS).labels
    for factor in (0.02, 50):
        np.testing.assert_array_equal(separate(exact(labels, factor), PEAKS).labels, reference)


def test_merging_makes_one_of_what_touches():
    maps = exact(two_discs())
    assert separate(maps, MERGING).n == 1
    assert separate(maps, replace(MERGING, merge_touching=False)).n == 2
    before = separate(maps, SeparationParams())
    after = merged(before)
    assert after.n == 1
    assert after.energy is before.energy and after.markers is before.markers


@pytest.mark.parametrize("kind", ["maps", "predicted"])
def test_merging_gives_the_aji_of_connected_components(shared, kind):
    reference = json.loads((shared / "golden" / kind / "metrics.json").read_text())
    checked = 0
    for path in sorted((shared / "golden" / kind).glob("*.npz")):
        with np.load(path) as data:
            truth, hv = data["labels"].astype(np.int32), data["hv_pred"].astype(np.float32)
            probability = np.clip(data["np_prob"].astype(np.float32), 0, 1)
        found = separate(Maps(np=probability, hv=hv), MERGING)
        score = evaluate(truth, found.labels).aji
        assert score == pytest.approx(reference[path.stem]["cc_aji"], abs=1e-6), path.stem
        checked += 1
    assert checked >= 6
