from __future__ import annotations

import cv2
import numpy as np
import pytest

from napari_hovernet.core.diagnosis.data_focus import (
    FOCUS,
    FocusLimits,
    focus_finding,
    focus_of,
    noise_of,
)
from napari_hovernet.core.diagnosis.engine import diagnose
from napari_hovernet.core.diagnosis.params import DiagnosisParams
from napari_hovernet.core.diagnosis.report import FAULT, OK, WARN, Place
from napari_hovernet.core.synthetic import tissue
from napari_hovernet.errors import InputError

MADE = [tissue((256, 256), seed=seed) for seed in range(3)]
IMAGES, LABELS = [t.image for t in MADE], [t.labels for t in MADE]
PLACE = Place(0, "image 0", (0, 256, 0, 256))


def judged(images, labels=None):
    made = labels or [None] * len(images)
    looks = [focus_of(i, a, PLACE) for i, a in zip(images, made, strict=True)]
    return focus_finding(looks, {})


def blurred(sigma):
    return [cv2.GaussianBlur(image, (0, 0), sigma) for image in IMAGES]


def without(channel, value):
    out = [image.copy() for image in IMAGES]
    for image in out:
        image[..., channel] = value
    return out


@pytest.mark.parametrize("labels", [None, LABELS])
def test_tissue_in_focus_is_fine(labels):
    assert judged(IMAGES, labels) is None
    assert judged(IMAGES[:1], labels and labels[:1]) is None
    assert judged(blurred(0.8), labels) is None


def test_out_of_focus_for_the_size_of_nuclei_is_a_fault():
    found = judged(blurred(5), LABELS)
    assert found.verdict == FAULT and "focus" in found.title
    assert found.value < FOCUS.blurred and found.places


def test_without_labels_it_is_worth_a_look():
    assert judged(blurred(6)).verdict == WARN


@pytest.mark.parametrize("factor", [0.35, 3.0])
def test_another_magnification_is_no_blur(factor):
    images = [cv2.resize(a, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
              for a in IMAGES]  # fmt: skip
    labels = [cv2.resize(a, None, fx=factor, fy=factor, interpolation=cv2.INTER_NEAREST)
              for a in LABELS]  # fmt: skip
    assert judged(images, labels) is None
    assert judged(images) is None


def test_real_images_are_in_focus(shared):
    from PIL import Image  # noqa: PLC0415 - only here

    files = sorted((shared / "data").glob("*/**/*.png"))
    images = [np.asarray(Image.open(f)) for f in files[:60]]
    seen = [image for image in images if image.ndim == 3 and image.shape[2] == 3]
    assert seen
    assert all(judged([image]) is None for image in seen)


@pytest.mark.parametrize(("channel", "value", "name"), [(1, 0, "Green"), (2, 255, "Blue")])
def test_a_channel_without_change_is_missing(channel, value, name):
    found = judged(without(channel, value))
    assert found.verdict == FAULT and found.title.startswith(f"{name} is missing")
    assert found.places[0] == PLACE


def test_two_channels_are_missing():
    assert judged(without([1, 2], 0)).title == "Green and blue are missing in the images"


def test_noise_is_told_from_texture():
    rng = np.random.default_rng(0)
    noisy = [np.clip(i + rng.normal(0, 50, i.shape), 0, 255).astype(np.uint8) for i in IMAGES]
    found = judged(noisy, LABELS)
    assert found.verdict == FAULT and "noise" in found.title and found.value > FOCUS.noise
    slight = [np.clip(i + rng.normal(0, 4, i.shape), 0, 255).astype(np.uint8) for i in IMAGES]
    assert judged(slight, LABELS) is None


def test_the_level_of_noise_is_measured():
    rng = np.random.default_rng(1)
    plane = 120 + rng.normal(0, 9, (200, 200, 1)) + np.arange(200)[:, None, None] / 4
    image = np.repeat(plane, 3, axis=2).astype(np.uint8)
    assert noise_of(image) == pytest.approx(9, rel=0.05)
    assert noise_of(image[:2, :2]) == 0


def test_grey_and_blank_images_lack_no_channel():
    grey = [np.repeat(image[..., :1], 3, axis=2) for image in IMAGES]
    blank = [np.full((64, 64, 3), 255, np.uint8)]
    assert judged(grey) is None and judged(blank) is None and judged([]) is None


def test_a_tiny_image_is_not_judged():
    assert judged([IMAGES[0][:8, :8]]) is None


def test_the_diagnosis_names_it():
    params = DiagnosisParams(families=("data",))
    by_id = {f.id: f for f in diagnose(images=IMAGES, labels=LABELS, params=params).findings}
    assert by_id["data.images"].verdict == OK
    report = diagnose(images=without(1, 0), labels=LABELS, params=params)
    assert report.first.id == "data.images"
    report = diagnose(images=blurred(5), labels=LABELS, params=params)
    assert report.first.id == "data.images"


def test_bounds_are_above_zero():
    with pytest.raises(InputError, match="blurred"):
        FocusLimits(blurred=0.0)
