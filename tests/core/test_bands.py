"""Row bands cover an image once and read enough around."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.masks import row_bands


@pytest.mark.parametrize(
    ("height", "rows", "halo"), [(1, 5, 3), (10, 3, 2), (10, 10, 4), (7, 1, 9)]
)
def test_every_row_is_kept_once_and_read_with_its_halo(height, rows, halo):
    image = np.arange(height)
    kept = []
    for band in row_bands(height, rows, halo):
        assert image[band.read][band.inner].tolist() == image[band.keep].tolist()
        assert band.read.start == max(band.keep.start - halo, 0)
        assert band.read.stop == min(band.keep.stop + halo, height)
        kept.extend(image[band.keep])
    assert kept == list(range(height))


def test_no_rows_no_bands():
    assert list(row_bands(0, 4, 1)) == []
