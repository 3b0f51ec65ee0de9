from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.core.measure.magnitude import MagnitudeBands
from napari_hovernet.errors import InputError

NAN = float("nan")


@pytest.mark.parametrize(
    ("mean", "word"),
    [
        (0.0, "collapsed"),
        (0.0999, "collapsed"),
        (0.10, "weak"),
        (0.4999, "weak"),
        (0.50, "healthy"),
        (1.3, "healthy"),
        (NAN, "no nuclei"),
    ],
)
def test_words(mean: float, word: str) -> None:
    assert MagnitudeBands().word(mean) == word


def test_edges_start_at_0_and_end_at_the_upper_bound() -> None:
    edges = MagnitudeBands(bins=3, upper=1.2).edges
    np.testing.assert_allclose(edges, [0, 0.4, 0.8, 1.2])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"collapsed": 0.3}, "collapsed 0.3, weak 0.25 and healthy 0.5"),
        ({"collapsed": -0.1}, "collapsed -0.1"),
        ({"healthy": float("inf")}, "healthy inf"),
        ({"weak": NAN}, "weak nan"),
        ({"target_low": 0.7}, "target_low is 0.7 and target_high 0.69"),
        ({"direction": 1.5}, "direction is 1.5"),
        ({"bins": 0}, "bins is 0"),
        ({"upper": 0.0}, "upper is 0"),
    ],
)
def test_bands_out_of_order_are_refused(change: dict[str, float], words: str) -> None:
    with pytest.raises(InputError, match=words):
        replace(MagnitudeBands(), **change)


def test_a_panel_can_have_them_without_compiled_loops() -> None:
    code = (
        "import sys, napari_hovernet.core.measure.magnitude; "
        "sys.exit('numba' in sys.modules or 'cv2' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
