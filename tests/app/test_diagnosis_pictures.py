"""Pictures of places: the right part, the right layers, nothing that is not there."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from napari_hovernet.app.diagnosis_pictures import BOX, pictures_of, window_of
from napari_hovernet.core.diagnosis.bench import Bench
from napari_hovernet.core.diagnosis.case import ArrayItems, Case
from napari_hovernet.core.diagnosis.predicting import Predictor
from napari_hovernet.core.diagnosis.report import FAULT, LAYERS, Finding, Place
from napari_hovernet.core.hv import hv_targets

from .diagnosis_fakes import case, two_nuclei


def finding(layers: tuple[str, ...] = (), box: Any = (4, 20, 4, 36), n: int = 1) -> Finding:
    places = tuple(Place(k, f"image {k}", box) for k in range(n))
    return Finding("data.shift", FAULT, "a", "b", certainty=0.9, layers=layers, places=places)


def decoded(png: bytes) -> Any:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]


@pytest.mark.parametrize(
    ("box", "edges"),
    [
        ((0, 10, 0, 10), (0, 96, 0, 96)),
        ((495, 500, 600, 610), (404, 500, 557, 653)),
        ((0, 500, 0, 700), (90, 410, 190, 510)),
        ((100, 200, 100, 150), (80, 220, 77, 173)),
    ],
)
def test_the_part_lies_around_the_box_and_inside_the_image(box: Any, edges: Any) -> None:
    rows, cols = window_of(box, (500, 700))
    assert (rows.start, rows.stop, cols.start, cols.stop) == edges


def test_a_small_image_is_shown_whole() -> None:
    assert window_of((0, 9, 0, 9), (48, 64)) == (slice(0, 48), slice(0, 64))


def test_the_layers_a_finding_names_are_drawn() -> None:
    bench = Bench(case(3))
    (shown,) = pictures_of(bench, finding(("truth", "np", "hv_y", "magnitude")), 3)
    assert [p.title for p in shown.panels] == ["image, true nuclei", "NP", "HV y", "magnitude"]
    plain = decoded(shown.panels[1].png)
    assert plain[12, 12].tolist() == [255, 255, 255] and plain[40, 60].tolist() == [0, 0, 0]
    assert len(pictures_of(bench, finding(n=3), 2)) == 2


def test_without_layers_the_usual_ones_are_drawn() -> None:
    (maps,) = pictures_of(Bench(case(1)), finding(), 1)
    assert [p.title for p in maps.panels] == [
        "image, true nuclei, instances", "NP", "HV x", "HV y",
    ]  # fmt: skip
    labels = two_nuclei()
    items = ArrayItems(labels=labels, np=labels > 0, hv=hv_targets(labels), types=labels)
    (stored,) = pictures_of(Bench(Case(items, kind="targets")), finding(), 1)
    assert [p.title for p in stored.panels] == [
        "true nuclei", "stored NP", "stored HV x", "stored HV y",
    ]  # fmt: skip
    (typed,) = pictures_of(Bench(Case(items)), finding(("types",)), 1)
    assert [p.title for p in typed.panels] == ["types"]


def test_what_is_meant_is_boxed() -> None:
    (shown,) = pictures_of(Bench(case(1)), finding(("image",)), 1)
    picture = decoded(shown.panels[0].png)
    assert (picture == BOX).all(axis=2).sum() > 100
    (whole,) = pictures_of(Bench(case(1)), finding(("image",), (0, 48, 0, 64)), 1)
    assert not (decoded(whole.panels[0].png) == BOX).all(axis=2).any()


@pytest.mark.parametrize("layer", LAYERS)
def test_no_layer_fails_whatever_is_missing(layer: str) -> None:
    labels = two_nuclei()
    for part in ({"labels": labels}, {"image": np.zeros((48, 64, 3), np.uint8)},
                 {"hv": hv_targets(labels)}, {"labels": labels, "types": labels}):  # fmt: skip
        for kind in ("maps", "targets"):
            pictures_of(Bench(Case(ArrayItems(**part), kind=kind)), finding((layer,)), 1)


def test_planes_of_another_size_are_left_out() -> None:
    items = ArrayItems(labels=[two_nuclei()], image=[np.zeros((30, 30, 3), np.uint8)])
    (shown,) = pictures_of(Bench(Case(items)), finding(("image", "truth")), 1)
    assert [p.title for p in shown.panels] == ["true nuclei"]


def test_a_stopped_diagnosis_asks_no_network_for_pictures() -> None:
    def network(image: Any) -> Any:
        pytest.fail("it was asked")

    items = ArrayItems(image=np.zeros((1, 48, 64, 3), np.uint8), labels=[two_nuclei()])
    bench = Bench(Case(items, predictor=Predictor.of(network)))
    (shown,) = pictures_of(bench, finding(), 1, network=False)
    assert [p.title for p in shown.panels] == ["image, true nuclei"]
