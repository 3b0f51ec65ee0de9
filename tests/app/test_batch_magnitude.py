"""Magnitude of many images: inside true or predicted nuclei, verdicts, errors as rows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Generator
from dataclasses import replace
from typing import Any

import pytest

from napari_hovernet.app.evaluate import (
    PREDICTED,
    TRUE,
    FolderPredictor,
    MagnitudeResult,
    Predicted,
    magnitude_steps,
)
from napari_hovernet.app.jobs import drive
from napari_hovernet.app.pages import magnitude_as_json
from napari_hovernet.core.data.pairs import Pair
from napari_hovernet.core.measure.magnitude import MagnitudeBands
from napari_hovernet.core.types import Progress
from napari_hovernet.errors import DeviceError, InputError


def run(pairs: Any, predictor: Any, bands: MagnitudeBands | None = None) -> MagnitudeResult:
    return drive(magnitude_steps(pairs, predictor, bands))


def test_exact_maps_are_healthy_and_short_ones_collapsed(
    pairs: tuple[Pair, ...], predictor: Any, short_predictor: Any
) -> None:
    right, short = run(pairs, predictor), run(pairs, short_predictor)
    assert (right.verdict, short.verdict) == ("healthy", "collapsed")
    assert short.verdicts == {"collapsed": 3}
    assert right.mean.mean == pytest.approx(50 * short.mean.mean, rel=1e-4)
    assert right.direction.mean == pytest.approx(short.direction.mean, abs=1e-4)
    assert right.direction.mean > 0.99
    for row in right.rows:
        assert row.inside == TRUE
        assert row.report is not None
        assert row.report.outside.mean == 0


class WithoutLabels:
    """Leaves the labels away before the truth is asked for, as an image without has none."""

    def __init__(self, inner: Any, labelled: tuple[Pair, ...]) -> None:
        self.inner, self.labelled = inner, {pair.name: pair for pair in labelled}

    def describe(self) -> dict[str, Any]:
        return dict(self.inner.describe())

    def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
        return (yield from self.inner.steps(self.labelled[pair.name]))


def test_without_labels_it_is_measured_inside_predicted_nuclei(
    pairs: tuple[Pair, ...], predictor: Any
) -> None:
    bare = [replace(pair, labels=None) for pair in pairs]
    found = run(bare, WithoutLabels(predictor, pairs))
    with_labels = run(pairs, predictor)
    assert {row.inside for row in found.rows} == {PREDICTED}
    assert found.mean.mean == pytest.approx(with_labels.mean.mean, abs=0.02)


def test_bands_of_the_user(pairs: tuple[Pair, ...], predictor: Any) -> None:
    assert run(pairs, predictor, MagnitudeBands(healthy=0.9)).verdict == "weak"


def test_errors_are_rows_and_json_is_plain(pairs: tuple[Pair, ...], predictor: Any) -> None:
    pairs[1].image.unlink()
    result = run(pairs, predictor)
    assert [row.name for row in result.failed] == ["x1"]
    found = json.loads(json.dumps(magnitude_as_json(result), allow_nan=False))
    assert found["overall"]["images"] == 2
    assert found["overall"]["failed"] == 1
    assert "is not there" in found["rows"][1]["error"]
    first = found["rows"][0]
    assert first["verdict"] == "healthy"
    assert first["measured_inside"] == "true nuclei"
    assert first["inside"]["mean"] > 0.6
    assert "misleading" in found["whole_image_max"]


def test_labels_alone_have_no_magnitude(pairs: tuple[Pair, ...]) -> None:
    folder = pairs[0].image.parent / "pred"
    folder.mkdir()
    shutil.copy(str(pairs[0].labels), folder)
    predictor = FolderPredictor(folder)
    (row,) = run(pairs[:1], predictor).rows
    assert "there are no maps" in row.error


def test_a_lost_device_ends_it_and_no_image_is_refused(pairs: tuple[Pair, ...]) -> None:
    class Gone(WithoutLabels):
        def __init__(self) -> None:
            pass

        def steps(self, pair: Pair) -> Generator[Progress, None, Predicted]:
            yield Progress(0, 0)
            raise DeviceError("gone")

    with pytest.raises(DeviceError):
        run(pairs, Gone())
    with pytest.raises(InputError, match="no image"):
        run([], Gone())
