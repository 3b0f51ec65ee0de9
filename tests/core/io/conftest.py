"""Labels and nuclei to write and read back."""

from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.core.measure.nuclei import measure
from napari_hovernet.core.types import Int32, Nuclei, TypeInfo

TYPES = {
    0: TypeInfo("background", (0, 0, 0)),
    1: TypeInfo("neoplastic", (255, 0, 0)),
    2: TypeInfo("inflammatory", (0, 255, 0)),
}


def make_labels() -> Int32:
    """Nuclei that touch, one of a single pixel, one joined by a corner, one at the border."""
    labels = np.zeros((40, 60), np.int32)
    labels[5:15, 5:12] = 1
    labels[5:15, 12:20] = 2
    labels[8:12, 20:22] = 2
    labels[20, 20] = 3
    labels[25, 30], labels[26, 31:33] = 4, 4
    labels[30:40, 45:60] = 5
    yy, xx = np.mgrid[:40, :60]
    labels[(yy - 25) ** 2 + (xx - 50) ** 2 < 20] = 6
    return labels


def make_nuclei(labels: Int32, *, typed: bool = True) -> Nuclei:
    """One row per instance, with types and numbers made up."""
    n = len(np.unique(labels)) - 1
    kinds = (np.arange(n) % 3).astype(np.int32) if typed else np.zeros(n, np.int32)
    return replace(
        measure(labels), type=kinds, type_probability=np.where(kinds > 0, 0.75, 0.0),
        magnitude_mean=np.linspace(0.5, 0.7, n), np_mean=np.full(n, 0.9),
        magnitude_p95=np.linspace(0.8, 1.0, n) if typed else np.full(n, np.nan),
        type_names=TYPES if typed else {},
    )  # fmt: skip


@pytest.fixture
def labels() -> Int32:
    return make_labels()


@pytest.fixture
def nuclei(labels: Int32) -> Nuclei:
    return make_nuclei(labels)


@pytest.fixture
def untyped(labels: Int32) -> Nuclei:
    return make_nuclei(labels, typed=False)


@pytest.fixture
def none() -> Nuclei:
    return make_nuclei(np.zeros((4, 4), np.int32))
