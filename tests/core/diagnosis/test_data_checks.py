"""Planted faults of images, labels and types are named first, and healthy data are in order."""

import numpy as np
import pytest
from scipy import ndimage

from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case, RawItem
from napari_hovernet.core.diagnosis.data_checks import CHECKS, runs
from napari_hovernet.core.diagnosis.engine import diagnose_steps
from napari_hovernet.core.diagnosis.report import FAULT, NOT_TESTED, OK

from .planted_data import PARAMS, components, every, look, made, mended, real, rolled, wrong


def background_too(labels):
    out = ndimage.label(labels == 0)[0].astype(np.int32)
    out[ndimage.binary_erosion(labels > 0, iterations=2)] = 0
    return out


def giant(labels):
    return np.where(labels == 0, labels.max() + 1, labels).astype(np.int32)


def interpolated(labels):
    blurred = ndimage.zoom(labels[::2, ::2].astype(float), 2, order=1)
    return np.rint(blurred).astype(np.int32)


def order(n):
    return lambda given: {"labels": [*given["labels"][n:], *given["labels"][:n]]}


FAULTS = {
    "rolled by 4 patches": ("data.shift", every("labels", lambda a: rolled(a, 0, 56))),
    "moved by 5 px": ("data.shift", every("labels", lambda a: rolled(a, 4, -3))),
    "mirrored": ("data.flip", every("labels", np.fliplr)),
    "transposed": ("data.flip", every("labels", np.transpose)),
    "next image": ("data.pairing", order(1)),
    "components": ("data.components", every("labels", components)),
    "mask": ("data.masks", every("labels", lambda a: (a > 0).astype(int))),
    "background": ("data.background", every("labels", background_too)),
    "background too": ("data.background", every("labels", giant)),
    "inverted": ("data.background", every("labels", lambda a: components(a == 0))),
    "empty": ("data.empty", every("labels", np.zeros_like)),
    "BGR": ("data.channel_order", every("images", lambda a: a[..., ::-1])),
    "0..1": ("data.images", every("images", lambda a: np.rint(a / 255).astype(np.uint8))),
    "blank": ("data.images", every("images", lambda a: np.full_like(a, 200))),
    "interpolated": ("data.fragments", every("labels", interpolated)),
    "twice": ("data.duplicates", lambda g: {k: [*g[k], g[k][0]] for k in ("images", "labels")}),
    "leak": ("data.leak", lambda g: {"held_out": g["images"][1:2]}),
    "another size": ("data.files", every("labels", lambda a: a[::2, ::2])),
    "objects": ("data.files", every("labels", lambda a: a.astype(object))),
    "NaN": ("data.files", every("images", lambda a: np.full(a.shape, np.nan))),
    "types from 0": ("data.types", every("types", lambda a: np.maximum(a - 1, 0))),
    "types from 2": ("data.types", every("types", lambda a: np.where(a > 0, a + 1, 0))),
    "types turned": ("data.type_conflict", every("types", np.flipud)),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_first_and_its_remedy_mends_it(name):
    wanted, plant = FAULTS[name]
    given = made(6)
    given = {k: given[k] for k in given if name.startswith("types") or k in ("images", "labels")}
    changes = plant(given)
    report = look(given, **changes)
    assert report.first.id == wanted, wrong(report)
    assert report.first.remedy.text
    assert report.first.certainty >= 0.45
    if report.first.remedy.action:
        assert mended(given, report, **changes) == OK
    assert not [f for f in report.not_tested if "failed" in f.evidence]


def test_generated_tissue_is_in_order_and_every_check_says_something():
    report = look(made())
    assert wrong(report) == []
    assert {c.id for c in CHECKS} <= {f.id for f in report.findings}
    assert report.get("data.shift").verdict == OK
    assert report.get("data.types").verdict == OK


@pytest.mark.parametrize("n", [1, 20])
def test_real_images_are_in_order(shared, n):
    assert wrong(look(real(shared, "val", n))) == []


def test_each_real_image_alone_is_in_order(shared):
    given = real(shared, "val", 20)
    for image, labels in zip(given["images"], given["labels"], strict=True):
        assert wrong(look({}, images=[image], labels=[labels])) == []


@pytest.mark.parametrize("name", ["moved by 5 px", "mirrored", "next image", "components", "BGR"])
def test_faults_planted_in_real_images_are_found(shared, name):
    wanted, plant = FAULTS[name]
    given = real(shared, "val", 10)
    same = {a.shape for a in given["images"][:7]}
    assert len(same) == 1
    given = {k: v[:7] for k, v in given.items()}
    changes = plant(given)
    report = look(given, **changes)
    assert report.first.id == wanted
    if report.first.remedy.action:
        assert mended(given, report, **changes) == OK


def test_without_images_background_is_told_by_its_holes():
    labels = [background_too(a) for a in made()["labels"]]
    assert look({}, labels=labels).first.id == "data.background"


def test_small_images_have_too_few_nuclei_and_nothing_is_said_of_them():
    report = look(made(2, 64))
    assert wrong(report) == []
    assert report.get("data.components").verdict == NOT_TESTED
    assert "too few" in report.get("data.components").evidence


def test_a_missing_array_and_odd_shapes_are_findings_and_no_crash():
    given = made(2)
    report = look({}, images=[given["images"][0], None], labels=[np.ones(3, int), np.array(3)])
    assert report.first.id == "data.files"
    assert not [f for f in report.not_tested if "failed" in f.evidence]


def test_every_check_can_be_cancelled_at_every_image():
    given = made(4)
    items = ArrayItems(image=given["images"], labels=given["labels"], types=given["types"])
    steps = list(diagnose_steps(Bench(Case(items), PARAMS)))
    said = [s.message for s in steps]
    for words in ("Looking at coverage", "Looking at shapes", "Moving and turning labels"):
        assert said.count(words) == 4


def test_a_split_that_the_data_name_is_searched_for_leaks():
    image = made(2)["images"][0]

    class Items:
        names = ("a", "b")
        parts = frozenset({"image"})

        def read(self, index):
            return RawItem(self.names[index], image=image, split=("train", "val")[index])

    bench = Bench(Case(Items()), PARAMS)
    check = next(c for c in CHECKS if c.id == "data.leak")
    finding = list(check.run(bench))[-1]
    assert finding.verdict == FAULT
    assert "a = b" in finding.evidence


def test_samples_are_runs_of_neighbours():
    assert runs((1, 2, 3), 8) == (1, 2, 3)
    assert runs(tuple(range(1000)), 48)[:9] == (*range(8), 166)
