from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.model_activations import activations
from napari_hovernet.core.diagnosis.model_probe import LayerOutput


def layer(
    name: str, *, dead: int = 0, high: float = 2.0, spread: float = 0.3, finite: bool = True
) -> LayerOutput:
    """A rectified layer of ten channels."""
    top = np.full(10, high)
    top[:dead] = 0
    return LayerOutput(name, np.zeros(10), top, np.where(top > 0, spread, 0), high / 2, finite)


def test_health() -> None:
    finding = activations([layer("a"), layer("b", dead=3), layer("output np")])
    assert finding.verdict == "ok" and "30%" in finding.evidence and finding.plot is not None


def test_dead_channels() -> None:
    assert activations([layer("a"), layer("b", dead=8)]).verdict == "warn"
    finding = activations([layer("a"), layer("b", dead=10)])
    assert finding.verdict == "fault" and finding.title == "Layer b is dead"
    assert finding.value == 1


def test_the_first_layer_with_nan_is_named() -> None:
    finding = activations([layer("a"), layer("b", finite=False), layer("c", finite=False)])
    assert finding.verdict == "fault" and "layer b" in finding.title


@pytest.mark.parametrize("high", [2e4, 3e3])
def test_explosions_by_value_and_by_growth(high: float) -> None:
    finding = activations([layer("a"), layer("b"), layer("c", high=high), layer("d", high=high)])
    assert finding.verdict == "fault" and "explode in layer c" in finding.title


def test_an_output_that_is_the_same_everywhere() -> None:
    finding = activations([layer("a"), layer("b", spread=0.0), layer("output np", spread=0.0)])
    assert finding.verdict == "fault" and "np is the same everywhere" in finding.title
    assert "everywhere is b" in finding.evidence
