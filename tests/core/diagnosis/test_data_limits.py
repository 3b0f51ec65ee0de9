"""Bounds of data checks are checked themselves."""

import pytest

from napari_hovernet.core.diagnosis.data_limits import DataLimits
from napari_hovernet.errors import InputError


def test_a_bound_below_zero_is_refused():
    with pytest.raises(InputError, match="coverage is -1"):
        DataLimits(coverage=-1)
    assert DataLimits(lighter=-0.5).lighter == -0.5


def test_warnings_start_before_faults():
    limits = DataLimits()
    for low, high in (
        ("empty", "empty_all"),
        ("coverage", "coverage_all"),
        ("lumps", "lumps_all"),
        ("untyped", "untyped_all"),
        ("split_ids", "split_all"),
    ):
        assert getattr(limits, low) < getattr(limits, high)
