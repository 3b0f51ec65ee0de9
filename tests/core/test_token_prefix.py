from __future__ import annotations

import pytest

from napari_hovernet.core.networks.optimus import GRID, OUTPUT
from napari_hovernet.core.tokens.decode import (
    PATCH_PX,
    TokenParams,
    slice_words,
)
from napari_hovernet.errors import InputError


def test_every_choice_is_explained():
    assert TokenParams("historical").prefix == "historical 1:257"
    assert GRID * PATCH_PX == OUTPUT


@pytest.mark.parametrize("name", ["", "2", "cls", "1:257"])
def test_unknown_choices_are_refused(name):
    with pytest.raises(InputError, match="choose one of 0, 1, 5"):
        TokenParams(name)


def test_a_slice_that_is_off_is_said_in_columns_and_pixels():
    assert "4 columns (56 px) to the right" in slice_words(1, 261)
    assert "1 columns (14 px)" in slice_words(0, 257)
    assert slice_words(5, 261) == slice_words(1, 257) == slice_words(0, 256) == ""
