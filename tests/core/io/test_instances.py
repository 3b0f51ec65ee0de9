"""Label images from files."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.io.labels import check_labels, present_ids
from napari_hovernet.errors import InputError


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float32, np.bool_])
def test_whole_numbers_of_any_kind_are_labels(dtype: type) -> None:
    labels = check_labels(np.array([[0, 1], [1, 0]], dtype), "x")
    assert labels.dtype == np.int32
    assert labels.tolist() == [[0, 1], [1, 0]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros(3), "shape"),
        (np.zeros((2, 2), "U1"), "dtype"),
        (np.array([[-1]]), "-1"),
        (np.array([[2**31]]), "2147483648"),
        (np.array([[np.nan]]), "nan"),
        (np.array([[0.5]]), "fractions"),
    ],
)
def test_anything_else_is_refused(values: np.ndarray, said: str) -> None:
    with pytest.raises(InputError, match=f"inst_map .*{said}"):
        check_labels(values, "inst_map")


def test_ids_rise_and_may_have_gaps() -> None:
    assert present_ids(np.array([[7, 0], [3, 7]], np.int32)).tolist() == [3, 7]
    assert present_ids(check_labels(np.zeros((0, 4)), "x")).tolist() == []
