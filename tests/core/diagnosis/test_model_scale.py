from __future__ import annotations

import pytest

from napari_hovernet.core.diagnosis.model_scale import magnification, zoom_name
from napari_hovernet.core.diagnosis.model_whatifs import Gain


def gain(zoom: float, won: tuple[float, ...], by: str = "truth", prob: float = 0.01) -> Gain:
    other = sum(won) / len(won) if by == "truth" else float("nan")
    mean = sum(won) / len(won)
    parts = tuple(range(len(won)))
    return Gain(zoom_name(zoom), parts, by, won, 0.8, 0.8 + mean, 0.85, other, prob)


def sweep(table: dict[float, float | tuple[float, ...]], by: str = "truth") -> dict[float, Gain]:
    return {
        z: gain(z, won if isinstance(won, tuple) else (won,) * 8, by) for z, won in table.items()
    }


def test_the_right_size_is_left_alone() -> None:
    finding = magnification(sweep({0.5: -0.03, 0.71: -0.02, 1.41: -0.01, 2.0: -0.02}), 25)
    assert finding.verdict == "ok" and finding.plot is not None and finding.value < 0


def test_small_nuclei() -> None:
    finding = magnification(sweep({0.5: -0.3, 1.41: 0.04, 2.0: 0.06, 2.8: 0.056}), 11)
    assert finding.verdict == "fault" and "smaller" in finding.title
    assert (finding.remedy.action, finding.remedy.value) == ("zoom", 2.0), "nearest of equals"


def test_the_remedy_comes_on_top_of_what_is_set() -> None:
    finding = magnification(sweep({0.5: 0.08}), 60, zoom_now=0.5)
    assert finding.remedy.value == pytest.approx(0.25)


def test_a_small_resize_that_helps_is_a_warning() -> None:
    finding = magnification(sweep({0.71: 0.05, 0.5: 0.0}), 30)
    assert finding.verdict == "warn" and finding.certainty <= 0.5


def test_unusual_nuclei_need_less_of_a_gain() -> None:
    mixed = (0.02, -0.004, 0.004, 0.05, 0.02, 0.0, 0.25, 0.02)
    assert magnification(sweep({0.5: mixed}), 62).verdict == "fault"
    assert magnification(sweep({0.5: mixed}), 30).verdict == "ok"
    harm = (0.3, -0.05, -0.05, 0.05, -0.03, 0.0, 0.25, -0.03)
    assert magnification(sweep({0.5: harm}), 62).verdict == "ok"
    assert magnification(sweep({2.0: mixed}), 62).verdict == "ok", "wrong direction"


def test_without_truth_only_huge_nuclei_are_a_fault() -> None:
    found = [magnification(sweep({0.5: 0.0}, "maps"), size).verdict for size in (30, 50, 70)]
    assert found == ["ok", "warn", "fault"]
    assert magnification(sweep({0.5: -0.08}, "maps"), 70).verdict == "ok"
    assert magnification({0.5: gain(0.5, (0.0,), "maps")}, 70).verdict == "ok", "one image"


def test_np_must_not_lose_where_hv_gains() -> None:
    """Smeared HV looks better in larger images, whatever the magnification."""
    smeared = {2.0: gain(2.0, (0.1,) * 8, prob=-0.004)}
    assert magnification(smeared, 28).verdict == "ok"
    assert magnification({2.0: gain(2.0, (0.1,) * 8)}, 28).verdict == "fault"


def test_a_zoom_must_not_make_nuclei_of_an_impossible_size() -> None:
    assert magnification(sweep({2.0: 0.1}), 44).verdict == "ok"
    assert magnification(sweep({0.35: 0.1}), 20).verdict == "ok"
