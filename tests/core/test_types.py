import threading
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from napari_hovernet.core import types as workers
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError

PROB = np.full((4, 5), 0.5)
HV = np.zeros((2, 4, 5))


def test_maps_are_float32_and_have_a_length() -> None:
    maps = Maps(np=PROB.T.copy().T, hv=HV.astype(np.float16), types=np.ones((3, 4, 5), np.int8))
    for array in (maps.np, maps.hv, maps.types):
        assert array.dtype == np.float32
        assert array.flags.c_contiguous
    assert maps.shape == (4, 5)
    hv = np.zeros((2, 4, 5))
    hv[:, 1, 2] = 3, -4
    magnitude = Maps(np=PROB, hv=hv).magnitude
    assert magnitude.dtype == np.float32
    assert magnitude[1, 2] == 5
    assert magnitude.sum() == 5
    assert Maps(np=np.full((1, 1), 1.0005), hv=np.zeros((2, 1, 1))).np[0, 0] > 1
    assert Maps(np=np.zeros((0, 3)), hv=np.zeros((2, 0, 3))).magnitude.shape == (0, 3)
    maps = Maps(np=PROB, hv=HV)
    with pytest.raises(FrozenInstanceError):
        maps.np = PROB  # type: ignore[misc,assignment]
    assert maps != Maps(np=PROB, hv=HV)
    assert len({maps, maps}) == 1


def nan_at_one_pixel() -> np.ndarray:
    hv = HV.copy()
    hv[0, 0, 0] = np.nan
    return hv


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"np": PROB[None], "hv": HV}, r"Maps\.np has shape \(1, 4, 5\)"),
        ({"np": PROB, "hv": HV[:1]}, r"must be \(2, 4, 5\)"),
        ({"np": PROB, "hv": HV[:, :3]}, r"Maps\.hv has shape \(2, 3, 5\)"),
        ({"np": PROB * 40, "hv": HV}, "not its logits"),
        ({"np": PROB, "hv": nan_at_one_pixel()}, "1 values that are not finite"),
        ({"np": PROB, "hv": HV, "types": PROB}, r"Maps\.types has shape"),
        ({"np": PROB, "hv": HV, "types": HV[:, :3]}, r"Maps\.types has shape"),
        ({"np": np.full((4, 5), "a"), "hv": HV}, "give numbers"),
    ],
)
def test_unfit_maps_are_refused_in_words(arrays: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError, match=says):
        Maps(**arrays)


def test_results_come_in_the_order_of_the_pieces(monkeypatch):
    monkeypatch.setattr(workers, "worker_count", lambda: 3)
    barrier = threading.Barrier(3, timeout=20)

    def work(piece: int) -> tuple[int, int]:
        barrier.wait()
        return piece, threading.get_ident()

    found = workers.spread(work, [5, 1, 4])
    assert [piece for piece, _ in found] == [5, 1, 4]
    assert len({thread for _, thread in found}) == 3
