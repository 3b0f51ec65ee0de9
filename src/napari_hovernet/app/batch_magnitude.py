"""HV magnitude of many images: inside nuclei, outside, and whether HV points right."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from ..core.io.dataset import Pair
from ..core.magnitude import MagnitudeBands, MagnitudeReport, magnitude_report
from ..core.metrics.bootstrap import Interval, bootstrap_mean
from ..core.types import Progress
from ..errors import DeviceError, InputError, UserError
from .batch import told, true_labels
from .jobs import describe_failure
from .predictors import Predictor

TRUE, PREDICTED = "true nuclei", "predicted nuclei"
"""Inside of what the magnitude was measured."""
MISLEADING = (
    "misleading: the largest value of the whole image lies outside of nuclei, and was 0.88 to "
    "0.99 in broken runs too"
)
DIGITS = 6


@dataclass(frozen=True, eq=False)
class MagnitudeRow:
    """One image.

    Parameters
    ----------
    name, image : str
    inside : str
        ``TRUE`` or ``PREDICTED``.
    report : MagnitudeReport or None
        None if the image failed.
    notes : tuple of str
    error : str
        Why it failed, "" if it did not.
    """

    name: str
    image: str
    inside: str
    report: MagnitudeReport | None = None
    notes: tuple[str, ...] = ()
    error: str = ""


@dataclass(frozen=True, eq=False)
class MagnitudeResult:
    """All images.

    Parameters
    ----------
    rows : tuple of MagnitudeRow
    mean, direction : Interval
        Over images with nuclei, of the mean magnitude inside and of the cosine.
    verdict : str
        Of that mean.
    verdicts : mapping of str to int
        Images by verdict.
    predictor : mapping
        As :meth:`.predictors.Predictor.describe` gives it.
    """

    rows: tuple[MagnitudeRow, ...]
    mean: Interval
    direction: Interval
    verdict: str
    verdicts: Mapping[str, int]
    predictor: Mapping[str, Any]

    @property
    def failed(self) -> tuple[MagnitudeRow, ...]:
        """Rows of the images that failed."""
        return tuple(row for row in self.rows if row.error)


def magnitude_steps(
    pairs: Sequence[Pair], predictor: Predictor, bands: MagnitudeBands | None = None
) -> Generator[Progress, None, MagnitudeResult]:
    """Predict image after image and measure HV, step by step.

    Parameters
    ----------
    pairs : sequence of Pair
        Where there are labels, HV is measured inside the true nuclei, else inside the
        predicted ones.
    predictor : Predictor
        One that gives maps.
    bands : MagnitudeBands, optional

    Yields
    ------
    Progress
        In images.

    Returns
    -------
    MagnitudeResult
        An image that fails is a row with its error.

    Raises
    ------
    InputError
        If there are no images.
    DeviceError
        If the device fails.

    Examples
    --------
    >>> magnitude_steps([], predictor)  # doctest: +SKIP
    """
    bands = MagnitudeBands() if bands is None else bands
    if not pairs:
        raise InputError("There is no image to look at.")
    rows = []
    for i, pair in enumerate(pairs):
        rows.append((yield from _one(pair, predictor, bands, (i, len(pairs)))))
    good = [row.report for row in rows if row.report is not None]
    mean = bootstrap_mean([report.inside.mean for report in good])
    return MagnitudeResult(
        rows=tuple(rows),
        mean=mean,
        direction=bootstrap_mean([report.direction for report in good]),
        verdict=bands.word(mean.mean),
        verdicts=Counter(report.verdict for report in good),
        predictor=predictor.describe(),
    )


def _one(
    pair: Pair, predictor: Predictor, bands: MagnitudeBands, place: tuple[int, int]
) -> Generator[Progress, None, MagnitudeRow]:
    inside = TRUE if pair.labels else PREDICTED
    name, image = pair.name, str(pair.image)
    try:
        predicted = yield from told(predictor.steps(pair), name, place)
        if predicted.maps is None:
            raise InputError(f"{name}: there are no maps, only labels; give a model.")
        labels, notes = predicted.labels, predicted.notes
        if pair.labels or predicted.truth is not None:
            truth, odd = true_labels(pair, predicted)
            inside = TRUE
            labels, notes = truth.labels, (*notes, *odd, *truth.notes)
        report = magnitude_report(predicted.maps, labels, bands)
        return MagnitudeRow(name, image, inside, report, tuple(dict.fromkeys(notes)))
    except DeviceError:
        raise
    except MemoryError:
        return MagnitudeRow(name, image, inside, error="not enough memory for this image")
    except UserError as error:
        return MagnitudeRow(name, image, inside, error=" ".join(str(error).split()))
    except Exception as error:  # one image must not end the batch
        return MagnitudeRow(name, image, inside, error=describe_failure(error))


def magnitude_as_json(result: MagnitudeResult) -> dict[str, Any]:
    """Return the result as plain values; None stands for "not defined".

    Examples
    --------
    >>> magnitude_as_json(result)["overall"]["verdict"]  # doctest: +SKIP
    'healthy'
    """
    return {
        "schema": "napari-hovernet/magnitude",
        "schema_version": 1,
        "predictor": dict(result.predictor),
        "whole_image_max": MISLEADING,
        "overall": {
            "images": result.mean.n,
            "failed": len(result.failed),
            "mean": _plain(asdict(result.mean)),
            "direction": _plain(asdict(result.direction)),
            "verdict": result.verdict,
            "verdicts": dict(result.verdicts),
        },
        "rows": [_row(row) for row in result.rows],
    }


def _row(row: MagnitudeRow) -> dict[str, Any]:
    about = {"name": row.name, "image": row.image}
    if row.report is None:
        return {**about, "error": row.error}
    report = row.report
    return {
        **about,
        "measured_inside": row.inside,
        "inside": _plain(asdict(report.inside)),
        "outside": _plain(asdict(report.outside)),
        **_plain({"direction": report.direction, "whole_image_max": report.whole_image_max}),
        "verdict": report.verdict,
        "explanation": report.explanation,
        "notes": list(row.notes),
        "error": "",
    }


def _plain(values: Mapping[str, float]) -> dict[str, float | int | None]:
    return {
        key: value
        if isinstance(value, int)
        else None
        if math.isnan(value)
        else float(f"{value:.{DIGITS}g}")
        for key, value in values.items()
    }
