from __future__ import annotations

import pytest

from napari_hovernet.core.diagnosis.separation_ways import WAYS
from napari_hovernet.core.diagnosis.separation_words import CONVENTIONS, certain, settings


def test_certainty_grows_with_the_effect_and_stays_in_its_band():
    assert certain(0.8, 0.9, -1) == certain(0.8, 0.9, 0) == 0.8
    assert certain(0.8, 0.9, 0.25) == pytest.approx(0.85)
    assert certain(0.8, 0.9, 3) == 0.9


def test_fields_are_written_as_a_sentence_has_them():
    assert settings({"preset": "local"}) == "the separation to local"
    assert settings({"scales": [1.5, 3.0]}) == "scales to 1.5 and 3"
    assert settings({"depth": 0.15, "min_area": 20}) == "depth to 0.15 and min_area to 20"


def test_every_convention_has_words():
    assert set(CONVENTIONS) == {way.name for way in WAYS}
    assert CONVENTIONS["vh inward"] == "as [V, H] inward"
    assert CONVENTIONS["hv, v negated"] == "as [H, V] with V negated"
    assert len(set(CONVENTIONS.values())) == 8
