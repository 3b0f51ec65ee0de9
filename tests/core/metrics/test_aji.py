from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.measure.metrics import aji, aji_plus, contingency


def plain_aji(true: np.ndarray, pred: np.ndarray) -> float:
    """AJI straight from its definition, a mask per nucleus."""
    taken: set[int] = set()
    overlap = union = 0
    for t in np.unique(true[true > 0]):
        ids = np.unique(pred[(true == t) & (pred > 0)])
        if not len(ids):
            union += int((true == t).sum())
            continue
        both = [int(((true == t) & (pred == p)).sum()) for p in ids]
        either = [int(((true == t) | (pred == p)).sum()) for p in ids]
        best = int(np.argmax([b / (e + 1e-6) for b, e in zip(both, either, strict=True)]))
        overlap, union = overlap + both[best], union + either[best]
        taken.add(int(ids[best]))
    union += sum(int((pred == p).sum()) for p in np.unique(pred[pred > 0]) if p not in taken)
    return overlap / union


@pytest.mark.parametrize("seed", range(4))
def test_aji_equals_its_definition(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = rng.integers(0, 9, (2, 8, 8))
    true, pred = (np.kron(b, np.ones((3, 3), int)) for b in blocks)
    pred = np.roll(pred, (1, 1), (0, 1))
    assert aji(contingency(true, pred)) == pytest.approx(plain_aji(true, pred), abs=1e-12)


def test_a_merger_costs_more_in_aji_than_its_parts_and_plus_takes_it_once() -> None:
    table = contingency([[1, 1, 1, 2]], [[6, 6, 6, 6]])
    assert aji(table) == pytest.approx(4 / 8)
    assert aji_plus(table) == pytest.approx(3 / 5)


def test_plus_gives_up_one_good_pair_for_two() -> None:
    # 1 overlaps 8 (3/4) and 9 (1/4); 2 overlaps 8 alone
    table = contingency([[1, 1, 1, 1, 2]], [[8, 8, 8, 9, 8]])
    assert aji_plus(table) == pytest.approx(3 / (5 + 1 + 1))


@pytest.mark.parametrize("score", [aji, aji_plus])
@pytest.mark.parametrize(
    ("true", "pred", "value"), [(0, 0, 1.0), (0, 1, 0.0), (1, 0, 0.0), (3, 9, 1.0)]
)
def test_empty_and_perfect_images(score: object, true: int, pred: int, value: float) -> None:
    assert callable(score)
    assert score(contingency(np.full((4, 4), true), np.full((4, 4), pred))) == value
