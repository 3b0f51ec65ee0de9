"""What can be read, and what is in the images."""

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.case import TARGETS, ArrayItems, Case
from napari_hovernet.core.diagnosis.data_files import (
    FileLook,
    ImageLook,
    channel_order,
    files,
    images,
    look_at_files,
    look_at_image,
)
from napari_hovernet.core.diagnosis.items import item_of
from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK, WARN
from napari_hovernet.core.diagnosis.setup import Setup

from .planted_data import made


def look(setup=None, **arrays):
    items = ArrayItems(**{k: [a] for k, a in arrays.items()})
    case = Case(items, kind=TARGETS, setup=setup or Setup())
    raw = items.read(0)
    return look_at_files("a", raw, item_of(raw, 0, case.setup, TARGETS), case)


def test_sizes_that_differ_are_named():
    found = look(image=np.zeros((8, 6, 3), np.uint8), labels=np.zeros((6, 8), int))
    assert found.sizes == "image 8 x 6, labels 6 x 8"
    turned = look(
        Setup(labels_turn=(False, 1)),
        image=np.zeros((8, 6, 3), np.uint8),
        labels=np.zeros((6, 8), int),
    )
    assert turned.sizes == ""


def test_channels_may_stand_first_or_last():
    assert look(image=np.zeros((3, 8, 6)), hv=np.zeros((8, 6, 2)), np=np.zeros((8, 6))).sizes == ""


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.full((4, 4), 0.5), "fractions"),
        (np.zeros((4, 4), object), "objects"),
        (np.ones(4, int), "labels"),
        (None, "labels is missing"),
    ],
)
def test_labels_that_cannot_be_used_say_why(array, words):
    assert words in look(labels=array).unusable


def test_float16_is_noted_and_no_fault():
    found = look(hv=np.zeros((2, 4, 4), np.float16))
    assert found.notes == ("hv is float16",)
    finding = files([found])
    assert finding.verdict == OK
    assert "float16" in finding.evidence


def test_a_few_are_a_warning_and_many_a_fault():
    good, bad = FileLook("a"), FileLook("b", "torn")
    assert files([bad, *[good] * 19]).verdict == WARN
    assert files([bad, good]).verdict == FAULT
    assert files([]).verdict == NOT_TESTED


def seen(**changes):
    plain = {"spread": 40.0, "unit": False, "grey": False}
    return ImageLook(0, "a", (8, 8), **{**plain, **changes})


def test_nothing_is_promised_where_nothing_is_left():
    left, lost = images([seen(unit=True, spread=0.4)]), images([seen(unit=True, spread=0.001)])
    assert left.remedy.action == "input_factor"
    assert lost.remedy.action == ""
    assert left.verdict == lost.verdict == FAULT


def test_one_blank_image_of_many_is_a_warning():
    assert images([seen(spread=0.0), *[seen()] * 9]).verdict == WARN
    assert images([seen(spread=0.0)]).verdict == FAULT


def test_grey_images_and_labels_on_noise_say_nothing_of_red_and_blue():
    assert channel_order([seen(grey=True, red=0.1, blue=0.5)]).verdict == NOT_TESTED
    assert channel_order([seen(red=0.1, blue=0.5, darker=0.1)]).verdict == NOT_TESTED
    assert channel_order([seen(red=0.1, blue=0.5, darker=1.5)]).verdict == FAULT
    assert channel_order([seen(red=0.5, blue=0.4, darker=1.5)]).verdict == OK


def test_an_image_of_floats_is_no_image_of_whole_numbers():
    image = made(1)["images"][0]
    for given, unit in ((image / 255, False), ((image > 99).astype(np.uint8), True)):
        raw = ArrayItems(image=[given]).read(0)
        found = look_at_image(item_of(raw, 0, Setup(), TARGETS), given)
        assert found.unit is unit
