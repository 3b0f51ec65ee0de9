"""Parts of a training step."""

from __future__ import annotations

import math

import pytest
import torch

from napari_hovernet.core.hv import HVConvention
from napari_hovernet.core.training.module import mean_length, outward


def test_raw_hv_of_any_order_and_sign_is_brought_to_outward():
    hv = torch.randn(2, 2, 4, 5)
    assert torch.equal(outward(hv, HVConvention()), hv)
    assert torch.equal(outward(hv, HVConvention(order="vh")), hv.flip(1))
    assert torch.equal(outward(hv, HVConvention(sign="inward")), -hv)
    assert torch.equal(outward(hv, HVConvention(order="vh", sign="inward")), -hv.flip(1))


def test_the_mean_length_is_over_nuclei_alone():
    hv = torch.zeros(1, 2, 2, 2)
    hv[0, :, 0, 0] = torch.tensor([3.0, 4.0])
    hv[0, :, 1, 1] = 100.0
    inside = torch.zeros(1, 2, 2, dtype=torch.bool)
    inside[0, 0] = True
    assert mean_length(hv, inside).item() == pytest.approx(2.5)
    assert math.isnan(mean_length(hv, torch.zeros_like(inside)).item())
