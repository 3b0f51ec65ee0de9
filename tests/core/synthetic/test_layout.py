from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.synthetic import SOLID, TissueParams, lay_out

SHAPE = (200, 240)


@pytest.mark.parametrize(("share", "nests"), [(0.0, True), (1.0, False)])
def test_lumen_share_decides_between_nests_and_glands(share: float, nests: bool) -> None:
    params = TissueParams(mpp=0.5, lumen_share=share)
    layout = lay_out(SHAPE, params, np.random.default_rng(0))
    inside = layout.depth > 0
    assert 0.1 < inside.mean() < 0.9
    assert layout.nest[inside].all() == nests
    assert layout.nest.any() == nests


def test_depth_is_a_distance_in_micrometres() -> None:
    layout = lay_out(SHAPE, TissueParams(mpp=0.5), np.random.default_rng(1))
    slope = np.hypot(*np.gradient(layout.depth, 0.5))
    assert 0.8 < np.median(slope) < 1.1
    assert (layout.height[layout.depth < 0] > SOLID / 2).all()


def test_glands_keep_apart() -> None:
    params = TissueParams(mpp=0.5, gland_spacing=60)
    layout = lay_out((300, 300), params, np.random.default_rng(2))
    assert (layout.depth < 0).mean() > 0.1


def test_direction_is_that_of_the_steepest_rise() -> None:
    layout = lay_out((20, 20), TissueParams(), np.random.default_rng(0))
    rising = np.repeat(np.arange(20, dtype=np.float32)[:, None], 20, axis=1)
    assert layout.direction(rising, 10, 10) == pytest.approx(np.pi / 2)
    assert layout.direction(rising.T, 0, 0) == pytest.approx(0)
