from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.synthetic import profile, smooth_noise, step_up


@pytest.mark.parametrize("sigma", [0.6, 2.0, 7.3, 30.0])
def test_noise_has_the_promised_spread_and_smoothness(sigma: float) -> None:
    noise = smooth_noise(np.random.default_rng(0), (400, 500), sigma)
    assert noise.shape == (400, 500)
    assert noise.dtype == np.float32
    assert 0.7 < noise.std() < 1.3
    step = np.abs(np.diff(noise, axis=0)).mean()
    assert step < 1.1 / max(sigma, 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (3, 2)])
def test_noise_of_tiny_images(shape: tuple[int, int]) -> None:
    assert smooth_noise(np.random.default_rng(0), shape, 20.0).shape == shape


def test_a_profile_is_constant_along_levels_and_varies_across() -> None:
    at = np.repeat(np.linspace(-40, 40, 200, dtype=np.float32)[:, None], 3, axis=1)
    stripes = profile(np.random.default_rng(0), at, 2.0)
    assert (stripes[:, 0] == stripes[:, 2]).all()
    assert 0.6 < stripes.std() < 1.4
    assert np.abs(np.diff(stripes[:, 0])).max() < 1.5


def test_step_rises_from_0_to_1() -> None:
    risen = step_up(np.array([-3, -0.5, 0, 0.5, 3], np.float32), 1.0)
    assert risen[[0, 2, 4]].tolist() == [0, 0.5, 1]
    assert 0 < risen[1] < 0.5 < risen[3] < 1
