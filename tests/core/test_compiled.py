"""The compile decorator."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from napari_hovernet.core.types import kernel


def total(values):
    """Sum, by a loop."""
    result = 0.0
    for i in range(values.size):
        result += values[i]
    return result


def test_compiles():
    assert kernel(total)(np.arange(4.0)) == 6


def test_without_a_place_to_cache(monkeypatch: pytest.MonkeyPatch):
    plain = numba.njit

    def njit(**options: bool):
        if options.pop("cache", False):
            raise RuntimeError("cannot cache function: no locator available")
        return plain(**options)

    monkeypatch.setattr(numba, "njit", njit)
    assert kernel(total)(np.ones(3)) == 3
