"""What is measured of a sample."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from napari_hovernet.core.data.load import load_samples
from napari_hovernet.core.data.samples import Sample, measure, touching_count
from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.params import DataParams

from .drawn import nuclei


def image(labels: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (*labels.shape, 3)).astype(np.uint8)


def test_counts_of_a_drawn_image() -> None:
    labels = np.zeros((12, 20), np.int32)
    labels[1:5, 1:5] = 3
    labels[1:5, 5:9] = 9  # touches 3
    labels[5:7, 9:11] = 4  # touches 9 over a corner
    labels[9:11, 1:3] = labels[9:11, 15:17] = 7  # one id in two parts
    types = (labels == 9) * 2
    found = measure(Sample("a", image=image(labels), labels=labels, types=types, mpp=0.5))
    assert (found.nuclei, found.touching, found.components, found.parts) == (4, 3, 3, 5)
    assert found.inside == 16 + 16 + 4 + 8
    assert found.coverage == pytest.approx(44 / 240)
    assert (found.highest_type, found.mpp, found.blank, found.has_labels) == (2, 0.5, False, True)
    assert found.untyped == pytest.approx(28 / 44)


def test_touching_agrees_with_a_look_at_every_pixel() -> None:
    labels = nuclei(5)
    touching = set()
    for r, c in zip(*np.nonzero(labels), strict=True):
        around = labels[max(r - 1, 0) : r + 2, max(c - 1, 0) : c + 2]
        if ((around > 0) & (around != labels[r, c])).any():
            touching.add(labels[r, c])
    assert touching
    assert touching_count(labels) == len(touching)
    assert touching_count(np.ones((1, 1), np.int32)) == 0


def test_stored_targets_are_measured_as_they_are() -> None:
    labels = nuclei()
    half = hv_targets(labels) * np.float32(0.5)
    stored = Sample("a", features=np.zeros((261, 2)), np_target=labels > 0, hv_target=half)
    found, ours = measure(stored), measure(Sample("b", image=image(labels), labels=labels))
    assert found.magnitude == pytest.approx(ours.magnitude / 2, rel=1e-5)
    assert not found.has_labels
    assert found.nuclei == found.components
    assert found.touching == 0


def test_an_empty_image() -> None:
    labels = np.zeros((8, 8), np.int32)
    found = measure(Sample("a", image=np.full((8, 8, 3), 7, np.uint8), labels=labels))
    assert (found.nuclei, found.inside, found.highest_type, found.blank) == (0, 0, -1, True)
    assert math.isnan(found.magnitude)


def test_real_images_have_the_figures_of_their_index(shared: Path) -> None:
    """n_nuclei, fg and touch_frac were computed by others; see the index."""
    import csv  # noqa: PLC0415

    with (shared / "data" / "index.csv").open(newline="") as file:
        rows = {row["name"]: row for row in csv.DictReader(file)}
    data = load_samples(DataParams(sources=(str(shared / "data"),)))
    assert (len(data.train), len(data.val)) == (103, 20)
    for sample in data.val:
        found, row = measure(sample), rows[sample.name]
        assert found.nuclei == int(row["n_nuclei"])
        assert found.coverage == pytest.approx(float(row["fg"]), abs=1e-3)
        assert found.touching / found.nuclei == pytest.approx(float(row["touch_frac"]), abs=0.12)
        assert found.magnitude == pytest.approx(float(row["hv_mag"]), abs=0.03)
