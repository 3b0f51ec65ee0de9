"""Which images of a data set are taken."""

from __future__ import annotations

from pathlib import Path

import pytest

from napari_hovernet.core.data.pairs import Pair, spread
from napari_hovernet.errors import InputError

PAIRS = tuple(Pair(str(i), Path(f"{i}.png"), None) for i in range(7))


@pytest.mark.parametrize(
    ("n", "names"),
    [(None, "0123456"), (7, "0123456"), (99, "0123456"), (1, "0"), (2, "03"), (3, "024")],
)
def test_samples_are_spread_over_the_whole_list(n: int | None, names: str) -> None:
    assert "".join(pair.name for pair in spread(PAIRS, n)) == names


def test_no_sample_is_no_choice() -> None:
    with pytest.raises(InputError, match="samples is 0"):
        spread(PAIRS, 0)
