"""What holds of every journey."""

from __future__ import annotations

import sys

import pytest

FORBIDDEN = {"torch._dynamo", "triton"}
"""Beside Mesa's libLLVM they end a viewer; other tests of this process may have brought them."""


@pytest.fixture(autouse=True)
def nothing_loads_the_compiler_of_torch():
    """Compare what is loaded before and after."""
    before = FORBIDDEN & set(sys.modules)
    yield
    assert FORBIDDEN & set(sys.modules) == before
