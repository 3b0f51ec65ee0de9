"""Ours with parameters, or anybody's function: both cut maps into instances."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from napari_hovernet.core.diagnosis.separating import Separator
from napari_hovernet.core.hv import HVReading
from napari_hovernet.core.params import SeparationParams
from napari_hovernet.core.separation import separate
from napari_hovernet.core.separation.tuning import TuneParams, tune
from napari_hovernet.core.synthetic import planted_maps, tissue
from napari_hovernet.errors import InputError

MAPS = planted_maps(tissue((128, 128), seed=3).labels)


def components(np_map: Any, hv: Any) -> Any:
    """Whatever hangs together."""
    return ndimage.label(np_map > 0.5)[0]


def test_parameters_presets_and_tuned_ones_cut_as_they_do_elsewhere() -> None:
    for given in (None, SeparationParams(), "local"):
        assert np.array_equal(Separator.of(given).cut(MAPS), separate(MAPS).labels)
    tuned = TuneParams(hv=HVReading(order="vh"))
    assert np.array_equal(Separator.of(tuned).cut(MAPS), tune(MAPS, tuned).labels)


def test_a_function_of_np_and_hv_or_of_maps() -> None:
    two = Separator.of(components)
    one = Separator.of(lambda maps: components(maps.np, maps.hv).astype(float))
    assert two.name == "components"
    assert two.params is None
    assert np.array_equal(two.cut(MAPS), one.cut(MAPS))


def test_a_function_that_fails_or_returns_something_else_is_named() -> None:
    def broken(np_map: Any, hv: Any) -> Any:
        raise KeyError("x")

    with pytest.raises(InputError, match="KeyError"):
        Separator.of(broken).cut(MAPS)
    with pytest.raises(InputError, match="shape"):
        Separator.of(lambda maps: np.zeros((2, 2), int)).cut(MAPS)
    with pytest.raises(InputError, match="int"):
        Separator.of(5)


def test_changes_reach_parameters_but_not_functions() -> None:
    given = Separator.of("hover_net")
    assert given.changed(None, None) is given
    changed = given.changed({"sobel_size": 5}, 0.3)
    assert changed.params is not None
    assert (changed.params.sobel_size, changed.params.np_threshold) == (5, 0.3)
    own = Separator.of(components)
    assert own.changed({"depth": 1.0}, None) is own
    assert own.changed({"preset": "local"}, None).params == SeparationParams()
