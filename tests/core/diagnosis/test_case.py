"""Stacks and lists of arrays become items; what a case has decides what can be tested."""

from __future__ import annotations

import numpy as np
import pytest

from napari_hovernet.core.diagnosis.case import TARGETS, ArrayItems, Case
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.diagnosis.separating import Separator
from napari_hovernet.core.diagnosis.setup import Setup
from napari_hovernet.errors import InputError


def test_a_stack_a_list_and_a_single_array_are_items() -> None:
    stack = ArrayItems(labels=np.zeros((3, 8, 9), int))
    listed = ArrayItems(labels=[np.zeros((8, 9), int), np.zeros((4, 4), int)])
    single = ArrayItems(labels=np.zeros((8, 9), int), hv=np.zeros((2, 8, 9)))
    assert [len(x.names) for x in (stack, listed, single)] == [3, 2, 1]
    assert stack.read(1).labels.shape == (8, 9)
    assert listed.read(1).labels.shape == (4, 4)
    assert single.read(0).has == {"labels", "hv"}


@pytest.mark.parametrize(
    ("stacks", "words"),
    [
        ({}, "nothing"),
        ({"labels": np.zeros((2, 4, 4)), "np": np.zeros((3, 4, 4))}, "2 labels, 3 np"),
        ({"labels": np.zeros(4)}, "shape"),
        ({"image": np.zeros((2, 4, 4, 3)), "names": ["a"]}, "1 names"),
    ],
)
def test_stacks_that_do_not_fit_are_refused(stacks: dict[str, object], words: str) -> None:
    with pytest.raises(InputError, match=words):
        ArrayItems(**stacks)  # type: ignore[arg-type]


def test_a_case_knows_what_it_has() -> None:
    maps = ArrayItems(np=np.zeros((4, 4)), hv=np.zeros((2, 4, 4)))
    assert Case(maps).has == {"np", "hv", "maps"}
    assert Case(maps, kind=TARGETS).has == {"np", "hv", "targets"}
    assert Case(ArrayItems(hv=np.zeros((2, 4, 4)))).has == {"hv", "hv_only"}
    assert Case(model_error="no").has == {"model"}
    blank = Predictor.of(lambda image: (image[..., 0] * 0.0, np.zeros((2, *image.shape[:2]))))
    full = Case(predictor=blank, separator=Separator.of(), loss=1, augmentation=2)
    assert full.has == {"maps", "model", "separation", "loss", "augmentation"}


def test_another_setup_leaves_the_rest() -> None:
    case = Case(ArrayItems(np=np.zeros((4, 4))), notes=("a",))
    other = case.with_setup(Setup(hv_order="vh"))
    assert other.items is case.items
    assert other.notes == ("a",)
    assert other.setup.hv_order == "vh"
    assert case.setup.hv_order == "hv"
