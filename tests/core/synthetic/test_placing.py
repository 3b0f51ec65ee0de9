from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.synthetic import Crowd, Nucleus, TissueParams, lay_out, place_nuclei

SHAPE = (320, 320)


def crowd_of(seed: int, **numbers: float) -> Crowd:
    params = TissueParams(**numbers)
    rng = np.random.default_rng(seed)
    return place_nuclei(lay_out(SHAPE, params, rng), params, rng)


def neighbours(labels: np.ndarray) -> set[int]:
    found: set[int] = set()
    for a, b in ((labels[1:], labels[:-1]), (labels[:, 1:], labels[:, :-1])):
        meet = (a != b) & (a > 0) & (b > 0)
        found |= set(a[meet].tolist()) | set(b[meet].tolist())
    return found


def test_no_nucleus_touches_another_where_none_shall() -> None:
    crowd = crowd_of(0, touching=0.0)
    assert len(crowd.nuclei) > 15
    assert not neighbours(crowd.labels)


@pytest.mark.parametrize("wished", [0.3, 0.6])
def test_the_wished_share_touches(wished: float) -> None:
    crowds = [crowd_of(seed, touching=wished) for seed in range(3)]
    share = sum(len(neighbours(c.labels)) for c in crowds) / sum(len(c.nuclei) for c in crowds)
    assert share == pytest.approx(wished, abs=0.12)


def test_every_nucleus_keeps_most_of_its_pixels() -> None:
    crowd = crowd_of(1, touching=0.6)
    areas = np.bincount(crowd.labels.ravel(), minlength=len(crowd.nuclei) + 1)[1:]
    assert len(areas) == len(crowd.nuclei)
    assert (areas >= 0.5 * np.array(crowd.areas)).all()


def test_density_rules_the_number() -> None:
    assert len(crowd_of(2, density=0, stroma_density=0, lymphocyte_density=0).nuclei) == 0
    sparse, dense = crowd_of(2, density=2000), crowd_of(2, density=8000)
    assert len(dense.nuclei) > len(sparse.nuclei) > 0


def test_a_patch_is_1_on_the_outline() -> None:
    nucleus = Nucleus(1, 20, 30, 10, 5, 0.0, np.zeros((4, 2)), 0)
    rows, columns, out = nucleus.patch((50, 60))
    at = {(r, c): out[r - rows.start, c - columns.start] for r, c in ((20, 40), (25, 30), (20, 30))}
    assert at[20, 40] == pytest.approx(1, abs=1e-3)
    assert at[25, 30] == pytest.approx(1, abs=1e-3)
    assert at[20, 30] < 1e-3
    assert (out < 1).sum() == pytest.approx(np.pi * 50, rel=0.1)
