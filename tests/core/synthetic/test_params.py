from __future__ import annotations

import pytest

from napari_hovernet.core.synthetic import TissueParams
from napari_hovernet.errors import InputError


@pytest.mark.parametrize(
    ("name", "value"),
    [("mpp", 0), ("touching", 0.9), ("density", -1), ("blur", float("nan")), ("eosin", 9)],
)
def test_a_number_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} is {value}; give a number in"):
        TissueParams(**{name: value})
