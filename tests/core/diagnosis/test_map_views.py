"""Maps beside what they should agree with."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.map_limits import MapLimits
from napari_hovernet.core.diagnosis.map_views import correlation, darkness, kind_of, view_of, views
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.errors import InputError


@pytest.mark.parametrize(("given", "kind"), [
    (np.array([[0.0, 1.0]]), "probability"), (np.array([[0.0, 1.0]], np.float16), "probability"),
    (np.array([[-3.0, 4.0]]), "logits"), (np.array([[0.0, 9.0]]), "logits"),
    (np.array([[0, 200]], np.uint8), "bytes"), (np.array([[0.0, 255.0]]), "bytes"),
    (np.array([[0.5, np.nan]]), "not finite"), (np.array([[True, False]]), "probability"),
])  # fmt: skip
def test_kinds_of_np(given: np.ndarray, kind: str) -> None:
    assert kind_of(given) == kind


def test_nuclei_are_dark_in_red_whichever_way_the_channels_stand() -> None:
    made = tissue((128, 128), 0)
    for image in (made.image, np.ascontiguousarray(made.image[..., ::-1])):
        dark = darkness(image, MapLimits())
        assert dark is not None
        assert correlation(dark, made.labels > 0) > 0.6
    assert darkness(made.image // 8, MapLimits()) is None


def test_correlation_with_a_constant_is_0() -> None:
    assert correlation(np.ones((3, 3)), np.eye(3)) == 0.0
    assert correlation(np.eye(3), 2 - np.eye(3)) == -1.0


def test_labels_of_another_size_are_left_out_and_measured_once() -> None:
    items = ArrayItems(
        np=np.full((1, 8, 8), 0.5), hv=np.zeros((1, 2, 8, 8)), labels=np.ones((1, 9, 9), int)
    )
    bench = Bench(Case(items))
    view = view_of(bench, 0, MapLimits())
    assert view is not None
    assert view.truth is None
    for _ in range(2):
        *_, done = [*_drained(bench)]
    assert list(bench.kept) == ["maps.views"]
    assert done == 1


def _drained(bench: Bench) -> list[int]:
    steps = views(bench)
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return [len(stop.value)]


def test_no_map_at_all_says_why() -> None:
    items = ArrayItems(np=np.full((1, 8, 8), np.nan), hv=np.zeros((1, 2, 8, 8)))
    with pytest.raises(InputError, match="not finite"):
        _drained(Bench(Case(items)))
