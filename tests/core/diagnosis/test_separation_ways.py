from __future__ import annotations

import numpy as np

from napari_hovernet.core.diagnosis.separation_ways import OURS, WAYS, Way
from napari_hovernet.core.types import Maps


def test_ours_comes_first_and_changes_nothing():
    maps = Maps(np=np.ones((2, 3)), hv=np.arange(12.0).reshape(2, 2, 3))
    assert WAYS[0].name == OURS
    np.testing.assert_array_equal(WAYS[0].write(maps).hv, maps.hv)


def test_each_way_is_another_one():
    maps = Maps(np=np.ones((1, 1)), hv=np.array([[[1.0]], [[2.0]]]))
    written = {way.name: tuple(way.write(maps).hv.ravel()) for way in WAYS}
    assert len(set(written.values())) == len(written) == 8
    assert written["vh inward"] == (-2, -1)
    assert written["hv, v negated"] == (1, -2)
    assert written[Way("vh", -1, 1).name] == (-2, 1)
