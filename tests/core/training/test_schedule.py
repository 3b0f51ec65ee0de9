from __future__ import annotations

import pytest

from napari_hovernet.core.params import OptimParams
from napari_hovernet.core.training.module import rate


def rates(total: int = 100, **changes: object) -> list[float]:
    optim = OptimParams(lr=2.0, **changes)  # type: ignore[arg-type]
    return [rate(optim, step, total) for step in range(total)]


def test_constant_stays() -> None:
    assert rates(schedule="constant") == [2.0] * 100


def test_step_falls_to_a_tenth_at_half() -> None:
    found = rates(schedule="step")
    assert found[49] == 2.0
    assert found[50] == pytest.approx(0.2)
    assert found[99] == pytest.approx(0.2)


def test_cosine_starts_full_is_half_in_the_middle_and_falls_to_nothing() -> None:
    found = rates(schedule="cosine")
    assert found[0] == 2.0
    assert found[50] == pytest.approx(1.0)
    assert 0 < found[99] < 0.001
    assert found == sorted(found, reverse=True)


def test_warmup_rises_in_equal_steps_and_then_the_schedule_begins_at_its_full_rate() -> None:
    found = rates(schedule="cosine", warmup_steps=4)
    assert found[:4] == pytest.approx([0.4, 0.8, 1.2, 1.6])
    assert found[4] == 2.0


def test_a_run_shorter_than_its_warmup_has_finite_rates() -> None:
    assert rates(total=2, warmup_steps=9) == pytest.approx([0.2, 0.4])
