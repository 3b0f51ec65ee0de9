"""Where maps lie, over shifts and turns."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.data.samples import TURNS, turn_plane
from napari_hovernet.core.diagnosis.map_lie import (
    Moved,
    consensus,
    is_shifted,
    is_turned,
    lie,
    moved,
)
from napari_hovernet.core.diagnosis.map_limits import MapLimits
from napari_hovernet.core.diagnosis.map_moved import direction, model_orientation, model_shift
from napari_hovernet.core.diagnosis.map_np import NPReading
from napari_hovernet.core.diagnosis.map_views import View, darkness
from napari_hovernet.core.synthetic import planted_maps, tissue

LIMITS = MapLimits()


@pytest.fixture(scope="module")
def views() -> list[View]:
    made = [tissue((192, 192), seed) for seed in range(4)]
    maps = [planted_maps(one.labels, seed) for seed, one in enumerate(made)]
    return [
        View(i, str(i), m.np, m.hv, one.labels, darkness(one.image, LIMITS))
        for i, (one, m) in enumerate(zip(made, maps, strict=True))
    ]


@pytest.mark.parametrize("shift", [(0, 56), (-8, 3), (70, -70), (0, 2)])
def test_shifts_are_found_to_the_pixel(views: list[View], shift: tuple[int, int]) -> None:
    lies = [lie(np.roll(v.prob, shift, (0, 1)), v.labels > 0, 0, LIMITS) for v in views]
    found = consensus(lies)
    assert found is not None
    assert found.shift == shift
    assert found.agree == 4
    assert is_shifted(found)
    finding = model_shift(Moved(truth=found))
    assert finding.remedy.value == (-shift[0], -shift[1])


def test_one_pixel_is_a_warning_if_several_images_agree(views: list[View]) -> None:
    lies = [lie(np.roll(v.prob, 1, 1), v.labels > 0, 0, LIMITS) for v in views]
    found = consensus(lies)
    assert found is not None
    assert model_shift(Moved(truth=found)).verdict == "warn"
    alone = consensus(lies[:1])
    assert alone is not None
    assert not is_shifted(alone)


@pytest.mark.parametrize("k", range(1, 8))
def test_every_turn_is_told(views: list[View], k: int) -> None:
    lies = [lie(np.ascontiguousarray(turn_plane(v.prob, TURNS[k])), v.labels > 0, 0, LIMITS)
            for v in views]  # fmt: skip
    found = consensus(lies)
    assert found is not None
    assert (found.turn, is_turned(found), is_shifted(found)) == (k, True, False)
    finding = model_orientation(Moved(truth=found))
    assert (finding.verdict, finding.remedy.value) == ("fault", (TURNS[k].flip, TURNS[k].quarters))


def test_the_image_decides_where_the_labels_say_something_else(views: list[View]) -> None:
    astray = [View(v.index, v.name, v.prob, v.hv, np.roll(v.labels, 20, 0), v.dark) for v in views]
    found, _, _ = moved(astray, NPReading())
    assert found.truth is not None
    assert found.truth.shift == (-20, 0)
    finding = model_shift(found)
    assert finding.verdict == "ok"
    assert "it is they that are" in finding.evidence
    assert found.alignment() == (TURNS[0], (-20, 0))


def test_sides_that_differ_are_turned_by_halves_alone() -> None:
    plane = np.zeros((32, 48), np.float32)
    plane[4:9, 6:20] = 1
    found = lie(np.ascontiguousarray(plane[::-1]), plane, 0, LIMITS)
    assert np.isnan(found.turns).tolist() == [False, True] * 4


def test_no_relation_is_not_tested() -> None:
    rng = np.random.default_rng(0)
    lies = [lie(rng.random((96, 96)).astype(np.float32), rng.random((96, 96)) > 0.8, 0, LIMITS)]
    for judge in (model_shift, model_orientation):
        assert judge(Moved(truth=consensus(lies))).verdict == "not tested"
        assert judge(Moved()).verdict == "not tested"
    assert model_shift(Moved(truth=consensus(lies), strangers=1)).title.startswith("Maps belong")


def test_words() -> None:
    assert direction((3, 0)) == "3 px down"
    assert direction((0, 0)) == "in place"
