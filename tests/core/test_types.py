"""Every number and word of every parameters class is refused out of its range, by its name."""

import importlib
import inspect
import math
import pkgutil
import threading
from collections.abc import Iterator
from dataclasses import FrozenInstanceError, is_dataclass
from typing import Any

import numpy as np
import pytest

import napari_hovernet.app
import napari_hovernet.core
from napari_hovernet.core import types as workers
from napari_hovernet.core.choices import Choice, choices
from napari_hovernet.core.types import Maps
from napari_hovernet.errors import InputError

PROB = np.full((4, 5), 0.5)
HV = np.zeros((2, 4, 5))


def test_maps_are_float32_and_have_a_length() -> None:
    maps = Maps(np=PROB.T.copy().T, hv=HV.astype(np.float16), types=np.ones((3, 4, 5), np.int8))
    for array in (maps.np, maps.hv, maps.types):
        assert array.dtype == np.float32 and array.flags.c_contiguous
    assert maps.shape == (4, 5)
    hv = np.zeros((2, 4, 5))
    hv[:, 1, 2] = 3, -4
    magnitude = Maps(np=PROB, hv=hv).magnitude
    assert (magnitude.dtype, magnitude[1, 2], magnitude.sum()) == (np.float32, 5, 5)
    assert Maps(np=np.full((1, 1), 1.0005), hv=np.zeros((2, 1, 1))).np[0, 0] > 1
    assert Maps(np=np.zeros((0, 3)), hv=np.zeros((2, 0, 3))).magnitude.shape == (0, 3)
    maps = Maps(np=PROB, hv=HV)
    with pytest.raises(FrozenInstanceError):
        maps.np = PROB  # type: ignore[misc,assignment]
    assert maps != Maps(np=PROB, hv=HV) and len({maps, maps}) == 1


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
    assert ([piece for piece, _ in found], len({thread for _, thread in found})) == ([5, 1, 4], 3)


def classes() -> Iterator[type]:
    """Parameters classes that can be made without arguments."""
    seen: set[type] = set()
    for package in (napari_hovernet.core, napari_hovernet.app):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            for _, cls in inspect.getmembers(importlib.import_module(found.name), inspect.isclass):
                if is_dataclass(cls) and cls not in seen and choices(cls):
                    seen.add(cls)
                    yield cls


def refused(about: Choice) -> list[Any]:
    """Values that lie just outside, or are no value at all."""
    if about.options:
        return [] if about.loose else ["no such word", True]
    if not about.bounded:
        return []
    step = 1 if about.whole else 1e-6
    values = [math.nan, math.inf, -math.inf, "a word"]
    values += [about.low - step] if about.low is not None else [about.above]
    values += [about.high + step] if about.high is not None else []
    values += [1.5] if about.whole else []
    values += [(about.low or 0) + 1 - (about.low or 0) % 2 + 1] if about.odd else []
    width = len(about.default) if isinstance(about.default, tuple) else 0
    return [(value,) * width for value in values] if width else values


FIELDS = [
    pytest.param(cls, name, about, id=f"{cls.__name__}.{name}")
    for cls in classes()
    for name, about in choices(cls).items()
    if refused(about)
]


def test_the_classes_are_found() -> None:
    assert len(FIELDS) > 100


@pytest.mark.parametrize(("cls", "name", "about"), FIELDS)
def test_what_is_out_of_range_is_refused_by_name(cls: Any, name: str, about: Choice) -> None:
    cls()
    for value in refused(about):
        with pytest.raises(InputError, match=f"^{name} is "):
            cls(**{name: value})
