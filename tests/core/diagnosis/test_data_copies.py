"""Copies and leaks, by pixels, by likeness and by source image."""

import numpy as np

from napari_hovernet.core.diagnosis.data_copies import duplicates, image_print, leak
from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK, WARN

from .planted_data import made, real

IMAGES = made(4)["images"]


def prints(images, groups=None):
    groups = groups or [""] * len(images)
    return [
        image_print(f"i{k}", g, im) for k, (im, g) in enumerate(zip(images, groups, strict=True))
    ]


def test_copies_are_counted():
    assert duplicates(prints(IMAGES)).verdict == OK
    assert duplicates(prints([*IMAGES, IMAGES[0]])).verdict == FAULT
    many = [np.roll(im, k, 0) for im in IMAGES for k in range(4)]
    found = duplicates(prints([*many, IMAGES[0]]))
    assert (found.verdict, found.numbers["copies"]) == (WARN, 1)
    assert "i0 = i16" in found.evidence
    assert duplicates(prints(IMAGES[:1])).verdict == NOT_TESTED


def test_a_brighter_copy_on_the_other_side_is_a_leak():
    brighter = [np.clip(im.astype(int) + 4, 0, 255).astype(np.uint8) for im in IMAGES[:2]]
    found = leak(prints(IMAGES), prints(brighter))
    assert (found.verdict, found.numbers["alike"]) == (FAULT, 2)
    assert leak(prints(IMAGES[:2]), prints(IMAGES[2:])).verdict == OK
    assert leak(prints(IMAGES), []).verdict == NOT_TESTED


def test_source_images_on_both_sides_are_a_leak_and_stains_are_none():
    sides = prints(IMAGES[:2], ["slide 1", "slide 2"]), prints(IMAGES[2:], ["slide 1", "slide 3"])
    assert leak(*sides).verdict == FAULT
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 255, (32, 32, 3), dtype=np.uint8) for _ in range(60)]
    sides = prints(noise[:40], ["purple"] * 40), prints(noise[40:], ["purple"] * 20)
    assert leak(*sides).verdict == OK


def test_real_sides_share_nothing(shared):
    train, val = real(shared, "train", 30)["images"], real(shared, "val", 20)["images"]
    assert leak(prints(train), prints(val)).verdict == OK


def test_tokens_have_prints_too():
    tokens = np.ones((5, 3), np.float16)
    assert image_print("a", "", None, tokens).digest == image_print("b", "", None, tokens).digest
    assert image_print("a", "", None) is None
