"""Faults of some images of a set, labels that are no areas, and what only looks like a fault."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import torch
from scipy import ndimage

import napari_hovernet as nh
from napari_hovernet.core.diagnosis.report import FAULT, WARN
from napari_hovernet.core.hv import hv_targets

from .planted_data import made

GIVEN = made(6)
IMAGES, LABELS = GIVEN["images"], GIVEN["labels"]


def finding(report: Any, key: str) -> Any:
    return next(f for f in report.findings if f.id == key)


def outlines(labels: np.ndarray) -> np.ndarray:
    inner = ndimage.minimum_filter(labels, 5) == ndimage.maximum_filter(labels, 5)
    return np.where(inner, 0, labels)


def boxes(labels: np.ndarray) -> np.ndarray:
    out = np.zeros_like(labels)
    for i, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is not None:
            out[box] = i
    return out


def test_labels_mirrored_in_some_images_come_first() -> None:
    labels = [a[:, ::-1].copy() if i < 2 else a for i, a in enumerate(LABELS)]
    report = nh.diagnose(images=IMAGES, labels=labels)
    assert report.first is not None
    assert (report.first.id, report.first.numbers["images"]) == ("data.flip", 2)
    assert not nh.diagnose(images=IMAGES, labels=LABELS).faults


@pytest.mark.parametrize(("change", "word"), [(outlines, "outlines"), (boxes, "boxes")])
def test_labels_that_are_no_areas_are_broken(change: Any, word: str) -> None:
    found = finding(nh.diagnose(labels=[change(a) for a in LABELS]), "data.fragments")
    assert (found.verdict, word in found.evidence) == (FAULT, True)


def test_hv_moved_by_two_pixels_is_off_its_centre_and_not_too_long() -> None:
    hv = [np.roll(hv_targets(a), (2, 2), (1, 2)) for a in LABELS]
    report = nh.diagnose(labels=LABELS, hv=hv)
    assert report.first is not None
    assert report.first.id in ("data.hv_origin", "data.hv_labels")
    assert finding(report, "data.hv_scale").verdict not in (FAULT, WARN)


def test_nuclei_cut_by_a_crop_do_no_harm() -> None:
    hv = [hv_targets(a)[:, 60:124, 60:124] for a in LABELS]
    assert not nh.diagnose(labels=[a[60:124, 60:124] for a in LABELS], hv=hv).faults


def test_a_loss_of_one_channel_is_named() -> None:
    def first_only(p: torch.Tensor, t: torch.Tensor, m: torch.Tensor) -> torch.Tensor:
        inside = m.float()
        return ((p[:, 0] - t[:, 0]).square() * inside).sum() / inside.sum().clamp(min=1)

    report = nh.diagnose(loss=first_only)
    assert report.first is not None
    assert report.first.id == "loss.minimum"
    assert "second channel" in report.first.title


def test_an_enlarged_part_keeps_its_ids() -> None:
    def enlarge(image: Any, labels: Any, hv: Any) -> Any:
        def big(a: Any, how: int) -> Any:
            h, w = a.shape[:2]
            return cv2.resize(
                np.ascontiguousarray(a[: h // 2, : w // 2]), (w, h), interpolation=how
            )

        ids = big(labels.astype(np.float32), cv2.INTER_NEAREST).astype(labels.dtype)
        planes = np.stack([big(p, cv2.INTER_NEAREST) for p in hv])
        return big(image, cv2.INTER_LINEAR), ids, planes

    assert finding(nh.diagnose(augmentation=enlarge), "augmentation.labels").verdict not in (
        FAULT,
        WARN,
    )


def test_mirrored_copies_on_the_other_side_leak() -> None:
    held = [im[:, ::-1].copy() for im in IMAGES[:2]]
    report = nh.diagnose(images=IMAGES, labels=LABELS, held_out=held)
    assert finding(report, "data.leak").verdict == FAULT


def test_grey_images_are_worth_a_word() -> None:
    grey = [np.repeat(im.mean(-1, keepdims=True), 3, -1).astype(np.uint8) for im in IMAGES]
    found = finding(nh.diagnose(images=grey), "data.images")
    assert (found.verdict, found.title) == (WARN, "All images are grey")


def test_an_object_array_of_arrays_is_a_list() -> None:
    stack = np.empty(2, dtype=object)
    stack[0], stack[1] = LABELS[0], LABELS[1][:200]
    assert nh.diagnose(labels=stack).of == 2
