"""The one decorator for compiled loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a loop over arrays to machine code that lets other threads run.

    The machine code is kept on disk between runs; where no folder can be written
    (a read-only install without a home) it is compiled anew in each process.
    Kernels are single-threaded, so their result never depends on timing.
    """
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:
        return cast(F, numba.njit(nogil=True)(function))
