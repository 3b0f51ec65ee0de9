from __future__ import annotations

import pytest

from napari_hovernet.core.networks.optimus import GRID, OUTPUT
from napari_hovernet.core.networks.optimus import GRID as EDGE
from napari_hovernet.core.tokens.decode import (
    PATCH_PX,
    PREFIX_WORDS,
    TOKEN_PREFIXES,
    choice_named,
    prefix_of,
    slice_words,
)
from napari_hovernet.errors import InputError


def test_every_choice_is_explained_and_gives_its_number():
    assert set(PREFIX_WORDS) == set(TOKEN_PREFIXES)
    found = {name: prefix_of(name, 7) for name in TOKEN_PREFIXES}
    assert found == {"file": 7, "0": 0, "1": 1, "5": 5, "historical 1:257": 1}


def test_short_name_of_the_historical_slice():
    assert choice_named("historical") == "historical 1:257"


@pytest.mark.parametrize("name", ["", "2", "cls", "1:257"])
def test_unknown_choices_are_refused(name):
    with pytest.raises(InputError, match="choose one of file, 0, 1, 5"):
        choice_named(name)


def test_a_slice_that_is_off_is_said_in_columns_and_pixels():
    assert "4 columns (56 px) to the right" in slice_words(1, 261)
    assert "1 columns (14 px)" in slice_words(0, 257)
    assert slice_words(5, 261) == slice_words(1, 257) == slice_words(0, 256) == ""


def test_numbers_are_those_of_the_decoder():
    assert (EDGE, PATCH_PX * EDGE) == (GRID, OUTPUT)
