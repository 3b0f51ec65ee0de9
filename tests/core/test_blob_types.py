"""Parameters, and what a report says in words."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.measure.blobs import BlobParams, blob_report, counted
from napari_hovernet.errors import InputError


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("threshold", 0),
        ("threshold", float("nan")),
        ("area_weight", -1),
        ("solidity_loss", 0),
        ("neck_points", float("inf")),
        ("neck", 1.5),
        ("core_share", -0.1),
        ("least_core", 2),
        ("seam_drop", -1),
        ("seam_reach", 0),
        ("seam_reach", 2.5),
        ("seam_reach", 65),
        ("seam_share", 0),
        ("min_area", 0),
        ("largest_area", 0),
        ("nucleus_area", 0),
        ("nucleus_area", float("inf")),
    ],
)
def test_a_value_out_of_range_is_named(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} is {value}"):
        BlobParams(**{name: value})


def test_numbers_stand_before_their_nouns() -> None:
    assert counted(0, "nucleus", "nuclei") == "0 nuclei"
    assert counted(1, "nucleus", "nuclei") == "1 nucleus"
    assert counted(12_000, "nucleus", "nuclei") == "12,000 nuclei"


def disc(labels: np.ndarray, row: int, col: int, radius: int, number: int) -> None:
    r, c = np.indices(labels.shape)
    labels[(r - row) ** 2 + (c - col) ** 2 <= radius**2] = number


@pytest.fixture
def labels() -> np.ndarray:
    """Four lone discs."""
    labels = np.zeros((60, 120), np.int32)
    for i in range(4):
        disc(labels, 12, 15 + 30 * i, 8, i + 1)
    return labels


def test_the_summary_of_an_image(labels: np.ndarray) -> None:
    said = blob_report(None, labels).summary
    assert said == "4 components, 4 nuclei, no suspected blobs"
    for column in (20, 33, 46):
        disc(labels, 45, column, 8, 9)
    said = blob_report(None, labels).summary
    assert said == "5 components, 5 nuclei, 1 suspected blob, largest 3 nuclei"
    for column in (80, 93):
        disc(labels, 45, column, 8, 11)
    said = blob_report(None, labels).summary
    assert said == "6 components, 6 nuclei, 2 suspected blobs, largest 3 nuclei"


def test_the_summary_of_little_or_nothing(labels: np.ndarray) -> None:
    none = np.zeros_like(labels)
    assert blob_report(None, none).summary == "No nuclei"
    assert blob_report(None, none, mask=labels).summary == "4 components, no nuclei"
    one = np.where(labels == 2, 2, 0)
    assert blob_report(None, one).summary == "1 component, 1 nucleus, no suspected blobs"
    said = blob_report(None, one, mask=labels).summary
    assert said == "4 components, 1 nucleus, no suspected blobs, 3 without a nucleus"


def test_status_by_id_and_by_component(labels: np.ndarray) -> None:
    disc(labels, 45, 20, 8, 700)
    disc(labels, 45, 37, 8, 900)
    report = blob_report(None, labels, mask=labels > 0)
    assert report.status_of(1) == "single"
    assert report.status_of(700) == report.status_of(900) == "separated"
    with pytest.raises(InputError, match="no nucleus 5"):
        report.status_of(5)
    with pytest.raises(InputError, match="no nucleus 901"):
        report.status_of(901)
    for row in report.rows:
        assert report.component_status[row.component] == ("empty", "single", "separated").index(
            row.status
        )
    assert report.largest == 0 and report.suspects == ()
