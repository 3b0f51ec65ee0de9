"""Types out of range, off by one, and against the labels."""

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.data_types import (
    look_at_types,
    type_conflict,
    type_histogram,
    types,
)
from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK, WARN

from .planted_data import made

GIVEN = made(4)


def looks(change=lambda a: a, *, labelled=True):
    found = []
    for i, (t, a) in enumerate(zip(GIVEN["types"], GIVEN["labels"], strict=True)):
        labels = a if labelled else None
        nucleus = a > 0 if labelled else None
        found.append(look_at_types(i, f"i{i}", change(t), nucleus, labels))
    return found


def test_health():
    assert types(looks(), 6).verdict == OK
    assert type_conflict(looks()).verdict == OK
    found = type_histogram(looks(), 6)
    assert found.verdict == OK
    assert sum(found.numbers.values()) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda a: np.where(a > 0, a - 1, 0), "counted from 0"),
        (lambda a: np.where(a > 0, a + 1, 0), "off by one"),
        (lambda a: np.where(a > 0, a - 1, 5), "Background has type 5"),
        (np.zeros_like, "No nucleus"),
        (np.negative, "out of range"),
        (lambda a: a * 40, "beyond"),
    ],
)
def test_numbers_that_are_wrong(change, words):
    found = types(looks(change), 6)
    assert found.verdict == FAULT
    assert words in found.title


def test_only_one_too_many_has_a_remedy_at_hand():
    assert types(looks(lambda a: np.where(a > 0, a + 1, 0)), 6).remedy.action == "type_offset"
    assert types(looks(), 4).remedy.action == ""


def test_moved_types_contradict_the_labels():
    slight = type_conflict(looks(lambda a: np.roll(a, 1, 0)))
    strong = type_conflict(looks(lambda a: np.roll(a, 12, 0)))
    assert slight.verdict == WARN
    assert strong.verdict == FAULT


def test_without_labels_there_is_no_conflict_to_see():
    assert type_conflict(looks(labelled=False)).verdict == NOT_TESTED
    assert type_histogram(looks(labelled=False), 6).verdict == OK


def test_one_type_alone_in_many_images_is_worth_a_word():
    one = looks(lambda a: (a > 0).astype(int)) * 6
    assert type_histogram(one, 6).verdict == WARN
    assert type_histogram(one[:4], 6).verdict == OK
