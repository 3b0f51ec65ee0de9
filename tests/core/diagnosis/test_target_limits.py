"""Bounds of target checks are checked themselves."""

import pytest

from napari_hovernet.core.diagnosis.target_limits import TargetLimits
from napari_hovernet.errors import InputError


def test_a_bound_of_zero_or_less_is_refused():
    with pytest.raises(InputError, match="agree is 0"):
        TargetLimits(agree=0)


def test_warnings_start_before_faults():
    limits = TargetLimits()
    assert limits.loss < limits.loss_all
    assert limits.leak < limits.leak_all
    assert limits.np_apart < limits.np_agree
    assert limits.fitting_all < limits.fitting
