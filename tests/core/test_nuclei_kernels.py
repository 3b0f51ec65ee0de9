from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.measure.nuclei import follow, outlines, quantile, select, type_votes


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n", [1, 2, 7, 100])
def test_select_puts_each_rank_in_its_place(seed: int, n: int) -> None:
    values = np.random.default_rng(seed).integers(0, 8, n).astype(np.float32)
    for rank in range(n):
        mixed = values.copy()
        assert select(mixed, rank) == np.sort(values)[rank]
        assert mixed[:rank].max(initial=-1) <= mixed[rank] <= mixed[rank:].min()


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95, 1.0])
def test_quantile_interpolates_as_numpy_does(share: float) -> None:
    values = np.random.default_rng(1).random(37).astype(np.float32)
    assert quantile(values.copy(), share) == pytest.approx(np.quantile(values, share), rel=1e-6)


def test_follow_counts_what_a_border_encloses_and_marks_it() -> None:
    mask = np.zeros((7, 7), np.int8)
    mask[1:6, 1:6] = 1
    mask[3, 3] = 0
    points = np.zeros((99, 2), np.int32)
    n, enclosed = follow(mask, 1, 1, 4, points)
    assert points[:n].tolist() == [[1, 1], [1, 5], [5, 5], [5, 1]]
    assert enclosed == 25
    assert (mask[1:6, 1] == 2).all()
    assert (mask[1:6, 5] == -2).all()


def test_a_border_longer_than_its_room_is_cut_not_written_outside() -> None:
    mask = np.zeros((5, 5), np.int8)
    mask[1:4, 1:4] = 1
    points = np.zeros((4, 2), np.int32)
    assert follow(mask, 1, 1, 4, points[:2])[0] == 4
    assert not points[2:].any()


def test_the_part_that_encloses_most_wins() -> None:
    ids = np.zeros((6, 12), np.int32)
    ids[0, 0] = ids[5, 11] = 1
    ids[1:6, 3:8] = 1
    ids[2:5, 4:7] = 0
    points, starts = outlines(ids, np.array([1]), np.array([[0, 0, 6, 12]]), np.array([18]))
    assert starts.tolist() == [0, 4]
    assert points.tolist() == [[3, 1], [3, 5], [7, 5], [7, 1]]


def test_votes_of_equal_types_go_to_the_lower() -> None:
    types = np.zeros((3, 1, 2), np.float32)
    types[1:, 0, 1] = 0.5
    votes = type_votes(np.ones((1, 2), np.int32), np.array([1]), np.array([[0, 0, 1, 2]]), types)
    assert votes.tolist() == [[1, 1, 0]]
