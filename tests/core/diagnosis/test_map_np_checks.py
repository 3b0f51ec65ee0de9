"""Judging NP by what was measured."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.map_np import BINS, NPReading, NPTally
from napari_hovernet.core.diagnosis.map_np_checks import np_activation, np_channel, np_empty

NAN = float("nan")


def at(**counts: int) -> np.ndarray:
    made = np.zeros(BINS, np.int64)
    for name, n in counts.items():
        made[int(name[1:]) * BINS // 100] = n
    return made


GOOD = NPTally(
    inside=at(p95=20_000, p5=500), outside=at(p95=800, p1=80_000), truth=0.9, image=0.8, shape=0.6,
    shape_other=0.0, parts=40, parts_other=0, kinds=("probability",),
    examples=((0, "a", 256, 256),), labelled=True,
)  # fmt: skip
PLAIN = NPReading()


def test_good_np_is_ok() -> None:
    findings = (np_channel(GOOD), np_activation(GOOD, PLAIN), np_empty(GOOD, PLAIN))
    assert {f.verdict for f in findings} == {"ok"}


@pytest.mark.parametrize(("truth", "image", "certainty"), [
    (0.9, 0.8, 0.98), (0.9, NAN, 0.97), (NAN, 0.8, 0.97), (NAN, NAN, 0.75),
])  # fmt: skip
def test_background_is_told_with_what_there_is(
    truth: float, image: float, certainty: float
) -> None:
    finding = np_channel(replace(GOOD, truth=truth, image=image).flipped())
    assert (finding.verdict, finding.certainty) == ("fault", certainty)
    assert (finding.remedy.action, finding.remedy.value) == ("np_channel", 0)
    back = np_channel(replace(GOOD, truth=truth, image=image).flipped(), setup_channel=0)
    assert back.remedy.value == 1


def test_an_image_that_shows_nuclei_outweighs_labels() -> None:
    finding = np_channel(replace(GOOD, truth=-0.9))
    assert finding.verdict == "ok"
    assert "labels are the other way round" in finding.evidence


@pytest.mark.parametrize("kind", ["logits", "bytes", "not finite"])
def test_what_is_no_probability_is_a_fault(kind: str) -> None:
    finding = np_activation(replace(GOOD, kinds=("probability", kind)), PLAIN)
    assert finding.verdict == "fault"
    assert "1 of 2 images" in finding.evidence


def test_logits_are_in_order_once_the_setup_says_so() -> None:
    logits = replace(GOOD, kinds=("logits",))
    assert np_activation(logits, PLAIN, activation="logits").verdict == "ok"


def test_a_threshold_that_gains_much_is_a_fault_until_it_is_set() -> None:
    odd = replace(GOOD, inside=at(p30=20_000), outside=at(p2=80_000))
    finding = np_activation(odd, PLAIN)
    assert (finding.verdict, finding.remedy.action) == ("fault", "np_threshold")
    assert 0.05 <= finding.remedy.value <= 0.3
    assert np_activation(odd, PLAIN, asked=finding.remedy.value).verdict == "ok"


def test_squeezed_np_is_told_without_truth() -> None:
    odd = replace(GOOD, truth=NAN, inside=at(), outside=at(p50=80_000, p73=20_000))
    finding = np_activation(odd, PLAIN)
    assert finding.verdict == "fault"
    assert 0.5 < finding.remedy.value <= 0.73
    assert np_activation(odd, PLAIN, asked=finding.remedy.value).verdict == "ok"


def test_an_image_without_nuclei_is_not_squeezed() -> None:
    blank = replace(GOOD, truth=NAN, image=NAN, shape=0.0, parts=0, inside=at(),
                    outside=at(p0=90_000, p4=100))  # fmt: skip
    assert np_activation(blank, PLAIN).verdict == "ok"


def test_empty_and_full() -> None:
    empty = replace(GOOD, inside=at(p2=20_000), outside=at(p1=80_000), truth=0.0)
    full = replace(GOOD, inside=at(p99=20_000), outside=at(p98=80_000), truth=0.0)
    assert np_empty(empty, PLAIN).title == "NP finds hardly a nucleus"
    assert np_empty(full, PLAIN).title == "NP takes everything for nucleus"
    assert np_empty(empty, PLAIN).verdict == np_empty(full, PLAIN).verdict == "fault"
    nothing_there = replace(empty, inside=at(), outside=at(p1=80_000))
    assert np_empty(nothing_there, PLAIN).verdict == "ok"
    assert np_empty(replace(nothing_there, labelled=False), PLAIN).verdict == "warn"
