from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.hv import hv_targets
from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.errors import InputError

MADE = tissue((256, 256), seed=3)


def test_maps_without_noise_are_the_truth_with_soft_borders() -> None:
    maps = planted_maps(MADE.labels, noise=0)
    assert ((maps.np > 0.5) == (MADE.labels > 0)).mean() > 0.99
    inside = measure(MADE.labels)
    r, c = inside.centroid[0][::-1].astype(int)
    target = hv_targets(MADE.labels)
    assert maps.hv[:, r, c] == pytest.approx(target[:, r, c], abs=0.02)


def test_noise_is_seeded_and_grows() -> None:
    a, b, other = (planted_maps(MADE.labels, seed=s) for s in (1, 1, 2))
    np.testing.assert_array_equal(a.hv, b.hv)
    assert (a.hv != other.hv).any()
    target = hv_targets(MADE.labels)
    errors = [
        float(np.abs(planted_maps(MADE.labels, noise=n).hv - target).mean()) for n in (0, 0.2, 0.6)
    ]
    assert errors[0] < errors[1] < errors[2]


def test_types_can_be_read_back() -> None:
    maps = planted_maps(MADE.labels, noise=0.15, types=MADE.types)
    assert maps.types is not None
    assert maps.types.sum(axis=0) == pytest.approx(1, abs=1e-5)
    nuclei = measure(MADE.labels, maps)
    assert (nuclei.type == MADE.types).mean() > 0.95


def test_an_empty_image_gives_empty_maps() -> None:
    maps = planted_maps(np.zeros((0, 4), int), types=np.zeros(0, int))
    assert maps.shape == (0, 4)
    assert maps.types is not None
    assert maps.types.shape == (6, 0, 4)


@pytest.mark.parametrize(
    ("labels", "noise", "types", "words"),
    [
        (np.zeros((2, 2), int), -1.0, None, "noise is -1.0"),
        (np.zeros((2, 2)), 0.1, None, "float64"),
        (np.ones((2, 2), int), 0.1, [1, 2], "give 1 whole numbers"),
        (np.ones((2, 2), int), 0.1, [6], "give 1..5"),
    ],
)
def test_wrong_input_is_named(
    labels: np.ndarray, noise: float, types: list[int] | None, words: str
) -> None:
    with pytest.raises(InputError, match=words):
        planted_maps(labels, noise=noise, types=types)
