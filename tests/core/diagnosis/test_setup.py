"""A setup is changed by remedies, one field at a time."""

from __future__ import annotations

import pytest

from napari_hovernet.core.diagnosis.report import Remedy
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.errors import InputError


def test_a_remedy_sets_one_field_and_nothing_else() -> None:
    made = Setup().applied(Remedy("x", "hv_order", "vh"))
    assert made == Setup(hv_order="vh")
    assert made.changes == {"hv_order": "vh"}


def test_shifts_add_up() -> None:
    once = Setup().applied(Remedy("x", "labels_shift", [3, -1]))
    assert once.applied(Remedy("x", "labels_shift", (1, 1))).labels_shift == (4, 0)


def test_fields_of_the_separation_add_up_and_a_preset_starts_anew() -> None:
    made = Setup().applied(Remedy("x", "separation", {"depth": 0.3}))
    made = made.applied(Remedy("x", "separation", {"min_area": 5}))
    assert made.separation == {"depth": 0.3, "min_area": 5}
    assert made.applied(Remedy("x", "separation", {"preset": "local"})).separation == {
        "preset": "local"
    }


def test_a_remedy_for_outside_cannot_be_applied() -> None:
    with pytest.raises(InputError, match="outside"):
        Setup().applied(Remedy("Train again."))


@pytest.mark.parametrize(
    "changes", [{"hv_order": "xy"}, {"np_channel": 2}, {"zoom": 0}, {"channel_order": "gbr"}]
)
def test_values_out_of_range_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Setup(**changes)  # type: ignore[arg-type]
