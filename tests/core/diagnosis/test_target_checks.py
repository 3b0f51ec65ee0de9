"""Planted faults of stored targets are named first, one fault by one finding."""

import cv2
import numpy as np
import pytest

from napari_hovernet.core.diagnosis.report import NOT_TESTED, OK
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.core.hv import PRESETS, HVConvention, hv_targets

from .planted_data import components, every, look, made, mended, real, rolled, targets, wrong

MIRROR = np.array([-1, 1], np.float32)[:, None, None]


def smeared(hv):
    size = hv.shape[:0:-1]
    small = [cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_LINEAR) for p in hv]
    return np.stack([cv2.resize(p, size, interpolation=cv2.INTER_LINEAR) for p in small])


def in_pixels(labels):
    hv = np.zeros((2, *labels.shape), np.float32)
    for i in range(1, labels.max() + 1):
        r, c = np.nonzero(labels == i)
        hv[:, r, c] = c - c.mean(), r - r.mean()
    return hv


def from_labels(make):
    return lambda given: {"hv": [make(a) for a in given["labels"]]}


FAULTS = {
    "swapped": ("data.hv_order", every("hv", lambda a: a[::-1])),
    "inward": ("data.hv_sign", every("hv", np.negative)),
    "one negated": ("data.hv_sign", every("hv", lambda a: a * MIRROR)),
    "int8": ("data.hv_divisor", every("hv", lambda a: np.rint(a * 127).astype(np.int8))),
    "times 255": ("data.hv_divisor", every("hv", lambda a: a * 255)),
    "NaN": ("data.hv_range", every("hv", lambda a: np.where(a > 0.99, np.nan, a))),
    "zero": ("data.hv_range", every("hv", np.zeros_like)),
    "uint8": ("data.hv_range", every("hv", lambda a: np.rint(a * 127 + 128).astype(np.uint8))),
    "cut at 0": ("data.hv_range", every("hv", lambda a: np.clip(a, 0, 1))),
    "half": ("data.hv_scale", every("hv", lambda a: a * 0.5)),
    "divided twice": ("data.hv_scale", every("hv", lambda a: a / 127)),
    "pixels": ("data.hv_scale", from_labels(in_pixels)),
    "2 px off": ("data.hv_origin", every("hv", lambda a: rolled(a, 2, 0))),
    "moved": ("data.hv_labels", every("hv", lambda a: rolled(a, 0, 56))),
    "mirrored": ("data.hv_labels", every("hv", lambda a: a[:, :, ::-1] * MIRROR)),
    "other images": ("data.hv_labels", lambda g: {"hv": [*g["hv"][1:], g["hv"][0]]}),
    "noise": ("data.hv_labels", every("hv", lambda a: np.sin(1e4 * a))),
    "of components": ("data.hv_labels", from_labels(lambda a: hv_targets(components(a)))),
    "smeared": ("data.hv_resized", every("hv", smeared)),
    "blurred": ("data.hv_resized", from_labels(lambda a: hv_targets(a, HVConvention(blur=1.5)))),
    "NP inverted": ("data.np", every("np", lambda a: 1 - a)),
    "NP moved": ("data.np", every("np", lambda a: rolled(a, 0, 14))),
    "NP empty": ("data.np", every("np", np.zeros_like)),
    "merged labels": ("data.components", every("labels", components)),
    "labels moved alone": ("data.shift", every("labels", lambda a: rolled(a, 0, 30))),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_first_and_its_remedy_mends_it(name):
    wanted, plant = FAULTS[name]
    given = targets()
    changes = plant(given)
    report = look(given, **changes, hv_are="targets")
    assert report.first.id == wanted, wrong(report)
    assert report.first.verdict == "fault"
    if report.first.remedy.action:
        assert mended({**given, "hv_are": "targets"}, report, **changes) == OK
    assert not [f for f in report.not_tested if "failed" in f.evidence]


ALONE = ("swapped", "inward", "int8", "half", "times 255", "NP inverted", "smeared", "pixels")


@pytest.mark.parametrize("name", ALONE)
def test_one_fault_gives_one_finding(name):
    wanted, plant = FAULTS[name]
    given = targets()
    assert [i for i, _ in wrong(look(given, **plant(given)))] == [wanted]


@pytest.mark.parametrize("name", ["swapped", "inward", "int8", "NP inverted"])
def test_without_labels_the_slope_tells(name):
    wanted, plant = FAULTS[name]
    given = targets()
    changes = {**given, **plant(given), "images": None, "labels": None, "hv_are": "targets"}
    report = look({}, **changes)
    assert report.first.id == wanted
    assert mended({}, report, **changes) == OK


def test_what_was_made_of_moved_labels_moves_back_with_them():
    given = targets()
    changes = {k: [rolled(a, 0, 30) for a in given[k]] for k in ("labels", "hv", "np")}
    report = look(given, **changes)
    assert [i for i, _ in wrong(report)] == ["data.shift"]
    again = look(given, **changes, setup=Setup().applied(report.first.remedy))
    assert wrong(again) == []


@pytest.mark.parametrize("name", PRESETS)
def test_every_known_convention_is_in_order_when_it_is_said(name):
    preset = PRESETS[name]
    given = targets()
    setup = Setup(target_order=preset.order, target_sign=preset.sign)
    hv = [hv_targets(a, preset) for a in given["labels"]]
    assert wrong(look(given, hv=hv, setup=setup)) == []


@pytest.mark.parametrize("scale", ["axis", "radial", "isotropic"])
@pytest.mark.parametrize("centre", ["mass", "hover_net", "distance_peak"])
def test_scale_and_centre_are_named_and_no_fault(scale, centre):
    given = targets()
    hv = [hv_targets(a, HVConvention(scale=scale, centre=centre)) for a in given["labels"]]
    report = look(given, hv=hv)
    known = centre != "distance_peak"
    assert wrong(report) == ([] if known else [("data.hv_origin", "warn")])
    words = {"axis": "by each side", "radial": "(radial)", "isotropic": "(isotropic)"}
    assert words[scale] in report.get("data.hv_scale").evidence


def test_declared_int8_in_another_convention_is_in_order():
    given = targets()
    convention = HVConvention(order="vh", sign="inward")
    hv = [np.rint(127 * hv_targets(a, convention)).astype(np.int8) for a in given["labels"]]
    setup = Setup(target_order="vh", target_sign="inward", target_divisor=127.0)
    assert wrong(look(given, hv=hv, setup=setup)) == []


def test_real_targets_are_in_order_and_a_swap_is_found(shared):
    given = real(shared, "val", 8)
    hv = [hv_targets(a) for a in given["labels"]]
    assert wrong(look(given, hv=hv)) == []
    assert look(given, hv=[a[::-1] for a in hv]).first.id == "data.hv_order"


def test_real_single_images_and_parts_of_them_are_in_order(shared):
    given = real(shared, "train", 10)
    for image, labels in zip(given["images"], given["labels"], strict=True):
        part = labels[:64, :64]
        for i, a in ((image, labels), (image[:64, :64], part)):
            if a.any():
                inside = [(a > 0).astype(np.uint8)]
                assert wrong(look({}, images=[i], labels=[a], hv=[hv_targets(a)], np=inside)) == []


@pytest.mark.parametrize(
    "stored",
    [np.zeros((2, 0, 5)), np.ones((3, 8, 8)), np.array(None), np.ones((2, 8, 8), complex)],
)
def test_hv_that_cannot_be_used_is_no_crash(stored):
    report = look({}, labels=[np.ones((8, 8), int)], hv=[stored], hv_are="targets")
    assert not [f for f in report.not_tested if "failed" in f.evidence]


def test_too_few_nuclei_say_nothing_of_scale_and_centre():
    given = made(1, 64)
    report = look({}, labels=given["labels"], hv=[hv_targets(a) for a in given["labels"]])
    assert report.get("data.hv_scale").verdict == NOT_TESTED
    assert report.get("data.hv_order").verdict == OK
