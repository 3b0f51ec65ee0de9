"""Components, masks and broken labels are told from healthy and from sparse ones."""

import numpy as np
import pytest
from scipy import ndimage

from napari_hovernet.core.data.samples import NEIGHBOURS
from napari_hovernet.core.diagnosis.data_instances import (
    components,
    fragments,
    lump_places,
    masks,
    touching,
)
from napari_hovernet.core.diagnosis.data_shapes import shapes_of
from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK, WARN
from napari_hovernet.core.hv import hv_targets

from .planted_data import components as numbered
from .planted_data import made, real

LABELS = made(6)["labels"]


def shapes(labels, hv=None):
    hv = hv or [None] * len(labels)
    return [shapes_of(i, f"i{i}", a, b) for i, (a, b) in enumerate(zip(labels, hv, strict=True))]


def apart(labels):
    """Keep those that touch nothing."""
    gone = set()
    padded = np.pad(labels, 1)
    for r, c in NEIGHBOURS:
        other = np.roll(padded, (r, c), (0, 1))
        both = (padded != other) & (padded > 0) & (other > 0)
        gone |= set(padded[both].tolist()) | set(other[both].tolist())
    return np.where(np.isin(labels, list(gone)), 0, labels)


def with_gaps(labels):
    """Clear the pixels between touching labels, as some annotators do."""
    most, least = ndimage.maximum_filter(labels, 3), ndimage.minimum_filter(labels, 3)
    border = (most != labels) | ((least != labels) & (least > 0))
    return np.where(border, 0, labels)


def test_sparse_tissue_and_labels_with_gaps_are_no_components(shared):
    for labels in (LABELS, real(shared, "val", 20)["labels"]):
        for change in (apart, with_gaps):
            changed = shapes([change(a) for a in labels])
            assert touching(changed).value < 0.02
            assert components(changed).verdict == OK


def test_components_are_found(shared):
    for labels in (LABELS, real(shared, "val", 20)["labels"]):
        assert components(shapes(labels)).verdict == OK
        found = shapes([numbered(a) for a in labels])
        assert components(found).verdict == FAULT
        assert lump_places(found, 3)


def test_with_hv_it_is_surer():
    hv = [hv_targets(a) for a in LABELS]
    with_hv = components(shapes([numbered(a) for a in LABELS], hv))
    without = components(shapes([numbered(a) for a in LABELS]))
    assert with_hv.certainty > without.certainty
    assert "stored HV has borders" in with_hv.evidence


def test_few_nuclei_are_not_judged():
    assert components(shapes(LABELS[:1])).verdict in (OK, NOT_TESTED)
    assert components(shapes([np.zeros((9, 9), np.int32)])).verdict == NOT_TESTED


@pytest.mark.parametrize("make", [lambda a: (a > 0).astype(np.int32), lambda a: a % 2 + (a > 0)])
def test_masks_and_maps_of_types_are_no_instances(make):
    found = shapes([np.where(a > 0, make(a), 0).astype(np.int32) for a in LABELS])
    assert masks(found).verdict == FAULT
    assert components(found).verdict == NOT_TESTED
    assert masks(shapes(LABELS)).verdict == OK


def test_components_lose_what_touches():
    found = touching(shapes(LABELS))
    assert found.verdict == OK
    assert 0.2 < found.value < 0.9
    assert found.numbers["lost in components"] > 0.1


def test_ids_that_start_again_at_256_are_named():
    big = real_like()
    found = [shapes_of(0, "a", big % 256, byte=True)]
    assert fragments(found).verdict in (FAULT, WARN)
    assert "8 bits" in fragments(found).evidence
    assert fragments([shapes_of(0, "a", big)]).verdict == OK


def real_like():
    labels = np.zeros((300, 300), np.int32)
    for i in range(400):
        r, c = divmod(i, 20)
        labels[r * 15 : r * 15 + 9, c * 15 + 2 : c * 15 + 7] = i + 1
        labels[r * 15 + 2 : r * 15 + 7, c * 15 : c * 15 + 9] = i + 1
    return labels
